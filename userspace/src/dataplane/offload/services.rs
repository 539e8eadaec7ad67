//! Which addresses the kernel looks after, and for `mode l4` where it forwards their packets.
//!
//! Input is the model, output are the services without policies, and a [`Refusal`] for everything a `mode l4` proxy
//! asks for that the kernel cannot do: such a proxy has no userspace half that could. Rules are
//! [`super::connection`]'s business.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tidegate_common::choice::PROBES;

use super::Refusal;
use super::limits::masks;
use crate::dataplane::plan::{
    Bind, Choice, Delivery, Family, Forwarding, IdleTimes, Key, Masks, Method, Protocol, Server,
    ServerIds, Service, Treatment,
};
use crate::expr::Expression;
use crate::model::{
    self, BalanceKind, BindAddress, Forward, Mode, Model, OnMarkedDown, Proxy, QuicServerIds,
    ServerAddress, Timeouts,
};
use crate::types::Millis;

/// The services of one frontend: one per transport and family it has addresses in.
pub(super) fn services(
    model: &Model,
    frontend: &Proxy,
    refusals: &mut Vec<Refusal>,
) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for bind in frontend.binds.iter().map(|id| model.bind(*id)) {
        let listens = match frontend.mode {
            Mode::L4 => forwarded(bind, refusals),
            Mode::Tcp | Mode::Http | Mode::Log | Mode::Syslog => local(bind),
        };
        let segment = bind.options.mss.unwrap_or(0);
        for (protocol, listen) in listens {
            let family = Family::of(listen.address);
            let same =
                |service: &&mut Service| service.protocol == protocol && service.family == family;
            if let Some(service) = services.iter_mut().find(same) {
                service.binds.push(listen);
                refuse_own_ports(model, service, refusals);
                service.segment = match (service.segment, segment) {
                    (0, other) | (other, 0) => other,
                    (one, other) => one.min(other),
                };
                continue;
            }
            let delivery = match frontend.mode {
                Mode::L4 => match forwarding(model, frontend, protocol, family, refusals) {
                    Some(forwarding) => Delivery::Forward(forwarding),
                    None => return Vec::new(),
                },
                Mode::Tcp | Mode::Http | Mode::Log | Mode::Syslog => Delivery::Local,
            };
            services.push(Service {
                frontend: frontend.name.clone(),
                proxy: frontend.id,
                protocol,
                family,
                binds: vec![listen],
                segment,
                policy: None,
                treatment: treatment(frontend, &delivery),
                delivery,
            });
            if let Some(service) = services.last() {
                refuse_own_ports(model, service, refusals);
            }
        }
    }
    services
}

/// The addresses of a bind line whose connections end in this process, as far as the kernel can tell them by
/// destination alone.
fn local(bind: &model::Bind) -> Vec<(Protocol, Bind)> {
    let BindAddress::Tcp(address) = &bind.address else {
        return Vec::new();
    };
    // Port 0 is not known before the start. A socket that is tied to a device or takes foreign addresses does not own
    // its address for all packets.
    if address.port() == 0 || bind.options.interface.is_some() || bind.options.transparent {
        return Vec::new();
    }
    let one = |ip: IpAddr| (Protocol::Tcp, Bind::one(ip, address.port(), address.port()));
    let both =
        bind.options.family == model::AddressFamily::Both && address.ip() == Ipv6Addr::UNSPECIFIED;
    let v4 = both.then(|| one(std::net::Ipv4Addr::UNSPECIFIED.into()));
    std::iter::once(one(address.ip())).chain(v4).collect()
}

