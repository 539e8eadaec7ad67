//! A server of one service: where its packets go and how they are addressed.
//!
//! There is one record per (service, server) pair, so its index also numbers the counters. Endpoint, address and source
//! never change while the index is in a ring or may be in the flow table: a server that moves gets a new index. The hop
//! word carries what does change, the state and the next hop, so that each change is one store.

use crate::address::Address;
use crate::interface::mac_word;
use crate::service::ServiceIndex;
use crate::word::Word;

/// The record of map `servers`. Index 0 is never used: it means "no server".
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Server {
    /// [`Hop`].
    pub hop: Word,
    /// [`Endpoint`].
    pub endpoint: Word,
    /// Where it listens.
    pub address: [Word; 2],
    /// One of this machine's addresses: what it sees as the client's with `forward nat`, and as the other end of a tunnel.
    pub source: [Word; 2],
    /// [`Bounds`].
    pub bounds: Word,
    /// Zero.
    pub spare: Word,
}

/// Index of a server in map `servers`; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerIndex(pub u16);

/// What a server may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    /// No such server: nothing, and its flows are unknown.
    Absent = 0,
    /// Everything.
    Up = 1,
    /// Packets of flows it already has: drained, or found dead by a check while its sessions shall not be shut down
    /// (HAProxy's default, without `on-marked-down shutdown-sessions`).
    Drain = 2,
    /// Nothing: the flows it has are given to another server or, with NAT, cut.
    Down = 3,
}

/// The part of a server that changes while it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Hardware address of the server or of the router before it; all zero while it is unknown, and then packets are
    /// dropped (`NoNextHop`).
    pub mac: [u8; 6],
    /// Index of the interface in `interfaces` and `devices`.
    pub interface: u8,
    /// What the server may be given.
    pub state: ServerState,
}

/// The part of a server that never changes, besides its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its port in network order; zero keeps the port the client used (a `server` line without a port).
    pub port_be: [u8; 2],
    /// The service it belongs to.
    pub service: ServiceIndex,
    /// VLAN identifier and priority (TCI) its frames are tagged with; 0 is untagged.
    pub vlan: u16,
}

/// What was computed from the rest of the record, and what may not be exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The sum over the constant part of its tunnel's header ([`crate::tunnel::constant_sum`]); 0 without a tunnel.
    pub sum: u16,
    /// The largest packet, outer headers included, that the way to the server takes; 0 is not known, and any is sent.
    pub mtu: u16,
}

impl Bounds {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        self.sum as u64 | ((self.mtu as u64) << 16)
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            sum: word as u16,
            mtu: (word >> 16) as u16,
        }
    }

    /// Whether a packet of this length has room, with `overhead` bytes in front of it.
    #[inline(always)]
    pub const fn take(self, length: u16, overhead: u16) -> bool {
        self.mtu == 0 || length as u32 + overhead as u32 <= self.mtu as u32
    }
}

impl Hop {
    /// As the word in the record.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_ne_bytes([a, b, c, d, e, f, self.interface, self.state as u8])
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, interface, state] = word.to_ne_bytes();
        Self {
            mac: [a, b, c, d, e, f],
            interface,
            state: match state {
                1 => ServerState::Up,
                2 => ServerState::Drain,
                3 => ServerState::Down,
                _ => ServerState::Absent,
            },
        }
    }

    /// The hardware address as a word ([`crate::interface::mac_word`]).
    #[inline(always)]
    pub const fn mac_word(self) -> u64 {
        mac_word(self.mac)
    }

    /// Whether frames can be sent.
    #[inline(always)]
    pub const fn is_known(self) -> bool {
        self.mac_word() != 0
    }
}

impl Endpoint {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        let [p, q] = self.port_be;
        let [s, t] = self.service.0.to_ne_bytes();
        let [v, w] = self.vlan.to_ne_bytes();
        u64::from_ne_bytes([p, q, s, t, v, w, 0, 0])
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [p, q, s, t, v, w, ..] = word.to_ne_bytes();
        Self {
            port_be: [p, q],
            service: ServiceIndex(u16::from_ne_bytes([s, t])),
            vlan: u16::from_ne_bytes([v, w]),
        }
    }

    /// The port packets for `service_port_be` are sent to.
    #[inline(always)]
    pub const fn port_for(self, service_port_be: [u8; 2]) -> [u8; 2] {
        match self.port_be {
            [0, 0] => service_port_be,
            port => port,
        }
    }
}

impl Server {
    /// Writes a server that no ring names yet; the hop comes last.
    pub fn publish(
        &self,
        endpoint: Endpoint,
        address: Address,
        source: Address,
        bounds: Bounds,
        hop: Hop,
    ) {
        self.endpoint.store(endpoint.word());
        address.store(&self.address);
        source.store(&self.source);
        self.bounds.store(bounds.word());
        self.hop.store(hop.word());
    }
}

const _: () = assert!(size_of::<Server>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_and_endpoint_survive_the_way_through_their_words() {
        for state in [
            ServerState::Absent,
            ServerState::Up,
            ServerState::Drain,
            ServerState::Down,
        ] {
            let hop = Hop {
                mac: [2, 0, 0, 0, 0, 9],
                interface: 200,
                state,
            };
            assert_eq!(Hop::from_word(hop.word()), hop);
            assert!(hop.is_known());
        }
        let endpoint = Endpoint {
            port_be: 8080u16.to_be_bytes(),
            service: ServiceIndex(513),
            vlan: 100,
        };
        assert_eq!(Endpoint::from_word(endpoint.word()), endpoint);
        let bounds = Bounds {
            sum: 0xfedc,
            mtu: 1500,
        };
        assert_eq!(Bounds::from_word(bounds.word()), bounds);
        assert!(bounds.take(1480, 20) && !bounds.take(1481, 20));
        assert!(Bounds::default().take(9000, 48));
        assert!(!Hop::from_word(0).is_known());
    }
}
