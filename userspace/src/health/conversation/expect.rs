//! Whether what a server said is what an `expect` rule wants (manual §4.2 `tcp-check expect`, `http-check expect`).
//!
//! Bytes or an HTTP response come in, a [`Judgement`] goes out; the same bytes always give the same one. Reading more when a
//! judgement has to wait is the caller's business.

use memchr::memmem;

use crate::expr::{LogFormat, View};
use crate::model::{Expect, ExpectMatch, HeaderMatch};
use crate::proto::http::Head;

/// What a rule says about the data received so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is satisfied.
    Satisfied,
    /// More data may change the answer.
    Wait,
    /// It is not satisfied, because of its contents.
    Content {
        /// The pattern occurs but must not.
        unwanted: bool,
    },
    /// It is not satisfied, because of the response's status or fields.
    Status,
}

/// Judges a body or a plain byte stream. `conclusive`: nothing more will come.
pub(super) fn judge_bytes(
    expect: &Expect,
    data: &[u8],
    conclusive: bool,
    view: &dyn View,
) -> Judgement {
    let pattern = Pattern::of(&expect.matching, view);
    let least = match (&pattern, expect.min_recv) {
        (Pattern::Bytes(bytes), Some(least)) => least.min(bytes.len()),
        (Pattern::Bytes(bytes), None) => bytes.len(),
        (_, least) => least.unwrap_or(0).max(1),
    };
    if data.len() < least && !conclusive {
        return Judgement::Wait;
    }
    let found = match &pattern {
        Pattern::Bytes(bytes) => memmem::find(data, bytes).is_some(),
        Pattern::Regex(regex) => regex.is_match(data),
        Pattern::HexRegex(regex) => regex.is_match(&hexadecimal(data)),
        Pattern::Never => false,
    };
    // With `min-recv`, what is there is enough to decide; without, the pattern may still come (manual: `min-recv`).
    let decided = conclusive || expect.min_recv.is_some();
    match (found, expect.negated) {
        (true, false) => Judgement::Satisfied,
        (true, true) => Judgement::Content { unwanted: true },
        (false, _) if !decided => Judgement::Wait,
        (false, true) => Judgement::Satisfied,
        (false, false) => Judgement::Content { unwanted: false },
    }
}

/// Judges an HTTP response: its head, or its body for the rules about contents.
pub(super) fn judge_response(
    expect: &Expect,
    head: &Head,
    body: &[u8],
    complete: bool,
    view: &dyn View,
) -> Judgement {
    let found = match &expect.matching {
        ExpectMatch::Status(ranges) => ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&head.status())),
        ExpectMatch::StatusRegex(regex) => regex.is_match(head.status().to_string().as_bytes()),
        ExpectMatch::Header { name, value, full } => {
            has_field(head, name, value.as_ref(), *full, view)
        }
        ExpectMatch::Bytes(_) | ExpectMatch::Format { .. } | ExpectMatch::Regex { .. } => {
            return judge_bytes(expect, body, complete, view);
        }
    };
    match found == expect.negated {
        true => Judgement::Status,
        false => Judgement::Satisfied,
    }
}

fn has_field(
    head: &Head,
    name: &HeaderMatch,
    value: Option<&HeaderMatch>,
    full: bool,
    view: &dyn View,
) -> bool {
    head.fields()
        .filter(|(field, _)| matches(name, field, Case::Ignored, view))
        .any(|(_, contents)| match value {
            None => true,
            Some(value) if full => matches(value, contents, Case::Kept, view),
            Some(value) => crate::proto::http::items(contents)
                .any(|element| matches(value, element, Case::Kept, view)),
        })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Ignored,
}

fn matches(pattern: &HeaderMatch, text: &[u8], case: Case, view: &dyn View) -> bool {
    let fold = |bytes: &[u8]| match case {
        Case::Kept => bytes.to_vec(),
        Case::Ignored => bytes.to_ascii_lowercase(),
    };
    let folded = fold(text);
    let wanted = |format: &LogFormat| fold(&rendered(format, view));
    match pattern {
        HeaderMatch::Exact(format) => folded == wanted(format),
        HeaderMatch::Begins(format) => folded.starts_with(&wanted(format)),
        HeaderMatch::Ends(format) => folded.ends_with(&wanted(format)),
        HeaderMatch::Contains(format) => memmem::find(&folded, &wanted(format)).is_some(),
        // A name's expression is compiled to ignore case.
        HeaderMatch::Regex(regex) => regex.is_match(text),
    }
}

/// What to look for, with formats already evaluated.
enum Pattern<'a> {
    Bytes(Vec<u8>),
    Regex(&'a regex::bytes::Regex),
    HexRegex(&'a regex::bytes::Regex),
    /// A format that did not give hexadecimal digits, or a rule that is not about contents.
    Never,
}

impl<'a> Pattern<'a> {
    fn of(matching: &'a ExpectMatch, view: &dyn View) -> Self {
        match matching {
            ExpectMatch::Bytes(bytes) => Self::Bytes(bytes.clone()),
            ExpectMatch::Format {
                format,
                binary: false,
            } => Self::Bytes(rendered(format, view)),
            ExpectMatch::Format {
                format,
                binary: true,
            } => from_hexadecimal(&rendered(format, view)).map_or(Self::Never, Self::Bytes),
            ExpectMatch::Regex {
                regex,
                binary: false,
            } => Self::Regex(regex),
            ExpectMatch::Regex {
                regex,
                binary: true,
            } => Self::HexRegex(regex),
            ExpectMatch::Status(_) | ExpectMatch::StatusRegex(_) | ExpectMatch::Header { .. } => {
                Self::Never
            }
        }
    }
}

/// A format's result.
pub(super) fn rendered(format: &LogFormat, view: &dyn View) -> Vec<u8> {
    let mut text = Vec::new();
    format.render(view, &mut text);
    text
}

/// The bytes of an even number of hexadecimal digits.
pub(super) fn from_hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| Some((value(pair[0])? * 16 + value(pair[1])?) as u8))
        .collect()
}

