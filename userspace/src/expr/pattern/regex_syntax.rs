//! Regular expressions as HAProxy's users write them (PCRE) for the `regex` crate.
//!
//! The two syntaxes agree on nearly all that configurations use. What is written differently is translated here; what the
//! crate cannot do (look-around, back-references inside the pattern) is refused with a message that says so. Expressions work
//! on bytes, not on Unicode characters.

use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::{Regex, RegexBuilder};

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Case {
    Sensitive,
    /// `-i`.
    Ignored,
}

/// Compiles a regular expression in PCRE's syntax.
///
/// # Errors
/// The reason in words, where the expression is malformed, too large or uses what is not supported.
pub fn compile_regex(pattern: &str, case: Case) -> Result<Regex, String> {
    let invalid = |reason: &str| format!("regex '{pattern}' is invalid ({reason})");
    let translated = translate(pattern).map_err(|reason| invalid(&reason))?;
    RegexBuilder::new(&translated)
        .case_insensitive(case == Case::Ignored)
        .unicode(false)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => invalid("it is too large"),
            regex::Error::Syntax(message) => {
                invalid(message.lines().last().unwrap_or("syntax error").trim())
            }
            _ => invalid("it cannot be compiled"),
        })
}

/// Bytes one compiled expression may take.
const SIZE_LIMIT: usize = 16 << 20;

fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out)?,
            '[' => class(&mut chars, &mut out)?,
            '(' => group(&mut chars, &mut out)?,
            // A brace that begins no quantifier is a character.
            '{' if !begins_quantifier(chars.clone()) => out.push_str(r"\{"),
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let Some(c) = chars.next() else {
        return Err("\\ at the end of the pattern".into());
    };
    match c {
        '1'..='9' => Err("back-references are not supported".into()),
        '<' | '>' => {
            out.push(c);
            Ok(())
        }
        'e' => {
            out.push_str(r"\x1b");
            Ok(())
        }
        'h' => {
            out.push_str(r"[ \t]");
            Ok(())
        }
        'Z' => {
            out.push_str(r"\n?\z");
            Ok(())
        }
        'Q' => {
            literal(chars, out);
            Ok(())
        }
        '0' => {
            out.push_str(r"\x00");
            Ok(())
        }
        _ => {
            out.push('\\');
            out.push(c);
            Ok(())
        }
    }
}

/// `\Q…\E`: everything in between stands for itself.
fn literal(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            return;
        }
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

/// Inside brackets the crate knows set operators and nesting, which PCRE does not: those characters are escaped.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    // A closing bracket in first place is a character.
    if chars.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return Ok(());
            }
            '[' if chars.peek() == Some(&':') => named_class(chars, out),
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => match chars.next() {
                Some('h') => out.push_str(r" \t"),
                Some(plain @ ('<' | '>')) => out.push(plain),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => break,
            },
            // Two dashes in a row would be a set operator.
            '-' if chars.peek() == Some(&'-') => out.push_str(r"\-"),
            _ => out.push(c),
        }
    }
    Err("missing terminating ] for character class".into())
}

/// `[:alpha:]` and its like.
fn named_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let name: String = chars.clone().take_while(|c| *c != ']').collect();
    if name.len() > 1 && name.ends_with(':') {
        out.push('[');
        out.push_str(&name);
        out.push(']');
        for _ in 0..=name.chars().count() {
            chars.next();
        }
    } else {
        out.push_str(r"\[");
    }
}

fn group(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('(');
    let mut ahead = chars.clone();
    if ahead.next() != Some('?') {
        return Ok(());
    }
    match (ahead.next(), ahead.next()) {
        (Some('=' | '!'), _) | (Some('<'), Some('=' | '!')) => {
            Err("look-around assertions are not supported".into())
        }
        (Some('>'), _) => Err("atomic groups are not supported".into()),
        (Some('#'), _) => {
            out.pop();
            chars.by_ref().take_while(|c| *c != ')').for_each(drop);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn begins_quantifier(mut rest: Peekable<Chars<'_>>) -> bool {
    let mut digits = 0;
    let mut commas = 0;
    loop {
        match rest.next() {
            Some('0'..='9') => digits += 1,
            Some(',') if commas == 0 && digits > 0 => commas += 1,
            Some('}') => return digits > 0,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile_regex(pattern, Case::Sensitive)
            .unwrap()
            .is_match(text.as_bytes())
    }

    #[test]
    fn what_pcre_takes_literally_is_taken_literally() {
        assert!(matches(r"^\<a\>$", "<a>"));
        assert!(matches("a{b}", "a{b}"));
        assert!(matches("a{,2}", "a{,2}"));
        assert!(matches("^a{2}$", "aa"));
        assert!(matches("[[a]", "["));
        assert!(matches("^[a&&b]+$", "&ab"));
        assert!(matches("[]x]", "]"));
        assert!(matches("^[[:digit:][:space:]]+$", "1 2"));
        assert!(matches(r"^\Qa.b\E$", "a.b"));
        assert!(!matches(r"^\Qa.b\E$", "axb"));
        assert!(matches(r"/(img|static)\/.*\.(?:png|gif)$", "/img/x.png"));
        assert!(matches("a(?#comment)b", "ab"));
    }

    #[test]
    fn unsupported_syntax_is_named() {
        let reason = |pattern| compile_regex(pattern, Case::Sensitive).unwrap_err();
        assert!(reason("(?!a)b").contains("look-around"));
        assert!(reason(r"(a)\1").contains("back-references"));
        assert!(reason("(").contains("unclosed group"));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in ".{0,40}") {
            let _ = compile_regex(&pattern, Case::Sensitive);
        }

        #[test]
        fn text_between_q_and_e_matches_itself(text in "[a-zA-Z0-9.*+?(){}|^$\\[\\] -]{0,20}") {
            let regex = compile_regex(&format!(r"^\Q{text}\E$"), Case::Sensitive).unwrap();
            proptest::prop_assert!(regex.is_match(text.as_bytes()));
        }
    }
}
