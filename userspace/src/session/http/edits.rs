//! Edits of messages that rules ask for: parts of the target, field values by regular expression.
//!
//! Already rendered values go in, the head changes. When an edit takes effect, and what it is given,
//! is [`super::rules`]' business.

use regex::bytes::{Captures, Regex};

use crate::model::NameMatch;
use crate::proto::http::{Head, items, uri};

/// Which part of a request's target an edit concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetPart {
    /// The path alone; the query string stays.
    Path,
    PathQuery,
    /// The query string alone, without its question mark; an empty one goes with the mark.
    Query,
    /// All of it.
    Uri,
}

/// The present value of a part of the target; the path functions see nothing in `*` and in
/// authority forms.
pub(crate) fn target_part(head: &Head, part: TargetPart) -> Option<&[u8]> {
    let target = head.target();
    match part {
        TargetPart::Path => uri::path(target),
        TargetPart::PathQuery => uri::path_and_query(target),
        TargetPart::Query => uri::query(target),
        TargetPart::Uri => Some(target),
    }
}

/// Replaces a part of the target. False when the target has no place for it.
pub(crate) fn set_target_part(head: &mut Head, part: TargetPart, value: &[u8]) -> bool {
    let target = head.target();
    let whole = uri::path_and_query(target);
    let before = whole.map_or(target.len(), |whole| target.len() - whole.len());
    let mut new = Vec::with_capacity(target.len() + value.len());
    match part {
        TargetPart::Uri => new.extend_from_slice(value),
        _ if whole.is_none() => return false,
        TargetPart::PathQuery => {
            new.extend_from_slice(&target[..before]);
            new.extend_from_slice(value);
        }
        TargetPart::Path => {
            let path_end = before + uri::path(target).map_or(0, <[u8]>::len);
            new.extend_from_slice(&target[..before]);
            new.extend_from_slice(value);
            new.extend_from_slice(&target[path_end..]);
        }
        TargetPart::Query => {
            let path_end = before + uri::path(target).map_or(0, <[u8]>::len);
            new.extend_from_slice(&target[..path_end]);
            if !value.is_empty() {
                new.push(b'?');
                new.extend_from_slice(value);
            }
        }
    }
    if new.is_empty() || new.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return false;
    }
    head.set_target(&new);
    if part == TargetPart::Uri
        && let Some(authority) = uri::authority(&new)
    {
        let host = memchr::memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..]);
        head.set(b"host", host);
    }
    true
}

/// After a change of the Host field: a target in absolute form must name the same host.
pub(crate) fn follow_host(head: &mut Head) {
    let target = head.target();
    let (Some(scheme), Some(authority), Some(host)) = (
        uri::scheme(target),
        uri::authority(target),
        head.first(b"host"),
    ) else {
        return;
    };
    let start = scheme.len() + 3;
    let new = [&target[..start], host, &target[start + authority.len()..]].concat();
    head.set_target(&new);
}

/// Applies a regular expression to a value: where it matches, `template` with its back-references
/// filled in takes the place of the *whole* value, as HAProxy does.
pub(crate) fn replace(regex: &Regex, value: &[u8], template: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(captures) = regex.captures(value) else {
        return false;
    };
    expand(template, &captures, out);
    true
}

/// The same on each element of a comma-separated value, in place. False when none matched.
pub(crate) fn replace_elements(
    regex: &Regex,
    value: &[u8],
    template: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let mut changed = false;
    let mut copied = 0;
    for item in items(value) {
        let start = (item.as_ptr() as usize).saturating_sub(value.as_ptr() as usize);
        let Some(captures) = regex.captures(item) else {
            continue;
        };
        out.extend_from_slice(&value[copied..start]);
        expand(template, &captures, out);
        copied = start + item.len();
        changed = true;
    }
    out.extend_from_slice(&value[copied..]);
    changed
}

