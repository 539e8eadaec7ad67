//! Cookies inside `Cookie` and `Set-Cookie` values.
//!
//! Takes a field value and yields its cookies as slices with their place, so that one can be read,
//! replaced or taken out. Names are case-sensitive (RFC 6265); values are neither decoded nor
//! unquoted. Which cookie means what is the session's business.

use std::ops::Range;

use super::trim;

/// One cookie of a field value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    pub name: &'a [u8],
    /// Without surrounding white space, with its quotes.
    pub value: &'a [u8],
    /// From the name's first byte to the value's last, in the field value.
    pub place: Range<usize>,
    /// The value alone.
    pub value_place: Range<usize>,
}

/// The cookies of a `Cookie` value; what has no `=` is skipped.
///
/// A comma ends a value as a semicolon does, as in HAProxy (RFC 2965 §3.3.4).
pub fn cookies(field: &[u8]) -> impl Iterator<Item = Cookie<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        while start < field.len() {
            let end = start + end_of_pair(&field[start..]);
            let pair = start..end;
            start = end + 1;
            if let Some(cookie) = split(field, pair) {
                return Some(cookie);
            }
        }
        None
    })
}

/// The cookie a `Set-Cookie` value sets; its attributes are not part of it.
#[must_use]
pub fn set_cookie(field: &[u8]) -> Option<Cookie<'_>> {
    let end = memchr::memchr(b';', field).unwrap_or(field.len());
    split(field, 0..end)
}

/// Writes a `Cookie` value without the cookie at `place`; nothing is left of a value that had
/// no other.
pub fn write_without(field: &[u8], place: &Range<usize>, out: &mut Vec<u8>) {
    let before = trim_separators(&field[..place.start]);
    let after = trim_separators(&field[place.end..]);
    out.extend_from_slice(before);
    if !before.is_empty() && !after.is_empty() {
        out.extend_from_slice(b"; ");
    }
    out.extend_from_slice(after);
}

/// Writes a field value with other bytes in `place`.
pub fn write_replaced(field: &[u8], place: &Range<usize>, with: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&field[..place.start]);
    out.extend_from_slice(with);
    out.extend_from_slice(&field[place.end..]);
}

fn split(field: &[u8], pair: Range<usize>) -> Option<Cookie<'_>> {
    let equals = pair.start + memchr::memchr(b'=', &field[pair.clone()])?;
    let name = within(field, trim(&field[pair.start..equals]));
    let value = within(field, trim(&field[equals + 1..pair.end]));
    let end = if value.is_empty() {
        equals + 1
    } else {
        value.end
    };
    (!name.is_empty()).then(|| Cookie {
        name: &field[name.clone()],
        value: &field[value.clone()],
        place: name.start..end,
        value_place: if value.is_empty() { end..end } else { value },
    })
}

/// Where `part`, a slice of `field`, lies in it.
fn within(field: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(field.as_ptr() as usize);
    start..start + part.len()
}

fn end_of_pair(rest: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' | b',' if !quoted => return at,
            _ => {}
        }
    }
    rest.len()
}

fn trim_separators(mut part: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b';' | b',', rest @ ..] = part {
        part = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b';' | b','] = part {
        part = rest;
    }
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(field: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        cookies(field.as_bytes())
            .map(|cookie| (text(cookie.name), text(cookie.value)))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn without(field: &str, name: &str) -> String {
        let mut out = Vec::new();
        let cookie = cookies(field.as_bytes())
            .find(|c| c.name == name.as_bytes())
            .unwrap();
        write_without(field.as_bytes(), &cookie.place, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cookies_are_split_at_semicolons_and_commas_outside_quotes() {
        assert_eq!(list("a=1,2; b=3"), [pair("a", "1"), pair("b", "3")]);
        assert_eq!(
            list("a=\"x;y\"; b=2"),
            [pair("a", "\"x;y\""), pair("b", "2")]
        );
        assert_eq!(
            list(" a = 7 ;b=;c;=d; e=f=g"),
            [pair("a", "7"), pair("b", ""), pair("e", "f=g")]
        );
    }

    #[test]
    fn a_cookie_can_be_taken_out_anywhere() {
        assert_eq!(without("S=s; x=1", "S"), "x=1");
        assert_eq!(without("x=1; S=s", "S"), "x=1");
        assert_eq!(without("x=1;S=s;y=2", "S"), "x=1; y=2");
        assert_eq!(without("S=", "S"), "");
    }

    #[test]
    fn a_set_cookie_ends_where_its_attributes_begin() {
        let cookie = set_cookie(b"S=a, b; path=/; x=y").unwrap();
        assert_eq!((cookie.name, cookie.value), (&b"S"[..], &b"a, b"[..]));
        let mut out = Vec::new();
        write_replaced(
            b"S=a; path=/",
            &set_cookie(b"S=a; path=/").unwrap().value_place,
            b"new",
            &mut out,
        );
        assert_eq!(out, b"S=new; path=/");
        assert_eq!(set_cookie(b"nothing; a=b"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_give_cookies_that_lie_where_they_say(field in prop::collection::vec(
            prop::sample::select(b"a=;, \t\"\\x".to_vec()), 0..40)) {
            for cookie in cookies(&field).chain(set_cookie(&field)) {
                prop_assert!(field[cookie.place.clone()].starts_with(cookie.name));
                prop_assert_eq!(&field[cookie.value_place.clone()], cookie.value);
                prop_assert!(cookie.value_place.end <= cookie.place.end);
            }
        }
    }
}
