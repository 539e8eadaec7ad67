//! What may be kept and given out again, and for how long (RFC 9111, as far as HAProxy's cache goes; manual §6.1).

use std::time::Duration;

use crate::expr::time::parse_http_date;
use crate::model::Cache;
use crate::proto::http::{Head, Method, Version};
use crate::types::Millis;

/// What a request lets a cache do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// The response may come from the cache.
    pub(super) deliver: bool,
    /// The response may be kept.
    pub(super) store: bool,
}

/// What a request lets a cache do.
pub(super) fn of_request(request: &Head, method: Method, version: Version) -> Allowed {
    let plain =
        method == Method::Get && version >= Version::Http11 && !request.contains(b"authorization");
    let says = |directive: &[u8]| has_directive(request, directive);
    let no_cache = says(b"no-cache")
        || number(request, b"max-age") == Some(Some(0))
        || !request.contains(b"cache-control") && request.has_token(b"pragma", b"no-cache");
    Allowed {
        deliver: plain && !no_cache && !says(b"no-store"),
        store: plain && !says(b"no-store"),
    }
}

/// How long a response may be kept, and its age already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freshness {
    pub(super) lifetime: Millis,
    pub(super) age: u64,
}

/// How long a response is fresh; `None` when it must not be kept.
pub(super) fn freshness(response: &Head, cache: &Cache, wall: Duration) -> Option<Freshness> {
    let forbidden: [&[u8]; 3] = [b"no-store", b"no-cache", b"private"];
    let is_forbidden = forbidden
        .iter()
        .any(|directive| has_directive(response, directive))
        || !response.contains(b"cache-control") && response.has_token(b"pragma", b"no-cache")
        || response.contains(b"set-cookie");
    if response.status() != 200 || is_forbidden {
        return None;
    }
    let most = cache.max_age.0 / 1000;
    let explicit = match (number(response, b"s-maxage"), number(response, b"max-age")) {
        (Some(seconds), _) | (None, Some(seconds)) => Some(seconds?),
        (None, None) => expiry(response, wall),
    };
    let validator = response.contains(b"etag") || response.contains(b"last-modified");
    let seconds = match explicit {
        Some(seconds) => seconds,
        // The section's limit is the only one.
        None if validator => u64::MAX,
        None => return None,
    };
    let age = match response.first(b"age") {
        Some(value) => decimal(value)?,
        None => 0,
    };
    let lifetime = seconds.checked_sub(age).filter(|rest| *rest > 0)?.min(most);
    Some(Freshness {
        lifetime: Millis(lifetime.saturating_mul(1000)),
        age,
    })
}

/// Seconds until `Expires`; a date that is none has passed.
fn expiry(response: &Head, wall: Duration) -> Option<u64> {
    let value = response.first(b"expires")?;
    let date = parse_http_date(value).unwrap_or(0);
    let now = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    Some(u64::try_from(date.saturating_sub(now)).unwrap_or(0))
}

/// Whether a client that has a copy needs no other: what its conditions say of the entity tag, or
/// else of the date (RFC 9110 §13.2.2).
pub(super) fn is_not_modified(request: &Head, stored: &Head, stored_at: Duration) -> bool {
    if request.contains(b"if-none-match") {
        let tag = stored.first(b"etag");
        let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
        return request
            .elements(b"if-none-match")
            .any(|wanted| wanted == b"*" || tag.is_some_and(|tag| opaque(tag) == opaque(wanted)));
    }
    let Some(since) = request
        .first(b"if-modified-since")
        .and_then(parse_http_date)
    else {
        return false;
    };
    let date = |name: &[u8]| stored.first(name).and_then(parse_http_date);
    let changed = date(b"last-modified")
        .or_else(|| date(b"date"))
        .unwrap_or_else(|| i64::try_from(stored_at.as_secs()).unwrap_or(i64::MAX));
    changed <= since
}

/// Whether `Cache-Control` has a directive, whatever its argument.
fn has_directive(head: &Head, name: &[u8]) -> bool {
    head.elements(b"cache-control").any(|element| {
        let given = element
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default();
        given.trim_ascii().eq_ignore_ascii_case(name)
    })
}

/// The number of seconds a directive gives; `Some(None)` when it is no number.
fn number(head: &Head, name: &[u8]) -> Option<Option<u64>> {
    head.elements(b"cache-control").find_map(|element| {
        let equals = memchr::memchr(b'=', element)?;
        let (given, value) = (&element[..equals], &element[equals + 1..]);
        let value = value.trim_ascii();
        let value = value
            .strip_prefix(b"\"")
            .and_then(|v| v.strip_suffix(b"\""))
            .unwrap_or(value);
        given
            .trim_ascii()
            .eq_ignore_ascii_case(name)
            .then(|| decimal(value))
    })
}