fn hexadecimal(data: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    data.iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expr::{NoView, Purpose};
    use crate::proto::http::Version;

    fn expect(matching: ExpectMatch) -> Expect {
        Expect {
            negated: false,
            matching,
            min_recv: None,
            ok_status: None,
            error_status: None,
            timeout_status: None,
            on_success: None,
            on_error: None,
            status_code: None,
            comment: None,
        }
    }

    fn string(text: &str) -> Expect {
        expect(ExpectMatch::Bytes(text.into()))
    }

    fn regex(text: &str, binary: bool) -> Expect {
        let regex = regex::bytes::Regex::new(text).expect("a pattern");
        expect(ExpectMatch::Regex { regex, binary })
    }

    fn not(expect: Expect) -> Expect {
        Expect {
            negated: true,
            ..expect
        }
    }

    fn at_least(bytes: usize, expect: Expect) -> Expect {
        Expect {
            min_recv: Some(bytes),
            ..expect
        }
    }

    const ABSENT: Judgement = Judgement::Content { unwanted: false };
    const UNWANTED: Judgement = Judgement::Content { unwanted: true };

    #[test]
    fn contents_are_judged_as_they_come() {
        use Judgement::{Satisfied, Wait};
        let cases = [
            ("too short to tell", string("hello"), "hel", false, Wait),
            ("there", string("hello"), "oh hello", false, Satisfied),
            (
                "may still come",
                string("hello"),
                "something else",
                false,
                Wait,
            ),
            (
                "did not come",
                string("hello"),
                "something else",
                true,
                ABSENT,
            ),
            (
                "at once conclusive",
                at_least(0, string("hello")),
                "x",
                false,
                ABSENT,
            ),
            ("an empty answer", string("hello"), "", true, ABSENT),
            ("forbidden", not(string("err")), "an error", false, UNWANTED),
            (
                "forbidden bytes may still come",
                not(string("err")),
                "fine",
                false,
                Wait,
            ),
            ("not forbidden", not(string("err")), "fine", true, Satisfied),
            ("nothing yet", not(regex("^err", false)), "", false, Wait),
            (
                "a regex on the first bytes",
                at_least(1, not(regex("^err", false))),
                "e",
                false,
                Satisfied,
            ),
            (
                "that waits for enough",
                at_least(3, not(regex("^err", false))),
                "e",
                false,
                Wait,
            ),
            (
                "and then refuses",
                at_least(3, not(regex("^err", false))),
                "err",
                false,
                UNWANTED,
            ),
            (
                "on the hexadecimal dump",
                regex("^6F6B", true),
                "ok",
                false,
                Satisfied,
            ),
        ];
        for (name, expect, data, conclusive, judgement) in cases {
            let found = judge_bytes(&expect, data.as_bytes(), conclusive, &NoView);
            assert_eq!(found, judgement, "{name}");
        }
    }

    #[test]
    fn responses_are_judged_by_status_fields_and_body() {
        use Judgement::{Satisfied, Status, Wait};
        let mut head = Head::default();
        head.start_response(204, b"No Content", Version::Http11);
        head.add(b"X-List", b"one, two");
        let exact = |text: &str| HeaderMatch::Exact(LogFormat::literal(text, Purpose::Http));
        let field = |value: Option<&str>, full| {
            expect(ExpectMatch::Header {
                name: exact("x-list"),
                value: value.map(exact),
                full,
            })
        };
        let status = |first, last| expect(ExpectMatch::Status(vec![(first, last)]));
        let status_regex = regex::bytes::Regex::new("^3").expect("a pattern");
        let cases = [
            ("in the range", status(200, 399), Satisfied),
            ("outside", status(300, 399), Status),
            ("outside, as wanted", not(status(300, 399)), Satisfied),
            (
                "by regex",
                expect(ExpectMatch::StatusRegex(status_regex)),
                Status,
            ),
            (
                "a field, its name in any case",
                field(None, false),
                Satisfied,
            ),
            (
                "one element of a list",
                field(Some("two"), false),
                Satisfied,
            ),
            ("not the whole field", field(Some("two"), true), Status),
            ("the whole field", field(Some("one, two"), true), Satisfied),
            ("the body", string("body"), Satisfied),
            ("not in the body so far", string("nobody at all"), Wait),
        ];
        for (name, expect, judgement) in cases {
            let found = judge_response(&expect, &head, b"a body", false, &NoView);
            assert_eq!(found, judgement, "{name}");
        }
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(from_hexadecimal(b"4a4B"), Some(b"JK".to_vec()));
        assert_eq!(from_hexadecimal(b"4a4"), None);
        assert_eq!(from_hexadecimal(b"zz"), None);
    }

    proptest! {
        #[test]
        fn a_conclusive_judgement_never_waits(data: Vec<u8>, pattern: Vec<u8>, negated: bool, min: Option<usize>) {
            let expect = Expect { negated, min_recv: min, ..expect(ExpectMatch::Bytes(pattern)) };
            prop_assert_ne!(judge_bytes(&expect, &data, true, &NoView), Judgement::Wait);
        }
    }
}
