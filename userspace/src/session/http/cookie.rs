//! Persistence cookies (manual §4.2 `cookie`): which server a client asks for, and what it is told.
//!
//! The request's cookies go in, the server they name and a flag for the log come out; the response
//! leaves with the cookie inserted, rewritten, prefixed or taken away. Whether the named server may
//! be used is the caller's question to the state.

use crate::model::{Cookie, CookieMode};
use crate::proto::http::cookie::{cookies, set_cookie, write_replaced, write_without};
use crate::proto::http::{Head, Method, items};

/// What a client's persistence cookie says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The value that names a server; `None` when the client showed no cookie.
    pub(crate) value: Option<Vec<u8>>,
    /// What the dates in it say.
    pub(crate) age: Age,
    /// When the client got its first cookie, in units of [`DATE_UNIT`] seconds.
    first: Option<u64>,
    /// When it got the cookie it showed.
    last: Option<u64>,
}

/// Whether a cookie may still be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Age {
    #[default]
    Valid,
    /// Not used for longer than `maxidle`.
    Expired,
    /// First given longer ago than `maxlife`.
    Old,
}

/// The request's half of the log's cookie flags (manual §8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    None,
    Invalid,
    Down,
    Valid,
    Expired,
    Old,
    /// There was a cookie, but something else chose the server.
    Unused,
}

impl Found {
    pub(crate) fn flag(self) -> u8 {
        match self {
            Self::None => b'N',
            Self::Invalid => b'I',
            Self::Down => b'D',
            Self::Valid => b'V',
            Self::Expired => b'E',
            Self::Old => b'O',
            Self::Unused => b'U',
        }
    }
}

/// Reads the client's persistence cookie and hides from the server what is not for it. `wall` is
/// the calendar time in seconds.
pub(crate) fn read(cookie: &Cookie, request: &mut Head, wall: u64) -> Presented {
    let mut presented = Presented::default();
    let mut scratch = Vec::new();
    request.rewrite_values(b"cookie", &mut scratch, |field, new| {
        let Some(found) = cookies(field).find(|found| found.name == cookie.name.as_bytes()) else {
            return false;
        };
        presented = parse(cookie, found.value, wall);
        match cookie.mode {
            CookieMode::Prefix => {
                let Some(delimiter) = memchr::memchr(b'~', found.value) else {
                    return false;
                };
                write_replaced(
                    field,
                    &found.value_place,
                    &found.value[delimiter + 1..],
                    new,
                );
                true
            }
            _ if cookie.indirect => {
                write_without(field, &found.place, new);
                true
            }
            _ => false,
        }
    });
    if cookie.indirect {
        request.remove_where(|name, value| name == b"cookie" && value.is_empty());
    }
    presented
}

/// What a response's cookie is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) method: Method,
    /// The chosen server's cookie value; `None` when it has none.
    pub(crate) server: Option<&'a str>,
    pub(crate) presented: &'a Presented,
    /// Whether the client's cookie already leads to the chosen server.
    pub(crate) same_server: bool,
    /// The calendar time in seconds.
    pub(crate) wall: u64,
}

/// Makes the response say what the client's cookie should be; gives the log's flag.
pub(crate) fn write(cookie: &Cookie, response: &mut Head, told: Told<'_>) -> u8 {
    let mut flag = b'N';
    if cookie.mode == CookieMode::Passive {
        return if names_cookie(response, cookie) {
            b'P'
        } else {
            b'N'
        };
    }
    if names_cookie(response, cookie) {
        flag = adapt(cookie, response, told.server);
    }
    if cookie.mode != CookieMode::Insert
        || flag == b'P'
        || (cookie.postonly && told.method != Method::Post)
    {
        return flag;
    }
    let today = told.wall.div_ceil(DATE_UNIT);
    let dated = cookie.max_idle.is_some() || cookie.max_life.is_some();
    let current = match (dated, told.presented.last) {
        (true, last) => {
            (cookie.max_idle.is_none() || last == Some(today))
                && (cookie.max_life.is_none() || told.presented.first.is_some())
        }
        (false, None) => true,
        // A dated cookie becomes one without a limit.
        (false, Some(_)) => false,
    };
    if told.same_server && current {
        return flag;
    }
    let Some(server) = told.server else {
        if told.presented.value.is_some() {
            let value = format!(
                "{}=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/",
                cookie.name
            );
            response.add(b"set-cookie", value.as_bytes());
        }
        return flag;
    };
    let mut value = format!("{}={server}", cookie.name).into_bytes();
    if dated {
        let first = told
            .presented
            .first
            .filter(|_| told.same_server)
            .unwrap_or(today);
        value.push(b'|');
        if cookie.max_idle.is_some() {
            value.extend_from_slice(&encode_date(today));
        }
        if cookie.max_life.is_some() {
            if cookie.max_idle.is_none() {
                value.extend_from_slice(&encode_date(first));
            }
            value.push(b'|');
            value.extend_from_slice(&encode_date(first));
        }
    }
    append_attributes(cookie, &mut value);
    response.add(b"set-cookie", &value);
    if cookie.nocache && is_cacheable(response, told.method) {
        response.add(b"cache-control", b"private");
    }
    if told.same_server { b'U' } else { b'I' }
}