/// Whether `del-header` means this field.
pub(crate) fn name_matches(wanted: &NameMatch, name: &[u8]) -> bool {
    let same = |a: &[u8], b: &str| a.eq_ignore_ascii_case(b.as_bytes());
    match wanted {
        NameMatch::Exact(text) => same(name, text),
        NameMatch::Begins(text) => name
            .get(..text.len())
            .is_some_and(|start| same(start, text)),
        NameMatch::Ends(text) => name
            .len()
            .checked_sub(text.len())
            .is_some_and(|from| same(&name[from..], text)),
        NameMatch::Contains(text) => {
            text.is_empty() || name.windows(text.len()).any(|part| same(part, text))
        }
        NameMatch::Regex(regex) => regex.is_match(name),
    }
}

/// Whether a rendered value may stand in a field.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Writes `template` with `\0` to `\9` replaced by what they matched, `\xHH` by that byte, and any
/// other escaped character by itself.
fn expand(template: &[u8], captures: &Captures<'_>, out: &mut Vec<u8>) {
    let mut rest = template;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = match &rest[at + 1..] {
            [digit @ b'0'..=b'9', after @ ..] => {
                let group = captures.get(usize::from(digit - b'0'));
                out.extend_from_slice(group.map_or(&[], |group| group.as_bytes()));
                after
            }
            [b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0) as u8;
                out.push(value(high) << 4 | value(low));
                after
            }
            [other, after @ ..] => {
                out.push(*other);
                after
            }
            [] => &[],
        };
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::Version;

    fn request(target: &str) -> Head {
        let mut head = Head::default();
        head.start_request(b"GET", target.as_bytes(), Version::Http11);
        head.add(b"host", b"a.test");
        head
    }

    fn edited(target: &str, part: TargetPart, value: &str) -> String {
        let mut head = request(target);
        set_target_part(&mut head, part, value.as_bytes());
        String::from_utf8_lossy(head.target()).into_owned()
    }

    #[test]
    fn parts_of_the_target_are_replaced_and_the_rest_stays() {
        assert_eq!(edited("/a?b", TargetPart::Path, "/n"), "/n?b");
        assert_eq!(edited("/a?b", TargetPart::PathQuery, "/n?x"), "/n?x");
        assert_eq!(edited("/a?b", TargetPart::Query, "y=1"), "/a?y=1");
        assert_eq!(edited("/a?b", TargetPart::Query, ""), "/a");
        assert_eq!(
            edited("http://h/a?b", TargetPart::Path, "/n"),
            "http://h/n?b"
        );
        assert_eq!(edited("/a", TargetPart::Uri, "/x y"), "/a");
        assert_eq!(edited("*", TargetPart::Path, "/n"), "*");
    }

    #[test]
    fn an_absolute_uri_and_the_host_follow_each_other() {
        let mut head = request("/a");
        assert!(set_target_part(
            &mut head,
            TargetPart::Uri,
            b"http://u@other:81/new"
        ));
        assert_eq!(head.first(b"host"), Some(&b"other:81"[..]));
        head.set(b"host", b"third");
        follow_host(&mut head);
        assert_eq!(head.target(), b"http://third/new");
    }

    #[test]
    fn a_match_replaces_the_whole_value() {
        let regex = Regex::new("b(.)").unwrap();
        let mut out = Vec::new();
        assert!(replace(&regex, b"abc", br"\1-\0-\x41\q\9", &mut out));
        assert_eq!(out, b"c-bc-Aq");
        assert!(!replace(&regex, b"xyz", b"", &mut out));
    }

    #[test]
    fn elements_are_replaced_one_by_one() {
        let regex = Regex::new("^a(.)").unwrap();
        let mut out = Vec::new();
        assert!(replace_elements(&regex, b"a1, b2 ,a3", br"<\1>", &mut out));
        assert_eq!(out, b"<1>, b2 ,<3>");
    }

    #[test]
    fn names_are_matched_in_every_way_the_manual_knows() {
        let name = b"x-forwarded-for";
        assert!(name_matches(
            &NameMatch::Exact("X-Forwarded-For".into()),
            name
        ));
        assert!(name_matches(&NameMatch::Begins("X-F".into()), name));
        assert!(name_matches(&NameMatch::Ends("-FOR".into()), name));
        assert!(name_matches(&NameMatch::Contains("ward".into()), name));
        assert!(name_matches(
            &NameMatch::Regex(Regex::new("^x-").unwrap()),
            name
        ));
        assert!(!name_matches(
            &NameMatch::Begins("x-forwarded-for-long".into()),
            name
        ));
    }
}
