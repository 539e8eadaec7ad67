//! Heads and chunk framing, written.
//!
//! A [`Head`] with the [`Framing`] and [`Persistence`] its sender decided on becomes bytes appended
//! to a buffer. Whatever the head says about framing and connections is left out and said anew:
//! those fields never travel from one hop to the next.

use super::Framing;
use crate::proto::http::{Head, Version, items, uri};

/// What the sender says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    KeepAlive,
    Close,
    /// The head's `Upgrade` field goes with it.
    Upgrade,
}

/// Writes a request head.
///
/// The version stays the client's, as HAProxy does, unless the body needs HTTP/1.1.
pub fn encode_request(head: &Head, framing: Framing, persistence: Persistence, out: &mut Vec<u8>) {
    let version = wire_version(head, framing);
    out.extend_from_slice(head.method_name());
    out.push(b' ');
    match uri::path_and_query(head.target()) {
        // The authority came in a field of its own there, and goes as Host.
        Some(path) if head.version() == Version::Http2 => out.extend_from_slice(path),
        _ => encode_target(head.target(), out),
    }
    out.extend_from_slice(match version {
        Version::Http10 => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    });
    let mut trailers_wanted = false;
    head.write_fields_where(out, |name, value| {
        if name == b"te" {
            trailers_wanted |= items(value).any(|item| item.eq_ignore_ascii_case(b"trailers"));
        }
        is_end_to_end(name) || (name == b"upgrade" && persistence == Persistence::Upgrade)
    });
    if trailers_wanted {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    if head.version() == Version::Http2 && !head.contains(b"host") {
        out.extend_from_slice(b"host: \r\n");
    }
    encode_framing(framing, out);
    match (version, persistence) {
        (_, Persistence::Upgrade) => encode_upgrade(head, out),
        (Version::Http10, Persistence::KeepAlive) => {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        (Version::Http11, Persistence::Close) => out.extend_from_slice(b"connection: close\r\n"),
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head for a client that speaks `client`.
///
/// With [`Framing::None`] (the answer to a HEAD, a 304) the length the server declared is passed
/// on, as it describes what a GET would have got.
pub fn encode_response(
    head: &Head,
    framing: Framing,
    persistence: Persistence,
    client: Version,
    out: &mut Vec<u8>,
) {
    let version = wire_version(head, framing);
    let status = head.status();
    out.extend_from_slice(match version {
        Version::Http10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    });
    encode_decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let never_a_body = matches!(status, 100..200 | 204);
    head.write_fields_where(out, |name, _| {
        is_end_to_end(name)
            || (name == b"upgrade" && (persistence == Persistence::Upgrade || status == 426))
            || (framing == Framing::None && !never_a_body && is_framing(name))
    });
    encode_framing(framing, out);
    match (version, persistence) {
        (_, Persistence::Upgrade) => encode_upgrade(head, out),
        _ if status < 200 => {}
        (Version::Http10, Persistence::KeepAlive) => {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        (Version::Http10, Persistence::Close) => {}
        (_, Persistence::KeepAlive) if client == Version::Http10 => {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        (_, Persistence::KeepAlive) => {}
        (_, Persistence::Close) => out.extend_from_slice(b"connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// The size line before a chunk; CRLF follows the chunk's content. `length` is not zero.
#[must_use]
pub fn chunk_size(length: usize) -> ChunkSize {
    debug_assert_ne!(length, 0, "a chunk of no bytes would end the message");
    let mut text = [0; 18];
    text[16..].copy_from_slice(b"\r\n");
    let mut start = 16;
    let mut rest = length;
    while rest != 0 {
        start -= 1;
        text[start] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    ChunkSize { text, start }
}

/// See [`chunk_size`].
#[derive(Clone, Copy, Debug)]
pub struct ChunkSize {
    text: [u8; 18],
    start: usize,
}

impl ChunkSize {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

/// Writes the last chunk, the trailers and the end of a chunked body.
pub fn encode_last_chunk(trailers: &Head, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    trailers.write_fields(out);
    out.extend_from_slice(b"\r\n");
}

fn wire_version(head: &Head, framing: Framing) -> Version {
    match head.version() {
        Version::Http10 if framing != Framing::Chunked => Version::Http10,
        _ => Version::Http11,
    }
}

/// Writes the target; user information in front of a host is not the server's business
/// (RFC 9110 §4.2.4).
fn encode_target(target: &[u8], out: &mut Vec<u8>) {
    if target.first() != Some(&b'/')
        && let (Some(scheme), Some(authority)) = (uri::scheme(target), uri::authority(target))
        && let Some(at) = memchr::memrchr(b'@', authority)
    {
        let host = scheme.len() + 3;
        out.extend_from_slice(&target[..host]);
        out.extend_from_slice(&target[host + at + 1..]);
        return;
    }
    out.extend_from_slice(target);
}

fn encode_framing(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            encode_decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None | Framing::UntilClose => {}
    }
}

/// Says that the `Upgrade` field counts, spelling the option as the peer did.
fn encode_upgrade(head: &Head, out: &mut Vec<u8>) {
    let spelt = head
        .elements(b"connection")
        .find(|item| item.eq_ignore_ascii_case(b"upgrade"));
    out.extend_from_slice(b"connection: ");
    out.extend_from_slice(spelt.unwrap_or(b"upgrade"));
    out.extend_from_slice(b"\r\n");
}

fn encode_decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Whether a field goes on to the next hop as it is.
fn is_end_to_end(name: &[u8]) -> bool {
    match name.len() {
        2 => name != b"te",
        7 => name != b"upgrade",
        10 => name != b"connection" && name != b"keep-alive",
        14 => name != b"content-length" && name != b"http2-settings",
        16 => name != b"proxy-connection",
        17 => name != b"transfer-encoding",
        _ => true,
    }
}

fn is_framing(name: &[u8]) -> bool {
    name == b"content-length" || name == b"transfer-encoding"
}
