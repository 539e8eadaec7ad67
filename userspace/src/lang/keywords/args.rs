//! The words after a keyword, taken one by one.
//!
//! A statement comes in; numbers, times, sizes and words come out, or a [`Complaint`] that points at the word at fault.
//! What the words mean is the keyword's business.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::lang::ast::{Line, Word};
use crate::lang::diagnostics::{Diagnostic, Severity};
use crate::lang::source::Span;
use crate::lang::suggest::closest;
use crate::types::Millis;

/// The words of one statement and how far they are read.
#[derive(Clone, Debug)]
pub(in crate::lang) struct Args<'a> {
    line: &'a Line,
    /// Words of the keyword itself.
    keyword: usize,
    /// The next word.
    at: usize,
}

/// Why a keyword's words cannot be taken.
#[derive(Clone, Debug)]
pub(in crate::lang) struct Complaint {
    /// What is wrong, as the end of `'keyword' : …`.
    pub message: String,
    /// The words at fault.
    pub span: Span,
    /// Text beside the caret.
    pub label: Option<String>,
    /// A way out.
    pub hint: Option<String>,
    /// Whether it stops the start.
    pub severity: Severity,
}

/// What a keyword's parser answers.
pub(in crate::lang) type Parsed<T = ()> = Result<T, Complaint>;

/// The unit of a time without one (manual §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Unit {
    Milliseconds,
    Seconds,
}

impl<'a> Args<'a> {
    /// The arguments of a keyword of that many words.
    pub(crate) fn new(line: &'a Line, keyword: usize) -> Self {
        Self {
            line,
            keyword,
            at: keyword,
        }
    }

    /// The last word of the keyword itself, with what stands in parentheses behind it.
    pub(crate) fn keyword_word(&self) -> Option<&'a Word> {
        self.line.words.get(self.keyword.checked_sub(1)?)
    }

    /// The word that many places before the next one.
    pub(crate) fn before(&self, places: usize) -> Option<&'a Word> {
        self.line.words.get(self.at.checked_sub(places)?)
    }

    /// The next word, not yet taken.
    pub(crate) fn peek(&self) -> Option<&'a Word> {
        self.line.words.get(self.at)
    }

    /// The next word's text, or nothing at the end.
    pub(crate) fn peek_text(&self) -> &'a str {
        self.peek().map_or("", |word| word.text.as_str())
    }

    /// Takes the next word.
    pub(crate) fn take(&mut self) -> Option<&'a Word> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// Puts the word taken last back.
    pub(crate) fn back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take_if(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == text);
        self.at += usize::from(found);
        found
    }

    /// Takes the next word, which must be there: `expects {what}`.
    pub(crate) fn need(&mut self, what: &str) -> Parsed<&'a Word> {
        match self.take() {
            Some(word) => Ok(word),
            None => Err(self.missing(what)),
        }
    }

    /// Takes a whole number within a range.
    pub(crate) fn number<N>(&mut self, range: RangeInclusive<N>) -> Parsed<N>
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let word = self.need("an integer argument")?;
        number(word, range)
    }

    /// Takes a time.
    pub(crate) fn time(&mut self, unit: Unit) -> Parsed<Millis> {
        let word = self.need("a delay as argument")?;
        time(word, unit)
    }

    /// Takes a time; zero stands for none.
    pub(crate) fn optional_time(&mut self, unit: Unit) -> Parsed<Option<Millis>> {
        self.time(unit)
            .map(|time| (time != Millis(0)).then_some(time))
    }

    /// No word may be left.
    pub(crate) fn end(&self) -> Parsed {
        match self.peek() {
            None => Ok(()),
            Some(extra) => Err(Complaint::new(
                extra.span,
                format!("cannot handle unexpected argument '{}'", extra.text),
            )),
        }
    }

    /// Takes a single last word.
    pub(crate) fn only(&mut self, what: &str) -> Parsed<&'a Word> {
        let word = self.need(what)?;
        self.end()?;
        Ok(word)
    }

    /// The words not yet taken.
    pub(crate) fn rest(&self) -> &'a [Word] {
        &self.line.words[self.at.min(self.line.words.len())..]
    }

    /// Takes a number of words that were read elsewhere.
    pub(crate) fn skip(&mut self, words: usize) {
        self.at = (self.at + words).min(self.line.words.len());
    }

    /// The whole statement.
    pub(crate) fn line(&self) -> &'a Line {
        self.line
    }

    /// The keyword as one text.
    pub(crate) fn keyword_text(&self) -> String {
        join(&self.line.words[..self.keyword])
    }

    /// The place of the keyword.
    pub(crate) fn keyword_span(&self) -> Span {
        let words = &self.line.words[..self.keyword];
        words.first().map_or_else(
            || self.line.span(),
            |first| {
                first
                    .span
                    .to(words.last().map_or(first.span, |last| last.span))
            },
        )
    }

    /// A complaint that a word is missing here.
    pub(crate) fn missing(&self, what: &str) -> Complaint {
        let end = self.line.span().end;
        let span = Span {
            start: end,
            end: end + 1,
            ..self.line.span()
        };
        Complaint::new(span, format!("expects {what}"))
    }

    /// A complaint about the whole statement.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Complaint {
        Complaint::new(self.line.span(), message)
    }
}

