//! `bind` lines and the sockets of the runtime API (manual §4.2 `bind`, §5.1, §3.1 `stats socket`).
//!
//! Every option is one [`BindOption`]. An address list and a port range become one [`Bind`] per address and port, except in
//! `mode l4`, where a range is one service.

mod networks;
pub(in crate::lang) mod options;
mod reverse;

use std::net::SocketAddr;
use std::path::PathBuf;

use self::options::{mode, owner, settings};
use super::address::{Address, Endpoint, Family, Host, Ports, Transport};
use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::draft::ProxyDraft;
use super::registry::{Effect, Keyword, Sections};
use crate::lang::ast::Word;
use crate::model::{Bind, BindAddress, Level, Principal, SocketOptions, StatsSocket};
use crate::types::{BindId, ProxyId};

pub(super) const KEYWORDS: &[Keyword] = &[BIND];

const BIND: Keyword = Keyword {
    name: "bind",
    sections: Sections::FRONTEND
        .or(Sections::LISTEN)
        .or(Sections::LOG_FORWARD),
    args: "[<address>]:<port_range> [, ...] [param*]",
    doc: "Listens on addresses.",
    effect: Effect::Proxy(|args, draft, context| {
        let word =
            args.need("{<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments")?;
        let subject = format!("'bind {}'", word.text);
        bind(word, args, draft, context).map_err(|complaint| complaint.about(&subject))
    }),
};

/// Defaults of Unix sockets (`unix-bind`).
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct UnixBind {
    prefix: String,
    mode: Option<u32>,
    user: Option<Principal>,
    group: Option<Principal>,
}

/// Adds the addresses of one line to a frontend.
pub(in crate::lang) fn bind(
    word: &Word,
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed {
    let addresses = addresses(word, draft, context)?;
    let mut settings = settings(args, context)?;
    let reverse = reverse::settle(word, &addresses, &mut settings)?;
    if reverse {
        draft.reverse_servers.extend(reverse::named(word));
    }
    settings.options.multipath = is_multipath(word)?;
    if settings.level.is_some() || settings.expose_listeners {
        return Err(args.wrong("'level' and 'expose-fd' belong on 'stats socket' lines"));
    }
    let place = context.place(word.span);
    for address in addresses {
        let mut options = settings.options.clone();
        let address = reverse::with_connections(address, settings.connections);
        let address = with_unix_defaults(address, &mut options, &context.unix_bind);
        draft.binds.push(Bind {
            id: BindId(0),
            proxy: ProxyId(0),
            name: settings.name.clone(),
            number: settings.number.unwrap_or(0),
            address,
            options,
            tls: settings.ssl.then(|| settings.tls(context)),
            proto: settings.proto,
            accept_proxy: settings.accept_proxy,
            netscaler: settings.netscaler,
            maxconn: settings.maxconn,
            place: place.clone(),
        });
    }
    Ok(())
}

/// Adds the addresses of one `dgram-bind` line to a `log-forward` section. Settings of streams are read and mean nothing.
pub(in crate::lang) fn datagrams(
    word: &Word,
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed {
    let settings = settings(args, context)?;
    let place = context.place(word.span);
    for text in word.text.split(',').filter(|text| !text.is_empty()) {
        let address = Address::parse(text, word.span)?;
        if address.transport == Some(Transport::Stream) {
            let message = format!("stream-type address not acceptable in '{text}'");
            return Err(Complaint::new(word.span, message));
        }
        for endpoint in endpoints(
            &Address {
                transport: None,
                ..address
            },
            false,
            word,
            context,
        )? {
            let BindAddress::Tcp(address) = endpoint else {
                let message = "needs an IP address and a port";
                return Err(Complaint::new(word.span, message));
            };
            draft.binds.push(Bind {
                id: BindId(0),
                proxy: ProxyId(0),
                name: settings.name.clone(),
                number: settings.number.unwrap_or(0),
                address: BindAddress::Udp(address),
                options: settings.options.clone(),
                tls: None,
                proto: None,
                accept_proxy: false,
                netscaler: None,
                maxconn: None,
                place: place.clone(),
            });
        }
    }
    Ok(())
}

/// `stats socket <address> …` of `global`.
pub(super) fn stats_socket(args: &mut Args<'_>, context: &mut Context<'_>) -> Parsed {
    let word = args.need("an address or a path to a UNIX socket")?;
    let subject = format!("'stats socket {}'", word.text);
    let socket = (|| {
        let mut list = endpoints(&Address::of(word)?, false, word, context)?;
        let settings = settings(args, context)?;
        let (Some(address), None) = (list.pop(), list.pop()) else {
            return Err(Complaint::new(word.span, "port range not permitted here"));
        };
        if matches!(address, BindAddress::Reverse { .. }) {
            return Err(Complaint::new(
                word.span,
                "the runtime API needs an address",
            ));
        }
        if settings.ssl {
            return Err(Complaint::new(
                word.span,
                "TLS on the runtime API is not supported",
            ));
        }
        let mut options = settings.options.clone();
        let address = with_unix_defaults(address, &mut options, &context.unix_bind);
        let level = settings.level.unwrap_or(Level::Operator);
        Ok(StatsSocket {
            address,
            level,
            options,
            expose_listeners: settings.expose_listeners,
        })
    })();
    context
        .global
        .stats_sockets
        .push(socket.map_err(|complaint: Complaint| complaint.about(&subject))?);
    Ok(())
}

/// `unix-bind …` of `global`.
pub(super) fn unix_bind(args: &mut Args<'_>, context: &mut Context<'_>) -> Parsed {
    args.peek().ok_or_else(|| args.missing("settings"))?;
    let mut defaults = UnixBind::default();
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "prefix" => defaults.prefix = args.need("a prefix")?.text.clone(),
            "mode" => defaults.mode = Some(mode(args)?),
            "user" | "uid" => defaults.user = Some(owner(word, args, context)?),
            "group" | "gid" => defaults.group = Some(owner(word, args, context)?),
            _ => {
                let known = ["prefix", "mode", "user", "uid", "group", "gid"];
                return Err(Complaint::unknown(word, "setting", known));
            }
        }
    }
    context.unix_bind = defaults;
    Ok(())
}

