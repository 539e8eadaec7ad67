//! `server`, `default-server` and `server-template` (manual §4.2, §5.2).
//!
//! A line becomes a [`ServerDraft`]; once the whole section is read, the draft and the backend's settings become a
//! [`Server`] with its check, agent and TLS settings merged.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::address::{self, Address, Endpoint, Host, Ports, Transport};
use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::draft::ProxyDraft;
use super::registry::{Effect, Keyword, Sections};
use super::server_options::{InitAddr, ServerOptions};
use crate::lang::ast::Word;
use crate::lang::source::Span;
use crate::model::{
    AgentCheck, Check, CheckSteps, LogTransport, Mode, OnError, Resolution, Server, ServerAddress,
    ServerTls, Verify,
};
use crate::types::{Millis, ProxyId, ServerId};

pub(super) const KEYWORDS: &[Keyword] = &[SERVER, DEFAULT_SERVER, SERVER_TEMPLATE];

const SERVER: Keyword = Keyword {
    name: "server",
    sections: Sections::LISTEN.or(Sections::BACKEND).or(Sections::RING),
    args: "<name> <address>[:[port]] [param*]",
    doc: "Adds a server.",
    effect: Effect::Proxy(|args, draft, context| {
        let defaults = draft.server_defaults.clone();
        let server = ServerDraft::read(args, draft, defaults, context)?;
        add(server, draft, context);
        Ok(())
    }),
};

const DEFAULT_SERVER: Keyword = Keyword {
    name: "default-server",
    sections: Sections::BACK,
    args: "[param*]",
    doc: "Sets options of the servers that follow.",
    effect: Effect::Proxy(|args, draft, context| {
        args.peek().ok_or_else(|| args.missing("options"))?;
        let mut options = std::mem::take(&mut draft.server_defaults);
        let result = options.read(args, true, context);
        draft.server_defaults = options;
        result
    }),
};

const SERVER_TEMPLATE: Keyword = Keyword {
    name: "server-template",
    sections: Sections::LISTEN.or(Sections::BACKEND),
    args: "<prefix> <num | range> <fqdn>[:<port>] [param*]",
    doc: "Adds several servers with the same settings.",
    effect: Effect::Proxy(|args, draft, context| {
        let prefix = args.need("<prefix> <nb | range> <addr>[:<port>] as arguments")?;
        check_name(prefix)?;
        let (first, last) =
            range(args.need("<prefix> <nb | range> <addr>[:<port>] as arguments")?)?;
        let address = args.need("<prefix> <nb | range> <addr>[:<port>] as arguments")?;
        let defaults = draft.server_defaults.clone();
        let template = read(prefix, address, args, draft, defaults, context)?;
        for number in first..=last {
            let server = ServerDraft {
                name: format!("{}{number}", prefix.text),
                ..template.clone()
            };
            add(server, draft, context);
        }
        Ok(())
    }),
};

/// A server line, options of `default-server` included.
#[derive(Clone, Debug)]
pub(in crate::lang) struct ServerDraft {
    pub name: String,
    pub address: ServerAddress,
    /// The address is one that takes datagrams.
    pub datagrams: bool,
    pub hostname: Option<String>,
    pub resolution: Option<Arc<Resolution>>,
    pub options: ServerOptions,
    /// The server's name in the file.
    pub span: Span,
}

fn read(
    name: &Word,
    address: &Word,
    args: &mut Args<'_>,
    draft: &ProxyDraft,
    mut options: ServerOptions,
    context: &mut Context<'_>,
) -> Parsed<ServerDraft> {
    let subject = format!("'server {}/{}'", draft.proxy.name, name.text);
    let address = &address::expanded(address, context);
    let server = (|| {
        options.read(args, false, context)?;
        options.socket.multipath = address.text.starts_with("mptcp");
        let written = Address::parse(&address.text, address.span)?;
        let datagrams = written.transport == Some(Transport::Datagram);
        let (address, hostname) = place(address, &options, draft.proxy.mode, context)?;
        let resolution = match &hostname {
            Some(name) => options.resolution.of(name, context)?,
            None => None,
        };
        Ok(ServerDraft {
            name: name.text.clone(),
            address,
            datagrams,
            hostname,
            resolution,
            options,
            span: name.span,
        })
    })();
    server.map_err(|complaint: Complaint| complaint.about(&subject))
}

