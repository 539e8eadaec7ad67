//! Field lines: `name: value`, and folded continuations.
//!
//! A line comes in without its end; a field is added to the head, or the reason why it cannot be.
//! What fields mean is judged in [`super::framing`] and [`super::authority`].

use super::{Limits, Reason, Tolerance};
use crate::proto::http::{Head, trim};

/// Adds one field line to `head`.
pub(super) fn decode_field(line: &[u8], head: &mut Head, limits: &Limits) -> Result<(), Reason> {
    if let [b' ' | b'\t', ..] = line {
        return decode_fold(line, head, limits);
    }
    let name_end = line
        .iter()
        .position(|&byte| !is_token_byte(byte))
        .unwrap_or(line.len());
    if name_end == 0 || line.get(name_end) != Some(&b':') {
        return match limits.tolerance {
            Tolerance::Strict => Err(Reason::FieldName),
            Tolerance::Unsafe if memchr::memchr(b':', line).is_some() => Ok(()),
            Tolerance::Unsafe => Err(Reason::FieldName),
        };
    }
    let value = trim(&line[name_end + 1..]);
    check_value(value, limits)?;
    if head.len() >= limits.fields {
        return Err(Reason::TooManyFields);
    }
    head.add(&line[..name_end], value);
    Ok(())
}

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

fn decode_fold(line: &[u8], head: &mut Head, limits: &Limits) -> Result<(), Reason> {
    let more = trim(line);
    check_value(more, limits)?;
    if head.extend_last_value(more) {
        Ok(())
    } else {
        Err(Reason::Fold)
    }
}

fn check_value(value: &[u8], limits: &Limits) -> Result<(), Reason> {
    let forbidden = match limits.tolerance {
        Tolerance::Strict => memchr::memchr2(b'\r', 0, value),
        Tolerance::Unsafe => memchr::memchr(b'\r', value),
    };
    if forbidden.is_some() {
        Err(Reason::FieldValue)
    } else {
        Ok(())
    }
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};
