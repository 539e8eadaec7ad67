//! Strings: case, trimming, parts, concatenation, comparison.

use std::cmp::Ordering;

use super::{Arg, Arguments, Converter, Data, Output, Run, data, variable};
use crate::expr::args::ArgKind;
use crate::expr::{Parsing, Sample, SampleType, View};

pub(super) const CONVERTERS: &[Converter] = &[
    string("lower", "Lower case.", |text| {
        map_case(text, u8::is_ascii_uppercase, u8::to_ascii_lowercase)
    }),
    string("upper", "Upper case.", |text| {
        map_case(text, u8::is_ascii_lowercase, u8::to_ascii_uppercase)
    }),
    string(
        "cut_crlf",
        "The part before the first carriage return or line feed.",
        |text| {
            let end = memchr::memchr2(b'\r', b'\n', &text).unwrap_or(text.len());
            text.slice(0, end)
        },
    ),
    string("reverse", "The bytes from last to first.", |text| {
        let mut bytes = text.into_vec();
        bytes.reverse();
        bytes.into()
    }),
    Converter {
        name: "reverse_dom",
        doc: "A host name with its labels from last to first.",
        run: Run::Sample(|sample, _, _| reverse_domain(&data(sample)?).map(Sample::str)),
        ..Converter::BASE
    },
    Converter {
        name: "length",
        output: Output::Type(SampleType::Int),
        doc: "The length of the string.",
        run: Run::Sample(|sample, _, _| Some(Sample::Int(data(sample)?.len() as i64))),
        ..Converter::BASE
    },
    Converter {
        name: "ltrim",
        args: Arguments::all(&[ArgKind::Text]),
        doc: "The string without those characters at its beginning.",
        run: Run::Sample(|sample, args, _| {
            let text = data(sample)?;
            let skip = text
                .iter()
                .take_while(|byte| is_one_of(args.first(), **byte))
                .count();
            let end = text.len();
            Some(Sample::Str(text.slice(skip, end)))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "rtrim",
        args: Arguments::all(&[ArgKind::Text]),
        doc: "The string without those characters at its end.",
        run: Run::Sample(|sample, args, _| {
            let text = data(sample)?;
            let end = text
                .iter()
                .rposition(|byte| !is_one_of(args.first(), *byte))
                .map_or(0, |at| at + 1);
            Some(Sample::Str(text.slice(0, end)))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "field",
        doc: "The n-th field between delimiters, or several.",
        run: Run::Sample(|sample, args, _| cut(sample, args, field)),
        ..PART
    },
    Converter {
        name: "word",
        doc: "The n-th word between delimiters, or several; empty words do not count.",
        run: Run::Sample(|sample, args, _| cut(sample, args, word)),
        ..PART
    },
    Converter {
        name: "concat",
        args: Arguments::some(0, &[ArgKind::Text, ArgKind::TextOrVariable, ArgKind::Text]),
        doc: "The string with a text, a variable and another text behind it.",
        run: Run::Sample(concat),
        compile: Some(check_variable),
        ..Converter::BASE
    },
    Converter {
        name: "add_item",
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::TextOrVariable, ArgKind::Text]),
        doc: "The string with a delimiter and a variable behind it, the delimiter only where there is something to delimit.",
        run: Run::Sample(add_item),
        compile: Some(check_variable),
        ..Converter::BASE
    },
    Converter {
        name: "iif",
        args: Arguments::all(&[ArgKind::Text, ArgKind::Text]),
        input: SampleType::Bool,
        doc: "The first text for true, the second for false.",
        run: Run::Sample(|sample, args, _| {
            let index = usize::from(sample != Sample::Bool(true));
            args.get(index).and_then(Arg::text).map(Sample::str)
        }),
        ..Converter::BASE
    },
    Converter {
        name: "strcmp",
        args: Arguments::all(&[ArgKind::Variable]),
        output: Output::Type(SampleType::Int),
        doc: "Compares with a variable: 0 for equal, negative for smaller.",
        run: Run::Sample(|sample, args, view| {
            let other = variable(args.first(), view)?.cast(SampleType::Str)?;
            Some(Sample::Int(compare(&data(sample)?, &data(other)?)))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "secure_memcmp",
        args: Arguments::all(&[ArgKind::Variable]),
        input: SampleType::Bin,
        output: Output::Type(SampleType::Bool),
        doc: "Whether a variable has the same bytes, in constant time.",
        run: Run::Sample(|sample, args, view| {
            let other = variable(args.first(), view)?.cast(SampleType::Bin)?;
            let same =
                aws_lc_rs::constant_time::verify_slices_are_equal(&data(sample)?, &data(other)?);
            Some(Sample::Bool(same.is_ok()))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "host_only",
        doc: "The host of a Host header, in lower case and without its port.",
        run: Run::Sample(|sample, _, _| {
            let text = data(sample)?;
            let length = crate::proto::http::uri::split_port(&text).0.len();
            let host = text.slice(0, length);
            Some(Sample::Str(map_case(
                host,
                u8::is_ascii_uppercase,
                u8::to_ascii_lowercase,
            )))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "port_only",
        output: Output::Type(SampleType::Int),
        doc: "The port of a Host header, 0 where it has none.",
        run: Run::Sample(|sample, _, _| {
            let text = data(sample)?;
            let port = crate::proto::http::uri::split_port(&text).1;
            let port =
                port.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
            Some(Sample::Int(port.unwrap_or(0).into()))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "param",
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
        doc: "A parameter of a string like `a=1&b=2`.",
        run: Run::Sample(parameter),
        compile: Some(check_delimiter),
        ..Converter::BASE
    },
    Converter {
        name: "language",
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
        doc: "The language of the list that an Accept-Language header prefers.",
        run: Run::Sample(|sample, args, _| {
            let known = args.first().and_then(Arg::text)?;
            let best = preferred_language(&data(sample)?, known);
            best.or_else(|| args.get(1).and_then(Arg::text))
                .map(Sample::str)
        }),
        ..Converter::BASE
    },
];

/// A converter from string to string without arguments.
const fn string(name: &'static str, doc: &'static str, run: fn(Data<'_>) -> Data<'_>) -> Converter {
    Converter {
        name,
        doc,
        run: Run::Text(run),
        ..Converter::BASE
    }
}

/// Changes bytes where some need it; text that needs none stays borrowed.
fn map_case(text: Data<'_>, needs: fn(&u8) -> bool, change: fn(&u8) -> u8) -> Data<'_> {
    if !text.iter().any(needs) {
        return text;
    }
    let mut bytes = text.into_vec();
    for byte in &mut bytes {
        *byte = change(byte);
    }
    Data::Owned(bytes)
}

fn is_one_of(arg: Option<&Arg>, byte: u8) -> bool {
    arg.and_then(Arg::text)
        .is_some_and(|text| text.as_bytes().contains(&byte))
}

fn reverse_domain(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    let mut labels: Vec<_> = text.split(|byte| *byte == b'.').collect();
    labels.reverse();
    (!labels.iter().any(|label| label.is_empty())).then(|| labels.join(&b'.'))
}

// --- fields and words ---

const PART: Converter = Converter {
    args: Arguments::some(2, &[ArgKind::Int, ArgKind::Text, ArgKind::Int]),
    compile: Some(|args, _| {
        if args.first().and_then(Arg::int) == Some(0) {
            return Err("Unexpected value 0 for index".into());
        }
        match args.get(1).and_then(Arg::text) {
            None | Some("") => Err("Empty separators list".into()),
            Some(_) => Ok(args),
        }
    }),
    ..Converter::BASE
};

type Cut = fn(&[u8], i64, &dyn Fn(u8) -> bool, usize) -> Option<(usize, usize)>;

/// Cuts out what `find` finds.
fn cut<'a>(sample: Sample<'a>, args: &'a [Arg], find: Cut) -> Option<Sample<'a>> {
    let text = data(sample)?;
    let index = args.first().and_then(Arg::int)?;
    // Anything that is no positive number takes all that remains.
    let count = args.get(2).map_or(1, |count| {
        count
            .int()
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0)
    });
    let count = if count == 0 { usize::MAX } else { count };
    let (start, end) = find(&text, index, &|byte| is_one_of(args.get(1), byte), count)?;
    Some(Sample::Str(text.slice(start, end)))
}

/// The place of `count` fields from the n-th on; from the end, they are counted backwards.
fn field(
    text: &[u8],
    index: i64,
    delimits: &dyn Fn(u8) -> bool,
    count: usize,
) -> Option<(usize, usize)> {
    let borders = || {
        text.iter()
            .enumerate()
            .filter(|(_, byte)| delimits(**byte))
            .map(|(at, _)| at)
    };
    let skip = usize::try_from(index.unsigned_abs()).ok()? - 1;
    if index > 0 {
        let start = match skip {
            0 => 0,
            _ => borders().nth(skip - 1)? + 1,
        };
        let end = borders().skip(skip).nth(count - 1).unwrap_or(text.len());
        Some((start, end))
    } else {
        let backwards: Vec<_> = borders().collect();
        let mut backwards = backwards.into_iter().rev();
        let end = match skip {
            0 => text.len(),
            _ => backwards.nth(skip - 1)?,
        };
        let start = backwards.nth(count - 1).map_or(0, |at| at + 1);
        Some((start, end))
    }
}

/// The place of `count` words from the n-th on. The last of them reaches to its own end; taking all of them, to the text's.
fn word(
    text: &[u8],
    index: i64,
    delimits: &dyn Fn(u8) -> bool,
    count: usize,
) -> Option<(usize, usize)> {
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut start = None;
    for (at, byte) in text.iter().enumerate() {
        match (start, delimits(*byte)) {
            (None, false) => start = Some(at),
            (Some(begin), true) => {
                words.push((begin, at));
                start = None;
            }
            _ => {}
        }
    }
    words.extend(start.map(|begin| (begin, text.len())));
    let skip = usize::try_from(index.unsigned_abs()).ok()? - 1;
    if index > 0 {
        let (start, _) = *words.get(skip)?;
        let end = words
            .get(skip.saturating_add(count - 1))
            .map_or(text.len(), |(_, end)| *end);
        Some((start, end))
    } else {
        let last = words.len().checked_sub(skip + 1)?;
        let (_, end) = words[last];
        let start = last
            .checked_sub(count - 1)
            .map_or(0, |first| words[first].0);
        Some((start, end))
    }
}

// --- concatenation ---

fn concat<'a>(sample: Sample<'a>, args: &'a [Arg], view: &'a dyn View) -> Option<Sample<'a>> {
    let mut out = data(sample)?.into_vec();
    let text = |at: usize| args.get(at).and_then(Arg::text).unwrap_or_default();
    out.extend_from_slice(text(0).as_bytes());
    if let Some(value) =
        variable(args.get(1), view).and_then(|value| data(value.cast(SampleType::Str)?))
    {
        out.extend_from_slice(&value);
    }
    out.extend_from_slice(text(2).as_bytes());
    Some(Sample::str(out))
}

fn add_item<'a>(sample: Sample<'a>, args: &'a [Arg], view: &'a dyn View) -> Option<Sample<'a>> {
    let mut out = data(sample)?.into_vec();
    let text = |at: usize| args.get(at).and_then(Arg::text).unwrap_or_default();
    let value = variable(args.get(1), view).and_then(|value| data(value.cast(SampleType::Str)?));
    let value = value.as_deref().unwrap_or_default();
    let is_item = !value.is_empty() || !text(2).is_empty();
    if is_item && !out.is_empty() {
        out.extend_from_slice(text(0).as_bytes());
    }
    out.extend_from_slice(value);
    out.extend_from_slice(text(2).as_bytes());
    Some(Sample::str(out))
}

/// The second argument is a variable's name or empty.
fn check_variable(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args.get(1) {
        Some(Arg::Text(text)) if !text.is_empty() => crate::expr::VariableName::parse(text)
            .map(|_| args.clone())
            .map_err(|error| error.message),
        _ => Ok(args),
    }
}

/// As `strcmp(3)`: the difference of the first bytes that differ, else of the lengths.
fn compare(left: &[u8], right: &[u8]) -> i64 {
    match left.iter().zip(right).find(|(a, b)| a != b) {
        Some((a, b)) => i64::from(*a) - i64::from(*b),
        None => match left.len().cmp(&right.len()) {
            Ordering::Equal => 0,
            _ => left.len() as i64 - right.len() as i64,
        },
    }
}

// --- parameters ---

/// The delimiter is one character, or its code as `0xHH`.
fn check_delimiter(mut args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let Some(text) = args.get(1).and_then(Arg::text) else {
        return Ok(args);
    };
    let delimiter = match (text.as_bytes(), text.strip_prefix("0x")) {
        ([byte], _) => Some(*byte),
        ([], _) => Some(b'&'),
        (_, Some(digits)) if digits.len() == 2 => u8::from_str_radix(digits, 16).ok(),
        _ => None,
    };
    match delimiter {
        Some(byte) => {
            args[1] = Arg::Int(byte.into());
            Ok(args)
        }
        None => Err("the delimiter must be a single character or its code as 0xHH".into()),
    }
}

fn parameter<'a>(sample: Sample<'a>, args: &'a [Arg], _: &'a dyn View) -> Option<Sample<'a>> {
    let text = data(sample)?;
    let name = args.first().and_then(Arg::text)?.as_bytes();
    let delimiter = args
        .get(1)
        .and_then(Arg::int)
        .map_or(b'&', |code| code as u8);
    let mut start = 0;
    for part in text.split(|byte| *byte == delimiter) {
        let equals = memchr::memchr(b'=', part).unwrap_or(part.len());
        if part[..equals] == *name {
            let value = (start + equals + 1).min(start + part.len());
            let end = start + part.len();
            return Some(Sample::Str(text.slice(value, end)));
        }
        start += part.len() + 1;
    }
    None
}

/// The first of the values with the highest quality that is in the `;`-separated list, itself or by its base language.
fn preferred_language<'a>(header: &[u8], known: &'a str) -> Option<&'a str> {
    let mut best: Option<(u32, &str)> = None;
    for item in crate::proto::http::items(header) {
        let mut parts = item.split(|byte| *byte == b';');
        let tag = std::str::from_utf8(parts.next()?.trim_ascii()).unwrap_or_default();
        let quality = parts
            .find_map(|part| quality(part.trim_ascii()))
            .unwrap_or(1000);
        let base = tag.split('-').next().unwrap_or_default();
        let among = |wanted: &str| {
            known
                .split(';')
                .find(|language| *language == wanted && !wanted.is_empty())
        };
        if quality > 0
            && best.is_none_or(|(highest, _)| quality > highest)
            && let Some(language) = among(tag).or_else(|| among(base))
        {
            best = Some((quality, language));
        }
    }
    best.map(|(_, language)| language)
}

/// `q=0.85` in thousandths.
fn quality(parameter: &[u8]) -> Option<u32> {
    let value = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))?;
    let value: f32 = std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()?;
    Some((value.clamp(0.0, 1.0) * 1000.0) as u32)
}
