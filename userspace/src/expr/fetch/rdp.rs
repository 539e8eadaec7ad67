//! The cookie in an RDP connection request (manual §7.3.5, `req.rdp_cookie`).

use super::layer6::more;
use super::{Arg, Direction, Fetched, View};

/// The value of the cookie in an RDP connection request: TPKT, X.224, then `Cookie: name=value` and CRLF.
pub(super) fn cookie<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<&'a [u8]> {
    const HEADERS: usize = 11;
    let Some(buffer) = view.buffer(Direction::Request) else {
        return Fetched::Absent;
    };
    let bytes = buffer.bytes;
    let looks_right = bytes.iter().take(2).eq([3, 0].iter().take(bytes.len()))
        && bytes.get(5).is_none_or(|kind| *kind == 0xe0);
    if !looks_right {
        return Fetched::Absent;
    }
    let Some(header) = bytes.get(..HEADERS) else {
        return more(buffer);
    };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let Some(text) = bytes.get(HEADERS..length.max(HEADERS)) else {
        return more(buffer);
    };
    let wanted = args.first().and_then(Arg::text).unwrap_or_default();
    parse_cookie(text, wanted.as_bytes()).into()
}

fn parse_cookie<'a>(text: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (label, rest) = text.split_at_checked(8)?;
    if !label.eq_ignore_ascii_case(b"Cookie: ") {
        return None;
    }
    let line = &rest[..rest.windows(2).position(|pair| pair == b"\r\n")?];
    let equals = memchr::memchr(b'=', line)?;
    let name = &line[..equals];
    (wanted.is_empty() || name.eq_ignore_ascii_case(wanted)).then(|| &line[equals + 1..])
}
