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
    /// How far the flow has come; `None` while another CPU writes the entry.
    pub state: Option<FlowState>,
    /// IP protocol number.
    pub protocol: u8,
}

/// The client's side of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The client.
    pub client: Address,
    /// Its port, network order.
    pub client_port_be: [u8; 2],
    /// The address it used.
    pub service: Address,
    /// And the port, network order.
    pub service_port_be: [u8; 2],
    /// The flow's server.
    pub server: ServerIndex,
    /// The way back to the client.
    pub hop: ClientHop,
    /// The flow's entry.
    pub flow: FlowPlace,
}

/// The way back to a client: where its last packets came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientHop {
    /// Hardware address of the client or of its router.
    pub mac: [u8; 6],
    /// Index of the interface.
    pub interface: u8,
    /// The VLAN tags its frames carry.
    pub tags: Tags,
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
        let state = match self.state {
            Some(state) => state as u8,
            None => CLAIMED,
        };
        self.expires.0 as u64
            | ((self.port as u64) << 32)
            | ((state as u64) << 48)
            | ((self.protocol as u64) << 56)
    }

    /// From the word in the entry; `None` for a free one.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Option<Self> {
        if word == 0 {
            return None;
        }
        Some(Self {
            expires: Tick(word as u32),
            port: (word >> 32) as u16,
            state: FlowState::from_bits((word >> 48) as u8),
            protocol: (word >> 56) as u8,
        })
    }

    /// Whether another flow may take the entry.
    #[inline(always)]
    pub const fn has_expired(self, now: Tick) -> bool {
        self.expires.since(now) > tick::LONGEST
    }
}

impl NatEntry {
    /// The mapping, unless another CPU replaces it meanwhile. `head` is what [`Self::head`] held before.
    #[inline(always)]
    pub fn read(&self, head: u64) -> Option<Mapping> {
        let [c, d, s, t, v, w, ..] = self.ends.bytes();
        let [m0, m1, m2, m3, m4, m5, interface, format] = self.hop.bytes();
        let flow = self.flow.load();
        let mapping = Mapping {
            client: Address::load(&self.client),
            client_port_be: [c, d],
            service: Address::load(&self.service),
            service_port_be: [s, t],
            server: ServerIndex(u16::from_ne_bytes([v, w])),
            hop: ClientHop {
                mac: [m0, m1, m2, m3, m4, m5],
                interface,
                tags: Tags {
                    count: format & 3,
                    service_tag: format & SERVICE_TAG != 0,
                    control: [(flow >> 32) as u16, (flow >> 48) as u16],
                },
            },
            flow: FlowPlace(flow as u32),
        };
        // Everything but the time must still be the same.
        ((self.head.load() ^ head) >> 32 == 0).then_some(mapping)
    }

    /// Writes the mapping of an entry this CPU has claimed; the head comes last.
    #[inline(always)]
    pub fn write(&self, mapping: &Mapping, head: Head) {
        let ([c, d], [s, t]) = (mapping.client_port_be, mapping.service_port_be);
        let [v, w] = mapping.server.0.to_ne_bytes();
        self.ends.store_bytes([c, d, s, t, v, w, 0, 0]);
        mapping.client.store(&self.client);
        mapping.service.store(&self.service);
        self.refresh_way(mapping.hop, mapping.flow);
        self.head.store(head.word());
    }

    /// Replaces the way back to the client and the place of the flow's entry.
    #[inline(always)]
    pub fn refresh_way(&self, hop: ClientHop, flow: FlowPlace) {
        let [a, b, c, d, e, f] = hop.mac;
        let format = hop.tags.count | if hop.tags.service_tag { SERVICE_TAG } else { 0 };
        let [outer, inner] = hop.tags.control;
        self.hop
            .store_bytes([a, b, c, d, e, f, hop.interface, format]);
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
    let start = Hasher::new(key ^ DOMAIN).word(rest);
    let hash = if high == 0 {
        start.word(low)
    } else {
        start.word(high).word(low)
    };
    reduce(hash.finish() as u32, entries)
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

const CLAIMED: u8 = 0xff;
const SERVICE_TAG: u8 = 4;
const DOMAIN: u64 = 0x4e41_545f_7461_626c;

const _: () = assert!(size_of::<NatEntry>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn mapping() -> Mapping {
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        Mapping {
            client: address("2001:db8::1"),
            client_port_be: [0x9c, 0x40],
            service: address("192.0.2.80"),
            service_port_be: [0, 80],
            server: ServerIndex(513),
            hop: ClientHop {
                mac: [2, 0, 0, 0, 0, 7],
                interface: 9,
                tags: Tags {
                    count: 2,
                    service_tag: true,
                    control: [100, 0xefff],
                },
            },
            flow: FlowPlace::new(77, 2),
        }
    }

    fn head(state: Option<FlowState>) -> Head {
        Head {
            expires: Tick(500),
            port: 20_000,
            state,
            protocol: 17,
        }
    }

    #[test]
    fn a_written_mapping_reads_back() {
        let entry = NatEntry::default();
        assert_eq!(Head::from_word(entry.head.load()), None);
        let head = head(Some(FlowState::Datagram));
        entry.write(&mapping(), head);
        assert_eq!(Head::from_word(entry.head.load()), Some(head));
        assert_eq!(entry.read(head.word()), Some(mapping()));
        let m = mapping();
        assert!(entry.is_of(m.client, m.client_port_be, m.service, m.service_port_be));
        assert!(!entry.is_of(m.service, m.client_port_be, m.client, m.service_port_be));
    }

    #[test]
    fn a_mapping_that_is_being_replaced_is_not_read() {
        let entry = NatEntry::default();
        let before = head(Some(FlowState::Datagram)).word();
        entry.write(&mapping(), head(Some(FlowState::Datagram)));
        entry.head.store(head(None).word());
        assert_eq!(entry.read(before), None);
        assert_eq!(Head::from_word(head(None).word()).unwrap().state, None);
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