/// Whether the addresses of a list are those of MPTCP: all or none.
fn is_multipath(word: &Word) -> Parsed<bool> {
    let prefixed = |text: &&str| text.starts_with("mptcp") || text.starts_with("stream+mptcp");
    let texts = || word.text.split(',').filter(|text| !text.is_empty());
    let count = texts().filter(prefixed).count();
    if count > 0 && count < texts().count() {
        let message = "addresses of MPTCP and of TCP need lines of their own";
        return Err(Complaint::new(word.span, message));
    }
    Ok(count > 0)
}

/// Every address of a comma-separated list.
fn addresses(word: &Word, draft: &ProxyDraft, context: &Context<'_>) -> Parsed<Vec<BindAddress>> {
    let is_l4 = draft.proxy.mode == crate::model::Mode::L4;
    let mut list = Vec::new();
    for text in word.text.split(',').filter(|text| !text.is_empty()) {
        let (text, length) = if is_l4 {
            networks::without_length(text)
        } else {
            (text.into(), None)
        };
        let address = Address::parse(&text, word.span)?;
        if address.multipath && is_l4 {
            return Err(Complaint::new(word.span, "'mode l4' does not know MPTCP"));
        }
        let endpoints = endpoints(&address, is_l4, word, context)?;
        match length {
            None => list.extend(endpoints),
            Some(length) => {
                for endpoint in endpoints {
                    list.push(networks::network(endpoint, length, word)?);
                }
            }
        }
        if list.len() > MOST_ADDRESSES {
            return Err(Complaint::new(
                word.span,
                format!("more than {MOST_ADDRESSES} addresses on one line"),
            ));
        }
    }
    if list.is_empty() {
        return Err(Complaint::new(word.span, "missing address"));
    }
    Ok(list)
}

/// What one address listens on: several sockets for a range of ports.
fn endpoints(
    address: &Address,
    is_l4: bool,
    word: &Word,
    context: &Context<'_>,
) -> Parsed<Vec<BindAddress>> {
    let wrong = |message: String| Complaint::new(word.span, message);
    let udp = address.transport == Some(Transport::Datagram);
    if udp && !is_l4 {
        let message = format!("dgram-type address not acceptable in '{}'", word.text);
        return Err(wrong(message)
            .hint("UDP is balanced by proxies in 'mode l4': put that line before 'bind'"));
    }
    let (host, ports) = match &address.endpoint {
        Endpoint::Inet { host, ports } => (host, *ports),
        _ if is_l4 => return Err(wrong("'mode l4' needs an IP address".to_owned())),
        Endpoint::Unix(path) => return Ok(vec![BindAddress::Unix(path.clone())]),
        Endpoint::Abstract(name) => return Ok(vec![BindAddress::Abstract(name.clone())]),
        Endpoint::AbstractUnpadded(name) => {
            return Ok(vec![BindAddress::AbstractUnpadded(name.clone())]);
        }
        Endpoint::Descriptor(descriptor) => return Ok(vec![BindAddress::Inherited(*descriptor)]),
        Endpoint::Reverse(name) => return reverse::address(name, word).map(|one| vec![one]),
    };
    let (first, last) = match ports {
        Ports::None => {
            return Err(wrong(format!(
                "missing port specification in '{}'",
                word.text
            )));
        }
        Ports::Offset(_) => {
            return Err(wrong(format!(
                "port offset not permitted here in '{}'",
                word.text
            )));
        }
        Ports::One(0) => return Err(wrong("invalid port '0'".to_owned())),
        Ports::One(port) => (port, port),
        Ports::Range(0, _) => return Err(wrong("invalid port '0'".to_owned())),
        Ports::Range(first, last) => (first, last),
    };
    if is_l4 && *host == Host::Any(Family::Either) {
        return Err(wrong(
            "'mode l4' needs the address of the service, not any address".to_owned(),
        ));
    }
    let ip = host.resolve(context, word.span)?;
    if is_l4 && first != last {
        return Ok(vec![BindAddress::PortRange {
            first: SocketAddr::new(ip, first),
            last,
            udp,
        }]);
    }
    let one = |port| {
        let address = SocketAddr::new(ip, port);
        if udp {
            BindAddress::Udp(address)
        } else {
            BindAddress::Tcp(address)
        }
    };
    Ok((first..=last).map(one).collect())
}

fn with_unix_defaults(
    address: BindAddress,
    options: &mut SocketOptions,
    defaults: &UnixBind,
) -> BindAddress {
    let BindAddress::Unix(path) = address else {
        return address;
    };
    options.mode = options.mode.or(defaults.mode);
    options.user = options.user.take().or_else(|| defaults.user.clone());
    options.group = options.group.take().or_else(|| defaults.group.clone());
    let mut prefixed = defaults.prefix.clone().into_bytes();
    prefixed.extend_from_slice(path.as_os_str().as_encoded_bytes());
    match String::from_utf8(prefixed) {
        Ok(path) => BindAddress::Unix(PathBuf::from(path)),
        Err(_) => BindAddress::Unix(path),
    }
}

/// Addresses of one line: a full range of ports on every address of a small list.
const MOST_ADDRESSES: usize = 1 << 17;
