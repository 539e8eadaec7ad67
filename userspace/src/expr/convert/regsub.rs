//! `regsub`: substitution by regular expressions, and the replacement syntax with `\1`.

use regex::bytes::{Captures, Regex};

use super::{Arg, Arguments, Converter, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::pattern::{Case, compile_regex};
use crate::expr::{Parsing, Sample, View};

pub(super) const CONVERTERS: &[Converter] = &[Converter {
    name: "regsub",
    args: Arguments::some(2, &[ArgKind::Text, ArgKind::Text, ArgKind::Text]),
    doc: "Replaces what a regular expression matches.",
    run: Run::Sample(run),
    compile: Some(compile),
    ..Converter::BASE
}];

fn compile(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let text = |at: usize| args.get(at).and_then(Arg::text).unwrap_or_default();
    if text(0).is_empty() {
        return Err("missing regex".into());
    }
    if let Some(flag) = text(2).chars().find(|flag| !matches!(flag, 'i' | 'g')) {
        return Err(format!(
            "invalid regex flag '{flag}', only 'i' and 'g' are supported"
        ));
    }
    let case = if text(2).contains('i') {
        Case::Ignored
    } else {
        Case::Sensitive
    };
    let regex = compile_regex(text(0), case)?;
    let everywhere = text(2).contains('g').into();
    Ok(vec![
        Arg::Regex(regex),
        Arg::Text(text(1).into()),
        Arg::Int(everywhere),
    ])
}

fn run<'a>(sample: Sample<'a>, args: &'a [Arg], _: &'a dyn View) -> Option<Sample<'a>> {
    let [
        Arg::Regex(regex),
        Arg::Text(replacement),
        Arg::Int(everywhere),
    ] = args
    else {
        return None;
    };
    let text = data(sample)?;
    match substitute(regex, &text, replacement.as_bytes(), *everywhere == 1) {
        Some(changed) => Some(Sample::str(changed)),
        None => Some(Sample::Str(text)),
    }
}

/// The text with the first match, or all of them, replaced; `None` where nothing matches.
fn substitute(regex: &Regex, text: &[u8], replacement: &[u8], everywhere: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    let limit = if everywhere { usize::MAX } else { 1 };
    for captures in regex.captures_iter(text).take(limit) {
        let whole = captures.get(0)?;
        out.extend_from_slice(&text[copied..whole.start()]);
        expand(&captures, replacement, &mut out);
        copied = whole.end();
    }
    if copied == 0 && out.is_empty() && !regex.is_match(text) {
        return None;
    }
    out.extend_from_slice(&text[copied..]);
    Some(out)
}

/// Appends a replacement: `\0` to `\9` stand for groups, `\xHH` for a byte, a backslash before anything else for that.
pub(in crate::expr) fn expand(captures: &Captures<'_>, replacement: &[u8], out: &mut Vec<u8>) {
    let mut rest = replacement;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        match rest {
            [digit @ b'0'..=b'9', after @ ..] => {
                if let Some(group) = captures.get(usize::from(digit - b'0')) {
                    out.extend_from_slice(group.as_bytes());
                }
                rest = after;
            }
            [b'x', high, low, after @ ..] => match hex_byte(*high, *low) {
                Some(byte) => {
                    out.push(byte);
                    rest = after;
                }
                None => out.push(b'\\'),
            },
            [other, after @ ..] => {
                out.push(*other);
                rest = after;
            }
            [] => {}
        }
    }
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}
