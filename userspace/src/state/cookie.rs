//! The value by which a persistence cookie names a server (manual §4.2 `cookie … dynamic`).
//!
//! A server and its present address come in, the text in the cookie comes out. Reading and writing cookies is
//! [`crate::session`]'s.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::model::{Cookie, Server, ServerAddress};

/// The server's value: its own, or, with `dynamic`, one that every load balancer with the same secret gives the same
/// address.
pub fn cookie_value<'a>(
    cookie: Option<&Cookie>,
    server: &'a Server,
    address: impl FnOnce() -> ServerAddress,
) -> Option<Cow<'a, str>> {
    if let Some(own) = &server.cookie {
        return Some(Cow::Borrowed(own));
    }
    let key = cookie?.dynamic_key.as_deref()?;
    let ServerAddress::Inet { address, .. } = address() else {
        return None;
    };
    let mut hashed = key.as_bytes().to_vec();
    match address.ip() {
        IpAddr::V4(ip) => hashed.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => hashed.extend_from_slice(&ip.octets()),
    }
    hashed.extend_from_slice(&u32::from(address.port()).to_be_bytes());
    Some(Cow::Owned(format!(
        "{:016x}",
        xxhash_rust::xxh64::xxh64(&hashed, 0)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CookieMode;
    use crate::types::{ProxyId, ServerId};

    fn cookie(key: Option<&str>) -> Cookie {
        Cookie {
            name: "SRV".to_owned(),
            mode: CookieMode::Insert,
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
            dynamic_key: key.map(str::to_owned),
        }
    }

    fn server(address: &str) -> Server {
        let address = ServerAddress::Inet {
            address: address.parse().expect("an address"),
            port_offset: None,
        };
        Server::new(ServerId(0), ProxyId(0), 1, "s1", address)
    }

    fn value(cookie: &Cookie, server: &Server) -> Option<String> {
        cookie_value(Some(cookie), server, || server.address.clone()).map(Cow::into_owned)
    }

    /// The values are what Debian's haproxy 2.6 shows for the same lines in `show stat`.
    #[test]
    fn dynamic_values_are_haproxys() {
        let cookie = cookie(Some("secret"));
        assert_eq!(
            value(&cookie, &server("127.0.0.1:8081")).as_deref(),
            Some("003ab72baa924eb7")
        );
        assert_eq!(
            value(&cookie, &server("[::1]:8082")).as_deref(),
            Some("97d97479190767e5")
        );
    }

    #[test]
    fn a_written_value_wins_and_without_dynamic_there_is_none() {
        let mut own = server("127.0.0.1:8081");
        assert_eq!(value(&cookie(None), &own), None);
        own.cookie = Some("blue".to_owned());
        assert_eq!(
            value(&cookie(Some("secret")), &own).as_deref(),
            Some("blue")
        );
    }
}
