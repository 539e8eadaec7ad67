//! Request heads.
//!
//! Feed the growing buffer to a [`RequestDecoder`] until it answers with a [`Request`]; what came
//! out of the start line and the fields is then in the head, checked and normalised. Errors come
//! as soon as the faulty line (or the first impossible byte) is there, not at the end.

use super::framing::Declared;
use super::line::{LineEnd, Lines};
use super::{Framing, HeadError, Limits, Reason, Tolerance, authority, fields};
use crate::proto::http::{Head, Method, Version};

/// What a request's head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Bytes of the buffer the head took, empty lines before it included.
    pub consumed: usize,
    pub framing: Framing,
    /// Whether the client lets the connection be used again after this request.
    pub keep_alive: bool,
    /// Whether it asked to switch protocols (the head keeps its `Upgrade` field then).
    pub upgrade: bool,
    /// `Expect: 100-continue`.
    pub expect_continue: bool,
}

/// Decodes one request head from a buffer that grows between calls.
#[derive(Clone, Debug, Default)]
pub struct RequestDecoder {
    lines: Lines,
    started: bool,
}

impl RequestDecoder {
    /// Goes on decoding. `buffer` holds what it held at the last call, and more; `head` is filled
    /// on the way and complete once this answers `Some`.
    pub fn decode(
        &mut self,
        buffer: &[u8],
        head: &mut Head,
        limits: &Limits,
    ) -> Result<Option<Request>, HeadError> {
        let line_end = match limits.tolerance {
            Tolerance::Strict => LineEnd::Crlf,
            Tolerance::Unsafe => LineEnd::CrlfOrLf,
        };
        loop {
            let at = self.lines.at();
            let fail = |reason| HeadError { reason, at };
            let Some(line) = self.lines.next(buffer, line_end, limits)? else {
                if !self.started {
                    check_beginning(self.lines.incomplete(buffer)).map_err(fail)?;
                }
                return Ok(None);
            };
            if !self.started {
                // RFC 9112 §2.2: empty lines before a request are ignored.
                if !line.is_empty() {
                    decode_line(line, head, limits).map_err(fail)?;
                    self.started = true;
                }
            } else if !line.is_empty() {
                fields::decode_field(line, head, limits).map_err(fail)?;
            } else {
                return conclude(head, limits, self.lines.at())
                    .map(Some)
                    .map_err(fail);
            }
        }
    }

    /// Whether nothing of a request has been seen: not even the beginning of its first line.
    #[must_use]
    pub fn is_idle(&self, buffer: &[u8]) -> bool {
        !self.started && matches!(self.lines.incomplete(buffer), b"" | b"\r")
    }
}

/// Decodes a request head from a buffer that already holds all of it; `None` when it does not.
pub fn decode_request(
    buffer: &[u8],
    head: &mut Head,
    limits: &Limits,
) -> Result<Option<Request>, HeadError> {
    head.clear();
    RequestDecoder::default().decode(buffer, head, limits)
}

fn conclude(head: &mut Head, limits: &Limits, consumed: usize) -> Result<Request, Reason> {
    authority::settle(head, limits.tolerance)?;
    let declared = Declared::read(head, limits.tolerance)?;
    if declared.upgrade && limits.tolerance == Tolerance::Strict {
        check_websocket_key(head)?;
    }
    Ok(Request {
        consumed,
        framing: declared.framing(Framing::None),
        keep_alive: declared.keep_alive && !declared.suspicious,
        upgrade: declared.upgrade,
        expect_continue: declared.expect_continue,
    })
}

