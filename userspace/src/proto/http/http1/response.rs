//! Response heads.
//!
//! As [`super::request`], but what follows a response also depends on the request it answers,
//! which is given as an [`Exchange`]. Interim responses (1xx) are decoded one at a time like any
//! other; the caller goes on with a new decoder after each.

use super::framing::Declared;
use super::line::{LineEnd, Lines};
use super::request::parse_version;
use super::{Framing, HeadError, Limits, Reason, Tolerance, fields};
use crate::proto::http::{Head, Method};

/// What a response decoder must know of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub method: Method,
    /// Whether the request asked to switch protocols.
    pub upgrade: bool,
}

/// What a response's head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Bytes of the buffer the head took.
    pub consumed: usize,
    pub framing: Framing,
    /// Whether the server lets the connection be used again after this response.
    pub keep_alive: bool,
    /// What follows is no longer HTTP: a granted upgrade or CONNECT.
    pub tunnel: bool,
}

/// Decodes one response head from a buffer that grows between calls.
#[derive(Clone, Debug, Default)]
pub struct ResponseDecoder {
    lines: Lines,
    started: bool,
}

impl ResponseDecoder {
    /// Goes on decoding; see [`super::RequestDecoder::decode`].
    pub fn decode(
        &mut self,
        buffer: &[u8],
        head: &mut Head,
        exchange: Exchange,
        limits: &Limits,
    ) -> Result<Option<Response>, HeadError> {
        loop {
            let at = self.lines.at();
            let fail = |reason| HeadError { reason, at };
            let Some(line) = self.lines.next(buffer, LineEnd::CrlfOrLf, limits)? else {
                if !self.started {
                    check_beginning(self.lines.incomplete(buffer), limits).map_err(fail)?;
                }
                return Ok(None);
            };
            if !self.started {
                decode_line(line, head, limits).map_err(fail)?;
                self.started = true;
            } else if !line.is_empty() {
                fields::decode_field(line, head, limits).map_err(fail)?;
            } else {
                return conclude(head, exchange, limits, self.lines.at())
                    .map(Some)
                    .map_err(fail);
            }
        }
    }
}

/// Decodes a response head from a buffer that already holds all of it; `None` when it does not.
pub fn decode_response(
    buffer: &[u8],
    head: &mut Head,
    exchange: Exchange,
    limits: &Limits,
) -> Result<Option<Response>, HeadError> {
    head.clear();
    ResponseDecoder::default().decode(buffer, head, exchange, limits)
}

fn conclude(
    head: &mut Head,
    exchange: Exchange,
    limits: &Limits,
    consumed: usize,
) -> Result<Response, Reason> {
    let declared = Declared::read(head, limits.tolerance)?;
    let status = head.status();
    let granted = status == 101;
    if granted && !exchange.upgrade {
        return Err(Reason::UnexpectedUpgrade);
    }
    if granted && limits.tolerance == Tolerance::Strict {
        check_websocket_accept(head)?;
    }
    let connected = exchange.method == Method::Connect && (200..300).contains(&status);
    let tunnel = granted || connected;
    let framing = match status {
        _ if tunnel => Framing::UntilClose,
        100..200 | 204 | 304 => Framing::None,
        _ if exchange.method == Method::Head => Framing::None,
        _ => declared.framing(Framing::UntilClose),
    };
    Ok(Response {
        consumed,
        framing,
        keep_alive: declared.keep_alive && !declared.suspicious && framing != Framing::UntilClose,
        tunnel,
    })
}

/// Decodes `HTTP/1.x status reason`.
fn decode_line(line: &[u8], head: &mut Head, limits: &Limits) -> Result<(), Reason> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let version = parse_version(words.next().unwrap_or_default(), limits.tolerance)?;
    let status = parse_status(words.next().unwrap_or_default(), limits.tolerance)?;
    let reason = words.next().unwrap_or_default();
    if reason.iter().any(|&byte| byte < b' ' && byte != b'\t') {
        return Err(Reason::ReasonPhrase);
    }
    head.start_response(status, reason, version);
    Ok(())
}

fn parse_status(digits: &[u8], tolerance: Tolerance) -> Result<u16, Reason> {
    let strict = digits.len() == 3 && digits[0] != b'0';
    if !digits.iter().all(u8::is_ascii_digit) || (!strict && tolerance == Tolerance::Strict) {
        return Err(Reason::Status);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Reason::Status)?;
    text.parse()
        .ok()
        .filter(|&status| status >= 100)
        .ok_or(Reason::Status)
}

/// Refuses the beginning of a first line that cannot become a status line.
fn check_beginning(bytes: &[u8], limits: &Limits) -> Result<(), Reason> {
    let common = bytes.len().min(b"HTTP/".len());
    if bytes[..common] == b"HTTP/"[..common] || limits.tolerance == Tolerance::Unsafe {
        Ok(())
    } else {
        Err(Reason::Version)
    }
}

/// A WebSocket is granted only with a `Sec-WebSocket-Accept` field (its value is the client's to
/// verify).
fn check_websocket_accept(head: &Head) -> Result<(), Reason> {
    let websocket = head.has_token(b"upgrade", b"websocket");
    if websocket && !head.contains(b"sec-websocket-accept") {
        return Err(Reason::WebSocketKey);
    }
    Ok(())
}