/// Whether a shared cache could keep this response (RFC 9111 §3, §4.2.2).
pub(crate) fn is_cacheable(response: &Head, method: Method) -> bool {
    let mut explicit = false;
    for directive in response.elements(b"cache-control") {
        let name = directive
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default();
        match name.to_ascii_lowercase().as_slice() {
            b"private" | b"no-store" | b"no-cache" => return false,
            b"public" | b"max-age" | b"s-maxage" => explicit = true,
            _ => {}
        }
    }
    let by_default = matches!(method, Method::Get | Method::Head)
        && matches!(
            response.status(),
            200 | 203 | 204 | 206 | 300 | 301 | 404 | 405 | 410 | 414 | 501
        );
    let pragma = response
        .values(b"pragma")
        .flat_map(items)
        .any(|v| v.eq_ignore_ascii_case(b"no-cache"));
    explicit || (by_default && !pragma)
}

/// Changes or removes the cookie that the server sets itself; gives the log's flag.
fn adapt(cookie: &Cookie, response: &mut Head, server: Option<&str>) -> u8 {
    let ours = |value: &[u8]| set_cookie(value).is_some_and(|c| c.name == cookie.name.as_bytes());
    let mut scratch = Vec::new();
    match (cookie.mode, server) {
        (CookieMode::Insert, _) if cookie.preserve => b'P',
        (CookieMode::Insert, _) => {
            response.remove_where(|name, value| name == b"set-cookie" && ours(value));
            b'D'
        }
        (CookieMode::Rewrite | CookieMode::Prefix, Some(server)) => {
            response.rewrite_values(b"set-cookie", &mut scratch, |field, new| {
                let Some(found) = set_cookie(field).filter(|c| c.name == cookie.name.as_bytes())
                else {
                    return false;
                };
                let mut value = server.as_bytes().to_vec();
                if cookie.mode == CookieMode::Prefix {
                    value.push(b'~');
                    value.extend_from_slice(found.value);
                }
                write_replaced(field, &found.value_place, &value, new);
                true
            });
            b'R'
        }
        _ => b'P',
    }
}

fn names_cookie(response: &Head, cookie: &Cookie) -> bool {
    response
        .values(b"set-cookie")
        .filter_map(set_cookie)
        .any(|found| found.name == cookie.name.as_bytes())
}

fn append_attributes(cookie: &Cookie, value: &mut Vec<u8>) {
    value.extend_from_slice(b"; path=/");
    for domain in &cookie.domains {
        value.extend_from_slice(b"; domain=");
        value.extend_from_slice(domain.as_bytes());
    }
    if cookie.httponly {
        value.extend_from_slice(b"; HttpOnly");
    }
    if cookie.secure {
        value.extend_from_slice(b"; Secure");
    }
    for attribute in &cookie.attributes {
        value.extend_from_slice(b"; ");
        value.extend_from_slice(attribute.as_bytes());
    }
}

