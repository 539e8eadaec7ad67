//! What `show xdp` prints: the kernel tier's counters at one moment, as data and as text.
//!
//! [`super::feedback`] fills it in; the JSON form is the structures as they are.

use std::fmt;

use serde::Serialize;
use tidegate_common::counters::ServerCounters;

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
    /// Packets dropped, by reason.
    pub drops: Vec<DropCount>,
    /// Its servers.
    pub servers: Vec<ServerSnapshot>,
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
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for interface in &self.interfaces {
            writeln!(formatter, "interface {} {}", interface.name, interface.mode)?;
        }
        writeln!(formatter, "flows {} of {}", self.flows, self.flow_limit)?;
        for notice in &self.notices {
            writeln!(formatter, "notice {notice}")?;
        }
        for drop in &self.unknown_drops {
            writeln!(formatter, "drop {} {}", drop.reason, drop.packets)?;
        }
        self.services
            .iter()
            .try_for_each(|service| write!(formatter, "{service}"))
    }
}

impl fmt::Display for ServiceSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "service {} {} {}",
            self.frontend,
            self.protocol,
            self.binds.join(",")
        )?;
        match &self.backend {
            Some(backend) => writeln!(formatter, " backend {backend}")?,
            None => writeln!(formatter, " local")?,
        }
        for drop in &self.drops {
            writeln!(formatter, "  drop {} {}", drop.reason, drop.packets)?;
        }
        self.servers
            .iter()
            .try_for_each(|server| write!(formatter, "{server}"))
    }
}

impl fmt::Display for ServerSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerCounts {
            packets_in,
            bytes_in,
            packets_out,
            bytes_out,
            flows,
            established,
        } = self.counts;
        write!(
            formatter,
            "  server {} {} flows {flows} established {established} in {packets_in}/{bytes_in} out {packets_out}/{bytes_out}",
            self.name, self.state
        )?;
        match &self.trouble {
            Some(trouble) => writeln!(formatter, " ({trouble})"),
            None => writeln!(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_line_for_everything() {
        let server = ServerSnapshot {
            id: ServerId(0),
            name: "s1".to_owned(),
            state: "drain",
            trouble: Some("no route to it".to_owned()),
            counts: ServerCounts {
                packets_in: 7,
                bytes_in: 900,
                flows: 2,
                ..ServerCounts::default()
            },
        };
        let service = ServiceSnapshot {
            frontend: "web".to_owned(),
            backend: Some("pool".to_owned()),
            protocol: "tcp",
            binds: vec!["192.0.2.1:80".to_owned(), "192.0.2.1:8000-8010".to_owned()],
            drops: vec![DropCount {
                reason: "source-listed",
                packets: 12,
            }],
            servers: vec![server],
        };
        let snapshot = Snapshot {
            interfaces: vec![InterfaceSnapshot {
                name: "eth0".to_owned(),
                mode: "native",
            }],
            services: vec![service],
            unknown_drops: vec![DropCount {
                reason: "bad-ip-header",
                packets: 3,
            }],
            flows: 2,
            flow_limit: 4096,
            notices: Vec::new(),
        };
        insta::assert_snapshot!(snapshot.to_string(), @r"
        interface eth0 native
        flows 2 of 4096
        drop bad-ip-header 3
        service web tcp 192.0.2.1:80,192.0.2.1:8000-8010 backend pool
          drop source-listed 12
          server s1 drain flows 2 established 0 in 7/900 out 0/0 (no route to it)
        ");
    }
}
