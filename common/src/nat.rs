//! The NAT table: from a server's answer back to the client.
//!
//! Map `nat` is one array for all CPUs, an entry per cache line. What the server sees (its own address and port, our
//! source port, the protocol) gives exactly one place by a secret hash, so one such tuple can never be held twice; a port
//! whose place is taken is skipped for the next of [`PROBES`] candidates, which depend on the flow alone, so that the
//! flow's mapping is found again without its flow entry. Only the program writes the array.

use crate::address::Address;
use crate::config::NatSizes;
use crate::flow::{FlowHash, FlowPlace, FlowState};
use crate::hash::{Hasher, mix, reduce};
use crate::interface::mac_word;
use crate::server::ServerIndex;
use crate::tick::{self, Tick};
use crate::word::Word;

/// The record of map `nat`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct NatEntry {
    /// [`Head`]; 0 is a free entry. Written last, checked first and last.
    pub head: Word,
    /// Client port, service port (both network order), server.
    pub ends: Word,
    /// The client.
    pub client: [Word; 2],
    /// The address the client used.
    pub service: [Word; 2],
    /// The client's next hop: hardware address, interface index, [`Tags`] format.
    pub hop: Word,
    /// The flow's entry in `flows` (low half), then both VLAN tags.
    pub flow: Word,
}

/// The word that says whose entry it is and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// When the entry may be taken by another flow.
    pub expires: Tick,
    /// The source port towards the server.
    pub port: u16,
    /// How far the flow has come.
    pub state: FlowState,
    /// IP protocol number.
    pub protocol: u8,
}

/// VLAN tags of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// How many: 0, 1 or 2.
    pub count: u8,
    /// Whether the outer one is a service tag (EtherType 0x88a8, IEEE 802.1ad) rather than 0x8100.
    pub service_tag: bool,
    /// Priority and identifier (TCI), the outer one first, as numbers.
    pub control: [u16; 2],
}

impl Head {
    /// As the word in the entry.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.expires.0 as u64
            | ((self.port as u64) << 32)
            | ((self.state.bits() as u64) << 48)
            | ((self.protocol as u64) << 56)
    }

    /// From the word in the entry.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            expires: Tick(word as u32),
            port: (word >> 32) as u16,
            state: FlowState::from_bits((word >> 48) as u8),
            protocol: (word >> 56) as u8,
        }
    }

    /// Whether another flow may take the entry with this head.
    #[inline(always)]
    pub const fn has_expired(word: u64, now: Tick) -> bool {
        Tick(word as u32).since(now) > tick::LONGEST
    }

    /// Whether a head is one with this port and protocol that nobody is writing.
    #[inline(always)]
    pub const fn is(word: u64, port: u16, protocol: u8) -> bool {
        (word >> 32) as u16 == port
            && (word >> 56) as u8 == protocol
            && (word >> 48) as u8 != CLAIMED.bits()
    }
}

impl NatEntry {
    /// The client's port and the service's, network order.
    #[inline(always)]
    pub fn ports(&self) -> ([u8; 2], [u8; 2]) {
        let [c, d, s, t, ..] = self.ends.bytes();
        ([c, d], [s, t])
    }

    /// The flow's server.
    #[inline(always)]
    pub fn server(&self) -> ServerIndex {
        let [.., v, w, _, _] = self.ends.bytes();
        ServerIndex(u16::from_ne_bytes([v, w]))
    }

    /// Replaces ports and server.
    #[inline(always)]
    pub fn write_ends(
        &self,
        client_port_be: [u8; 2],
        service_port_be: [u8; 2],
        server: ServerIndex,
    ) {
        let ([c, d], [s, t]) = (client_port_be, service_port_be);
        let [v, w] = server.0.to_ne_bytes();
        self.ends.store_bytes([c, d, s, t, v, w, 0, 0]);
    }

    /// The way back to the client: hardware address (a word), interface index and VLAN tags.
    #[inline(always)]
    pub fn way(&self) -> (u64, u8, Tags) {
        let [a, b, c, d, e, f, interface, format] = self.hop.bytes();
        let flow = self.flow.load();
        let tags = Tags {
            count: format & 3,
            service_tag: format & SERVICE_TAG != 0,
            control: [(flow >> 32) as u16, (flow >> 48) as u16],
        };
        (mac_word([a, b, c, d, e, f]), interface, tags)
    }

    /// The flow's entry.
    #[inline(always)]
    pub fn flow_place(&self) -> FlowPlace {
        FlowPlace(self.flow.load() as u32)
    }

    /// Replaces the way back to the client and the place of the flow's entry.
    #[inline(always)]
    pub fn write_way(&self, mac: u64, interface: u8, tags: Tags, flow: FlowPlace) {
        let [a, b, c, d, e, f, ..] = mac.to_ne_bytes();
        let service = if tags.service_tag { SERVICE_TAG } else { 0 };
        let [outer, inner] = tags.control;
        self.hop
            .store_bytes([a, b, c, d, e, f, interface, tags.count | service]);
        self.flow
            .store(flow.0 as u64 | ((outer as u64) << 32) | ((inner as u64) << 48));
    }

    /// Whether the entry maps this client and service.
    #[inline(always)]
    pub fn is_of(
        &self,
        client: Address,
        client_port_be: [u8; 2],
        service: Address,
        service_port_be: [u8; 2],
    ) -> bool {
        let [c, d, s, t, ..] = self.ends.bytes();
        [c, d] == client_port_be
            && [s, t] == service_port_be
            && Address::load(&self.client) == client
            && Address::load(&self.service) == service
    }
}

