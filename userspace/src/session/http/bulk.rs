//! Many fields of a message changed at once, by a binary sample (manual §4.4 `add-headers-bin` and its kin).
//!
//! The sample has the form of `req.hdrs_bin`: names and values behind their lengths, and an empty pair at the end. What does
//! not have that form changes nothing, nor does a field that could not stand in a message.

use super::edits;
use super::stream::HttpStream;
use crate::expr::{Direction, Expression, Sample, SampleType};
use crate::model::{FieldChange, NamePart};
use crate::proto::http::Head;

impl HttpStream<'_, '_> {
    /// Adds or replaces fields; false where the sample is not of the right form.
    pub(super) fn change_fields(
        &mut self,
        fields: &Expression,
        change: FieldChange,
        prefix: &str,
        message: Direction,
    ) -> bool {
        let Some(bytes) = self.bytes_of(fields) else {
            return true;
        };
        let Some(texts) = texts(&bytes) else {
            return false;
        };
        let pairs = || {
            texts
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .filter(|(name, _)| begins(name, prefix.as_bytes()))
        };
        if !pairs().all(|(name, value)| is_token(name) && edits::is_field_value(value)) {
            return false;
        }
        let most = self.connection.generation.model().global.tune.http_maxhdr;
        let head = self.head_mut(message);
        match change {
            FieldChange::Set => pairs().for_each(|(name, _)| {
                head.remove(name);
            }),
            FieldChange::Add => {}
        }
        if head.fields().count() + pairs().count() > most {
            return false;
        }
        pairs().for_each(|(name, value)| head.add(name, value));
        true
    }

    /// Removes fields by name; false where the sample is not of the right form.
    pub(super) fn delete_fields(
        &mut self,
        names: &Expression,
        part: NamePart,
        message: Direction,
    ) -> bool {
        let Some(bytes) = self.bytes_of(names) else {
            return true;
        };
        let Some(wanted) = texts(&bytes) else {
            return false;
        };
        let head: &mut Head = self.head_mut(message);
        head.remove_where(|name, _| {
            wanted
                .iter()
                .filter(|wanted| !wanted.is_empty())
                .any(|wanted| match part {
                    NamePart::Whole => name.eq_ignore_ascii_case(wanted),
                    NamePart::Beginning => begins(name, wanted),
                    NamePart::End => name
                        .len()
                        .checked_sub(wanted.len())
                        .is_some_and(|from| name[from..].eq_ignore_ascii_case(wanted)),
                    NamePart::Middle => name
                        .windows(wanted.len())
                        .any(|window| window.eq_ignore_ascii_case(wanted)),
                })
        });
        true
    }

    fn bytes_of(&self, expression: &Expression) -> Option<Vec<u8>> {
        let view = self.view();
        match expression.eval(&view)?.cast(SampleType::Bin)? {
            Sample::Bin(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

fn begins(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_token(name: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(allowed)
}

/// Texts behind their lengths, up to an empty pair or the end.
fn texts(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut texts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && !matches!(rest, [0, 0]) {
        let (length, size) = length(rest)?;
        texts.push(rest.get(size..)?.get(..length)?);
        rest = &rest[size + length..];
    }
    Some(texts)
}

/// SPOE's variable-length integers: one byte below 240, then four bits and groups of seven.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.first()?);
    if first < 240 {
        return Some((first, 1));
    }
    let mut value = first;
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        value = value.checked_add(usize::from(*byte) << (4 + 7 * (at - 1)))?;
        if *byte < 128 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_their_lengths_say() {
        assert_eq!(texts(b"\x01a\x02bc\x00\x00").unwrap(), [&b"a"[..], b"bc"]);
        assert_eq!(texts(b"").unwrap(), [&b""[..]; 0]);
        assert_eq!(texts(b"\x05a"), None);
        assert_eq!(length(&[240, 0]), Some((240, 2)));
        assert_eq!(length(&[241, 1]), Some((257, 2)));
        assert_eq!(length(&[240, 128, 0]), Some((2288, 3)));
        assert_eq!(length(&[255]), None);
    }
}
