//! The one framing decision, and what a head says about its connection.
//!
//! Every field that can move a message's end or decide the connection's fate is read here, in one
//! pass, for requests and responses alike; contradictions are resolved or refused here and nowhere
//! else (RFC 9112 §6). Fields that only concerned the previous hop are taken out of the head.

use super::{Framing, Reason, Tolerance};
use crate::proto::http::{Head, Version, items};

/// What the fields of one head say, before the start line has its word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Declared {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    /// Both a length and a transfer coding were there, or chunks in HTTP/1.0: the message is
    /// read, but its connection must not be used again.
    pub(super) suspicious: bool,
    /// Whether the connection may be used again, by version and `Connection`.
    pub(super) keep_alive: bool,
    /// `Connection: upgrade` with an `Upgrade` field worth something.
    pub(super) upgrade: bool,
    pub(super) expect_continue: bool,
}

impl Declared {
    /// Reads the fields and cleans the head: one Content-Length at most, none beside chunks, and
    /// no field that `Connection` gave to this hop only.
    pub(super) fn read(head: &mut Head, tolerance: Tolerance) -> Result<Self, Reason> {
        let mut seen = Seen::default();
        for (name, value) in head.fields() {
            match name {
                b"content-length" => seen.content_length(value)?,
                b"transfer-encoding" => seen.transfer_encoding(value),
                b"connection" => seen.connection(value),
                b"upgrade" => seen.upgrade = true,
                b"http2-settings" => seen.settings = true,
                b"expect" => seen.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
                _ => {}
            }
        }
        let chunked = seen.chunked(tolerance)?;
        if seen.lengths > 1 || (chunked && seen.lengths > 0) || seen.length_listed {
            head.remove(b"content-length");
            if let (Some(length), false) = (seen.length, chunked) {
                head.add(b"content-length", length.to_string().as_bytes());
            }
        }
        if seen.names_fields {
            remove_named(head);
        }
        if seen.upgrade || seen.settings {
            remove_cleartext_http2(head);
        }
        let old = head.version() == Version::Http10;
        Ok(Self {
            length: if chunked { None } else { seen.length },
            chunked,
            suspicious: chunked && (seen.lengths > 0 || old),
            keep_alive: !seen.close && (!old || seen.keep_alive),
            upgrade: seen.upgrade && seen.wants_upgrade && !old && head.contains(b"upgrade"),
            expect_continue: seen.expect_continue,
        })
    }

    /// The framing when nothing but the fields decides.
    pub(super) fn framing(&self, otherwise: Framing) -> Framing {
        match (self.chunked, self.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => otherwise,
        }
    }
}

/// The length a head declares that came in a protocol with a framing of its own; none twice.
pub fn settle_length(head: &mut Head) -> Result<Option<u64>, Reason> {
    Declared::read(head, Tolerance::Strict).map(|declared| declared.length)
}

#[derive(Default)]
struct Seen {
    length: Option<u64>,
    lengths: u32,
    /// A length was written as a list or in a form other than plain digits.
    length_listed: bool,
    codings: u32,
    chunked: u32,
    /// The last coding so far is `chunked`.
    chunked_last: bool,
    empty_codings: u32,
    close: bool,
    keep_alive: bool,
    wants_upgrade: bool,
    upgrade: bool,
    settings: bool,
    names_fields: bool,
    expect_continue: bool,
}

impl Seen {
    fn content_length(&mut self, value: &[u8]) -> Result<(), Reason> {
        for item in items(value) {
            let length = parse_length(item).ok_or(Reason::ContentLength)?;
            if self.length.is_some_and(|previous| previous != length) {
                return Err(Reason::ContentLength);
            }
            self.length = Some(length);
            self.length_listed |= item.len() != value.len() || (item.len() > 1 && item[0] == b'0');
        }
        self.lengths += 1;
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) {
        for item in items(value) {
            self.codings += 1;
            self.chunked_last = item.eq_ignore_ascii_case(b"chunked");
            self.chunked += u32::from(self.chunked_last);
            self.empty_codings += u32::from(item.is_empty());
        }
    }

    /// Only `chunked`, alone, is something this program can delimit. Codings before a final
    /// `chunked` are well formed but not supported; anything else is malformed.
    fn chunked(&self, tolerance: Tolerance) -> Result<bool, Reason> {
        match (self.codings, self.chunked) {
            (0, _) => Ok(false),
            (1, 1) => Ok(true),
            _ if tolerance == Tolerance::Unsafe
                && self.chunked_last
                && self.chunked + self.empty_codings == self.codings =>
            {
                Ok(true)
            }
            (_, 1) if self.chunked_last && self.empty_codings == 0 => Err(Reason::TransferCoding),
            _ => Err(Reason::TransferEncoding),
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for item in items(value) {
            match item.len() {
                0 => {}
                5 if item.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if item.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if item.eq_ignore_ascii_case(b"upgrade") => self.wants_upgrade = true,
                _ => self.names_fields = true,
            }
        }
    }
}

/// Removes the fields that `Connection` names, as RFC 9110 §7.6.1 demands, except those a sender
/// has no right to name: dropping them would change who or what the message is for.
fn remove_named(head: &mut Head) {
    let mut named = Vec::new();
    for option in head.elements(b"connection") {
        if !is_protected(option) {
            named.push(option.to_ascii_lowercase());
        }
    }
    head.remove_where(|name, _| named.iter().any(|option| option == name));
}

/// Drops the offer to speak HTTP/2 in clear text on this connection: it was made to this hop.
fn remove_cleartext_http2(head: &mut Head) {
    head.remove(b"http2-settings");
    let mut scratch = Vec::new();
    head.rewrite_values(b"upgrade", &mut scratch, |old, new| {
        if !items(old).any(is_http2) {
            return false;
        }
        for protocol in items(old).filter(|protocol| !is_http2(protocol)) {
            if !new.is_empty() {
                new.extend_from_slice(b", ");
            }
            new.extend_from_slice(protocol);
        }
        true
    });
    head.remove_where(|name, value| name == b"upgrade" && value.is_empty());
}

/// Whether an `Upgrade` names HTTP/2, which is not switched to that way (RFC 9113 §3.1).
pub fn is_http2(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(b"h2c") || protocol.eq_ignore_ascii_case(b"h2")
}

fn is_protected(option: &[u8]) -> bool {
    let starts_with = |prefix: &[u8]| {
        option
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    PROTECTED
        .iter()
        .any(|name| option.eq_ignore_ascii_case(name))
        || starts_with(b"x-forwarded-")
        || starts_with(b"content-")
}

/// Digits only; bounded so that no sum of lengths can overflow.
fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0u64, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
        .filter(|&length| i64::try_from(length).is_ok())
}

/// Never removed on a peer's word, nor are the hop-by-hop fields the encoder deals with itself.
const PROTECTED: &[&[u8]] = &[
    b"host",
    b"authorization",
    b"cache-control",
    b"cookie",
    b"expect",
    b"forwarded",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"via",
    b"x-real-ip",
];