/// The only place of a mapping: what the server's answers will carry.
#[inline(always)]
pub fn place(
    key: u64,
    server: Address,
    server_port_be: [u8; 2],
    port: u16,
    protocol: u8,
    entries: u32,
) -> u32 {
    let [high, low] = server.words();
    let [p, q] = server_port_be;
    let [r, s] = port.to_ne_bytes();
    let rest = u64::from_ne_bytes([p, q, r, s, protocol, 0, 0, 0]);
    let hash = Hasher::new(key ^ DOMAIN).word(rest).word(high).word(low);
    reduce(hash.finish() as u32, entries)
}

/// One of the [`DIRECT_PROBES`] places of a mapping that keeps the client's address and port: what the server's answers
/// will carry.
#[inline(always)]
pub fn direct_place(
    key: u64,
    (server, server_port_be): (Address, [u8; 2]),
    (client, client_port_be): (Address, [u8; 2]),
    protocol: u8,
    probe: u32,
    entries: u32,
) -> u32 {
    let ([a, b], [c, d]) = (server.words(), client.words());
    let ([p, q], [r, s]) = (server_port_be, client_port_be);
    let rest = u64::from_ne_bytes([p, q, r, s, protocol, probe as u8, 1, 0]);
    let hash = Hasher::new(key ^ DOMAIN).word(rest).word(a).word(b);
    reduce(hash.word(c).word(d).finish() as u32, entries)
}

/// The source ports a flow may have, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Candidates {
    at: u32,
    step: u32,
}

impl Candidates {
    /// Those of a flow.
    #[inline(always)]
    pub const fn of(flow: FlowHash) -> Self {
        let hash = mix(flow.0 ^ DOMAIN);
        Self {
            at: hash as u32,
            step: (hash >> 32) as u32 | 1,
        }
    }

    /// The next one. There is always one more; take [`PROBES`].
    #[inline(always)]
    pub fn next_port(&mut self, sizes: NatSizes) -> u16 {
        let offset = reduce(self.at, sizes.ports as u32);
        self.at = self.at.wrapping_add(self.step);
        sizes.first_port.wrapping_add(offset as u16)
    }
}

/// How many source ports a flow tries. With half of the table in use one flow in 256 finds none.
pub const PROBES: u32 = 8;

/// How many places a mapping that keeps the client's address tries. With half of the table in use one flow in 64 finds
/// none.
pub const DIRECT_PROBES: u32 = 6;

/// The state of an entry that another CPU is writing.
pub const CLAIMED: FlowState = FlowState::from_bits(0xff);
const SERVICE_TAG: u8 = 4;
const DOMAIN: u64 = 0x4e41_545f_7461_626c;

const _: () = assert!(size_of::<NatEntry>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    #[test]
    fn a_written_mapping_reads_back() {
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        let (client, service) = (address("2001:db8::1"), address("192.0.2.80"));
        let entry = NatEntry::default();
        let tags = Tags {
            count: 2,
            service_tag: true,
            control: [100, 0xefff],
        };
        client.store(&entry.client);
        service.store(&entry.service);
        entry.write_ends([0x9c, 0x40], [0, 80], ServerIndex(513));
        entry.write_way(mac_word([2, 0, 0, 0, 0, 7]), 9, tags, FlowPlace::new(77, 2));
        assert!(entry.is_of(client, [0x9c, 0x40], service, [0, 80]));
        assert!(!entry.is_of(service, [0x9c, 0x40], client, [0, 80]));
        assert!(!entry.is_of(client, [0x9c, 0x41], service, [0, 80]));
        assert_eq!(entry.server(), ServerIndex(513));
        assert_eq!(entry.ports(), ([0x9c, 0x40], [0, 80]));
        assert_eq!(entry.way(), (mac_word([2, 0, 0, 0, 0, 7]), 9, tags));
        assert_eq!(entry.flow_place(), FlowPlace::new(77, 2));
    }

    #[test]
    fn a_claimed_entry_has_no_state() {
        let head = Head {
            expires: Tick(500),
            port: 20_000,
            state: FlowState::DATAGRAM,
            protocol: 17,
        };
        assert_eq!(Head::from_word(head.word()), head);
        let claimed = Head {
            state: CLAIMED,
            ..head
        };
        assert_eq!(Head::from_word(claimed.word()), claimed);
        assert!(!Head::has_expired(head.word(), Tick(500)));
        assert!(Head::has_expired(head.word(), Tick(501)));
        assert!(Head::is(head.word(), 20_000, 17));
        assert!(!Head::is(claimed.word(), 20_000, 17));
    }

    #[test]
    fn candidates_stay_in_range_and_differ() {
        let sizes = NatSizes {
            entries: 1000,
            first_port: 10_240,
            ports: 22_528,
        };
        for flow in 0..500u64 {
            let mut candidates = Candidates::of(FlowHash(mix(flow)));
            let mut ports: Vec<_> = (0..PROBES).map(|_| candidates.next_port(sizes)).collect();
            assert!(ports.iter().all(|port| (10_240..32_768).contains(port)));
            ports.sort_unstable();
            ports.dedup();
            assert!(ports.len() >= 5, "{ports:?}");
        }
    }
}
