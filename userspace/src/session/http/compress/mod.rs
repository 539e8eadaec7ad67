//! Compression of responses and requests (`compression …`, manual §4.2).
//!
//! Looks at a request's and a response's head and decides whether the body is compressed, and how;
//! then changes the head and gives the filter that does it. The compressors are in [`encoder`], what
//! clients accept is understood in [`accept`]; framing stays the relay's.

mod accept;
mod encoder;
mod fast;

use std::rc::Rc;

pub(crate) use encoder::Compressor;
use encoder::{Effort, Tally};

use super::stream::HttpStream;
use crate::clock;
use crate::model::{Compression, CompressionAlgorithm, CompressionDirection, CompressionSide};
use crate::proto::http::http1::Framing;
use crate::proto::http::{Head, Method, Version, items};
use crate::state::{Counter, ProcessRate};

/// What is known of a response's compression before the response is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The client accepts it.
    Accepted(CompressionAlgorithm),
    /// Other clients may get it compressed: caches must be told.
    Possible,
}

impl<'c> HttpStream<'c, '_> {
    /// Decides how a response may be compressed, from the request as the rules left it.
    pub(super) fn prepare_compression(&mut self) {
        self.messages.wish = self.wish();
        let settings = [self.backend(), self.proxy()];
        let offloads = settings.iter().any(|proxy| {
            let settings = proxy.compression.as_ref();
            settings.is_some_and(|settings| settings.offload)
        });
        if offloads {
            self.messages.request.remove(b"accept-encoding");
        }
    }

    fn wish(&self) -> Option<Wish> {
        let side = self.side(for_responses)?;
        if self.version < Version::Http11 || self.method == Method::Head {
            return None;
        }
        match accept::choose(&self.messages.request, &side.algorithms) {
            Some(algorithm) => Some(Wish::Accepted(algorithm)),
            None => Some(Wish::Possible),
        }
    }

    /// Has the response's body compressed if it should be; its framing is then chunked.
    pub(super) fn compress_response(&mut self, framing: Framing) -> Option<Compressor> {
        let wish = self.messages.wish?;
        let side = self.side(for_responses)?;
        let head = &mut self.messages.response;
        let suits = matches!(head.status(), 200..=203) && head.version() >= Version::Http11;
        if !suits || !is_compressible(head, framing, side) {
            return None;
        }
        let Wish::Accepted(algorithm) = wish else {
            vary(head);
            return None;
        };
        if self.is_over_rate() {
            self.count_compression(Counter::CompressBypassed, length(framing).unwrap_or(0));
            return None;
        }
        let compressor = self.compressor(algorithm, self.response_tally())?;
        if algorithm != CompressionAlgorithm::Identity {
            let head = &mut self.messages.response;
            vary(head);
            encoded(head, algorithm);
            self.messages.facts.compressed = Some(algorithm);
            self.count_compression(Counter::CompressedResponses, 1);
        }
        Some(compressor)
    }

    /// The same for the request's body. A request that is sent again is compressed again: its head
    /// says so already.
    pub(super) fn compress_request(&mut self) -> Option<Compressor> {
        if let Some(algorithm) = self.messages.request_coding {
            return self.compressor(algorithm, Box::new(|_, _| {}));
        }
        let side = self.side(for_requests)?;
        let algorithm = *side.algorithms.first()?;
        let head = &self.messages.request;
        let suits = self.version >= Version::Http11 && !self.request.upgrade;
        if !suits || !is_compressible(head, self.request.framing, side) || self.is_over_rate() {
            return None;
        }
        let compressor = self.compressor(algorithm, Box::new(|_, _| {}))?;
        if algorithm != CompressionAlgorithm::Identity {
            encoded(&mut self.messages.request, algorithm);
            self.messages.request_coding = Some(algorithm);
        }
        Some(compressor)
    }

    /// The settings in force: the backend's before the frontend's.
    fn side(
        &self,
        which: fn(&Compression) -> Option<&CompressionSide>,
    ) -> Option<&'c CompressionSide> {
        [self.backend(), self.proxy()]
            .into_iter()
            .filter_map(|proxy| proxy.compression.as_deref())
            .find_map(which)
    }

    fn compressor(&self, algorithm: CompressionAlgorithm, tally: Tally) -> Option<Compressor> {
        let tune = &self.connection.generation.model().global.tune;
        let effort = Effort {
            level: tune.compression_level,
        };
        // Without memory for a compressor the body is passed as it is.
        Compressor::new(algorithm, effort, tally).ok()
    }

    /// Counts what goes into and comes out of a response's compressor.
    fn response_tally(&self) -> Tally {
        let generation = Rc::clone(&self.connection.generation);
        let frontend = self.connection.frontend;
        let backend = self.backend().id;
        Box::new(move |taken, given| {
            let state = generation.state();
            let now = clock::now();
            let rate = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
            state.process.compression_in_rate.add(rate(taken), now);
            state.process.compression_out_rate.add(rate(given), now);
            let frontend = &state.proxy(frontend).frontend.counters;
            let backend = &state.proxy(backend).backend.counters;
            for counters in [frontend, backend] {
                counters.add(Counter::CompressedIn, taken);
                counters.add(Counter::CompressedOut, given);
            }
        })
    }

    /// `maxcomprate`: whether the process compresses as much as it may.
    fn is_over_rate(&self) -> bool {
        let process = &self.connection.generation.state().process;
        let Some(limit) = process.rate_limit(ProcessRate::Compression) else {
            return false;
        };
        process.compression_in_rate.read(clock::now()) >= limit
    }

    fn count_compression(&self, counter: Counter, amount: u64) {
        let state = self.connection.generation.state();
        let frontend = &state.proxy(self.connection.frontend).frontend.counters;
        let backend = &state.proxy(self.backend().id).backend.counters;
        frontend.add(counter, amount);
        backend.add(counter, amount);
    }
}

