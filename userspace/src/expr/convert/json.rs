//! JSON: escaping for strings, and queries into documents and tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Arg, Arguments, Converter, Output, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::{Data, Parsing, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "json",
        args: Arguments::some(0, &[ArgKind::Text]),
        doc: "The string escaped for JSON, in ASCII.",
        run: Run::Sample(|sample, args, _| {
            let decoder = Decoder::parse(args.first().and_then(Arg::text).unwrap_or_default())?;
            escape(&data(sample)?, decoder).map(Sample::str)
        }),
        compile: Some(|args, _| match args.first().and_then(Arg::text) {
            Some(word) if Decoder::parse(word).is_none() => Err(
                "unexpected input code type: expects 'ascii', 'utf8', 'utf8s', 'utf8p' or 'utf8ps'"
                    .into(),
            ),
            _ => Ok(args),
        }),
        ..Converter::BASE
    },
    Converter {
        name: "json_query",
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
        doc: "A value inside a JSON document.",
        run: Run::Sample(|sample, args, _| query(&data(sample)?, args)),
        ..QUERY
    },
    Converter {
        name: "jwt_header_query",
        args: Arguments::some(0, &[ArgKind::Text, ArgKind::Text]),
        doc: "The header of a JSON web token, or a value in it.",
        run: Run::Sample(|sample, args, _| in_token(&data(sample)?, 0, args)),
        ..QUERY
    },
    Converter {
        name: "jwt_payload_query",
        args: Arguments::some(0, &[ArgKind::Text, ArgKind::Text]),
        doc: "The payload of a JSON web token, or a value in it.",
        run: Run::Sample(|sample, args, _| in_token(&data(sample)?, 1, args)),
        ..QUERY
    },
];

const QUERY: Converter = Converter {
    output: Output::Of(|args| match args.get(1).and_then(Arg::text) {
        Some("int") => SampleType::Int,
        Some("str") => SampleType::Str,
        _ => SampleType::Any,
    }),
    compile: Some(check_query),
    ..Converter::BASE
};

fn check_query(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let text = |at: usize| args.get(at).and_then(Arg::text).unwrap_or_default();
    if !args.is_empty() && path(text(0)).is_none() {
        return Err(format!(
            "'{}' is no JSON path: it must begin with '$'",
            text(0)
        ));
    }
    match text(1) {
        "" | "int" | "str" => Ok(args),
        other => Err(format!(
            "unknown output type '{other}': expects 'int' or 'str'"
        )),
    }
}

/// A part of a token in the compact form: as it is, or a value in it.
fn in_token<'a>(token: &[u8], part: usize, args: &[Arg]) -> Option<Sample<'a>> {
    let encoded = token.split(|byte| *byte == b'.').nth(part)?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    if args.is_empty() {
        return Some(Sample::str(decoded));
    }
    query(&decoded, args)
}

/// The text of a member of an object, a string without its quotes.
pub(super) fn member(document: &[u8], name: &str) -> Option<Vec<u8>> {
    let found = raw_member(document, name)?;
    match found.first()? {
        b'"' => unescape(found),
        _ => None,
    }
}

/// A member of an object as it stands there.
pub(super) fn raw_member<'d>(document: &'d [u8], name: &str) -> Option<&'d [u8]> {
    find(document, &[Step::Key(name.as_bytes().to_vec())])
}

fn query<'a>(document: &[u8], args: &[Arg]) -> Option<Sample<'a>> {
    let steps = path(args.first().and_then(Arg::text)?)?;
    let found = find(document, &steps)?;
    let wanted = args.get(1).and_then(Arg::text).unwrap_or_default();
    match (found.first()?, wanted) {
        (b'"', "int") | (b'[' | b'{' | b't' | b'f' | b'n', "int" | "str") => None,
        (b'"', _) => unescape(found).map(Sample::str),
        (b't', _) => Some(Sample::Bool(true)),
        (b'f', _) => Some(Sample::Bool(false)),
        (b'[', _) => Some(Sample::str(found.to_vec())),
        (b'{' | b'n', _) => None,
        // A number; fractions are cut off.
        (_, "int") => {
            let text = std::str::from_utf8(found).ok()?;
            let whole = text
                .parse()
                .ok()
                .or_else(|| text.parse::<f64>().ok().map(|number| number as i64))?;
            Some(Sample::Int(whole))
        }
        _ => Some(Sample::Str(Data::Owned(found.to_vec()))),
    }
}

/// One step of a path.
enum Step {
    Key(Vec<u8>),
    Index(usize),
}

/// `$.key.other[0]`; a backslash takes a dot's or bracket's meaning away.
fn path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?.bytes().peekable();
    let mut steps = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'.' => {
                let mut key = Vec::new();
                while let Some(byte) = rest.next_if(|byte| !matches!(byte, b'.' | b'[')) {
                    key.push(match byte {
                        b'\\' => rest.next()?,
                        byte => byte,
                    });
                }
                if key.is_empty() {
                    return None;
                }
                steps.push(Step::Key(key));
            }
            b'[' => {
                let digits: Vec<u8> =
                    std::iter::from_fn(|| rest.next_if(u8::is_ascii_digit)).collect();
                if rest.next() != Some(b']') {
                    return None;
                }
                steps.push(Step::Index(
                    std::str::from_utf8(&digits).ok()?.parse().ok()?,
                ));
            }
            _ => return None,
        }
    }
    Some(steps)
}

/// The value a path leads to, as it stands in the document.
fn find<'d>(document: &'d [u8], steps: &[Step]) -> Option<&'d [u8]> {
    let mut value = document.trim_ascii();
    for step in steps {
        let mut scanner = Scanner { rest: value };
        value = match step {
            Step::Key(key) => scanner.member(key)?,
            Step::Index(index) => scanner.element(*index)?,
        };
    }
    // The value is measured, so that nothing behind it is shown.
    Scanner { rest: value }.value(0)
}