impl Complaint {
    /// A complaint about some words.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            label: None,
            hint: None,
            severity: Severity::Alert,
        }
    }

    /// A complaint about an unknown word, with the nearest known one.
    pub(crate) fn unknown<'k>(
        word: &Word,
        what: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let near = closest(&word.text, known);
        Self {
            label: near.map(|near| format!("did you mean `{near}`?")),
            ..Self::new(word.span, format!("unknown {what} '{}'", word.text))
        }
    }

    /// Adds a way out.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Makes it a warning: the statement is ignored.
    #[must_use]
    pub(crate) fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds what the message is about in front.
    #[must_use]
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.message = format!("{subject} : {}", self.message);
        self
    }

    /// As a diagnostic about a line.
    pub(crate) fn into_diagnostic(self, place: Span) -> Diagnostic {
        Diagnostic::at(self.severity, place, self.message)
            .showing(self.span)
            .labelled(self.label)
            .hinted(self.hint)
    }
}

/// A whole number within a range.
pub(in crate::lang) fn number<N>(word: &Word, range: RangeInclusive<N>) -> Parsed<N>
where
    N: FromStr + PartialOrd + Display + Copy,
{
    let text = word.text.strip_prefix('+').unwrap_or(&word.text);
    match text.parse::<N>() {
        Ok(number) if range.contains(&number) => Ok(number),
        Err(_) if !is_integer(text) => {
            let message = format!("expects an integer argument (got '{}')", word.text);
            Err(Complaint::new(word.span, message))
        }
        _ => {
            let message = format!(
                "expects a value from {} to {} (got {text})",
                range.start(),
                range.end()
            );
            Err(Complaint::new(word.span, message))
        }
    }
}

/// A time with its unit: us, ms, s, m, h or d (manual §2.5). Parts of a millisecond are rounded up.
pub(in crate::lang) fn time(word: &Word, default: Unit) -> Parsed<Millis> {
    time_of(&word.text, default).map_err(|error| {
        let complaint = Complaint::new(word.at(error.offset), error.message);
        complaint.hint("units are us, ms, s, m, h and d; there are no fractions")
    })
}

/// Why a text is no time, and the byte at fault.
pub(in crate::lang) struct TimeError {
    pub offset: usize,
    pub message: String,
}

/// As [`time`], for a text within a word.
pub(in crate::lang) fn time_of(text: &str, default: Unit) -> Result<Millis, TimeError> {
    let length = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(length);
    let unexpected = |offset: usize| {
        let character = text[offset..].chars().next().unwrap_or(' ');
        TimeError {
            offset,
            message: format!("unexpected character '{character}' in time '{text}'"),
        }
    };
    if digits.is_empty() {
        return Err(unexpected(0));
    }
    let (numerator, divisor): (u64, u64) = match unit {
        "" if default == Unit::Seconds => (1000, 1),
        "" | "ms" => (1, 1),
        "us" => (1, 1000),
        "s" => (1000, 1),
        "m" => (60_000, 1),
        "h" => (3_600_000, 1),
        "d" => (86_400_000, 1),
        _ => {
            let known = ["us", "ms", "s", "m", "h", "d"];
            let valid = known
                .iter()
                .filter(|known| unit.starts_with(**known))
                .map(|known| known.len())
                .max();
            return Err(unexpected(length + valid.unwrap_or(0)));
        }
    };
    let millis = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(numerator));
    match millis.map(|millis| millis.div_ceil(divisor)) {
        Some(millis) if millis <= LONGEST_TIME => Ok(Millis(millis)),
        _ => Err(TimeError {
            offset: 0,
            message: format!(
                "timer overflow in argument '{text}' (maximum value is {LONGEST_TIME} ms or ~24.8 days)"
            ),
        }),
    }
}