/// Takes `server`, `server|last` or `server|last|first` apart, or `server~rest` in prefix mode.
fn parse(cookie: &Cookie, value: &[u8], wall: u64) -> Presented {
    if cookie.mode == CookieMode::Prefix {
        let server = memchr::memchr(b'~', value).map_or(value, |delimiter| &value[..delimiter]);
        return Presented {
            value: Some(server.to_vec()),
            ..Presented::default()
        };
    }
    let mut parts = value.split(|byte| *byte == b'|');
    let server = parts.next().unwrap_or_default();
    let last = parts.next().and_then(decode_date);
    let first = parts.next().and_then(decode_date);
    let older = |date: Option<u64>, limit: Option<crate::types::Millis>| match (date, limit) {
        (Some(date), Some(limit)) => {
            let date = date * DATE_UNIT;
            // A date in the future was not made by us.
            wall.saturating_sub(date) > limit.0 / 1000 || date.saturating_sub(wall) > DAY
        }
        _ => false,
    };
    let age = if older(first, cookie.max_life) {
        Age::Old
    } else if older(last, cookie.max_idle) {
        Age::Expired
    } else {
        Age::Valid
    };
    Presented {
        value: Some(server.to_vec()),
        age,
        first,
        last,
    }
}

fn encode_date(mut date: u64) -> [u8; DATE_DIGITS] {
    let mut digits = [0; DATE_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(date & 63) as usize];
        date >>= 6;
    }
    digits
}

fn decode_date(digits: &[u8]) -> Option<u64> {
    let digits = digits.get(..DATE_DIGITS)?;
    digits.iter().try_fold(0, |date, digit| {
        let value = ALPHABET.iter().position(|letter| letter == digit)? as u64;
        Some(date << 6 | value)
    })
}

