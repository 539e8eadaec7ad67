//! The HTTP side of a check: the request it sends, the response it gathers.

use super::expect::rendered;
use crate::expr::View;
use crate::model::HttpSend;
use crate::proto::http::http1::{BodyDecoder, Exchange, Limits, ResponseDecoder};
use crate::proto::http::{Head, Method};

/// The bytes of one request. `state` is the value of `X-Haproxy-Server-State`, if it is to be sent.
pub(super) fn request(send: &HttpSend, state: Option<&str>, view: &dyn View) -> Vec<u8> {
    let body = send.body.as_ref().map(|format| rendered(format, view));
    let mut uri = one_line(rendered(&send.uri, view));
    if uri.is_empty() {
        uri.push(b'/');
    }
    let mut bytes = Vec::new();
    bytes.extend_from_slice(send.method.as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(&uri);
    bytes.push(b' ');
    bytes.extend_from_slice(send.version.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let mut closes = false;
    for (name, format) in &send.headers {
        // The framing is ours (manual: such fields are ignored).
        let framing = ["content-length", "transfer-encoding"];
        if framing.iter().any(|field| name.eq_ignore_ascii_case(field)) {
            continue;
        }
        closes |= name.eq_ignore_ascii_case("connection");
        field(&mut bytes, name, &one_line(rendered(format, view)));
    }
    if let Some(state) = state {
        field(&mut bytes, "X-Haproxy-Server-State", state.as_bytes());
    }
    if !closes {
        field(&mut bytes, "Connection", b"close");
    }
    if let Some(body) = &body {
        field(
            &mut bytes,
            "Content-Length",
            body.len().to_string().as_bytes(),
        );
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_deref().unwrap_or_default());
    bytes
}

/// A response as far as it has come.
#[derive(Debug)]
pub(super) struct Received {
    /// Its head, once [`Self::has_head`].
    pub(super) head: Head,
    /// Its decoded body so far.
    pub(super) body: Vec<u8>,
    exchange: Exchange,
    limits: Limits,
    decoder: ResponseDecoder,
    /// Bytes not yet decoded.
    pending: Vec<u8>,
    body_decoder: Option<BodyDecoder>,
}

/// What came is not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

impl Received {
    /// Nothing yet, in answer to a request with that method.
    pub(super) fn new(method: &str) -> Self {
        Self {
            head: Head::default(),
            body: Vec::new(),
            exchange: Exchange {
                method: Method::parse(method.as_bytes()),
                upgrade: false,
            },
            limits: Limits::default(),
            decoder: ResponseDecoder::default(),
            pending: Vec::new(),
            body_decoder: None,
        }
    }

    /// Whether the final response's head is there.
    pub(super) fn has_head(&self) -> bool {
        self.body_decoder.is_some()
    }

    /// Whether all of it is there.
    pub(super) fn is_complete(&self) -> bool {
        self.body_decoder.as_ref().is_some_and(BodyDecoder::is_done)
    }

    /// Takes bytes from the server.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        self.pending.extend_from_slice(bytes);
        while self.body_decoder.is_none() {
            let decoded = self
                .decoder
                .decode(&self.pending, &mut self.head, self.exchange, &self.limits)
                .map_err(|_| Invalid)?;
            let Some(response) = decoded else {
                return Ok(());
            };
            self.pending.drain(..response.consumed);
            if (100..200).contains(&self.head.status()) && !response.tunnel {
                self.decoder = ResponseDecoder::default();
                self.head.clear();
                continue;
            }
            self.body_decoder = Some(BodyDecoder::new(response.framing, &self.limits));
        }
        if let Some(decoder) = &mut self.body_decoder {
            let progress = decoder.decode(&mut self.pending).map_err(|_| Invalid)?;
            self.body.extend_from_slice(&self.pending[progress.data]);
            self.pending.drain(..progress.consumed);
        }
        Ok(())
    }

    /// The server closed. Invalid when that cuts the response short.
    pub(super) fn close(&mut self) -> Result<(), Invalid> {
        let whole = self.body_decoder.as_mut().is_some_and(BodyDecoder::close);
        whole.then_some(()).ok_or(Invalid)
    }
}

fn field(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// A value that cannot end its line.
fn one_line(mut value: Vec<u8>) -> Vec<u8> {
    value
        .iter_mut()
        .filter(|byte| matches!(byte, b'\r' | b'\n' | 0))
        .for_each(|byte| *byte = b' ');
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expr::{LogFormat, NoView, Purpose};

    fn format(text: &str) -> LogFormat {
        LogFormat::literal(text, Purpose::Http)
    }

    fn send() -> HttpSend {
        HttpSend {
            method: "OPTIONS".to_owned(),
            uri: format("/"),
            version: "HTTP/1.0".to_owned(),
            headers: Vec::new(),
            body: None,
            comment: None,
        }
    }

    #[test]
    fn a_plain_request_closes_its_connection() {
        let bytes = request(&send(), None, &NoView);
        assert_eq!(bytes, b"OPTIONS / HTTP/1.0\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn fields_and_body_are_framed_by_us() {
        let send = HttpSend {
            method: "POST".to_owned(),
            headers: vec![
                ("Host".to_owned(), format("a\r\nb")),
                ("content-length".to_owned(), format("99")),
                ("Connection".to_owned(), format("keep-alive")),
            ],
            body: Some(format("ping")),
            ..send()
        };
        let expected = "POST / HTTP/1.0\r\nHost: a  b\r\nConnection: keep-alive\r\n\
             X-Haproxy-Server-State: UP\r\nContent-Length: 4\r\n\r\nping";
        let bytes = request(&send, Some("UP"), &NoView);
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    #[test]
    fn a_response_is_gathered_in_any_pieces() {
        let response =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for size in 1..response.len() {
            let mut received = Received::new("GET");
            for piece in response.chunks(size) {
                received.push(piece).expect("valid");
            }
            assert!(received.is_complete());
            assert_eq!(
                (received.head.status(), &received.body[..]),
                (200, &b"abcde"[..])
            );
        }
    }

    #[test]
    fn a_response_cut_short_is_invalid() {
        let mut received = Received::new("GET");
        received
            .push(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            .expect("so far");
        assert_eq!(received.close(), Err(Invalid));
        assert_eq!(Received::new("GET").close(), Err(Invalid));
        assert_eq!(Received::new("GET").push(b"garbage\r\n\r\n"), Err(Invalid));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_borne(pieces: Vec<Vec<u8>>) {
            let mut received = Received::new("GET");
            for piece in pieces {
                if received.push(&piece).is_err() {
                    break;
                }
            }
            let _either = received.close();
        }
    }
}
