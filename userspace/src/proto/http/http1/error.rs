//! What can be wrong with a head.
//!
//! The decoders give the reason and the offset of the line at fault, which is what HAProxy's `show
//! errors` shows. Turning that into an answer and a log line is the session's business; the only
//! hint given here is the status code.

/// A head that cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (in the line at offset {at})")]
pub struct HeadError {
    pub reason: Reason,
    /// Offset of the faulty line in the buffer that was decoded.
    pub at: usize,
}

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the line does not end in CRLF")]
    LineEnd,
    #[error("the method is not a token")]
    Method,
    #[error("the request target is malformed")]
    Target,
    #[error("the protocol version is malformed or not supported")]
    Version,
    #[error("the status code is malformed")]
    Status,
    #[error("the reason phrase holds forbidden characters")]
    ReasonPhrase,
    #[error("the field name is not a token followed by a colon")]
    FieldName,
    #[error("the field value holds forbidden characters")]
    FieldValue,
    #[error("a folded line follows no field")]
    Fold,
    #[error("the head is too large")]
    TooLarge,
    #[error("there are too many fields")]
    TooManyFields,
    #[error("the Host field is missing")]
    HostMissing,
    #[error("there are several Host fields")]
    HostRepeated,
    #[error("the Host field is malformed")]
    HostMalformed,
    #[error("the Host field and the target's authority differ")]
    HostMismatch,
    #[error("the Content-Length is malformed or contradictory")]
    ContentLength,
    #[error("the Transfer-Encoding is malformed")]
    TransferEncoding,
    #[error("the transfer coding is not supported")]
    TransferCoding,
    #[error("the WebSocket key is missing or malformed")]
    WebSocketKey,
    #[error("the protocol was switched without having been asked for")]
    UnexpectedUpgrade,
}

impl Reason {
    /// The status a request refused for this reason is answered with, as HAProxy does.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TransferCoding => 422,
            _ => 400,
        }
    }
}
