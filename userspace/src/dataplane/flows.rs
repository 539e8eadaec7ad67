//! The flows the kernel knows, with both of their ends: what `show flows` lists and `clear flows` forgets.
//!
//! Read from the table of mappings, which alone has addresses; flows of `forward dsr`, `ipip` and `gue` are remembered by a
//! hash of theirs and can only be counted. Forgetting takes the flow's entry and its mapping: the next packet of the client
//! finds no flow.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use tidegate_common::address::Address;
use tidegate_common::flow::FlowState;
use tidegate_common::nat::{Head, NatEntry};

use super::feedback::Feedback;

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowSnapshot {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Who.
    pub client: SocketAddr,
    /// The address it uses.
    pub service: SocketAddr,
    /// The server's name; none that the configuration still has, where it is being drained.
    pub server: Option<String>,
    /// The backend's server's frontend.
    pub frontend: Option<String>,
    /// `opening`, `answered`, `established`, `closing` or `datagram`.
    pub state: &'static str,
    /// Milliseconds until it is forgotten without another packet.
    pub expires: u64,
}

impl Feedback {
    /// Flows with addresses for which `wanted` holds, at most `most`.
    pub fn flows(&self, wanted: impl Fn(&FlowSnapshot) -> bool, most: usize) -> Vec<FlowSnapshot> {
        let flows = self.nat.iter().filter_map(|entry| self.flow(entry));
        flows.filter(wanted).take(most).collect()
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
        forgotten
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
        let index = entry.server();
        let servers = self.servers.load();
        let server = servers.iter().find(|server| server.index == Some(index));
        let frontend = server.and_then(|server| {
            let mut services = self.services.iter();
            services.find(|known| known.index == server.service)
        });
        // Whoever wrote the entry meanwhile changed its head first.
        (entry.head.load() == word).then(|| FlowSnapshot {
            protocol: if head.protocol == UDP { "udp" } else { "tcp" },
            client,
            service,
            server: server.map(|server| server.name.clone()),
            frontend: frontend.map(|service| service.frontend.clone()),
            state,
            expires: u64::from(head.expires.since(now)) * 1000 / u64::from(self.ticks.per_second()),
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
    ];
    let mut named = names.iter();
    named
        .find(|(known, _)| *known == state)
        .map(|(_, name)| *name)
}

const UDP: u8 = 17;