/// The algorithms for requests, unless they are not to be compressed. Filter lines say it before `direction` does.
fn for_requests(settings: &Compression) -> Option<&CompressionSide> {
    use CompressionDirection::{Both, Request};
    let asked = matches!(
        settings.filters.unwrap_or(settings.direction),
        Request | Both
    );
    Some(&settings.request).filter(|side| asked && !side.algorithms.is_empty())
}

/// The same for responses.
fn for_responses(settings: &Compression) -> Option<&CompressionSide> {
    use CompressionDirection::{Both, Response};
    let asked = matches!(
        settings.filters.unwrap_or(settings.direction),
        Response | Both
    );
    Some(&settings.response).filter(|side| asked && !side.algorithms.is_empty())
}

/// Whether the body behind a head may be compressed, whoever it is for.
fn is_compressible(head: &Head, framing: Framing, side: &CompressionSide) -> bool {
    let long_enough = match framing {
        Framing::Chunked => true,
        Framing::Length(length) => length > 0 && length >= side.min_size,
        // Without a length the message ends with its connection, which a client cannot check;
        // frames end it well.
        Framing::UntilClose => head.version() == Version::Http2,
        Framing::None => false,
    };
    long_enough
        && !head.contains(b"content-encoding")
        && !head.has_token(b"cache-control", b"no-transform")
        && !head.contains(b"content-range")
        && has_usable_tag(head)
        && has_type(head, &side.types)
}

