//! Addresses as they are written everywhere (manual §2.9).
//!
//! A text such as `ipv6@[::1]:80`, `:8000-8010`, `/run/x.sock` or `fd@3` comes in; its parts come out, host names not yet
//! resolved. What a statement does with ports, ranges and families is its own business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::args::{Complaint, Parsed};
use super::context::Context;
use crate::lang::ast::Word;
use crate::lang::source::Span;

/// A written address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lang) struct Address {
    /// Where it points.
    pub endpoint: Endpoint,
    /// `stream` or `dgram` imposed by a prefix.
    pub transport: Option<Transport>,
    /// `mptcp@`: several paths carry what would be one TCP connection (RFC 8684).
    pub multipath: bool,
}

/// Where an address points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Endpoint {
    /// An IP address or a host name.
    Inet { host: Host, ports: Ports },
    /// A path.
    Unix(PathBuf),
    /// `abns@`
    Abstract(Vec<u8>),
    /// `abnsz@`
    AbstractUnpadded(Vec<u8>),
    /// `fd@`
    Descriptor(i32),
    /// `rhttp@`: what follows it.
    Reverse(String),
}

/// The host part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Host {
    /// Nothing or `*`: any address.
    Any(Family),
    /// An address.
    Address(IpAddr),
    /// A name to be resolved.
    Name(String, Family),
}

/// The family imposed by a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Family {
    Either,
    V4,
    V6,
}

/// The port part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Ports {
    None,
    One(u16),
    Range(u16, u16),
    /// `+N` or `-N`.
    Offset(i32),
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Transport {
    Stream,
    Datagram,
}

/// The word of an address with its variables in it, which addresses have outside of quotes too: `$NAME` and `${NAME}`, nothing
/// for one that is not set.
pub(super) fn expanded(word: &Word, context: &Context<'_>) -> Word {
    let value = |name: &str| match context.variables {
        Some(variables) => variables.lookup(name),
        None => context.environment.variable(name),
    };
    let mut text = String::new();
    let mut rest = word.text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|it| it.split_once('}')) {
            Some(braced) => braced,
            None => {
                let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let end = after.find(|letter| !is_name(letter));
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        text.push_str(&value(name).unwrap_or_default());
        rest = behind;
    }
    text.push_str(rest);
    Word {
        text,
        ..word.clone()
    }
}

impl Address {
    /// Reads an address off a text; `word` is what a complaint points at.
    pub(super) fn parse(text: &str, word: Span) -> Parsed<Self> {
        let wrong = |message: String| Complaint::new(word, message);
        let (transport, rest) = match text {
            _ if text.starts_with("stream+") => (Some(Transport::Stream), &text[7..]),
            _ if text.starts_with("dgram+") => (Some(Transport::Datagram), &text[6..]),
            _ if text.starts_with("quic+") => return Err(wrong(no_protocol("QUIC", text))),
            _ => (None, text),
        };
        let (prefix, rest) = match rest.split_once('@') {
            Some((prefix, rest)) if is_prefix(prefix) => (prefix, rest),
            _ => ("", rest),
        };
        let (endpoint, implied) = match prefix {
            "" if rest.starts_with('/') => (Endpoint::Unix(PathBuf::from(rest)), None),
            "" | "ip" => (inet(rest, Family::Either, word)?, None),
            "ipv4" => (inet(rest, Family::V4, word)?, None),
            "ipv6" => (inet(rest, Family::V6, word)?, None),
            "tcp" => (inet(rest, Family::Either, word)?, Some(Transport::Stream)),
            "tcp4" => (inet(rest, Family::V4, word)?, Some(Transport::Stream)),
            "tcp6" => (inet(rest, Family::V6, word)?, Some(Transport::Stream)),
            "udp" => (inet(rest, Family::Either, word)?, Some(Transport::Datagram)),
            "udp4" => (inet(rest, Family::V4, word)?, Some(Transport::Datagram)),
            "udp6" => (inet(rest, Family::V6, word)?, Some(Transport::Datagram)),
            "unix" => (Endpoint::Unix(PathBuf::from(rest)), None),
            "uxst" => (Endpoint::Unix(PathBuf::from(rest)), Some(Transport::Stream)),
            "uxdg" => (
                Endpoint::Unix(PathBuf::from(rest)),
                Some(Transport::Datagram),
            ),
            "abns" => (Endpoint::Abstract(rest.into()), None),
            "abnsz" => (Endpoint::AbstractUnpadded(rest.into()), None),
            "fd" => match rest.parse() {
                Ok(descriptor) if descriptor >= 0 => (Endpoint::Descriptor(descriptor), None),
                _ => {
                    let message =
                        format!("file descriptor '{rest}' is not a valid integer in '{text}'");
                    return Err(wrong(message));
                }
            },
            "rhttp" => (Endpoint::Reverse(rest.to_owned()), Some(Transport::Stream)),
            "quic4" | "quic6" => return Err(wrong(no_protocol("QUIC", text))),
            "mptcp" => (inet(rest, Family::Either, word)?, Some(Transport::Stream)),
            "mptcp4" => (inet(rest, Family::V4, word)?, Some(Transport::Stream)),
            "mptcp6" => (inet(rest, Family::V6, word)?, Some(Transport::Stream)),
            _ => return Err(wrong(no_protocol(prefix, text))),
        };
        if let Endpoint::Unix(path) = &endpoint {
            check_path(path, text).map_err(wrong)?;
        }
        Ok(Self {
            endpoint,
            transport: transport.or(implied),
            multipath: prefix.starts_with("mptcp"),
        })
    }