/// A number of seconds; those too large are as good as endless.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EarlyHints;

    const WALL: Duration = Duration::from_secs(1_000_000_000);

    fn response(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        head.start_response(200, b"OK", Version::Http11);
        add(&mut head, fields);
        head
    }

    fn request(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        head.start_request(b"GET", b"/", Version::Http11);
        add(&mut head, fields);
        head
    }

    fn add(head: &mut Head, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            head.add(name.as_bytes(), value.as_bytes());
        }
    }

    fn seconds(fields: &[(&str, &str)]) -> Option<u64> {
        let cache = Cache {
            name: String::new(),
            total_max_size: 0,
            max_object_size: 0,
            max_age: Millis(60_000),
            process_vary: false,
            max_secondary_entries: 1,
            early_hints: EarlyHints::Off,
            hints_ratio: 25,
        };
        freshness(&response(fields), &cache, WALL).map(|freshness| freshness.lifetime.0 / 1000)
    }

    #[test]
    fn the_most_specific_word_on_freshness_counts() {
        assert_eq!(seconds(&[("cache-control", "max-age=5")]), Some(5));
        assert_eq!(
            seconds(&[("cache-control", "max-age=0, s-maxage=5")]),
            Some(5)
        );
        assert_eq!(seconds(&[("cache-control", "max-age=\"7\"")]), Some(7));
        assert_eq!(seconds(&[("cache-control", "max-age=500")]), Some(60));
        assert_eq!(seconds(&[("cache-control", "max-age=0")]), None);
        assert_eq!(seconds(&[("cache-control", "max-age=x")]), None);
        let future = ("expires", "Sun, 09 Sep 2001 01:46:50 GMT");
        assert_eq!(seconds(&[future]), Some(10));
        assert_eq!(seconds(&[future, ("cache-control", "max-age=5")]), Some(5));
        assert_eq!(seconds(&[("expires", "0")]), None);
        assert_eq!(seconds(&[("etag", "\"a\"")]), Some(60));
        assert_eq!(seconds(&[("last-modified", "yesterday")]), Some(60));
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn age_is_taken_from_the_lifetime() {
        let fresh = ("cache-control", "max-age=50");
        assert_eq!(seconds(&[fresh, ("age", "20")]), Some(30));
        assert_eq!(
            seconds(&[("cache-control", "max-age=500"), ("age", "100")]),
            Some(60)
        );
        assert_eq!(seconds(&[fresh, ("age", "50")]), None);
        assert_eq!(seconds(&[fresh, ("age", "abc")]), None);
    }

    #[test]
    fn what_is_for_one_client_is_not_kept() {
        let fresh = ("etag", "\"a\"");
        for directive in [
            "private",
            "no-store",
            "No-Cache=\"set-cookie\"",
            "public, private",
        ] {
            assert_eq!(
                seconds(&[fresh, ("cache-control", directive)]),
                None,
                "{directive}"
            );
        }
        assert_eq!(seconds(&[fresh, ("pragma", "no-cache")]), None);
        assert_eq!(seconds(&[fresh, ("set-cookie", "a=b")]), None);
    }

    #[test]
    fn requests_may_refuse_the_cache() {
        let allowed = |fields: &[(&str, &str)]| {
            let allowed = of_request(&request(fields), Method::Get, Version::Http11);
            (allowed.deliver, allowed.store)
        };
        assert_eq!(allowed(&[]), (true, true));
        assert_eq!(allowed(&[("cache-control", "no-cache")]), (false, true));
        assert_eq!(allowed(&[("pragma", "no-cache")]), (false, true));
        assert_eq!(allowed(&[("cache-control", "max-age=0")]), (false, true));
        assert_eq!(allowed(&[("cache-control", "no-store")]), (false, false));
        assert_eq!(allowed(&[("authorization", "Basic x")]), (false, false));
        let old = of_request(&request(&[]), Method::Get, Version::Http10);
        assert!(!old.deliver && !old.store);
    }

    #[test]
    fn conditions_are_answered_from_tags_first_and_then_from_dates() {
        let stored = response(&[
            ("etag", "\"a\""),
            ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ]);
        let same = |fields: &[(&str, &str)]| is_not_modified(&request(fields), &stored, WALL);
        assert!(same(&[("if-none-match", "W/\"b\", W/\"a\"")]));
        assert!(same(&[("if-none-match", "*")]));
        let later = ("if-modified-since", "Sun, 09 Sep 2001 01:46:50 GMT");
        assert!(!same(&[("if-none-match", "\"b\""), later]));
        assert!(same(&[later]));
        assert!(!same(&[(
            "if-modified-since",
            "Sun, 09 Sep 2001 01:46:30 GMT"
        )]));
        assert!(!same(&[("if-modified-since", "never")]));
        assert!(!same(&[]));
    }
}
