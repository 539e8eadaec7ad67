//! Values as JSON or CBOR (RFC 8949), alone or as one object per line (manual §8.2.6, flags `+json` and `+cbor`).

use super::render::value_of;
use super::{Item, LogFormat, Options};
use crate::expr::{Sample, View};

/// How values are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

/// The type a value is given, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Bool,
}

/// An item with what its name says.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Box<str>,
    pub(super) kind: Option<Kind>,
    pub(super) item: Item,
}

/// A line whose named items make one object; others are left out.
pub(super) fn object(
    format: &LogFormat,
    encoding: Encoding,
    binary: bool,
    view: &dyn View,
    out: &mut Vec<u8>,
) {
    let named = format.items.iter().filter_map(|item| match item {
        Item::Named(named) if !named.name.is_empty() => Some(named),
        _ => None,
    });
    let mut bytes = Vec::new();
    match encoding {
        Encoding::Json => {
            out.push(b'{');
            for (at, named) in named.enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                json_text(named.name.as_bytes(), out);
                out.extend_from_slice(b": ");
                json(value(named, view), out);
            }
            out.push(b'}');
            return;
        }
        Encoding::Cbor => {
            bytes.push(CBOR_MAP);
            for named in named {
                cbor_text(named.name.as_bytes(), &mut bytes);
                cbor(value(named, view), &mut bytes);
            }
            bytes.push(CBOR_BREAK);
        }
    }
    cbor_out(&bytes, binary, out);
}

/// One item's value, encoded by itself.
pub(super) fn single(
    named: &Named,
    encoding: Encoding,
    options: Options,
    view: &dyn View,
    out: &mut Vec<u8>,
) {
    let value = value(named, view);
    match encoding {
        Encoding::Json => json(value, out),
        Encoding::Cbor => {
            let mut bytes = Vec::new();
            cbor(value, &mut bytes);
            cbor_out(&bytes, options.binary, out);
        }
    }
}

/// The value in the type it is given.
fn value<'a>(named: &'a Named, view: &'a dyn View) -> Option<Sample<'a>> {
    let value = value_of(&named.item, view)?;
    Some(match named.kind {
        None => value,
        Some(Kind::Text) => Sample::str(value.to_text().into_owned()),
        Some(Kind::Int) => Sample::Int(number(&value)?),
        Some(Kind::Bool) => match &value {
            Sample::Str(text) if text.eq_ignore_ascii_case(b"true") => Sample::Bool(true),
            Sample::Str(text) if text.eq_ignore_ascii_case(b"false") => Sample::Bool(false),
            other => Sample::Bool(number(other)? != 0),
        },
    })
}

fn number(value: &Sample<'_>) -> Option<i64> {
    std::str::from_utf8(&value.to_text()).ok()?.parse().ok()
}

fn json(value: Option<Sample<'_>>, out: &mut Vec<u8>) {
    match value {
        None => out.extend_from_slice(b"null"),
        Some(Sample::Bool(value)) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Some(Sample::Int(value)) => out.extend_from_slice(value.to_string().as_bytes()),
        Some(other) => json_text(&other.to_text(), out),
    }
}

/// A JSON string; bytes that are no UTF-8 stand for the characters of their numbers.
fn json_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\0'..='\x1f' | '\x7f' => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
                }
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        }
    }
    out.push(b'"');
}

fn cbor(value: Option<Sample<'_>>, out: &mut Vec<u8>) {
    match value {
        None => out.push(0xF6),
        Some(Sample::Bool(value)) => out.push(if value { 0xF5 } else { 0xF4 }),
        Some(Sample::Int(value)) if value < 0 => cbor_head(1 << 5, !(value as u64), out),
        Some(Sample::Int(value)) => cbor_head(0, value as u64, out),
        Some(Sample::Bin(bytes)) => {
            cbor_head(2 << 5, bytes.len() as u64, out);
            out.extend_from_slice(&bytes);
        }
        Some(other) => cbor_text(&other.to_text(), out),
    }
}

fn cbor_text(text: &[u8], out: &mut Vec<u8>) {
    cbor_head(3 << 5, text.len() as u64, out);
    out.extend_from_slice(text);
}

/// A major type with its argument in the shortest form.
fn cbor_head(major: u8, argument: u64, out: &mut Vec<u8>) {
    match argument {
        0..24 => out.push(major | argument as u8),
        24..0x100 => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

/// CBOR is shown in hexadecimal digits unless binary output is asked for.
fn cbor_out(bytes: &[u8], binary: bool, out: &mut Vec<u8>) {
    if binary {
        out.extend_from_slice(bytes);
    } else {
        out.extend(
            bytes
                .iter()
                .flat_map(|byte| format!("{byte:02X}").into_bytes()),
        );
    }
}

/// A map without a length, ended by a break.
const CBOR_MAP: u8 = 0xBF;
const CBOR_BREAK: u8 = 0xFF;
