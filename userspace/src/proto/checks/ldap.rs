//! LDAPv3: an anonymous simple bind, whose answer must be a success (RFC 4511 §4.2).

use super::{Step, Verdict};

pub(super) fn step(stage: u8, received: &[u8]) -> Step {
    if stage == 0 {
        return Step::Send(BIND.to_vec());
    }
    match result_code(received) {
        Some(Ok(0)) => Step::Done(Verdict::Passed {
            code: 0,
            text: "Success".to_owned(),
        }),
        Some(Ok(code)) => Step::Done(Verdict::Refused {
            code: code.into(),
            text: "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9".to_owned(),
        }),
        Some(Err(NotLdap)) => Step::Done(Verdict::Invalid {
            text: "Not LDAPv3 protocol".to_owned(),
        }),
        None => Step::Receive,
    }
}

struct NotLdap;

/// The result code of a bind response; `None` while it is not all there.
fn result_code(bytes: &[u8]) -> Option<Result<u8, NotLdap>> {
    let Some(rest) = after(bytes, &[SEQUENCE])? else {
        return Some(Err(NotLdap));
    };
    let rest = skip_length(rest)?;
    let Some(rest) = after(rest, &MESSAGE_ONE)? else {
        return Some(Err(NotLdap));
    };
    let Some(rest) = after(rest, &[BIND_RESPONSE])? else {
        return Some(Err(NotLdap));
    };
    match skip_length(rest)?.get(..3)? {
        [0x0a, 0x01, code] => Some(Ok(*code)),
        _ => Some(Err(NotLdap)),
    }
}

/// What follows these bytes: `None` while they are not there, `Some(None)` where others are.
fn after<'a>(bytes: &'a [u8], wanted: &[u8]) -> Option<Option<&'a [u8]>> {
    let (found, rest) = bytes.split_at_checked(wanted.len())?;
    Some((found == wanted).then_some(rest))
}

/// What follows a length in short or long form.
fn skip_length(rest: &[u8]) -> Option<&[u8]> {
    let (first, rest) = rest.split_first()?;
    match first & 0x80 {
        0 => Some(rest),
        _ => rest.get(usize::from(first & 0x7f)..),
    }
}

const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0";
const SEQUENCE: u8 = 0x30;
const BIND_RESPONSE: u8 = 0x61;
/// The integer 1: the number of our message.
const MESSAGE_ONE: [u8; 3] = [0x02, 0x01, 0x01];