/// Dates are counted in this many seconds, as HAProxy's are, so that five digits last long.
const DATE_UNIT: u64 = 4;
const DATE_DIGITS: usize = 5;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::Version;
    use crate::types::Millis;

    const WALL: u64 = 1_795_343_540;

    fn cookie(mode: CookieMode) -> Cookie {
        Cookie {
            name: "S".into(),
            mode,
            indirect: false,
            nocache: false,
            postonly: false,
            preserve: false,
            httponly: false,
            secure: false,
            domains: Vec::new(),
            max_idle: None,
            max_life: None,
            attributes: Vec::new(),
            dynamic_key: None,
        }
    }

    fn asked(cookie: &Cookie, shown: &str) -> (Presented, Option<String>) {
        let mut head = Head::default();
        head.start_request(b"GET", b"/", Version::Http11);
        head.add(b"cookie", shown.as_bytes());
        let presented = read(cookie, &mut head, WALL);
        let left = head
            .first(b"cookie")
            .map(|v| String::from_utf8_lossy(v).into_owned());
        (presented, left)
    }

    /// The flag and the `Set-Cookie` fields of a response to a client that showed `shown`.
    fn answered(cookie: &Cookie, shown: &str, from_server: &[&str]) -> (char, Vec<String>) {
        let (presented, _) = asked(cookie, shown);
        let mut head = Head::default();
        head.start_response(200, b"OK", Version::Http11);
        for value in from_server {
            head.add(b"set-cookie", value.as_bytes());
        }
        let same_server = presented.value.as_deref() == Some(b"va") && presented.age == Age::Valid;
        let told = Told {
            method: Method::Get,
            server: Some("va"),
            presented: &presented,
            same_server,
            wall: WALL,
        };
        let flag = write(cookie, &mut head, told);
        let fields = head
            .values(b"set-cookie")
            .map(|v| String::from_utf8_lossy(v).into_owned());
        (char::from(flag), fields.collect())
    }

    fn told(flag: char, fields: &[&str]) -> (char, Vec<String>) {
        (flag, fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn an_indirect_cookie_is_not_shown_to_the_server() {
        let indirect = Cookie {
            indirect: true,
            ..cookie(CookieMode::Insert)
        };
        let (presented, left) = asked(&indirect, "x=1; S=va; y=2");
        assert_eq!(presented.value.as_deref(), Some(&b"va"[..]));
        assert_eq!(left.as_deref(), Some("x=1; y=2"));
        assert_eq!(asked(&indirect, "S=va").1, None);
        assert_eq!(
            asked(&cookie(CookieMode::Insert), "S=va").1.as_deref(),
            Some("S=va")
        );
    }

    #[test]
    fn a_prefix_is_taken_off_for_the_server() {
        let (presented, left) = asked(&cookie(CookieMode::Prefix), "S=vb~rest; y=2");
        assert_eq!(presented.value.as_deref(), Some(&b"vb"[..]));
        assert_eq!(left.as_deref(), Some("S=rest; y=2"));
    }

    #[test]
    fn a_cookie_is_inserted_only_where_it_says_something_new() {
        let insert = cookie(CookieMode::Insert);
        assert_eq!(answered(&insert, "", &[]), told('I', &["S=va; path=/"]));
        assert_eq!(answered(&insert, "S=va", &[]), told('N', &[]));
        assert_eq!(
            answered(&insert, "S=zz", &["S=app", "T=1"]),
            told('I', &["T=1", "S=va; path=/"])
        );
        assert_eq!(
            answered(&insert, "S=va", &["S=app", "T=1"]),
            told('D', &["T=1"])
        );
        let preserve = Cookie {
            preserve: true,
            ..insert.clone()
        };
        assert_eq!(answered(&preserve, "", &["S=app"]), told('P', &["S=app"]));
        let post = Cookie {
            postonly: true,
            ..insert
        };
        assert_eq!(answered(&post, "", &[]), told('N', &[]));
    }

    #[test]
    fn attributes_follow_in_haproxys_order() {
        let all = Cookie {
            httponly: true,
            secure: true,
            domains: vec![".a.b".into(), ".c".into()],
            attributes: vec!["SameSite=None".into()],
            ..cookie(CookieMode::Insert)
        };
        let value = "S=va; path=/; domain=.a.b; domain=.c; HttpOnly; Secure; SameSite=None";
        assert_eq!(answered(&all, "", &[]), told('I', &[value]));
    }

    #[test]
    fn the_servers_own_cookie_is_rewritten_or_prefixed() {
        let server = &["S=app; path=/", "T=1"];
        let rewrite = answered(&cookie(CookieMode::Rewrite), "", server);
        assert_eq!(rewrite, told('R', &["S=va; path=/", "T=1"]));
        let prefix = answered(&cookie(CookieMode::Prefix), "", server);
        assert_eq!(prefix, told('R', &["S=va~app; path=/", "T=1"]));
        assert_eq!(
            answered(&cookie(CookieMode::Rewrite), "", &[]),
            told('N', &[])
        );
    }

    #[test]
    fn dates_limit_the_life_of_a_cookie() {
        let dated = Cookie {
            max_idle: Some(Millis(10_000)),
            max_life: Some(Millis(20_000)),
            ..cookie(CookieMode::Insert)
        };
        let at = |seconds: u64| String::from_utf8_lossy(&encode_date(seconds / 4)).into_owned();
        let (now, then, long_ago) = (at(WALL), at(WALL - 8), at(WALL - 60));
        let age = |shown: &str| asked(&dated, shown).0.age;
        assert_eq!(age(&format!("S=va|{then}|{then}")), Age::Valid);
        assert_eq!(age(&format!("S=va|{long_ago}|{then}")), Age::Expired);
        assert_eq!(age(&format!("S=va|{then}|{long_ago}")), Age::Old);
        assert_eq!(age("S=va"), Age::Valid);
        let fresh = format!("S=va|{now}|{now}; path=/");
        assert_eq!(answered(&dated, "", &[]), told('I', &[&fresh]));
        let (flag, fields) = answered(&dated, &format!("S=va|{then}|{then}"), &[]);
        assert_eq!(
            (flag, fields),
            told('U', &[&format!("S=va|{now}|{then}; path=/")])
        );
        assert_eq!(
            answered(&dated, &format!("S=va|{now}|{then}"), &[]),
            told('N', &[])
        );
    }

    #[test]
    fn a_cacheable_response_with_a_new_cookie_is_made_private() {
        let mut head = Head::default();
        head.start_response(200, b"OK", Version::Http11);
        assert!(is_cacheable(&head, Method::Get) && !is_cacheable(&head, Method::Post));
        head.add(b"cache-control", b"max-age=5");
        assert!(is_cacheable(&head, Method::Post));
        head.add(b"cache-control", b"No-Store");
        assert!(!is_cacheable(&head, Method::Get));
    }
}