/// A size in bytes or entries with an optional k, m or g (manual §2.6).
pub(in crate::lang) fn size(word: &Word, largest: u64) -> Parsed<u64> {
    let text = word.text.as_str();
    let length = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(length);
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => 0,
    };
    if digits.is_empty() || factor == 0 {
        let offset = if digits.is_empty() { 0 } else { length };
        let message = format!("unexpected character in size '{text}'");
        return Err(Complaint::new(word.at(offset), message).hint("units are k, m and g"));
    }
    match digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(factor))
    {
        Some(size) if size <= largest => Ok(size),
        _ => Err(Complaint::new(
            word.span,
            format!("size '{text}' is larger than {largest}"),
        )),
    }
}

/// Words as they would be written without quotes.
pub(in crate::lang) fn join(words: &[Word]) -> String {
    words
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// HAProxy's longest timer in milliseconds.
const LONGEST_TIME: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::environment::Variables;
    use crate::lang::lexer::{Position, words};
    use crate::lang::source::Sources;
    use crate::lang::testing::Table;

    fn word(text: &str) -> Word {
        let environment = Table::default();
        let mut sources = Sources::default();
        let source = sources.add("t", "");
        let position = Position {
            source,
            file: "t",
            line: 1,
            section: "",
        };
        words(
            text.as_bytes(),
            position,
            &Variables::new(&environment, &[]),
        )
        .expect("a word")
        .remove(0)
    }

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("10ms", Some(10)),
            ("10s", Some(10_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("24d", Some(2_073_600_000)),
            ("1us", Some(1)),
            ("1500us", Some(2)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("25d", None),
            ("99999999999999999999", None),
            ("18446744073709551615d", None),
            ("1m30s", None),
            ("1.5s", None),
            ("-1", None),
            ("s", None),
            ("1x", None),
        ] {
            assert_eq!(
                time(&word(text), Unit::Milliseconds)
                    .ok()
                    .map(|time| time.0),
                expected,
                "{text}"
            );
        }
        assert_eq!(time(&word("10"), Unit::Seconds).ok(), Some(Millis(10_000)));
    }

    #[test]
    fn a_bad_time_points_at_the_character() {
        let complaint = time(&word("1m30s"), Unit::Milliseconds).expect_err("a bad time");
        assert_eq!(complaint.span.start, 2);
        assert_eq!(
            complaint.message,
            "unexpected character '3' in time '1m30s'"
        );
    }

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("1k", Some(1024)),
            ("2M", Some(2 << 20)),
            ("1g", Some(1 << 30)),
            ("1t", None),
            ("k", None),
        ] {
            assert_eq!(size(&word(text), u64::MAX).ok(), expected, "{text}");
        }
        assert!(size(&word("2g"), 1 << 30).is_err());
        assert!(size(&word("99999999999999999999g"), u64::MAX).is_err());
    }

    #[test]
    fn numbers_are_whole_and_within_bounds() {
        assert_eq!(number(&word("+5"), 0..=10u32).ok(), Some(5));
        for (text, message) in [
            ("11", "expects a value from 0 to 10 (got 11)"),
            ("-1", "expects a value from 0 to 10 (got -1)"),
            (
                "99999999999999",
                "expects a value from 0 to 10 (got 99999999999999)",
            ),
            ("5x", "expects an integer argument (got '5x')"),
            ("", "expects an integer argument (got '')"),
        ] {
            let complaint = number(&word(&format!("'{text}'")), 0..=10u32).expect_err(text);
            assert_eq!(complaint.message, message);
        }
    }
}