/// The addresses of a bind line of a `mode l4` proxy.
fn forwarded(bind: &model::Bind, refusals: &mut Vec<Refusal>) -> Vec<(Protocol, Bind)> {
    let mut refuse = |message: &str| {
        refusals.push(Refusal {
            place: bind.place.clone(),
            message: message.to_owned(),
        });
        Vec::new()
    };
    if bind.tls.is_some() {
        return refuse("'ssl' needs a connection that ends here, which 'mode l4' does not have");
    }
    if bind.accept_proxy || bind.netscaler.is_some() {
        return refuse(
            "'accept-proxy' needs a connection that ends here, which 'mode l4' does not have",
        );
    }
    let one = |address: &SocketAddr| Bind::one(address.ip(), address.port(), address.port());
    let (protocol, listen) = match &bind.address {
        BindAddress::Tcp(address) => (Protocol::Tcp, one(address)),
        BindAddress::Udp(address) => (Protocol::Udp, one(address)),
        BindAddress::PortRange { first, last, udp } => {
            let protocol = if *udp { Protocol::Udp } else { Protocol::Tcp };
            (
                protocol,
                Bind {
                    last: *last,
                    ..one(first)
                },
            )
        }
        BindAddress::Network {
            network,
            first,
            last,
            udp,
        } => {
            let protocol = if *udp { Protocol::Udp } else { Protocol::Tcp };
            let bind = Bind {
                length: network.prefix_len(),
                ..Bind::one(network.addr(), *first, *last)
            };
            (protocol, bind)
        }
        _ => return refuse("'mode l4' listens on IP addresses only"),
    };
    if listen.first == 0 {
        return refuse("'mode l4' needs a port");
    }
    vec![(protocol, listen)]
}

/// Where the packets of a `mode l4` frontend go; `None` when that was refused.
fn forwarding(
    model: &Model,
    frontend: &Proxy,
    protocol: Protocol,
    family: Family,
    refusals: &mut Vec<Refusal>,
) -> Option<Forwarding> {
    let before = refusals.len();
    let own = frontend.kind.has_backend().then_some(frontend.id);
    let Some(backend) = frontend.default_backend.or(own).map(|id| model.proxy(id)) else {
        refusals.push(Refusal {
            place: frontend.place.clone(),
            message: format!(
                "frontend '{}' in 'mode l4' needs a 'default_backend'",
                frontend.name
            ),
        });
        return None;
    };
    check_backend(backend, refusals);
    check_numbers(model, backend, refusals);
    let method = match backend.forward {
        Forward::Nat => Method::Nat,
        Forward::Dnat => Method::Dnat,
        Forward::Dsr => Method::Dsr,
        Forward::Ipip => Method::Ipip,
        Forward::Gue { port } => Method::Gue { port },
    };
    let way = Way {
        method,
        protocol,
        family,
    };
    if frontend.marks.client_named && !method.rewrites() {
        refusals.push(Refusal {
            place: frontend.place.clone(),
            message: format!(
                "frontend '{}': with 'forward {}' servers answer clients directly, and nothing here can mark what 'client' names",
                frontend.name,
                method.name(),
            ),
        });
    }
    let servers: Vec<Server> = backend
        .servers
        .iter()
        .filter_map(|id| server(model.server(id), way, refusals))
        .collect();
    if refusals.len() == before && servers.is_empty() && !backend.servers.is_empty() {
        refusals.push(unreachable(frontend, backend, way));
    }
    let choice = match choice(&backend.balance.kind, family) {
        Ok(choice) => choice,
        Err(why) => {
            refusals.push(Refusal {
                place: backend.place.clone(),
                message: format!("backend '{}' in 'mode l4': {why}", backend.name),
            });
            return None;
        }
    };
    // Only datagrams carry QUIC.
    let server_ids = backend
        .quic_server_ids
        .filter(|_| protocol == Protocol::Udp)
        .map(|ids| ServerIds {
            length: ids.length,
            configuration: ids.configuration,
        });
    (refusals.len() == before).then(|| Forwarding {
        backend: backend.name.clone(),
        proxy: backend.id,
        method,
        choice,
        server_ids,
        servers,
        all_backups: backend.all_backups,
        idle: idle_times(&frontend.timeouts, &backend.timeouts),
    })
}

/// What is different about the packets of a frontend. Answers are marked where they come through here.
fn treatment(frontend: &Proxy, delivery: &Delivery) -> Treatment {
    let lenient = !frontend.normalise;
    let Some(forwarding) = delivery.forwarding() else {
        return Treatment {
            lenient,
            ..Treatment::default()
        };
    };
    Treatment {
        lenient,
        to_server: frontend.marks.server,
        to_client: frontend
            .marks
            .client
            .filter(|_| forwarding.method.rewrites()),
    }
}

