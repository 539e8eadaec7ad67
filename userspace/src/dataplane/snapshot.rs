//! What `show xdp` prints: the kernel tier's counters at one moment, as data.
//!
//! [`super::feedback`] fills it in; the JSON form is the structures as they are.

use std::fmt;

use serde::Serialize;
use tidegate_common::counters::ServerCounters;

use super::live::LiveFlows;
use crate::types::ServerId;

/// Everything `show xdp` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Interfaces and how the program is attached.
    pub interfaces: Vec<InterfaceSnapshot>,
    /// The services.
    pub services: Vec<ServiceSnapshot>,
    /// Packets dropped before their service was known, by reason.
    pub unknown_drops: Vec<DropCount>,
    /// Flows in the table.
    pub flows: u64,
    /// Its size.
    pub flow_limit: u64,
    /// What an operator should know of how the configuration meets this machine.
    pub notices: Vec<String>,
}

/// One interface.
#[derive(Clone, Debug, Serialize)]
pub struct InterfaceSnapshot {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: &'static str,
}

/// One service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceSnapshot {
    /// The frontend.
    pub frontend: String,
    /// The backend packets are forwarded to.
    pub backend: Option<String>,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Addresses and ports.
    pub binds: Vec<String>,
    /// Its SYNs, if it has any.
    pub syns: Option<SynSnapshot>,
    /// Packets dropped, by reason.
    pub drops: Vec<DropCount>,
    /// Its servers.
    pub servers: Vec<ServerSnapshot>,
}

/// The SYNs of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SynSnapshot {
    /// In the last second.
    pub rate: u32,
    /// More in a second are a flood; 0 is no limit.
    pub limit: u32,
    /// Whether there is one.
    pub flooded: bool,
    /// For how many no state was kept.
    pub stateless: u64,
    /// How many were answered with a cookie.
    pub cookies: u64,
    /// How many cookies came back.
    pub proven: u64,
}

/// Packets dropped for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DropCount {
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub packets: u64,
}

/// One server of a service.
#[derive(Clone, Debug, Serialize)]
pub struct ServerSnapshot {
    /// The server in the model in force.
    #[serde(skip)]
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// `up`, `drain`, `down` or `absent`.
    pub state: &'static str,
    /// Why the kernel cannot reach it.
    pub trouble: Option<String>,
    /// What it got and sent.
    #[serde(flatten)]
    pub counts: ServerCounts,
    /// The flows it has now.
    pub live: LiveFlows,
}

/// What one server got and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerCounts {
    /// Packets to the server.
    pub packets_in: u64,
    /// Bytes of those, from the IP header on.
    pub bytes_in: u64,
    /// Packets from the server; only NAT sees them.
    pub packets_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Flows given to it.
    pub flows: u64,
    /// TCP handshakes seen to be complete.
    pub established: u64,
    /// Flows given to it without being remembered, because the table was full.
    pub unremembered: u64,
}

impl ServerCounts {
    /// Both together.
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            packets_in: self.packets_in + other.packets_in,
            bytes_in: self.bytes_in + other.bytes_in,
            packets_out: self.packets_out + other.packets_out,
            bytes_out: self.bytes_out + other.bytes_out,
            flows: self.flows + other.flows,
            established: self.established + other.established,
            unremembered: self.unremembered + other.unremembered,
        }
    }
}

impl From<ServerCounters> for ServerCounts {
    fn from(row: ServerCounters) -> Self {
        Self {
            packets_in: row.packets_in,
            bytes_in: row.bytes_in,
            packets_out: row.packets_out,
            bytes_out: row.bytes_out,
            flows: row.flows,
            established: row.established,
            unremembered: row.unremembered,
        }
    }
}

impl fmt::Display for SynSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.flooded { "flood" } else { "normal" };
        write!(
            formatter,
            "  syns {state} {} of {} a second, stateless {} cookies {} proven {}",
            self.rate, self.limit, self.stateless, self.cookies, self.proven
        )
    }
}