/// Judges the head of a request that came in a protocol with a framing of its own: the target, Host
/// and the length are those of HTTP/1. `ended` is whether no body follows.
pub fn settle_framed(head: &mut Head, ended: bool) -> Result<Request, Reason> {
    let fine = |&byte: &u8| is_target_byte(byte, Tolerance::Strict);
    if head.target().is_empty() || !head.target().iter().all(fine) {
        return Err(Reason::Target);
    }
    authority::settle(head, Tolerance::Strict)?;
    let declared = Declared::read(head, Tolerance::Strict)?;
    let framing = match (ended, declared.length) {
        (true, None | Some(0)) => Framing::None,
        (true, Some(_)) => return Err(Reason::ContentLength),
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    Ok(Request {
        consumed: 0,
        framing,
        keep_alive: true,
        upgrade: declared.upgrade,
        expect_continue: declared.expect_continue,
    })
}

/// Decodes `METHOD target HTTP/1.x`.
fn decode_line(line: &[u8], head: &mut Head, limits: &Limits) -> Result<(), Reason> {
    let method_end = memchr::memchr(b' ', line).ok_or(Reason::Method)?;
    let method = &line[..method_end];
    if method.is_empty() || !method.iter().all(|&byte| fields::is_token_byte(byte)) {
        return Err(Reason::Method);
    }
    let target_end = memchr::memrchr(b' ', line).unwrap_or(method_end);
    let (target, version) = if target_end == method_end {
        // HTTP/0.9: a GET without a version, which only the tolerant mode knows.
        if limits.tolerance == Tolerance::Strict || method != b"GET" {
            return Err(Reason::Version);
        }
        (&line[method_end + 1..], Version::Http10)
    } else {
        let version = parse_version(&line[target_end + 1..], limits.tolerance)?;
        (&line[method_end + 1..target_end], version)
    };
    if target.is_empty()
        || !target
            .iter()
            .all(|&byte| is_target_byte(byte, limits.tolerance))
    {
        return Err(Reason::Target);
    }
    head.start_request(method, target, version);
    Ok(())
}

/// Accepts HTTP/1.x with one digit; whatever is above 1.1 is treated as 1.1 (RFC 9110 §2.5).
pub(super) fn parse_version(word: &[u8], tolerance: Tolerance) -> Result<Version, Reason> {
    match word {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(Version::Http11),
        _ if tolerance == Tolerance::Unsafe => tolerant_version(word).ok_or(Reason::Version),
        _ => Err(Reason::Version),
    }
}

/// `PROTOCOL/major.minor` with any number of digits.
fn tolerant_version(word: &[u8]) -> Option<Version> {
    let slash = memchr::memchr(b'/', word).filter(|&at| at > 0)?;
    let dot = slash + memchr::memchr(b'.', &word[slash..])?;
    let (major, minor) = (&word[slash + 1..dot], &word[dot + 1..]);
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let valid = word[..slash].iter().all(u8::is_ascii_uppercase) && digits(major) && digits(minor);
    let at_least_one = |part: &[u8]| part.iter().any(|&digit| digit != b'0');
    valid.then(|| {
        if at_least_one(major) && at_least_one(minor) {
            Version::Http11
        } else {
            Version::Http10
        }
    })
}

/// Manual, `option accept-unsafe-violations-in-http-request`: 33 to 126 are not checked, but a
/// fragment is refused; above that only the tolerant mode accepts.
fn is_target_byte(byte: u8, tolerance: Tolerance) -> bool {
    match byte {
        b'#' | 0x80.. => tolerance == Tolerance::Unsafe,
        0x21..=0x7e => true,
        _ => false,
    }
}

/// Refuses the beginning of a first line that cannot become a request line, such as TLS records.
fn check_beginning(bytes: &[u8]) -> Result<(), Reason> {
    let method = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
    let token = method.iter().all(|&byte| fields::is_token_byte(byte));
    if (token && method.len() <= METHOD_MAX) || bytes == b"\r" {
        Ok(())
    } else {
        Err(Reason::Method)
    }
}

/// RFC 6455 §4.1: 16 bytes in base64.
fn check_websocket_key(head: &Head) -> Result<(), Reason> {
    if head.method() != Method::Get || !head.has_token(b"upgrade", b"websocket") {
        return Ok(());
    }
    let valid = |key: &[u8]| {
        key.len() == 24
            && key.ends_with(b"==")
            && key[..22]
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    };
    if head.first(b"sec-websocket-key").is_some_and(valid) {
        Ok(())
    } else {
        Err(Reason::WebSocketKey)
    }
}

/// A method longer than this is not waited for.
const METHOD_MAX: usize = 64;