/// How the kernel chooses servers, or why it cannot as it was asked to.
fn choice(kind: &BalanceKind, family: Family) -> Result<Choice, String> {
    Ok(match kind {
        BalanceKind::Maglev => Choice::Maglev,
        BalanceKind::Source => Choice::Source,
        BalanceKind::RoundRobin => Choice::RoundRobin,
        BalanceKind::StaticRoundRobin => Choice::StaticRoundRobin,
        BalanceKind::LeastConnections => Choice::LeastConn,
        BalanceKind::Random { draws } => Choice::Random {
            draws: u8::try_from(*draws)
                .ok()
                .filter(|draws| u32::from(*draws) <= PROBES)
                .ok_or_else(|| {
                    format!("'balance random' compares at most {PROBES} servers, not {draws}")
                })?,
        },
        BalanceKind::Hash(expression) => Choice::Hash(hashed(expression, family)?),
        _ => return Err(ALGORITHMS.to_owned()),
    })
}

/// What of a packet a hash is made of.
fn hashed(expression: &Expression, family: Family) -> Result<Key, String> {
    let wrong = || {
        format!(
            "'balance hash' takes 'src', 'dst' (with 'ipmask' or without), 'src_port' or 'dst_port', not '{}'",
            expression.text()
        )
    };
    let key = match expression.fetch_name() {
        "src" => Key::Source(masks(expression).ok_or_else(wrong)?),
        "dst" => Key::Destination(masks(expression).ok_or_else(wrong)?),
        "src_port" if expression.converters().len() == 0 => Key::SourcePort,
        "dst_port" if expression.converters().len() == 0 => Key::DestinationPort,
        _ => return Err(wrong()),
    };
    match key {
        Key::Source(Masks { v6: None, .. }) | Key::Destination(Masks { v6: None, .. })
            if family == Family::V6 =>
        {
            Err(format!(
                "'balance hash {}' has no mask for the IPv6 addresses it listens on",
                expression.text()
            ))
        }
        key => Ok(key),
    }
}

/// Numbers of servers have to fit into connection ids, where they stand in them.
fn check_numbers(model: &Model, backend: &Proxy, refusals: &mut Vec<Refusal>) {
    let Some(QuicServerIds { length, .. }) = backend.quic_server_ids else {
        return;
    };
    for server in backend.servers.iter().map(|id| model.server(id)) {
        if length < 4 && server.number >> (8 * length) != 0 {
            let message = format!(
                "server '{}': its id {} does not fit into 'quic-server-id length {length}'",
                server.name, server.number
            );
            let known = |refusal: &Refusal| refusal.message == message;
            if !refusals.iter().any(known) {
                refusals.push(Refusal {
                    place: server.place.clone(),
                    message,
                });
            }
        }
    }
}

fn check_backend(backend: &Proxy, refusals: &mut Vec<Refusal>) {
    let mut refuse = |wrong: bool, message: &str| {
        if wrong {
            let message = format!("backend '{}': {message}", backend.name);
            refusals.push(Refusal {
                place: backend.place.clone(),
                message,
            });
        }
    };
    refuse(
        backend.mode != Mode::L4,
        "a 'mode l4' frontend needs a 'mode l4' backend",
    );
    refuse(
        backend.source.is_some(),
        "'source' is not possible in 'mode l4'",
    );
    refuse(
        backend.cookie.is_some(),
        "'cookie' is not possible in 'mode l4'",
    );
    refuse(
        !backend.use_servers.is_empty(),
        "'use-server' is not possible in 'mode l4'",
    );
    refuse(
        !backend.stick_rules.is_empty(),
        "'stick' rules are not possible in 'mode l4'",
    );
}

/// What a server gets and how.
#[derive(Clone, Copy)]
struct Way {
    method: Method,
    protocol: Protocol,
    family: Family,
}

/// That no server of a backend can be given what a frontend gets.
fn unreachable(frontend: &Proxy, backend: &Proxy, way: Way) -> Refusal {
    let Way { method, family, .. } = way;
    let hint = match method {
        Method::Ipip => "; 'forward gue' can",
        _ => "",
    };
    Refusal {
        place: backend.place.clone(),
        message: format!(
            "frontend '{}' listens on {} and no server of backend '{}' does, which 'forward {}' cannot bridge{hint}",
            frontend.name,
            family.name(),
            backend.name,
            method.name(),
        ),
    }
}

