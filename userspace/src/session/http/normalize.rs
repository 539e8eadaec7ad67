//! `http-request normalize-uri`: one normalizer at a time on the target of a request (manual §4.4).
//!
//! A part of the target goes in, what it should be comes out. The parts behind a question mark and in front of the path are
//! left alone where the normalizer is about the path.

use std::borrow::Cow;

use super::edits::TargetPart;
use crate::model::Normalizer;

/// A percent sign that is not followed by two hexadecimal digits, where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The part of the target a normalizer works on.
pub(crate) const fn part(normalizer: Normalizer) -> TargetPart {
    match normalizer {
        Normalizer::PathMergeSlashes
        | Normalizer::PathStripDot
        | Normalizer::PathStripDotDot { .. } => TargetPart::Path,
        Normalizer::QuerySortByName => TargetPart::Query,
        Normalizer::FragmentEncode
        | Normalizer::FragmentStrip
        | Normalizer::PercentDecodeUnreserved { .. }
        | Normalizer::PercentToUppercase { .. } => TargetPart::PathQuery,
    }
}

/// What the part becomes.
pub(crate) fn normalized(normalizer: Normalizer, text: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    Ok(match normalizer {
        Normalizer::FragmentEncode => {
            let pieces: Vec<&[u8]> = text.split(|byte| *byte == b'#').collect();
            Cow::Owned(pieces.join(&b"%23"[..]))
        }
        Normalizer::FragmentStrip => {
            let end = memchr::memchr(b'#', text).unwrap_or(text.len());
            Cow::Borrowed(&text[..end])
        }
        Normalizer::PathMergeSlashes => {
            let mut merged = text.to_vec();
            merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
            Cow::Owned(merged)
        }
        Normalizer::PathStripDot => Cow::Owned(strip_dots(text)),
        Normalizer::PathStripDotDot { full } => Cow::Owned(strip_parents(text, full)),
        Normalizer::PercentDecodeUnreserved { strict } => {
            each_escape(text, strict, |value, digits, out| {
                if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
                    out.push(value);
                } else {
                    out.push(b'%');
                    out.extend_from_slice(&digits);
                }
            })?
        }
        Normalizer::PercentToUppercase { strict } => {
            each_escape(text, strict, |_, digits, out| {
                out.push(b'%');
                out.extend(digits.map(|digit| digit.to_ascii_uppercase()));
            })?
        }
        Normalizer::QuerySortByName => {
            let mut parameters: Vec<&[u8]> = text.split(|byte| *byte == b'&').collect();
            parameters.sort_by_key(|parameter| parameter.split(|byte| *byte == b'=').next());
            Cow::Owned(parameters.join(&b'&'))
        }
    })
}

/// Leaves out segments that are a single dot.
fn strip_dots(path: &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let last = segments.len() - 1;
    let kept: Vec<&[u8]> = segments
        .iter()
        .enumerate()
        .filter(|(at, segment)| *at == last || **segment != b".")
        .map(|(at, segment)| match (at == last, *segment) {
            // What ends in "/." is the directory itself.
            (true, b".") => &[],
            (_, segment) => segment,
        })
        .collect();
    kept.join(&b'/')
}

/// Takes every ".." segment together with the one before it. Without `full`, those that have none before them stay.
fn strip_parents(path: &[u8], full: bool) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let last = segments.len() - 1;
    // The first segment is the emptiness in front of the first slash.
    let mut kept: Vec<&[u8]> = Vec::with_capacity(segments.len());
    for (at, segment) in segments.iter().copied().enumerate() {
        if segment != b".." {
            kept.push(segment);
            continue;
        }
        let parent = kept.len() > 1 && kept.last() != Some(&&b".."[..]);
        if parent {
            kept.pop();
        } else if !full {
            kept.push(segment);
            continue;
        }
        if at == last {
            kept.push(&[]);
        }
    }
    kept.join(&b'/')
}

/// Rewrites every `%XX`; others stay as they are, or are an error.
fn each_escape(
    text: &[u8],
    strict: bool,
    write: impl Fn(u8, [u8; 2], &mut Vec<u8>),
) -> Result<Cow<'_, [u8]>, Malformed> {
    if memchr::memchr(b'%', text).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let digits = match rest.get(at + 1..at + 3) {
            Some(&[high, low]) => value(high)
                .zip(value(low))
                .map(|values| (values, [high, low])),
            _ => None,
        };
        match digits {
            Some(((high, low), digits)) => {
                write((high << 4 | low) as u8, digits, &mut out);
                rest = &rest[at + 3..];
            }
            None if strict => return Err(Malformed),
            None => {
                out.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.extend_from_slice(rest);
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(normalizer: Normalizer, cases: &[(&str, &str)]) {
        for (before, after) in cases {
            let done = normalized(normalizer, before.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&done), *after, "{before}");
        }
    }

    #[test]
    fn dots_in_paths_go_as_the_manual_shows() {
        check(
            Normalizer::PathStripDot,
            &[
                ("/.", "/"),
                ("/./bar/", "/bar/"),
                ("/a/./a", "/a/a"),
                ("/.well-known/", "/.well-known/"),
                ("/a.", "/a."),
            ],
        );
        check(
            Normalizer::PathStripDotDot { full: false },
            &[
                ("/foo/../", "/"),
                ("/foo/..", "/"),
                ("/foo/../bar/", "/bar/"),
                ("/foo/bar/../", "/foo/"),
                ("/../bar/", "/../bar/"),
                ("/bar/../../", "/../"),
                ("/foo//../", "/foo/"),
                ("/foo//../../bar/", "/bar/"),
                ("/..", "/.."),
            ],
        );
        check(
            Normalizer::PathStripDotDot { full: true },
            &[("/../bar/", "/bar/"), ("/bar/../../", "/"), ("/..", "/")],
        );
    }

    #[test]
    fn escapes_are_rewritten_and_broken_ones_refused_only_when_strict() {
        check(
            Normalizer::PercentDecodeUnreserved { strict: false },
            &[
                ("/%61dmin", "/admin"),
                ("/foo%3Fbar=baz", "/foo%3Fbar=baz"),
                ("/%%36%36", "/%66"),
                ("/%ZZ", "/%ZZ"),
                ("/%", "/%"),
            ],
        );
        check(
            Normalizer::PercentToUppercase { strict: false },
            &[("/%6f", "/%6F"), ("/%zz%6f", "/%zz%6F")],
        );
        let strict = Normalizer::PercentToUppercase { strict: true };
        assert_eq!(normalized(strict, b"/%zz"), Err(Malformed));
        assert_eq!(normalized(strict, b"/%6"), Err(Malformed));
    }

    #[test]
    fn slashes_queries_and_fragments_are_put_in_order() {
        check(
            Normalizer::PathMergeSlashes,
            &[("//", "/"), ("/foo//bar", "/foo/bar")],
        );
        check(
            Normalizer::QuerySortByName,
            &[
                ("c=3&a=1&b=2", "a=1&b=2&c=3"),
                ("aaa=3&a=1&aa=2", "a=1&aa=2&aaa=3"),
                ("a=3&b=4&a=1&b=5&a=2", "a=3&a=1&a=2&b=4&b=5"),
                ("", ""),
            ],
        );
        check(Normalizer::FragmentEncode, &[("/#foo", "/%23foo")]);
        check(Normalizer::FragmentStrip, &[("/#foo", "/")]);
    }
}
