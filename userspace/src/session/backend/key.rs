//! The key of the hashing algorithms of `balance` (manual §4.2): what of a request decides its server.

use std::net::IpAddr;

use crate::balance::KeyHash;
use crate::expr::{Address, Direction, Sample, SampleType, View};
use crate::model::{BalanceKind, UriHash};
use crate::proto::http::{Head, items, trim, uri};

/// The hash of the key in `view`; `None` when there is none, and then turns are taken.
pub(super) fn hash(kind: &BalanceKind, hash: KeyHash, view: &dyn View) -> Option<u32> {
    match kind {
        BalanceKind::Source => Some(hash.of_address(source(view)?)),
        BalanceKind::Uri(part) => {
            let head = request(view)?;
            uri_key(head.target(), *part).map(|key| hash.of(key))
        }
        BalanceKind::UrlParameter { name, check_post } => {
            let head = request(view)?;
            let value = uri::query(head.target())
                .and_then(|query| parameter(query, name.as_bytes()))
                .or_else(|| posted_parameter(view, name.as_bytes(), *check_post))?;
            Some(hash.of(value))
        }
        BalanceKind::Header { name, domain_only } => {
            let value = items(request(view)?.first(name.as_bytes())?)
                .next()
                .map(trim)?;
            let value = if *domain_only {
                main_domain(value)
            } else {
                value
            };
            (!value.is_empty()).then(|| hash.of(value))
        }
        BalanceKind::RdpCookie(name) => {
            rdp_cookie(view.buffer(Direction::Request)?.bytes, name.as_bytes())
                .map(|value| hash.of(value))
        }
        BalanceKind::Hash(expression) => match expression.eval(view)?.cast(SampleType::Bin)? {
            Sample::Bin(bytes) => Some(hash.of(&bytes)),
            _ => None,
        },
        BalanceKind::RoundRobin
        | BalanceKind::StaticRoundRobin
        | BalanceKind::LeastConnections
        | BalanceKind::First
        | BalanceKind::Random { .. }
        | BalanceKind::LogHash(_)
        | BalanceKind::Sticky => None,
        BalanceKind::Maglev => Some(hash.of_address(source(view)?)),
    }
}

fn source(view: &dyn View) -> Option<IpAddr> {
    view.address(Address::Source).map(|address| address.ip())
}

fn request(view: &dyn View) -> Option<&Head> {
    view.head(Direction::Request).value()
}

/// The hashed part of a request target: without the query string unless `whole`, and ending before the slash that
/// would exceed `depth`.
fn uri_key(target: &[u8], part: UriHash) -> Option<&[u8]> {
    let key = if part.path_only {
        uri::path_and_query(target)?
    } else {
        target
    };
    let key = &key[..part
        .length
        .filter(|length| *length > 0)
        .unwrap_or(usize::MAX)
        .min(key.len())];
    let mut slashes = 0;
    let end = key.iter().position(|byte| match byte {
        b'/' => {
            slashes += 1;
            part.depth.is_some_and(|depth| depth > 0 && slashes > depth)
        }
        b'?' => !part.whole,
        _ => false,
    });
    Some(&key[..end.unwrap_or(key.len())])
}

/// The value of `name=value` among parameters separated by `&` (or `;`); it may not be empty.
fn parameter<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| matches!(byte, b'&' | b';'))
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
        .filter(|value| !value.is_empty())
}

/// `check_post`: the parameter in a POST body, as far as the body is there. Spaces and control characters end it.
fn posted_parameter<'a>(
    view: &'a dyn View,
    name: &[u8],
    enabled: Option<usize>,
) -> Option<&'a [u8]> {
    enabled?;
    if request(view)?.method_name() != b"POST" {
        return None;
    }
    let body = view.body(Direction::Request)?.bytes;
    let end = body
        .iter()
        .position(|byte| *byte <= b' ' || *byte == 0x7f)
        .unwrap_or(body.len());
    parameter(&body[..end], name)
}

/// `use_domain_only`: the label before the last dot of a host name, or the name itself when it has one label.
fn main_domain(host: &[u8]) -> &[u8] {
    let (name, _) = uri::split_port(host);
    let mut labels = name.rsplit(|byte| *byte == b'.');
    let last = labels.next().unwrap_or(name);
    labels.next().unwrap_or(last)
}

/// The value of the cookie in the first packet of a Remote Desktop connection: TPKT and X.224 headers, then
/// `Cookie: name=value\r\n`. The name is not case sensitive.
fn rdp_cookie<'a>(packet: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let text = packet.get(RDP_HEADERS..)?.strip_prefix(b"Cookie:")?;
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let line = &text[..memchr::memchr(b'\r', text)?];
    let (found, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b"=")?;
    (found.eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
}

/// Bytes before the cookie: 4 of TPKT, 7 of the X.224 connection request.
const RDP_HEADERS: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_is_cut_at_the_query_the_length_or_the_depth() {
        let target = b"/a/b/c/d?x=/1";
        let key = |part| std::str::from_utf8(uri_key(target, part).unwrap()).unwrap();
        let all = UriHash::default();
        assert_eq!(key(all), "/a/b/c/d");
        assert_eq!(key(UriHash { whole: true, ..all }), "/a/b/c/d?x=/1");
        assert_eq!(
            key(UriHash {
                length: Some(3),
                ..all
            }),
            "/a/"
        );
        assert_eq!(
            key(UriHash {
                depth: Some(2),
                ..all
            }),
            "/a/b"
        );
        assert_eq!(
            key(UriHash {
                depth: Some(2),
                length: Some(3),
                ..all
            }),
            "/a/"
        );
        let absolute = uri_key(
            b"http://host/a/b?c",
            UriHash {
                path_only: true,
                ..all
            },
        );
        assert_eq!(absolute, Some(&b"/a/b"[..]));
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        assert_eq!(parameter(b"aid=1&id=2", b"id"), Some(&b"2"[..]));
        assert_eq!(parameter(b"id=&x=1", b"id"), None);
        assert_eq!(parameter(b"ident=1", b"id"), None);
    }

    #[test]
    fn the_main_domain_is_what_haproxy_takes_for_it() {
        for (host, domain) in [
            ("haproxy.1wt.eu", "1wt"),
            ("www.example.com:8080", "example"),
            ("example.com", "example"),
            ("a.b.example.co.uk", "co"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(main_domain(host.as_bytes()), domain.as_bytes());
        }
    }

    #[test]
    fn the_cookie_of_a_remote_desktop_client_is_read() {
        let packet =
            b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=alice\r\n\x01\x00";
        assert_eq!(rdp_cookie(packet, b"MSTSHASH"), Some(&b"alice"[..]));
        assert_eq!(rdp_cookie(packet, b"msts"), None);
        assert_eq!(rdp_cookie(&packet[..20], b"mstshash"), None);
    }
}
