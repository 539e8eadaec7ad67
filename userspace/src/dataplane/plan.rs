//! The whole desired state of the kernel tier, as inert data.
//!
//! [`super::offload`] makes a [`Plan`] from a model, [`super::explain`] prints it, and the writer compares it with what
//! the maps hold. It has names and addresses where the maps have indexes, and knows nothing of servers going up and
//! down or of next hops: those are added when the maps are written.

mod choice;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

pub use choice::{Choice, Key};

use super::source_rules::SourceRules;
use crate::types::{ProxyId, ServerId, TableId};

/// Everything the kernel should do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What sources may do, one policy per frontend that restricts them.
    pub policies: Vec<Policy>,
    /// Every address the program looks after.
    pub services: Vec<Service>,
    /// What an open flow may do once its source is listed.
    pub listed_flows: ListedFlows,
    /// When SYNs are a flood, and what is done then.
    pub syns: SynRules,
}

/// When SYNs are a flood, and what is done then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SynRules {
    /// SYNs a second of one service; more are a flood. 0 is no limit (`xdp syn-rate`).
    pub rate: u32,
    /// When services that end here answer SYNs from the driver.
    pub cookies: SynCookies,
}

/// When SYNs are answered with cookies from the driver (`xdp syn-cookies`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SynCookies {
    /// Never.
    #[default]
    Off,
    /// Under a flood.
    Auto,
    /// Always.
    Always,
}

/// What an open flow may still do once its source is listed (`xdp listed-flows`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedFlows {
    /// Nothing: its packets are dropped.
    #[default]
    Cut,
    /// It goes on, as a connection does in userspace.
    Keep,
}

/// Index into [`Plan::policies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PolicyId(pub u16);

/// What sources may do at one frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The frontend's name.
    pub frontend: String,
    /// What its source rules say.
    pub sources: SourceRules,
    /// Its limit of connections per source, for sources the rules say [`SourceAction::Next`] about.
    pub rate: Option<RateLimit>,
}

/// What happens to connections from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceAction {
    /// No source rule speaks about it: the rate limit is asked next.
    Next,
    /// Accepted, past every later rule.
    Accept,
    /// Dropped.
    Drop,
    /// Dropped, and a client that asks for a TCP connection is told by a reset.
    Reset,
}

impl SourceAction {
    /// Whether nothing goes through.
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Drop | Self::Reset)
    }
}

/// A limit of connections per source (manual: `conn_rate`, `sc0_conn_rate gt N`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// The stick table whose numbers the kernel keeps.
    #[serde(skip)]
    pub table: TableId,
    /// Its name.
    pub table_name: String,
    /// The period of `conn_rate`, in milliseconds.
    pub period: u64,
    /// A source with more connections than this in the period is refused.
    pub limit: u32,
    /// What the limit is compared with.
    pub counting: Counting,
    /// What is counted as one source.
    pub masks: Masks,
    /// Whether the table holds IPv6 addresses (`type ipv6`); those of `type ip` do not limit IPv6 sources.
    pub v6: bool,
    /// Whether refused clients are told by a reset.
    pub resets: bool,
}

/// The prefix lengths of what is counted as one source (`src,ipmask(32,64)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Masks {
    /// Of IPv4 sources.
    pub v4: u8,
    /// Of IPv6 sources; none are counted without it.
    pub v6: Option<u8>,
}

impl Masks {
    /// Every address is a source of its own.
    pub const NONE: Self = Self {
        v4: 32,
        v6: Some(128),
    };
}

/// What a limit of connections is compared with (manual §4.3 `tcp-request connection`, its two examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counting {
    /// `track-sc0 src` before `reject`: every connection counts, also a refused one, and the new one is among them.
    All,
    /// `reject` before `track-sc0 src`: only accepted connections count, and the new one is not among them.
    Accepted,
}

/// The addresses of one frontend in one family and transport, and what happens to their packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// The frontend's name.
    pub frontend: String,
    /// The frontend in the model the plan was made from.
    #[serde(skip)]
    pub proxy: ProxyId,
    /// The transport.
    pub protocol: Protocol,
    /// The family of all its addresses.
    pub family: Family,
    /// Where clients send to.
    pub binds: Vec<Bind>,
    /// The largest TCP segment that is wanted (`bind … mss`), 0 if none of the addresses says.
    pub segment: u16,
    /// What its sources may do.
    pub policy: Option<PolicyId>,
    /// What is different about its packets.
    pub treatment: Treatment,
    /// What happens to packets that are let through.
    pub delivery: Delivery,
}

/// One address, a network, or all addresses, with one port or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Bind {
    /// The address, or that of the network; the unspecified one means every address of this machine, if it is whole.
    pub address: IpAddr,
    /// How many bits of it count: all, or those of a network.
    pub length: u8,
    /// The first port.
    pub first: u16,
    /// The last port, usually the same.
    pub last: u16,
}

impl Bind {
    /// One address with these ports.
    pub const fn one(address: IpAddr, first: u16, last: u16) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self {
            address,
            length,
            first,
            last,
        }
    }

    /// Whether it is a network rather than an address.
    pub const fn is_network(&self) -> bool {
        self.length < if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether it is every address of this machine.
    pub const fn is_wildcard(&self) -> bool {
        self.address.is_unspecified() && !self.is_network()
    }
}

/// What is different about the packets of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Treatment {
    /// Packets with impossible flags or addresses go on.
    pub lenient: bool,
    /// The type of service that packets get on their way to a server.
    pub to_server: Option<u8>,
    /// The one that answers get on their way to a client.
    pub to_client: Option<u8>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

