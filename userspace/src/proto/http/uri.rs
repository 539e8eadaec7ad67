//! Request targets, taken apart.
//!
//! Input is the target as it stood on the request line (RFC 9112 §3.2) or a full URI; output are
//! slices of it. Nothing is decoded or normalised here.

/// The scheme of a target in absolute form (`http` of `http://host/path`).
#[must_use]
pub fn scheme(target: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b':', target)?;
    if !target[end..].starts_with(b"://") {
        return None;
    }
    let scheme = &target[..end];
    let (first, rest) = scheme.split_first()?;
    let valid = first.is_ascii_alphabetic()
        && rest
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    valid.then_some(scheme)
}

/// The authority (user information, host and port) of a target in absolute form.
#[must_use]
pub fn authority(target: &[u8]) -> Option<&[u8]> {
    let after = &target[scheme(target)?.len() + 3..];
    let end = after
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#'))
        .unwrap_or(after.len());
    Some(&after[..end])
}

/// The path with its query string: what an origin server would find on its request line.
///
/// `None` for the asterisk and authority forms, and for an absolute form without a path.
#[must_use]
pub fn path_and_query(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return Some(target);
    }
    let skip = scheme(target)?.len() + 3 + authority(target)?.len();
    let rest = &target[skip..];
    (rest.first() == Some(&b'/')).then_some(rest)
}

/// The path alone, without query string and fragment.
#[must_use]
pub fn path(target: &[u8]) -> Option<&[u8]> {
    let whole = path_and_query(target)?;
    let end = whole
        .iter()
        .position(|b| matches!(b, b'?' | b'#'))
        .unwrap_or(whole.len());
    Some(&whole[..end])
}

/// The query string, without the question mark. `None` where there is no question mark.
#[must_use]
pub fn query(target: &[u8]) -> Option<&[u8]> {
    let start = memchr::memchr(b'?', target)? + 1;
    let rest = &target[start..];
    let end = memchr::memchr(b'#', rest).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Splits `host[:port]` (also `[v6]:port`) at the port's colon; user information is not removed.
///
/// The port is `None` without a colon and empty where nothing follows it.
#[must_use]
pub fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let inside_brackets = memchr::memrchr(b']', authority).map_or(0, |at| at + 1);
    match memchr::memrchr(b':', &authority[inside_brackets..]) {
        Some(at) => {
            let colon = inside_brackets + at;
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_form_has_a_path_and_a_query() {
        let target = b"/a/b?x=1&y=?#frag";
        assert_eq!(path(target), Some(&b"/a/b"[..]));
        assert_eq!(query(target), Some(&b"x=1&y=?"[..]));
        assert_eq!(authority(target), None);
    }

    #[test]
    fn absolute_form_is_taken_apart() {
        let target = b"http://user@host:80/p?q";
        assert_eq!(scheme(target), Some(&b"http"[..]));
        assert_eq!(authority(target), Some(&b"user@host:80"[..]));
        assert_eq!(path_and_query(target), Some(&b"/p?q"[..]));
        assert_eq!(authority(b"http://host?x"), Some(&b"host"[..]));
        assert_eq!(path(b"http://host"), None);
    }

    #[test]
    fn a_path_that_contains_a_scheme_is_still_a_path() {
        assert_eq!(scheme(b"/http://x/"), None);
        assert_eq!(path(b"/http://x/"), Some(&b"/http://x/"[..]));
        assert_eq!(path(b"*"), None);
    }

    #[test]
    fn ports_are_split_off_outside_brackets_only() {
        assert_eq!(split_port(b"h:80"), (&b"h"[..], Some(&b"80"[..])));
        assert_eq!(split_port(b"[::1]:80"), (&b"[::1]"[..], Some(&b"80"[..])));
        assert_eq!(split_port(b"[::1]"), (&b"[::1]"[..], None));
        assert_eq!(split_port(b"h:"), (&b"h"[..], Some(&b""[..])));
    }
}
