//! Links worth fetching ahead (RFC 8297, RFC 8288): which values of `Link` fields a cache remembers.

use crate::proto::http::Head;

/// The links of a response that tell what to fetch or connect to ahead of its body.
pub(super) fn of(response: &Head) -> Box<[Box<[u8]>]> {
    let links = response.values(b"link").flat_map(links);
    links
        .filter(|link| is_hint(link))
        .take(MOST)
        .map(Box::from)
        .collect()
}

/// Whether one of a link's relations is a hint. Only its first `rel` counts.
fn is_hint(link: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'>', link).filter(|_| link.starts_with(b"<")) else {
        return false;
    };
    let relation = split(&link[end + 1..], b';').find_map(|parameter| {
        let equals = memchr::memchr(b'=', parameter)?;
        let name = parameter[..equals].trim_ascii();
        let value = parameter[equals + 1..].trim_ascii();
        name.eq_ignore_ascii_case(b"rel").then_some(value)
    });
    let Some(relation) = relation else {
        return false;
    };
    let quoted = relation
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let relations = quoted.unwrap_or(relation);
    let mut each = relations.split(|byte| byte.is_ascii_whitespace());
    each.any(|relation| HINTS.iter().any(|hint| relation.eq_ignore_ascii_case(hint)))
}

/// The links of one field value.
fn links(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(value, b',')
        .map(<[u8]>::trim_ascii)
        .filter(|link| !link.is_empty())
}

/// Splits at a separator that stands neither in quotes nor between angle brackets.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    value.split(move |byte| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match byte {
            b'\\' if quoted => escaped = true,
            b'"' if !inside => quoted = !quoted,
            b'<' if !quoted => inside = true,
            b'>' if !quoted => inside = false,
            _ => return *byte == separator && !quoted && !inside,
        }
        false
    })
}

const HINTS: [&[u8]; 5] = [
    b"preload",
    b"preconnect",
    b"dns-prefetch",
    b"modulepreload",
    b"prefetch",
];

/// Most links that are remembered of one response.
const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::Version;

    #[test]
    fn links_that_help_ahead_are_told_from_others() {
        let mut head = Head::default();
        head.start_response(200, b"OK", Version::Http11);
        for link in [
            "</a,b.css>; rel=preload; as=style, </c>; rel=\"next\"",
            "<d>;REL=\"x PreConnect\"",
            "<e>; title=\"a, <b>; rel=preload\"; rel=stylesheet",
            "<f>; rel=next; rel=preload",
            "<g>",
            "h; rel=preload",
            "",
        ] {
            head.add(b"link", link.as_bytes());
        }
        let hints = of(&head);
        let hints: Vec<_> = hints
            .iter()
            .map(|hint| String::from_utf8_lossy(hint))
            .collect();
        assert_eq!(
            hints,
            [
                "</a,b.css>; rel=preload; as=style",
                "<d>;REL=\"x PreConnect\""
            ]
        );
    }
}