/// Whether the body's media type is among those wanted. Parts of a `multipart` have types of their
/// own.
fn has_type(head: &Head, types: &[String]) -> bool {
    let Some(value) = head.first(b"content-type") else {
        return types.is_empty();
    };
    let begins = |beginning: &[u8]| {
        value
            .get(..beginning.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    !begins(b"multipart") && (types.is_empty() || types.iter().any(|t| begins(t.as_bytes())))
}

/// Whether there is no entity tag, or one that can be made weak.
fn has_usable_tag(head: &Head) -> bool {
    let mut tags = head.values(b"etag");
    match (tags.next(), tags.next()) {
        (None, _) => true,
        (Some(tag), None) => is_tag(tag),
        (Some(_), Some(_)) => false,
    }
}

/// Whether it is an entity tag (RFC 9110 §8.8.3).
fn is_tag(tag: &[u8]) -> bool {
    let opaque = tag.strip_prefix(b"W/").unwrap_or(tag);
    opaque.len() >= 2 && opaque.starts_with(b"\"") && opaque.ends_with(b"\"")
}

/// Says in the head how the body is encoded now: other bytes, so no longer the same entity.
fn encoded(head: &mut Head, algorithm: CompressionAlgorithm) {
    head.add(b"content-encoding", algorithm.coding().as_bytes());
    head.remove(b"content-md5");
    head.rewrite_values(b"etag", &mut Vec::new(), |tag, weak| {
        let strong = !tag.starts_with(b"W/");
        if strong {
            weak.extend_from_slice(b"W/");
            weak.extend_from_slice(tag);
        }
        strong
    });
}

/// Tells caches that the response depends on what the client accepts.
fn vary(head: &mut Head) {
    let says_so = head
        .values(b"vary")
        .flat_map(items)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    if !says_so {
        head.add(b"vary", b"Accept-Encoding");
    }
}

fn length(framing: Framing) -> Option<u64> {
    match framing {
        Framing::Length(length) => Some(length),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        head.start_response(200, b"OK", Version::Http11);
        for (name, value) in fields {
            head.add(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn suits(fields: &[(&str, &str)], framing: Framing) -> bool {
        let side = CompressionSide {
            types: vec!["text/".to_owned(), "application/json".to_owned()],
            min_size: 10,
            ..CompressionSide::default()
        };
        is_compressible(&response(fields), framing, &side)
    }

    #[test]
    fn only_what_may_and_should_be_compressed_is() {
        let text = ("content-type", "Text/HTML; charset=utf-8");
        let long = Framing::Length(10);
        assert!(suits(&[text], long));
        assert!(suits(&[text], Framing::Chunked));
        assert!(!suits(&[text], Framing::Length(9)));
        assert!(!suits(&[text], Framing::Length(0)));
        assert!(!suits(&[text], Framing::UntilClose));
        assert!(!suits(&[], long));
        assert!(!suits(&[("content-type", "image/png")], long));
        assert!(!suits(&[("content-type", "multipart/mixed")], long));
        assert!(!suits(&[text, ("content-encoding", "br")], long));
        assert!(!suits(
            &[text, ("cache-control", "public, No-Transform")],
            long
        ));
        assert!(!suits(&[text, ("content-range", "bytes 0-9/20")], long));
        assert!(!suits(&[text, ("etag", "\"a\""), ("etag", "\"b\"")], long));
        assert!(!suits(&[text, ("etag", "W/a")], long));
        assert!(suits(&[text, ("etag", "W/\"a\"")], long));
        let any = CompressionSide::default();
        let multipart = response(&[("content-type", "multipart/mixed; boundary=\"aaa\"")]);
        assert!(is_compressible(&response(&[]), long, &any));
        assert!(!is_compressible(&multipart, long, &any));
    }

    #[test]
    fn a_compressed_entity_is_another_one() {
        let mut head = response(&[("etag", "\"1\""), ("vary", "Origin"), ("content-md5", "x")]);
        vary(&mut head);
        vary(&mut head);
        encoded(&mut head, CompressionAlgorithm::RawDeflate);
        let values = |name: &'static [u8]| -> Vec<String> {
            let values = head.values(name);
            values
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect()
        };
        assert_eq!(values(b"etag"), ["W/\"1\""]);
        assert_eq!(values(b"vary"), ["Origin", "Accept-Encoding"]);
        assert_eq!(values(b"content-encoding"), ["deflate"]);
        assert!(values(b"content-md5").is_empty());
    }
}