    /// Reads an address off a whole word, for what does not know several paths.
    pub(super) fn of(word: &Word) -> Parsed<Self> {
        let address = Self::parse(&word.text, word.span)?;
        if address.multipath {
            return Err(Complaint::new(word.span, no_protocol("MPTCP", &word.text)));
        }
        Ok(address)
    }
}

impl Host {
    /// The address, asking the resolver for a name.
    pub(super) fn resolve(&self, context: &Context<'_>, word: Span) -> Parsed<IpAddr> {
        match self {
            Self::Any(Family::V6) => Ok(Ipv6Addr::UNSPECIFIED.into()),
            Self::Any(_) => Ok(Ipv4Addr::UNSPECIFIED.into()),
            Self::Address(address) => Ok(*address),
            Self::Name(name, family) => {
                let found = context.environment.resolve(name).unwrap_or_default();
                let fits = |address: &IpAddr| family.holds(*address);
                found.into_iter().find(fits).ok_or_else(|| {
                    Complaint::new(word, format!("could not resolve address '{name}'"))
                })
            }
        }
    }
}

impl Family {
    fn holds(self, address: IpAddr) -> bool {
        match self {
            Self::Either => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

fn inet(text: &str, family: Family, word: Span) -> Parsed<Endpoint> {
    let wrong = |message: String| Complaint::new(word, message);
    let (host, ports) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, ""),
        Some((host, rest)) => match rest.strip_prefix(':') {
            Some(ports) => (host, ports),
            None => return Err(wrong(format!("missing ':' after ']' in '{text}'"))),
        },
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let ports = ports_of(ports).map_err(wrong)?;
    let host = match host {
        "" | "*" => Host::Any(family),
        _ => match host.parse::<IpAddr>() {
            Ok(address) if family.holds(address) => Host::Address(address),
            Err(_) if is_host_name(host) => Host::Name(host.to_owned(), family),
            _ => return Err(wrong(format!("invalid address: '{host}' in '{text}'"))),
        },
    };
    Ok(Endpoint::Inet { host, ports })
}

fn ports_of(text: &str) -> Result<Ports, String> {
    if text.is_empty() {
        return Ok(Ports::None);
    }
    let port = |digits: &str| {
        digits
            .parse::<u16>()
            .map_err(|_| format!("invalid port '{digits}'"))
    };
    if let Some(offset) = text.strip_prefix('+') {
        return Ok(Ports::Offset(port(offset)?.into()));
    }
    if let Some(offset) = text.strip_prefix('-') {
        return Ok(Ports::Offset(-i32::from(port(offset)?)));
    }
    match text.split_once('-') {
        None => port(text).map(Ports::One),
        Some((first, last)) => match (port(first)?, port(last)?) {
            (first, last) if first > last => Err(format!("invalid port range '{text}'")),
            (first, last) => Ok(Ports::Range(first, last)),
        },
    }
}

fn is_prefix(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Letters, digits, hyphens, dots and underscores, as HAProxy's resolver accepts them.
fn is_host_name(text: &str) -> bool {
    text.len() <= 255
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn check_path(path: &std::path::Path, text: &str) -> Result<(), String> {
    let length = path.as_os_str().len();
    if length == 0 {
        return Err(format!("missing path in '{text}'"));
    }
    if length > LONGEST_PATH {
        return Err(format!(
            "socket path '{text}' too long (max {LONGEST_PATH})"
        ));
    }
    Ok(())
}

fn no_protocol(name: &str, text: &str) -> String {
    format!("{name} is not supported, in '{text}'")
}

/// `sun_path` without its final zero.
const LONGEST_PATH: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::source::Sources;

    fn parse(text: &str) -> Result<Address, String> {
        let source = Sources::default().add("t", "");
        let span = Span {
            source,
            line: 1,
            start: 0,
            end: 1,
        };
        Address::parse(text, span).map_err(|complaint| complaint.message)
    }

    fn inet(host: Host, ports: Ports) -> Result<Address, String> {
        Ok(Address {
            endpoint: Endpoint::Inet { host, ports },
            transport: None,
            multipath: false,
        })
    }

    #[test]
    fn internet_addresses_have_hosts_and_ports() {
        let v4 = Host::Address([127, 0, 0, 1].into());
        let v6 = Host::Address(Ipv6Addr::LOCALHOST.into());
        let any = Host::Any(Family::Either);
        assert_eq!(parse("127.0.0.1:80"), inet(v4.clone(), Ports::One(80)));
        assert_eq!(parse("127.0.0.1"), inet(v4.clone(), Ports::None));
        assert_eq!(parse("127.0.0.1:"), inet(v4.clone(), Ports::None));
        assert_eq!(
            parse("127.0.0.1:80-90"),
            inet(v4.clone(), Ports::Range(80, 90))
        );
        assert_eq!(
            parse("127.0.0.1:+100"),
            inet(v4.clone(), Ports::Offset(100))
        );
        assert_eq!(parse("127.0.0.1:-100"), inet(v4, Ports::Offset(-100)));
        assert_eq!(parse("::1:80"), inet(v6.clone(), Ports::One(80)));
        assert_eq!(parse("[::1]:80"), inet(v6.clone(), Ports::One(80)));
        assert_eq!(parse("[::1]"), inet(v6, Ports::None));
        assert_eq!(parse(":80"), inet(any.clone(), Ports::One(80)));
        assert_eq!(parse("*:80"), inet(any.clone(), Ports::One(80)));
        assert_eq!(parse("*"), inet(any, Ports::None));
        assert_eq!(
            parse("ipv6@:80"),
            inet(Host::Any(Family::V6), Ports::One(80))
        );
        let name = Host::Name("web1.example.com".to_owned(), Family::Either);
        assert_eq!(parse("web1.example.com:80"), inet(name, Ports::One(80)));
    }

    #[test]
    fn other_families_have_prefixes() {
        let endpoint = |text: &str| parse(text).map(|address| address.endpoint);
        let transport = |text: &str| parse(text).map(|address| address.transport);
        assert_eq!(endpoint("/tmp/x"), Ok(Endpoint::Unix("/tmp/x".into())));
        assert_eq!(endpoint("unix@x"), Ok(Endpoint::Unix("x".into())));
        assert_eq!(endpoint("abns@x"), Ok(Endpoint::Abstract(b"x".to_vec())));
        assert_eq!(
            endpoint("abnsz@x"),
            Ok(Endpoint::AbstractUnpadded(b"x".to_vec()))
        );
        assert_eq!(endpoint("fd@3"), Ok(Endpoint::Descriptor(3)));
        assert_eq!(
            endpoint("rhttp@edge/one"),
            Ok(Endpoint::Reverse("edge/one".to_owned()))
        );
        assert_eq!(transport("udp@:53"), Ok(Some(Transport::Datagram)));
        assert_eq!(transport("dgram+fd@3"), Ok(Some(Transport::Datagram)));
        assert_eq!(transport("stream+unix@/x"), Ok(Some(Transport::Stream)));
        assert_eq!(transport("tcp6@[::]:80"), Ok(Some(Transport::Stream)));
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for text in [
            "127.0.0.1:99999",
            "127.0.0.1:80x",
            "127.0.0.1:90-80",
            "::1",
            "[::1]80",
            "fd@x",
            "fd@-1",
            "quic4@:443",
            "ipv4@[::1]:80",
            "ipv6@127.0.0.1:80",
            "a b:80",
            "unix@",
            "a:b:c:80",
        ] {
            assert!(parse(text).is_err(), "{text} is {:?}", parse(text));
        }
        assert!(parse(&format!("/{}", "x".repeat(200))).is_err());
    }
}
