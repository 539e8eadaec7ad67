//! Bytes of the configuration that are no UTF-8.
//!
//! Words are text, yet the language lets any byte be written (`\xE0`). Such a byte becomes one character of a private range
//! when a line is cut into words, and turns back into the byte where a word becomes data.

use std::borrow::Cow;

/// The first character of the range; the byte is added to it.
const FIRST: u32 = 0x10_FF00;

/// A byte that is no part of a UTF-8 sequence, as a character.
#[must_use]
pub fn character(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The bytes a word of the configuration stands for.
#[must_use]
pub fn bytes(text: &str) -> Cow<'_, [u8]> {
    let byte_of = |c: char| {
        u32::from(c)
            .checked_sub(FIRST)
            .and_then(|byte| u8::try_from(byte).ok())
    };
    if !text.chars().any(|c| byte_of(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}
