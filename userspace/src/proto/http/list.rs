//! Comma-separated field values.
//!
//! Takes one field value and yields its elements, trimmed, with commas inside quoted strings left
//! alone (RFC 9110 §5.6.1). Empty elements are yielded too: HAProxy counts them.

/// Iterates over the elements of one comma-separated value.
#[must_use]
pub fn items(value: &[u8]) -> Items<'_> {
    Items { rest: Some(value) }
}

/// The value without optional white space (space and tab) at both ends.
#[must_use]
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// See [`items`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Items<'a> {
    /// What has not been yielded yet; `None` once there are no more elements.
    #[must_use]
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = element_end(rest);
        self.rest = rest.get(end + 1..);
        Some(trim(&rest[..end]))
    }
}

/// Where the element that starts at the beginning of `value` ends: at a comma or at the end.
fn element_end(value: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &str) -> Vec<String> {
        items(value.as_bytes())
            .map(|item| String::from_utf8_lossy(item).into_owned())
            .collect()
    }

    #[test]
    fn elements_are_trimmed_and_empty_ones_are_kept() {
        assert_eq!(list("a , b,\tc"), ["a", "b", "c"]);
        assert_eq!(list("a,,b,"), ["a", "", "b", ""]);
        assert_eq!(list(""), [""]);
    }

    #[test]
    fn commas_inside_quotes_do_not_separate() {
        assert_eq!(list(r#""a,b", c"#), [r#""a,b""#, "c"]);
        assert_eq!(list(r#""a\",b",c"#), [r#""a\",b""#, "c"]);
        assert_eq!(list(r#""never closed, x"#), [r#""never closed, x"#]);
    }
}
