//! HTTP/1.0 and HTTP/1.1 on the wire, without the wire.
//!
//! Received bytes go in; a [`Head`], one [`Framing`] decision and decoded body bytes come out, and
//! the reverse. The codec is a normaliser: what RFC 9112 lets a recipient repair is repaired, what
//! is ambiguous is refused, and framing fields are never passed through but written anew. It does
//! no IO, reads no clock, and knows neither proxies nor rules.

mod authority;
mod body;
mod cases;
mod encode;
mod error;
mod fields;
mod framing;
mod line;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use body::{BodyDecoder, BodyError, Progress, is_forbidden_trailer};
pub use cases::{CaseError, FieldCases};
pub use encode::{
    ChunkSize, Persistence, chunk_size, encode_last_chunk, encode_request, encode_response,
};
pub use error::{HeadError, Reason};
pub use fields::is_token_byte;
pub use framing::{is_http2, settle_length};
pub use request::{Request, RequestDecoder, decode_request, settle_framed};
pub use response::{Exchange, Response, ResponseDecoder, decode_response};

/// How the body of one message is delimited. There is one such decision per message, made where
/// its head is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body follows, whatever the fields say.
    None,
    /// Exactly this many bytes follow.
    Length(u64),
    /// Chunks, and possibly trailers.
    Chunked,
    /// Everything until the sender closes (responses and tunnels only).
    UntilClose,
}

/// Bounds and tolerance of the head decoders.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole head (HAProxy: `tune.bufsize` less `tune.maxrewrite`).
    pub head: usize,
    /// Number of fields (HAProxy: `tune.http.maxhdr` less one, as that counts the start line).
    pub fields: usize,
    pub tolerance: Tolerance,
}

/// How much deviation from the RFCs is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    Strict,
    /// `option accept-unsafe-violations-in-http-request` (or `-response`).
    Unsafe,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16384 - 1024,
            fields: 100,
            tolerance: Tolerance::Strict,
        }
    }
}
