//! Who a request is for: the Host field against the target's authority.
//!
//! Takes a decoded request head, refuses what RFC 9112 §3.2 forbids, and normalises default ports
//! the way HAProxy does: when the target carries a default or an empty port, target and Host lose
//! it. Name resolution and virtual hosts are not known here.

use super::{Reason, Tolerance};
use crate::proto::http::{Head, Method, Version, uri};

/// Checks and normalises the target and the Host field of a request.
pub(super) fn settle(head: &mut Head, tolerance: Tolerance) -> Result<(), Reason> {
    let hosts = check_hosts(head)?;
    match head.target().first() {
        Some(b'/') if head.method() != Method::Connect => {}
        _ if tolerance == Tolerance::Unsafe => {}
        Some(b'*') if head.target().len() == 1 && head.method() == Method::Options => {}
        _ if head.method() == Method::Connect => settle_connect(head)?,
        _ => settle_absolute(head)?,
    }
    // RFC 9113 §8.3.1 lets a request name no authority at all; that of HTTP/1.1 then names an empty one.
    let needed = head.version() == Version::Http11;
    if hosts == 0 && needed && tolerance == Tolerance::Strict {
        return Err(Reason::HostMissing);
    }
    Ok(())
}

/// Refuses malformed and contradictory Host fields, merges equal ones, and counts what is left.
fn check_hosts(head: &mut Head) -> Result<usize, Reason> {
    let mut hosts = head.values(b"host");
    let Some(first) = hosts.next() else {
        return Ok(0);
    };
    if !is_host(first) {
        return Err(Reason::HostMalformed);
    }
    let mut count = 1;
    for other in hosts {
        if other != first {
            return Err(Reason::HostRepeated);
        }
        count += 1;
    }
    if count > 1 {
        let mut seen = false;
        head.remove_where(|name, _| name == b"host" && std::mem::replace(&mut seen, true));
    }
    Ok(1)
}

/// `CONNECT host:port`: the port is mandatory, and a default one is dropped from Host.
fn settle_connect(head: &mut Head) -> Result<(), Reason> {
    let (name, port) = uri::split_port(head.target());
    let port = port.filter(|port| !port.is_empty()).ok_or(Reason::Target)?;
    if name.is_empty() || !is_host(head.target()) {
        return Err(Reason::Target);
    }
    let is_default = port == b"80" || port == b"443";
    let Some(host) = head.first(b"host") else {
        return Ok(());
    };
    let (host_name, host_port) = uri::split_port(host);
    let host_port = host_port.filter(|port| !port.is_empty());
    if !host_name.eq_ignore_ascii_case(name)
        || !host_port.map_or(is_default, |host_port| same_port(host_port, port))
    {
        return Err(Reason::HostMismatch);
    }
    if is_default && host_port.is_some() {
        let host_name = host_name.to_vec();
        head.rewrite_values(b"host", &mut Vec::new(), |_, new| {
            new.extend_from_slice(&host_name);
            true
        });
    }
    Ok(())
}

/// `GET http://host:port/path`.
fn settle_absolute(head: &mut Head) -> Result<(), Reason> {
    let target = head.target();
    let scheme = uri::scheme(target).ok_or(Reason::Target)?;
    let authority = uri::authority(target).ok_or(Reason::Target)?;
    let after_user = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    let (user, site) = authority.split_at(after_user);
    if !is_host(site) {
        return Err(Reason::Target);
    }
    let default: Option<&[u8]> = match scheme {
        _ if scheme.eq_ignore_ascii_case(b"http") => Some(b"80"),
        _ if scheme.eq_ignore_ascii_case(b"https") => Some(b"443"),
        _ => None,
    };
    let (name, port) = uri::split_port(site);
    let is_effective =
        |port: &&[u8]| !port.is_empty() && default.is_none_or(|default| !same_port(default, port));
    let effective = port.filter(is_effective);
    if let Some(host) = head.first(b"host") {
        let (host_name, host_port) = uri::split_port(host);
        if !host_name.eq_ignore_ascii_case(name) || host_port.filter(is_effective) != effective {
            return Err(Reason::HostMismatch);
        }
    }
    let drop_port = port.is_some() && effective.is_none();
    let rest = &target[scheme.len() + 3 + authority.len()..];
    if !drop_port && !rest.is_empty() {
        return Ok(());
    }
    let mut new = target[..scheme.len() + 3].to_vec();
    new.extend_from_slice(user);
    new.extend_from_slice(if drop_port { name } else { site });
    new.extend_from_slice(if rest.is_empty() { b"/" } else { rest });
    let name = name.to_vec();
    head.set_target(&new);
    if drop_port {
        head.rewrite_values(b"host", &mut Vec::new(), |_, new| {
            new.extend_from_slice(&name);
            true
        });
    }
    Ok(())
}

/// Whether this is `host[:port]` as RFC 9110 §7.2 wants it: no list, no user information, a port
/// of digits. An empty host is allowed.
fn is_host(value: &[u8]) -> bool {
    let (name, port) = uri::split_port(value);
    is_port(port.unwrap_or_default()) && is_host_name(name)
}

fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port
            .iter()
            .fold(0u32, |sum, byte| sum * 10 + u32::from(byte - b'0'))
            <= 65535
}

fn same_port(a: &[u8], b: &[u8]) -> bool {
    let number = |port: &[u8]| {
        port.iter()
            .fold(0u32, |n, byte| n * 10 + u32::from(byte & 15))
    };
    is_port(a) && is_port(b) && number(a) == number(b)
}

fn is_host_name(name: &[u8]) -> bool {
    match name {
        [b'[', literal @ .., b']'] => std::str::from_utf8(literal)
            .is_ok_and(|literal| literal.parse::<std::net::Ipv6Addr>().is_ok()),
        _ => name.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\''
                )
                || matches!(byte, b'(' | b')' | b'*' | b'+' | b';' | b'=')
        }),
    }
}