fn add(server: ServerDraft, draft: &mut ProxyDraft, context: &mut Context<'_>) {
    if let Some(other) = draft
        .server_names
        .insert(server.name.clone(), server.span.line)
    {
        let message = format!(
            "backend '{}', server '{}' exists already, see line {other}",
            draft.proxy.name, server.name
        );
        context.alert(server.span, message);
    }
    draft.servers.push(server);
}

/// Where a server is: its address, or what `init-addr` makes of its name.
fn place(
    word: &Word,
    options: &ServerOptions,
    mode: Mode,
    context: &Context<'_>,
) -> Parsed<(ServerAddress, Option<String>)> {
    let wrong = |message: String| Complaint::new(word.span, message);
    let address = Address::parse(&word.text, word.span)?;
    if address.multipath && mode == Mode::L4 {
        return Err(wrong("'mode l4' does not know MPTCP".to_owned()));
    }
    let datagrams = address.transport == Some(Transport::Datagram);
    if datagrams && !matches!(mode, Mode::L4 | Mode::Log) {
        return Err(wrong(format!(
            "dgram-type address not acceptable in '{}'",
            word.text
        )));
    }
    let (host, ports) = match address.endpoint {
        Endpoint::Inet { host, ports } => (host, ports),
        _ if mode == Mode::L4 => return Err(wrong("'mode l4' needs an IP address".to_owned())),
        Endpoint::Unix(path) => return Ok((ServerAddress::Unix(path), None)),
        Endpoint::Abstract(name) => return Ok((ServerAddress::Abstract(name), None)),
        Endpoint::AbstractUnpadded(name) => {
            return Ok((ServerAddress::AbstractUnpadded(name), None));
        }
        Endpoint::Reverse(name) if !name.is_empty() => {
            return Err(wrong("'rhttp@' of a server takes no name".to_owned()));
        }
        Endpoint::Reverse(_) if mode != Mode::Http => {
            return Err(wrong("'rhttp@' needs 'mode http' before it".to_owned()));
        }
        Endpoint::Reverse(_) => return Ok((ServerAddress::Reverse, None)),
        Endpoint::Descriptor(_) => {
            return Err(wrong(format!(
                "a file descriptor is not acceptable here in '{}'",
                word.text
            )));
        }
    };
    let (port, port_offset) = match ports {
        Ports::None => (0, None),
        Ports::One(port) => (port, None),
        Ports::Offset(offset) => (0, Some(offset)),
        Ports::Range(..) => {
            return Err(wrong(format!(
                "port range not permitted here in '{}'",
                word.text
            )));
        }
    };
    let Host::Name(name, _) = &host else {
        let address = SocketAddr::new(host.resolve(context, word.span)?, port);
        return Ok((
            ServerAddress::Inet {
                address,
                port_offset,
            },
            None,
        ));
    };
    let waits = || Ok((ServerAddress::Unresolved { port }, Some(name.clone())));
    if name.starts_with('_') {
        if options.resolution.section.is_none() {
            return Err(wrong(format!(
                "'{name}' stands for SRV records, which need 'resolvers'"
            )));
        }
        return waits();
    }
    let mut problem = wrong(format!("could not resolve address '{name}'"));
    for method in &options.init_addr {
        let ip = match method {
            InitAddr::Last => continue,
            InitAddr::None => return waits(),
            InitAddr::Address(ip) => *ip,
            InitAddr::Libc => match host.resolve(context, word.span) {
                Ok(ip) => ip,
                Err(complaint) => {
                    problem = complaint.hint(
                        "'init-addr none' lets the server wait in maintenance for an address",
                    );
                    continue;
                }
            },
        };
        let address = SocketAddr::new(ip, port);
        return Ok((
            ServerAddress::Inet {
                address,
                port_offset,
            },
            Some(name.clone()),
        ));
    }
    if context.environment.ignores_resolution() {
        return waits();
    }
    Err(problem)
}