/// The transport of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What happens to packets that are let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// They go on into this machine's stack: the userspace tier listens there.
    Local,
    /// They are forwarded to a server of a backend.
    Forward(Forwarding),
}

impl Service {
    /// Whether packets reach a server's own port: as they are, they come to the port they were sent to. Port 0 is none.
    pub fn reaches_port(&self, port: u16) -> bool {
        let rewrites = |forwarding: &Forwarding| forwarding.method.rewrites();
        let only = |bind: &Bind| (bind.first, bind.last) == (port, port);
        port == 0 || self.delivery.forwarding().is_none_or(rewrites) || self.binds.iter().all(only)
    }
}

impl Delivery {
    /// How packets are forwarded, where they are.
    pub const fn forwarding(&self) -> Option<&Forwarding> {
        match self {
            Self::Local => None,
            Self::Forward(forwarding) => Some(forwarding),
        }
    }

    /// The same, to be changed.
    pub const fn forwarding_mut(&mut self) -> Option<&mut Forwarding> {
        match self {
            Self::Local => None,
            Self::Forward(forwarding) => Some(forwarding),
        }
    }
}

/// How packets are forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forwarding {
    /// The backend's name.
    pub backend: String,
    /// The backend in the model the plan was made from.
    #[serde(skip)]
    pub proxy: ProxyId,
    /// How they reach the server.
    pub method: Method,
    /// How the server of a new flow is chosen.
    pub choice: Choice,
    /// How connection ids of QUIC name servers, where they do.
    pub server_ids: Option<ServerIds>,
    /// All servers, in the order of the file.
    pub servers: Vec<Server>,
    /// `option allbackups`: all backup servers share the work, not only the first.
    pub all_backups: bool,
    /// How long flows live without a packet, in milliseconds.
    pub idle: IdleTimes,
}

/// How servers put their numbers into connection ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServerIds {
    /// Bytes of a number.
    pub length: u8,
    /// The bits that say so.
    pub configuration: u8,
}

/// How packets reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Source and destination are rewritten, in both directions.
    Nat,
    /// The destination is rewritten, and the source of the answers, which have to be routed back through here.
    Dnat,
    /// The packet goes unchanged to the server's hardware address, and the server answers the client directly.
    Dsr,
    /// The packet goes unchanged inside another IP packet, and the server answers the client directly.
    Ipip,
    /// The same inside a UDP datagram.
    Gue {
        /// The port the servers take it at.
        port: u16,
    },
}

impl Method {
    /// Its name, as after `forward`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dnat => "dnat",
            Self::Dsr => "dsr",
            Self::Ipip => "ipip",
            Self::Gue { .. } => "gue",
        }
    }

    /// Whether addresses and ports are rewritten.
    pub const fn rewrites(self) -> bool {
        matches!(self, Self::Nat | Self::Dnat)
    }

    /// Whether packets travel in a tunnel.
    pub const fn tunnels(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue { .. })
    }

    /// Whether packets need an address of this machine towards the server.
    pub const fn needs_source(self) -> bool {
        matches!(self, Self::Nat) || self.tunnels()
    }

    /// Whether packets of clients of one family can get to servers of the other, or of the same.
    pub fn reaches(self, clients: Family, server: Family) -> bool {
        match self {
            Self::Nat | Self::Dnat => clients == server,
            Self::Dsr | Self::Gue { .. } => true,
            // 6in4 is left to GUE: protocol 41 towards a host without a tunnel of that kind is easily taken for 6to4.
            Self::Ipip => clients == Family::V4 || server == Family::V6,
        }
    }
}

impl Forwarding {
    /// Whether a schedule of turns is needed: where servers take turns, and where the search for one below its `maxconn`
    /// should come by all of them.
    pub fn needs_schedule(&self) -> bool {
        self.choice.takes_turns() || self.is_limited()
    }

    /// Whether a server may not have more than so many flows.
    pub fn is_limited(&self) -> bool {
        self.servers.iter().any(|server| server.maxconn.is_some())
    }
}

/// One server a service may forward to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// The server in the model the plan was made from.
    #[serde(skip)]
    pub id: ServerId,
    /// Its `id`, which connection ids name it by.
    #[serde(skip)]
    pub number: u32,
    /// Where it is; none while its name does not resolve. Port 0 keeps the port the client sent to.
    pub address: Option<SocketAddr>,
    /// `weight`.
    pub weight: u16,
    /// `backup`.
    pub backup: bool,
    /// `maxconn`: the most flows it may have.
    pub maxconn: Option<u32>,
    /// Its flows move to other servers when it goes down: `on-marked-down shutdown-sessions`, and always for UDP, where
    /// a flow has no end that a client would notice.
    pub cut_when_down: bool,
}

/// How long a flow without packets is remembered, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IdleTimes {
    /// Before the handshake is complete: `timeout connect`.
    pub opening: u64,
    /// Established TCP: `timeout tunnel`, or else the longer of `timeout client` and `timeout server`.
    pub established: u64,
    /// UDP: the longer of `timeout client` and `timeout server`.
    pub datagram: u64,
    /// After a FIN or RST: the longer of `timeout client-fin` and `timeout server-fin`.
    pub closing: u64,
}

impl Protocol {
    /// Its number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// As messages name it: `192.0.2.1:80`, `192.0.2.1:8000-8010`.
impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_network() {
            write!(formatter, "{}/{}:{}", self.address, self.length, self.first)?;
        } else {
            write!(formatter, "{}", SocketAddr::new(self.address, self.first))?;
        }
        if self.first == self.last {
            Ok(())
        } else {
            write!(formatter, "-{}", self.last)
        }
    }
}