/// Reads values off a text without building them.
struct Scanner<'d> {
    rest: &'d [u8],
}

impl<'d> Scanner<'d> {
    /// The value of an object's member.
    fn member(&mut self, key: &[u8]) -> Option<&'d [u8]> {
        self.expect(b'{')?;
        loop {
            self.skip_space();
            let name = self.string()?;
            self.expect(b':')?;
            let value = self.value(0)?;
            if unescape(name)? == key {
                return Some(value);
            }
            self.expect(b',')?;
        }
    }

    fn element(&mut self, index: usize) -> Option<&'d [u8]> {
        self.expect(b'[')?;
        for _ in 0..index {
            self.value(0)?;
            self.expect(b',')?;
        }
        self.value(0)
    }

    /// Takes any value.
    fn value(&mut self, depth: usize) -> Option<&'d [u8]> {
        self.skip_space();
        let start = self.rest;
        match *start.first()? {
            b'"' => return self.string(),
            open @ (b'{' | b'[') => {
                if depth == MAX_DEPTH {
                    return None;
                }
                self.container(open, depth)?;
            }
            _ => {
                let ends =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                let length = start.iter().position(ends).unwrap_or(start.len());
                let word = &start[..length];
                let number = word
                    .first()
                    .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
                if !number && !matches!(word, b"true" | b"false" | b"null") {
                    return None;
                }
                self.rest = &start[length..];
            }
        }
        Some(&start[..start.len() - self.rest.len()])
    }

    fn container(&mut self, open: u8, depth: usize) -> Option<()> {
        let close = if open == b'{' { b'}' } else { b']' };
        self.expect(open)?;
        self.skip_space();
        if self.rest.first() == Some(&close) {
            return self.expect(close);
        }
        loop {
            self.skip_space();
            if open == b'{' {
                self.string()?;
                self.expect(b':')?;
            }
            self.value(depth + 1)?;
            self.skip_space();
            if self.rest.first() == Some(&close) {
                return self.expect(close);
            }
            self.expect(b',')?;
        }
    }

    /// Takes a string, quotes included.
    fn string(&mut self) -> Option<&'d [u8]> {
        let text = self.rest;
        if text.first() != Some(&b'"') {
            return None;
        }
        let mut at = 1;
        loop {
            match text.get(at)? {
                b'\\' => at += 2,
                b'"' => break,
                _ => at += 1,
            }
        }
        let (string, rest) = text.split_at_checked(at + 1)?;
        self.rest = rest;
        Some(string)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.skip_space();
        let (first, rest) = self.rest.split_first()?;
        (*first == wanted).then(|| self.rest = rest)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;

/// The text of a string with its quotes.
fn unescape(string: &[u8]) -> Option<Vec<u8>> {
    let text: String = serde_json::from_slice(string).ok()?;
    Some(text.into_bytes())
}

// --- escaping ---

/// How the input of `json` is read.
#[derive(Clone, Copy)]
struct Decoder {
    utf8: bool,
    /// Overlong codes are accepted.
    permissive: bool,
    /// Errors are left out instead of failing.
    silent: bool,
}

impl Decoder {
    fn parse(word: &str) -> Option<Self> {
        let decoder = |utf8, permissive, silent| Self {
            utf8,
            permissive,
            silent,
        };
        Some(match word {
            "" | "ascii" => decoder(false, false, false),
            "utf8" => decoder(true, false, false),
            "utf8s" => decoder(true, false, true),
            "utf8p" => decoder(true, true, false),
            "utf8ps" => decoder(true, true, true),
            _ => return None,
        })
    }

    /// The first character's code and length; no code where the bytes are wrong.
    fn next(self, text: &[u8]) -> (Option<u32>, usize) {
        let first = text.first().copied().unwrap_or_default();
        if !self.utf8 || first < 0x80 {
            return (Some(first.into()), 1);
        }
        let (length, low_bits) = match first {
            0xc0..=0xdf => (2, 0x1f),
            0xe0..=0xef => (3, 0x0f),
            0xf0..=0xf7 => (4, 0x07),
            _ => return (None, 1),
        };
        let mut code = u32::from(first & low_bits);
        for at in 1..length {
            match text.get(at) {
                Some(byte @ 0x80..=0xbf) => code = code << 6 | u32::from(byte & 0x3f),
                _ => return (None, at),
            }
        }
        let overlong = code < [0x80, 0x800, 0x1_0000][length - 2];
        let prohibited =
            (0xd800..=0xdfff).contains(&code) || code > 0x10_ffff || code & 0xfffe == 0xfffe;
        // Four digits are all that an escape has.
        let too_long = code > 0xffff;
        if prohibited || too_long || (overlong && !self.permissive) {
            return (None, length);
        }
        (Some(code), length)
    }
}

fn escape(text: &[u8], decoder: Decoder) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while !rest.is_empty() {
        let (code, length) = decoder.next(rest);
        rest = &rest[length..];
        match code {
            None if decoder.silent => {}
            None => return None,
            Some(code @ (0x22 | 0x2f | 0x5c)) => out.extend_from_slice(&[b'\\', code as u8]),
            Some(8) => out.extend_from_slice(b"\\b"),
            Some(9) => out.extend_from_slice(b"\\t"),
            Some(10) => out.extend_from_slice(b"\\n"),
            Some(12) => out.extend_from_slice(b"\\f"),
            Some(13) => out.extend_from_slice(b"\\r"),
            Some(code @ 0x20..=0x7e) => out.push(code as u8),
            Some(code) => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
        }
    }
    Some(out)
}
