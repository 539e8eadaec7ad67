//! The flows the kernel knows: what `show flows` lists and `clear flows` forgets.
//!
//! Those with NAT are read from the table of mappings, with both of their ends; flows of `forward dsr`, `ipip` and `gue` from
//! the flow table, which knows them by a hash of their addresses alone. Forgetting takes the flow's entry and its mapping:
//! the next packet of the client finds no flow.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use tidegate_common::address::Address;
use tidegate_common::flow::{FlowEntry, FlowState};
use tidegate_common::nat::{Head, NatEntry};
use tidegate_common::server::ServerIndex;
use tidegate_common::tick::Tick;

use super::feedback::Feedback;

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowSnapshot {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Who; not known of a flow without NAT.
    pub client: Option<SocketAddr>,
    /// The address it uses; likewise.
    pub service: Option<SocketAddr>,
    /// The server's name; none that the configuration still has, where it is being drained.
    pub server: Option<String>,
    /// The backend's server's frontend.
    pub frontend: Option<String>,
    /// `opening`, `answered`, `established`, `closing`, `reset` or `datagram`.
    pub state: &'static str,
    /// Milliseconds until it is forgotten without another packet.
    pub expires: u64,
}

impl Feedback {
    /// Flows for which `wanted` holds, at most `most`.
    pub fn flows(&self, wanted: impl Fn(&FlowSnapshot) -> bool, most: usize) -> Vec<FlowSnapshot> {
        let mapped = self.nat.iter().filter_map(|entry| self.flow(entry));
        let entries = self.flows.iter().flat_map(|bucket| &bucket.entries);
        let others = entries.filter_map(|entry| self.unmapped(entry));
        mapped.chain(others).filter(wanted).take(most).collect()
    }

    /// Forgets the flows for which `wanted` holds; tells how many there were.
    pub fn forget_flows(&self, wanted: impl Fn(&FlowSnapshot) -> bool) -> usize {
        let mut forgotten = 0;
        for entry in self.nat.iter() {
            let head = entry.head.load();
            if !self.flow(entry).is_some_and(|flow| wanted(&flow)) {
                continue;
            }
            let place = entry.flow_place().0;
            let bucket = self.flows.get((place >> 2) as usize);
            if let Some(way) = bucket.and_then(|bucket| bucket.entries.get((place & 3) as usize)) {
                way.identity.store(0);
            }
            // The program may have given the place to another flow meanwhile.
            if entry.head.load() == head {
                entry.head.store(0);
            }
            forgotten += 1;
        }
        for entry in self.flows.iter().flat_map(|bucket| &bucket.entries) {
            if self.unmapped(entry).is_some_and(|flow| wanted(&flow)) {
                entry.identity.store(0);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// A flow that has no mapping.
    fn unmapped(&self, entry: &FlowEntry) -> Option<FlowSnapshot> {
        let now = self.ticks.now();
        let (state, track) = entry.read();
        if track.nat_port != 0 || track.has_expired(now) {
            return None;
        }
        let name = name(state)?;
        let (server, frontend) = self.owner(track.server);
        Some(FlowSnapshot {
            protocol: if state == FlowState::DATAGRAM {
                "udp"
            } else {
                "tcp"
            },
            client: None,
            service: None,
            server,
            frontend,
            state: name,
            expires: self.milliseconds(track.expires, now),
        })
    }

    /// The names of a server and of its frontend, if the configuration still has it.
    fn owner(&self, index: ServerIndex) -> (Option<String>, Option<String>) {
        let servers = self.servers.load();
        let Some(server) = servers.iter().find(|server| server.index == Some(index)) else {
            return (None, None);
        };
        let mut services = self.services.iter();
        let service = services.find(|known| known.index == server.service);
        let frontend = service.map(|service| service.frontend.clone());
        (Some(server.name.clone()), frontend)
    }

    fn milliseconds(&self, expires: Tick, now: Tick) -> u64 {
        u64::from(expires.since(now)) * 1000 / u64::from(self.ticks.per_second())
    }

    fn flow(&self, entry: &NatEntry) -> Option<FlowSnapshot> {
        let word = entry.head.load();
        let now = self.ticks.now();
        let head = Head::from_word(word);
        let state = name(head.state)?;
        if word == 0 || Head::has_expired(word, now) {
            return None;
        }
        let (client_port, service_port) = entry.ports();
        let end =
            |address: IpAddr, port: [u8; 2]| SocketAddr::new(address, u16::from_be_bytes(port));
        let client = end(Address::load(&entry.client).into(), client_port);
        let service = end(Address::load(&entry.service).into(), service_port);
        let (server, frontend) = self.owner(entry.server());
        // Whoever wrote the entry meanwhile changed its head first.
        (entry.head.load() == word).then(|| FlowSnapshot {
            protocol: if head.protocol == UDP { "udp" } else { "tcp" },
            client: Some(client),
            service: Some(service),
            server,
            frontend,
            state,
            expires: self.milliseconds(head.expires, now),
        })
    }
}

/// The state's name; none while an entry is being written.
fn name(state: FlowState) -> Option<&'static str> {
    let names = [
        (FlowState::OPENING, "opening"),
        (FlowState::ANSWERED, "answered"),
        (FlowState::ESTABLISHED, "established"),
        (FlowState::CLOSING, "closing"),
        (FlowState::DATAGRAM, "datagram"),
        (FlowState::RESET, "reset"),
    ];
    let mut named = names.iter();
    named
        .find(|(known, _)| *known == state)
        .map(|(_, name)| *name)
}

const UDP: u8 = 17;
