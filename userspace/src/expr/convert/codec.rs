//! Encodings: hexadecimal, base64, URL, numbers in byte strings.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD,
};

use super::{Arg, Arguments, Converter, Data, Output, Run, data, number};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType, View};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "hex",
        doc: "Two hexadecimal digits per byte.",
        run: Run::Sample(|sample, _, _| Some(Sample::str(hex(&data(sample)?)))),
        ..FROM_BINARY
    },
    Converter {
        name: "hex2i",
        output: Output::Type(SampleType::Int),
        doc: "The number that hexadecimal digits stand for, 0 where they do not.",
        run: Run::Sample(|sample, _, _| Some(Sample::Int(hex_number(&data(sample)?).unwrap_or(0)))),
        ..Converter::BASE
    },
    Converter {
        name: "base2",
        doc: "Eight binary digits per byte.",
        run: Run::Sample(|sample, _, _| {
            let digits = data(sample)?
                .iter()
                .map(|byte| format!("{byte:08b}"))
                .collect::<String>();
            Some(Sample::str(digits))
        }),
        ..FROM_BINARY
    },
    Converter {
        name: "base64",
        doc: "Base64.",
        run: Run::Sample(|sample, _, _| Some(Sample::str(STANDARD.encode(&*data(sample)?)))),
        ..FROM_BINARY
    },
    Converter {
        name: "ub64enc",
        doc: "Base64 for URLs, without padding.",
        run: Run::Sample(|sample, _, _| Some(Sample::str(URL_SAFE_NO_PAD.encode(&*data(sample)?)))),
        ..FROM_BINARY
    },
    Converter {
        name: "b64dec",
        output: Output::Type(SampleType::Bin),
        doc: "What was encoded in base64.",
        run: Run::Sample(|sample, _, _| STANDARD.decode(&*data(sample)?).ok().map(Sample::bin)),
        ..Converter::BASE
    },
    Converter {
        name: "ub64dec",
        output: Output::Type(SampleType::Bin),
        doc: "What was encoded in base64 for URLs.",
        run: Run::Sample(|sample, _, _| URL_SAFE.decode(&*data(sample)?).ok().map(Sample::bin)),
        ..Converter::BASE
    },
    Converter {
        name: "be2hex",
        args: Arguments::some(0, &[ArgKind::Text, ArgKind::Int, ArgKind::Int]),
        doc: "Hexadecimal digits with a separator after each chunk.",
        run: Run::Sample(|sample, args, _| {
            chunks(sample, args, |chunk, out| out.extend(hex(chunk)))
        }),
        compile: Some(check_chunk),
        ..FROM_BINARY
    },
    Converter {
        name: "be2dec",
        args: Arguments::some(2, &[ArgKind::Text, ArgKind::Int, ArgKind::Int]),
        doc: "Each chunk as a decimal number, its first byte the highest.",
        run: Run::Sample(|sample, args, _| {
            chunks(sample, args, |chunk, out| {
                let number = chunk
                    .iter()
                    .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
                out.extend(number.to_string().into_bytes());
            })
        }),
        compile: Some(check_number_chunk),
        ..FROM_BINARY
    },
    Converter {
        name: "le2dec",
        args: Arguments::some(2, &[ArgKind::Text, ArgKind::Int, ArgKind::Int]),
        doc: "Each chunk as a decimal number, its first byte the lowest.",
        run: Run::Sample(|sample, args, _| {
            chunks(sample, args, |chunk, out| {
                let number = chunk
                    .iter()
                    .rfold(0, |number: u64, byte| number << 8 | u64::from(*byte));
                out.extend(number.to_string().into_bytes());
            })
        }),
        compile: Some(check_number_chunk),
        ..FROM_BINARY
    },
    Converter {
        name: "bytes",
        args: Arguments::some(1, &[ArgKind::IntOrVariable, ArgKind::IntOrVariable]),
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bin),
        doc: "Some of the bytes, from an offset on.",
        run: Run::Sample(bytes),
        ..Converter::BASE
    },
    Converter {
        name: "url_dec",
        args: Arguments::some(0, &[ArgKind::Int]),
        doc: "What was encoded for a URL.",
        run: Run::Sample(|sample, args, _| {
            let form = args.first().and_then(Arg::int).unwrap_or(0) != 0;
            url_decode(data(sample)?, form).map(Sample::Str)
        }),
        ..Converter::BASE
    },
    Converter {
        name: "url_enc",
        args: Arguments::some(0, &[ArgKind::Text]),
        doc: "Encoded for the query string of a URL.",
        run: Run::Sample(|sample, _, _| Some(Sample::str(url_encode(&data(sample)?)))),
        compile: Some(|args, _| match args.first().and_then(Arg::text) {
            None | Some("" | "query") => Ok(args),
            Some(_) => Err("Unexpected encode type. Allowed value is 'query'".into()),
        }),
        ..Converter::BASE
    },
    Converter {
        name: "has_ctl",
        args: Arguments::some(0, &[ArgKind::Text]),
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bool),
        doc: "Whether there are control characters.",
        run: Run::Sample(|sample, args, _| {
            let mask = args.first().and_then(Arg::int).unwrap_or(DEFAULT_CONTROLS);
            let is_masked = |byte: &u8| match byte {
                0..=31 => mask >> byte & 1 == 1,
                127 => mask >> 32 & 1 == 1,
                _ => false,
            };
            Some(Sample::Bool(data(sample)?.iter().any(is_masked)))
        }),
        compile: Some(check_mask),
        ..Converter::BASE
    },
];

