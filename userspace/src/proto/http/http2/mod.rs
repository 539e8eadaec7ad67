//! HTTP/2 (RFC 9113) where it differs from what the `h2` crate does.
//!
//! Heads are converted between the crate's types and [`Head`], with every check that keeps a
//! forbidden field from reaching HTTP/1; frame headers are read off the wire as they pass, so that
//! floods and mistakes can be counted. Framing, HPACK, streams and flow control are the crate's.

mod frame;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use frame::{Frame, FrameReader, Kind, lower_initial_window, reset_stream, window_update};
pub use request::{Asked, decode_request, encode_request};
pub use response::{
    decode_response, decode_trailers, encode_interim, encode_response, encode_trailers,
};

use bytes::Bytes;
use http::HeaderValue;

use crate::proto::http::Head;

/// What a client that knows beforehand that the server speaks HTTP/2 sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Copies fields into a head, as far as both limits let them; false when they do not.
fn copy_fields(
    fields: &http::HeaderMap,
    head: &mut Head,
    limits: &super::http1::Limits,
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> bool {
    let mut room = limits.head;
    for (name, value) in fields {
        let name = name.as_str().as_bytes();
        let size = name.len() + value.len() + 4;
        if size > room || head.len() >= limits.fields {
            return false;
        }
        room -= size;
        if wanted(name) {
            head.add(name, value.as_bytes());
        }
    }
    true
}

/// The values of a head's fields as those of a header map, all in one allocation.
struct Values<'h> {
    head: &'h [u8],
    shared: Bytes,
}

impl<'h> Values<'h> {
    fn of(head: &'h Head) -> Self {
        Self {
            head: head.text(),
            shared: Bytes::copy_from_slice(head.text()),
        }
    }

    /// One of the head's own values; `None` where HTTP/2 cannot say it.
    fn share(&self, value: &[u8]) -> Option<HeaderValue> {
        let at = (value.as_ptr() as usize).checked_sub(self.head.as_ptr() as usize);
        match at.filter(|at| at + value.len() <= self.head.len()) {
            Some(at) if !value.is_empty() => {
                HeaderValue::from_maybe_shared(self.shared.slice(at..at + value.len())).ok()
            }
            _ => HeaderValue::from_bytes(value).ok(),
        }
    }
}

/// Whether a field belongs to one connection only and so never travels in HTTP/2 (RFC 9113 §8.2.2).
fn is_connection_specific(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"transfer-encoding"
            | b"upgrade"
            | b"http2-settings"
    )
}
