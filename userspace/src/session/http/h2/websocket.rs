//! WebSocket handshakes between HTTP/1 and HTTP/2: only HTTP/1 has keys (RFC 6455 §4, RFC 8441 §5).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The key of a handshake, in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebSocketKey(Vec<u8>);

impl WebSocketKey {
    /// A key for a client that has none. `None` when the system has no randomness.
    pub(crate) fn make() -> Option<Self> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(STANDARD.encode(bytes).into_bytes()))
    }

    /// The key a client sent.
    pub(crate) fn of(field: &[u8]) -> Self {
        Self(field.to_vec())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What a server proves with that it has understood.
    pub(crate) fn answer(&self) -> String {
        let text = [&self.0, &b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"[..]].concat();
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfcs_example() {
        let key = WebSocketKey::of(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(key.answer(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(
            WebSocketKey::make().map(|key| key.as_bytes().len()),
            Some(24)
        );
    }
}