const FROM_BINARY: Converter = Converter {
    input: SampleType::Bin,
    ..Converter::BASE
};

/// Base64 for URLs, with or without padding.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out
}

/// The low 64 bits.
fn hex_number(text: &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for byte in text {
        value = value << 4 | u64::from((*byte as char).to_digit(16)?);
    }
    Some(value as i64)
}

fn check_chunk(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let size = args.get(1).and_then(Arg::int);
    // A separator makes sense only between chunks.
    let separated = args
        .first()
        .and_then(Arg::text)
        .is_some_and(|separator| !separator.is_empty());
    match size {
        None if separated => Err("chunk_size needs to be positive (0)".into()),
        Some(size) if size < 0 || (size == 0 && separated) => {
            Err(format!("chunk_size needs to be positive ({size})"))
        }
        _ => Ok(args),
    }
}

fn check_number_chunk(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args.get(1).and_then(Arg::int) {
        Some(1..=8) => Ok(args),
        size => Err(format!(
            "chunk_size out of [1..8] range ({})",
            size.unwrap_or(0)
        )),
    }
}

/// Writes the input chunk by chunk, with separators in between; an incomplete last one may be left out.
fn chunks<'a>(
    sample: Sample<'a>,
    args: &'a [Arg],
    write: fn(&[u8], &mut Vec<u8>),
) -> Option<Sample<'a>> {
    let bytes = data(sample)?;
    let separator = args.first().and_then(Arg::text).unwrap_or_default();
    let size = args
        .get(1)
        .and_then(Arg::int)
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(0);
    let size = if size == 0 { bytes.len().max(1) } else { size };
    let truncate = args.get(2).and_then(Arg::int).unwrap_or(0) != 0;
    let mut out = Vec::new();
    for (at, chunk) in bytes.chunks(size).enumerate() {
        if truncate && chunk.len() < size {
            break;
        }
        if at > 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        write(chunk, &mut out);
    }
    Some(Sample::str(out))
}

/// An offset outside the input, or a negative length, leaves nothing (manual).
fn bytes<'a>(sample: Sample<'a>, args: &'a [Arg], view: &'a dyn View) -> Option<Sample<'a>> {
    let input = data(sample)?;
    let place = |arg| number(Some(arg), view).map(|value| usize::try_from(value).ok());
    let offset = place(args.first()?)?.filter(|offset| *offset < input.len());
    let length = match args.get(1) {
        Some(arg) => place(arg)?,
        None => Some(usize::MAX),
    };
    Some(Sample::Bin(match (offset, length) {
        (Some(offset), Some(length)) => input.slice(offset, offset.saturating_add(length)),
        _ => Data::Borrowed(b""),
    }))
}

/// Decodes `%XX`, and `+` behind a question mark or in forms. A malformed sequence makes it fail.
fn url_decode(text: Data<'_>, form: bool) -> Option<Data<'_>> {
    if memchr::memchr2(b'%', b'+', &text).is_none() {
        return Some(text);
    }
    let digit = |byte: Option<&u8>| (*byte? as char).to_digit(16);
    let mut in_query = form;
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'%' => (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8,
            b'+' if in_query => b' ',
            b'?' => {
                in_query = true;
                b'?'
            }
            _ => byte,
        });
    }
    Some(Data::Owned(out))
}

/// Everything but letters, digits, `-`, `.`, `_` and `~` is encoded.
fn url_encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(hex(&[byte]));
        }
    }
    out
}

/// All but the tab (manual).
const DEFAULT_CONTROLS: i64 = 0x1_FFFF_FDFF;

fn check_mask(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let Some(word) = args
        .first()
        .and_then(Arg::text)
        .filter(|word| !word.is_empty())
    else {
        return Ok(Vec::new());
    };
    let mask = match (word, word.strip_prefix("0x")) {
        ("any", _) => Some(0x1_FFFF_FFFF),
        ("http", _) => Some(0x2401),
        (_, Some(digits)) => i64::from_str_radix(digits, 16).ok(),
        _ => word.parse().ok(),
    };
    match mask {
        Some(mask @ 0..=0x1_FFFF_FFFF) => Ok(vec![Arg::Int(mask)]),
        _ => Err(format!("'{word}' is no mask of 33 bits")),
    }
}