impl ServerDraft {
    /// The words of a `server` line, over the options that stand without them.
    pub(crate) fn read(
        args: &mut Args<'_>,
        draft: &ProxyDraft,
        options: ServerOptions,
        context: &mut Context<'_>,
    ) -> Parsed<Self> {
        let name = args.need("<name> and <addr>[:<port>] as arguments")?;
        check_name(name)?;
        let address = args.need("<name> and <addr>[:<port>] as arguments")?;
        read(name, address, args, draft, options, context)
    }

    /// The server, once all lines of its backend are read. `track` is looked up later.
    pub(crate) fn finish(
        &self,
        id: ServerId,
        proxy: ProxyId,
        number: u32,
        draft: &ProxyDraft,
        steps: &CheckSteps,
        context: &mut Context<'_>,
    ) -> Server {
        let options = &self.options;
        let mut server = Server::new(
            id,
            proxy,
            options.number.unwrap_or(number),
            &self.name,
            self.address.clone(),
        );
        server.hostname.clone_from(&self.hostname);
        server.resolution.clone_from(&self.resolution);
        server.weight = options.weight;
        server.backup = options.backup;
        server.disabled = options.disabled;
        server.maxconn = options.maxconn;
        server.minconn = options.minconn;
        server.maxqueue = options.maxqueue;
        server.cookie.clone_from(&options.cookie);
        server.non_stick = options.non_stick;
        server.slowstart = options.slowstart;
        server.send_proxy = options.send_proxy;
        server.proxy_records = options.proxy_records.clone();
        server.socks4 = options.socks4;
        server.source = options
            .source
            .clone()
            .or_else(|| draft.proxy.source.clone());
        server.socket.clone_from(&options.socket);
        server.pool_max = options.pool_max;
        server.pool_purge_delay = options.pool_purge_delay;
        server.pool_low = options.pool_low;
        server.pool_name.clone_from(&options.pool_name);
        server.max_reuse = options.max_reuse;
        server.strict_maxconn = options.strict_maxconn;
        server.proto = options.proto;
        server.websocket = options.websocket;
        server.redirect_prefix.clone_from(&options.redirect_prefix);
        server.logging = LogTransport {
            datagrams: self.datagrams,
            framing: options.log_framing,
            buffer: options.log_buffer,
        };
        server.on_marked_down = options.on_marked_down;
        server.on_marked_up = options.on_marked_up;
        server.observe = options.observe_layer7.map(|layer7| OnError {
            layer7,
            limit: options.error_limit,
            reaction: options.on_error,
        });
        server.tls = options.ssl.then(|| Arc::new(self.tls(context)));
        server.check = self.check(&server, draft, steps, context).map(Arc::new);
        server.agent = self.agent(draft, context).map(Arc::new);
        server.place = context.place(self.span);
        server
    }

    fn tls(&self, context: &mut Context<'_>) -> ServerTls {
        let tls = &self.options.tls;
        let settings = tls.settings.over(&context.tls.server);
        let default = if context.tls.server_verify_none {
            Verify::None
        } else {
            Verify::Required
        };
        let verify = tls.verify.unwrap_or(default);
        if verify == Verify::Required && tls.ca_file.is_none() {
            let message = format!(
                "'server {}' : verify is enabled by default but no CA file is given (use 'ca-file')",
                self.name
            );
            context.alert(self.span, message);
        }
        ServerTls {
            verify,
            ca_file: tls.ca_file.clone(),
            certificate: tls.certificate.clone(),
            sni: tls.sni.clone(),
            check_sni: self.options.check.sni.clone(),
            no_sni_auto: tls.no_sni_auto,
            verify_host: tls.verify_host.clone(),
            alpn: tls.alpn.clone(),
            min_version: settings.min_version,
            max_version: settings.max_version,
            crl_file: tls.crl_file.clone(),
            ciphers: settings.ciphers,
            ciphersuites: settings.ciphersuites,
            curves: settings.curves,
        }
    }

