//! What checks expect.

use super::send::hexadecimal;
use crate::expr::{Case, Stage};
use crate::lang::ast::Word;
use crate::lang::keywords::args::{Args, Complaint, Parsed, number};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::expressions::{Rules, literal, regex};
use crate::lang::keywords::logging::choose;
use crate::model::{Expect, ExpectMatch, ExpectStatus, HeaderMatch};

/// An `expect` rule.
pub(super) fn expectation(
    args: &mut Args<'_>,
    context: &mut Context<'_>,
    allowed: &[&'static str],
) -> Parsed<Expect> {
    let mut expect = Expect {
        negated: false,
        matching: ExpectMatch::Bytes(Vec::new()),
        min_recv: None,
        ok_status: None,
        error_status: None,
        timeout_status: None,
        on_success: None,
        on_error: None,
        status_code: None,
        comment: None,
    };
    let mut is_given = false;
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "min-recv" => {
                let word = args.need("an integer argument")?;
                expect.min_recv = if word.text == "-1" {
                    None
                } else {
                    Some(number(word, 0..=i32::MAX as usize)?)
                };
            }
            "comment" => expect.comment = Some(args.need("a comment")?.text.clone()),
            "ok-status" => expect.ok_status = Some(status(args, OK_STATUSES)?),
            "error-status" => expect.error_status = Some(status(args, ERROR_STATUSES)?),
            "tout-status" => expect.timeout_status = Some(status(args, TIMEOUT_STATUSES)?),
            "on-success" => {
                let format = args.need("a log-format string")?;
                expect.on_success =
                    Some(Rules::without_acls(context, Stage::Check).log_format(format)?);
            }
            "on-error" => {
                let format = args.need("a log-format string")?;
                expect.on_error =
                    Some(Rules::without_acls(context, Stage::Check).log_format(format)?);
            }
            "status-code" => {
                expect.status_code =
                    Some(Rules::without_acls(context, Stage::Check).expression(args)?);
            }
            "!" => expect.negated = !expect.negated,
            text => {
                let (negated, name) = match text.strip_prefix('!') {
                    Some(name) => (true, name),
                    None => (false, text),
                };
                expect.negated ^= negated;
                if !allowed.contains(&name) {
                    return Err(Complaint::unknown(word, "match", allowed.iter().copied())
                        .hint(format!("expected one of {}", allowed.join(", "))));
                }
                if is_given {
                    return Err(Complaint::new(word.span, "only one pattern can be given"));
                }
                is_given = true;
                expect.matching = matching(name, args, context)?;
            }
        }
    }
    if !is_given {
        return Err(args.missing("a pattern (type regexp) as argument"));
    }
    Ok(expect)
}

fn matching(name: &str, args: &mut Args<'_>, context: &mut Context<'_>) -> Parsed<ExpectMatch> {
    if name == "hdr" || name == "fhdr" {
        let name_match = header_match("name", args, context)?
            .ok_or_else(|| args.missing("'name' or 'name-lf' and a header name"))?;
        let value = header_match("value", args, context)?;
        return Ok(ExpectMatch::Header {
            name: name_match,
            value,
            full: name == "fhdr",
        });
    }
    let word = args.need("a pattern as argument")?;
    Ok(match name {
        "string" => ExpectMatch::Bytes(word.text.clone().into_bytes()),
        "binary" => ExpectMatch::Bytes(hexadecimal(word)?),
        "string-lf" => ExpectMatch::Format {
            format: Rules::without_acls(context, Stage::Check).log_format(word)?,
            binary: false,
        },
        "binary-lf" => ExpectMatch::Format {
            format: Rules::without_acls(context, Stage::Check).log_format(word)?,
            binary: true,
        },
        "rstring" => ExpectMatch::Regex {
            regex: regex(word, Case::Sensitive)?,
            binary: false,
        },
        "rbinary" => ExpectMatch::Regex {
            regex: regex(word, Case::Ignored)?,
            binary: true,
        },
        "rstatus" => ExpectMatch::StatusRegex(regex(word, Case::Sensitive)?),
        _ => ExpectMatch::Status(statuses(word)?),
    })
}

/// `{ name | name-lf } [-m <meth>] <text>`
fn header_match(
    kind: &str,
    args: &mut Args<'_>,
    context: &mut Context<'_>,
) -> Parsed<Option<HeaderMatch>> {
    let is_format = match args.peek_text().strip_prefix(kind) {
        Some("") => false,
        Some("-lf") => true,
        _ => return Ok(None),
    };
    args.skip(1);
    let mut method = "str";
    if args.take_if("-m") {
        let word = args.need("a matching method")?;
        let known = [
            ("str", "str"),
            ("beg", "beg"),
            ("end", "end"),
            ("sub", "sub"),
            ("reg", "reg"),
        ];
        method = choose(word, "matching method", &known)?;
    }
    let word = args.need("a string as argument")?;
    if method == "reg" {
        if is_format {
            return Err(Complaint::new(
                word.span,
                "a regular expression cannot be a log-format",
            ));
        }
        return Ok(Some(HeaderMatch::Regex(regex(word, Case::Sensitive)?)));
    }
    let format = if is_format {
        Rules::without_acls(context, Stage::Check).log_format(word)?
    } else {
        literal(&word.text)
    };
    Ok(Some(match method {
        "beg" => HeaderMatch::Begins(format),
        "end" => HeaderMatch::Ends(format),
        "sub" => HeaderMatch::Contains(format),
        _ => HeaderMatch::Exact(format),
    }))
}

/// `200,201,300-310`
fn statuses(word: &Word) -> Parsed<Vec<(u16, u16)>> {
    let wrong = || {
        Complaint::new(
            word.span,
            format!("'{}' is not a list of status codes", word.text),
        )
    };
    word.text
        .split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
                _ => Err(wrong()),
            }
        })
        .collect()
}

fn status(args: &mut Args<'_>, known: &[ExpectStatus]) -> Parsed<ExpectStatus> {
    let word = args.need("a status")?;
    let table: Vec<(&'static str, ExpectStatus)> =
        known.iter().map(|name| (*name, *name)).collect();
    choose(word, "status", &table)
}

pub(super) const HTTP_MATCHES: &[&str] = &[
    "status",
    "rstatus",
    "hdr",
    "fhdr",
    "string",
    "rstring",
    "string-lf",
];
pub(super) const TCP_MATCHES: &[&str] = &[
    "string",
    "rstring",
    "string-lf",
    "binary",
    "rbinary",
    "binary-lf",
];
const OK_STATUSES: &[ExpectStatus] = &["L7OK", "L7OKC", "L6OK", "L4OK"];
const ERROR_STATUSES: &[ExpectStatus] = &["L7OKC", "L7RSP", "L7STS", "L6RSP", "L4CON"];
const TIMEOUT_STATUSES: &[ExpectStatus] = &["L7TOUT", "L6TOUT", "L4TOUT"];