fn server(server: &model::Server, way: Way, refusals: &mut Vec<Refusal>) -> Option<Server> {
    let mut wrong = Vec::new();
    let address = match server.address {
        ServerAddress::Inet {
            address,
            port_offset,
        } => {
            if port_offset.is_some_and(|offset| offset != 0) {
                wrong.push("a port offset");
            }
            Some(address)
        }
        ServerAddress::Unresolved { .. } => None,
        _ => {
            wrong.push("a Unix socket");
            None
        }
    };
    let not_possible = [
        (server.tls.is_some(), "'ssl'"),
        (server.send_proxy.is_some(), "'send-proxy'"),
        (server.minconn.is_some(), "'minconn'"),
        (server.maxqueue.is_some(), "'maxqueue'"),
        (server.source.is_some(), "'source'"),
        (server.cookie.is_some(), "'cookie'"),
        (server.redirect_prefix.is_some(), "'redir'"),
    ];
    wrong.extend(
        not_possible
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, what)| *what),
    );
    for what in &wrong {
        let message = format!(
            "server '{}': {what} is not possible in 'mode l4'",
            server.name
        );
        if !refusals
            .iter()
            .any(|known| known.message == message && known.place == server.place)
        {
            refusals.push(Refusal {
                place: server.place.clone(),
                message,
            });
        }
    }
    let out_of_reach =
        address.is_some_and(|address| !way.method.reaches(way.family, Family::of(address.ip())));
    (wrong.is_empty() && !out_of_reach).then(|| Server {
        name: server.name.clone(),
        id: server.id,
        number: server.number,
        address,
        weight: server.weight.0,
        backup: server.backup,
        maxconn: server.maxconn,
        cut_when_down: way.protocol == Protocol::Udp
            || server.on_marked_down == Some(OnMarkedDown::ShutdownSessions),
    })
}

/// A server's own port cannot be another than the client's, where packets reach it as the client sent them.
fn refuse_own_ports(model: &Model, service: &Service, refusals: &mut Vec<Refusal>) {
    let Some((forwarding, listen)) = service.delivery.forwarding().zip(service.binds.last()) else {
        return;
    };
    for server in &forwarding.servers {
        // Of a name that does not resolve yet the port is known all the same.
        let port = match &model.server(server.id).address {
            ServerAddress::Inet { address, .. } => address.port(),
            ServerAddress::Unresolved { port } => *port,
            _ => 0,
        };
        if !service.reaches_port(port) {
            refusals.push(Refusal {
                place: model.server(server.id).place.clone(),
                message: format!(
                    "server '{}': 'forward {}' leaves packets as they are, so those to {listen} cannot go to port {port}; \
                     give the server no port, and its checks one with 'port'",
                    server.name,
                    forwarding.method.name(),
                ),
            });
        }
    }
}

fn idle_times(frontend: &Timeouts, backend: &Timeouts) -> IdleTimes {
    let longer = |one: Option<Millis>, other: Option<Millis>| one.max(other).map(|time| time.0);
    let unlimited = frontend.client.is_none() || backend.server.is_none();
    let idle = longer(frontend.client, backend.server)
        .filter(|_| !unlimited)
        .unwrap_or(UNLIMITED);
    // No byte is read here: every connection is a tunnel from its first one (manual §4.2 `timeout tunnel`).
    let established = backend.tunnel.map_or(idle, |time| time.0);
    let closed = longer(frontend.client_fin, backend.server_fin);
    IdleTimes {
        opening: backend.connect.map_or(OPENING, |time| time.0),
        established,
        datagram: idle,
        closing: closed.unwrap_or(CLOSING),
    }
}

/// How long an unanswered SYN is remembered without `timeout connect`, in milliseconds.
const OPENING: u64 = 60_000;

/// How long a closing flow is remembered without `timeout client-fin` and `server-fin`, in milliseconds: the length of
/// TIME-WAIT in Linux.
const CLOSING: u64 = 60_000;

/// What [`choice`] knows.
const ALGORITHMS: &str = "'balance' takes 'maglev', 'source', 'hash', 'roundrobin', 'static-rr', 'leastconn' or 'random' there";

/// A missing `timeout client` or `server` means no limit, as everywhere; a full table still reuses the oldest entries.
const UNLIMITED: u64 = u64::MAX;