    /// The check, with the backend's part merged in.
    fn check(
        &self,
        server: &Server,
        draft: &ProxyDraft,
        steps: &CheckSteps,
        context: &mut Context<'_>,
    ) -> Option<Check> {
        let check = &self.options.check;
        if !check.enabled {
            return None;
        }
        if let Some(word) = &self.options.track {
            context.alert(
                word.span,
                format!(
                    "'server {}' : 'track' and 'check' exclude each other",
                    self.name
                ),
            );
        }
        let elsewhere = check.explicit || check.address.is_some() || check.port.is_some();
        let wants_tls = check.ssl.unwrap_or(self.options.ssl && !elsewhere);
        let tls = match (wants_tls, &server.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(Arc::clone(tls)),
            (true, None) => Some(Arc::new(self.tls(context))),
        };
        let has_port = match &self.address {
            ServerAddress::Inet { address, .. } => {
                address.port() != 0 || address.ip().is_unspecified()
            }
            ServerAddress::Unresolved { port } => {
                *port != 0 || self.resolution.as_ref().is_some_and(|one| one.is_service())
            }
            ServerAddress::Reverse => false,
            _ => true,
        };
        if !has_port && check.port.is_none() && !draft.check.has_own_ports() {
            let message = format!(
                "'server {}' : the check has no port: give one in the address, with 'port', or in a 'connect' rule",
                self.name
            );
            context.alert(self.span, message);
        }
        Some(Check {
            address: check.address.map(|ip| SocketAddr::new(ip, 0)),
            port: check.port,
            inter: check.inter.unwrap_or(Millis(2000)),
            fast_inter: check.fast_inter,
            down_inter: check.down_inter,
            timeout: draft.proxy.timeouts.check,
            connect_timeout: draft.proxy.timeouts.connect,
            rise: check.rise.unwrap_or(2),
            fall: check.fall.unwrap_or(3),
            window: check.window(context),
            via_socks4: check.via_socks4,
            send_proxy: check.send_proxy || (self.options.send_proxy.is_some() && !elsewhere),
            tls,
            steps: check.steps.clone().unwrap_or_else(|| steps.clone()),
            log_all: draft.check.log_all,
        })
    }

    fn agent(&self, draft: &ProxyDraft, context: &mut Context<'_>) -> Option<AgentCheck> {
        let agent = &self.options.agent;
        if !agent.enabled {
            return None;
        }
        let Some(port) = agent.port else {
            let message = format!(
                "server {} does not have agent port. Agent check has been disabled.",
                self.name
            );
            context.alert(self.span, message);
            return None;
        };
        Some(AgentCheck {
            address: agent.address.map(|ip| SocketAddr::new(ip, port)),
            port,
            inter: agent
                .inter
                .or(self.options.check.inter)
                .unwrap_or(Millis(2000)),
            send: agent.send.as_ref().map(|text| text.clone().into_bytes()),
            rise: 1,
            fall: 1,
            log_all: draft.check.log_all,
        })
    }

    /// Whether the server takes the address the client came to.
    pub(crate) fn is_transparent(&self) -> bool {
        match &self.address {
            ServerAddress::Inet { address, .. } => {
                address.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            }
            _ => false,
        }
    }
}

fn check_name(name: &Word) -> Parsed {
    match invalid_in_name(&name.text) {
        None => Ok(()),
        Some((offset, character)) => {
            let message = format!(
                "character '{character}' is not permitted in server name '{}'",
                name.text
            );
            Err(Complaint::new(name.at(offset), message))
        }
    }
}

/// The first character that a name must not have (manual §4: letters, digits, `-`, `_`, `.` and `:`).
pub(in crate::lang) fn invalid_in_name(name: &str) -> Option<(usize, char)> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.:".contains(character);
    name.char_indices()
        .find(|(_, character)| !allowed(*character))
}

/// `5` or `2-7`.
fn range(word: &Word) -> Parsed<(u32, u32)> {
    let (first, last) = word.text.split_once('-').unwrap_or(("1", &word.text));
    match (first.parse::<u32>(), last.parse::<u32>()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_SERVERS => Ok((first, last)),
        _ => Err(Complaint::new(
            word.span,
            format!("wrong number/range arg '{}'", word.text),
        )),
    }
}

/// Servers of one template.
const MOST_SERVERS: u32 = 1 << 16;
