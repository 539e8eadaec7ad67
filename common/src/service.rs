//! A service: what is behind an address and port, and how its packets are treated.
//!
//! Userspace writes a service before a bind names it. Its nature (first word) never changes while a bind or a server
//! names it: a service that changes its nature gets a new index. Every other word may be replaced at any time by one
//! store.

use crate::flow::FlowState;
use crate::mark::Mark;
use crate::quic::ServerIds;
use crate::word::{Word, high, low, pair};

/// The record of map `services`. Index 0 is never used: it means "no service".
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Service {
    /// [`Nature`].
    pub nature: Word,
    /// [`Rings`]: both ring indexes and the time of the change in one word, so that a swap is one store.
    pub rings: Word,
    /// [`Guard`].
    pub guard: Word,
    /// Ticks: opening (low half), established (high half).
    pub timeouts_open: Word,
    /// Ticks: closing (low half), datagram (high half).
    pub timeouts_rest: Word,
    /// [`crate::choice::Choice`].
    pub choice: Word,
    /// [`Treatment`].
    pub treatment: Word,
    /// Zero.
    pub spare: Word,
}

/// Index of a service in map `services`; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceIndex(pub u16);

/// What happens to packets that pass the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Forward {
    /// Terminated in userspace: guarded, then passed to the stack.
    Local = 1,
    /// `forward nat`: source and destination are rewritten, answers come back through here.
    Nat = 2,
    /// `forward dnat`: the destination is rewritten, the client's address kept; answers have to come back through here.
    Dnat = 3,
    /// `forward dsr`: only the Ethernet header is rewritten; the server answers the client itself.
    Dsr = 4,
    /// `forward ipip`: the packet travels unchanged inside another IP packet to the server, which answers the client
    /// itself (RFC 2003, RFC 2473).
    Ipip = 5,
    /// `forward gue`: the same inside a UDP datagram (generic UDP encapsulation, variant 1: no header of its own).
    Gue = 6,
}

/// What an open flow may still do once its source is listed (`xdp listed-flows`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ListedFlows {
    /// Lists are asked for every packet.
    Cut = 0,
    /// Lists are asked for SYNs and for packets of unknown flows only.
    Keep = 1,
}

/// The part of a service that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// What happens to its packets.
    pub forward: Forward,
    /// What a change of the lists does to open flows.
    pub listed_flows: ListedFlows,
    /// The port that servers take GUE at, network order; zero for every other way to forward.
    pub tunnel_port_be: [u8; 2],
    /// How connection ids of QUIC name servers, where they do.
    pub server_ids: ServerIds,
    /// Whether SYNs may be answered with cookies; only for services that end here.
    pub cookies: bool,
}

/// The rings of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// Ring of new flows; an index into `rings` counted in whole rings.
    pub current: u16,
    /// The ring before; the same as `current` if there was none.
    pub previous: u16,
    /// Tick of the swap.
    pub changed_at: u32,
}

/// What a packet has to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Row group of `actions` ([`crate::action`]); 0 is none: every source is accepted.
    pub policy: u16,
    /// Index into `rates`; 0 is none.
    pub rate: u16,
    /// For how many ticks after [`Rings::changed_at`] packets of unknown flows follow the previous ring.
    pub ring_grace: u32,
}

/// What is different about the packets of a service; of most nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// Whether packets go on that are whole, but have flags that no stack sends, or addresses that nobody has.
    pub lenient: bool,
    /// What is written into packets on their way to a server.
    pub to_server: Mark,
    /// What is written into answers on their way to a client.
    pub to_client: Mark,
}

/// How long an idle flow keeps its entry, in ticks. Afterwards it may be replaced; until then it still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the SYN until the handshake is complete.
    pub opening: u32,
    /// An established TCP flow.
    pub established: u32,
    /// After a FIN or a RST.
    pub closing: u32,
    /// A UDP flow.
    pub datagram: u32,
}

impl Nature {
    /// What happens to packets, from the word in the record; `None` for an unused one. Most packets need no more of it, and
    /// taking all of it apart costs more than the rest of what is done for them with it.
    #[inline(always)]
    pub const fn forward_of(word: u64) -> Option<Forward> {
        Some(match word as u8 {
            1 => Forward::Local,
            2 => Forward::Nat,
            3 => Forward::Dnat,
            4 => Forward::Dsr,
            5 => Forward::Ipip,
            6 => Forward::Gue,
            _ => return None,
        })
    }

    /// The port that servers take GUE at, from the word in the record.
    #[inline(always)]
    pub const fn tunnel_port_of(word: u64) -> [u8; 2] {
        ((word >> 32) as u16).to_ne_bytes()
    }

    /// Whether datagrams may name their server, from the word in the record.
    #[inline(always)]
    pub const fn names_servers(word: u64) -> bool {
        (word >> 48) as u8 != 0
    }

    /// As the word in the record.
    pub const fn word(self) -> u64 {
        let [p, q] = self.tunnel_port_be;
        u64::from_ne_bytes([
            self.forward as u8,
            0,
            self.listed_flows as u8,
            self.cookies as u8,
            p,
            q,
            self.server_ids.length,
            self.server_ids.configuration,
        ])
    }

    /// From the word in the record; `None` for an unused one.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Option<Self> {
        let [_, _, listed_flows, cookies, p, q, length, configuration] = word.to_ne_bytes();
        Some(Self {
            forward: match Self::forward_of(word) {
                Some(forward) => forward,
                None => return None,
            },
            listed_flows: if listed_flows == 1 {
                ListedFlows::Keep
            } else {
                ListedFlows::Cut
            },
            tunnel_port_be: [p, q],
            server_ids: ServerIds {
                length,
                configuration,
            },
            cookies: cookies != 0,
        })
    }
}

impl Rings {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(
            self.current as u32 | ((self.previous as u32) << 16),
            self.changed_at,
        )
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            current: low(word) as u16,
            previous: (low(word) >> 16) as u16,
            changed_at: high(word),
        }
    }
}

impl Guard {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(
            self.policy as u32 | ((self.rate as u32) << 16),
            self.ring_grace,
        )
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            policy: low(word) as u16,
            rate: (low(word) >> 16) as u16,
            ring_grace: high(word),
        }
    }
}

impl Treatment {
    /// As the word in the record; 0 if nothing is different.
    pub const fn word(self) -> u64 {
        let [s, t] = self.to_server.0.to_ne_bytes();
        let [c, d] = self.to_client.0.to_ne_bytes();
        u64::from_ne_bytes([self.lenient as u8, 0, s, t, c, d, 0, 0])
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [lenient, _, s, t, c, d, ..] = word.to_ne_bytes();
        Self {
            lenient: lenient != 0,
            to_server: Mark(u16::from_ne_bytes([s, t])),
            to_client: Mark(u16::from_ne_bytes([c, d])),
        }
    }
}

impl Service {
    /// Writes all that never changes and all timeouts; rings, choice, treatment and guard are stored by themselves. The service must not be
    /// named by a bind yet.
    pub fn publish(&self, nature: Nature, timeouts: Timeouts) {
        self.set_timeouts(timeouts);
        self.nature.store(nature.word());
    }

    /// Replaces the timeouts of a service in use.
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.timeouts_open
            .store(pair(timeouts.opening, timeouts.established));
        self.timeouts_rest
            .store(pair(timeouts.closing, timeouts.datagram));
    }

    /// The timeout in force for flows in `state`.
    #[inline(always)]
    pub fn timeout(&self, state: FlowState) -> u32 {
        let (open, rest) = (self.timeouts_open.load(), self.timeouts_rest.load());
        if state.is_handshake() {
            low(open)
        } else if state == FlowState::ESTABLISHED {
            high(open)
        } else if state == FlowState::DATAGRAM {
            high(rest)
        } else {
            low(rest)
        }
    }

    /// The timeouts in force.
    pub fn timeouts(&self) -> Timeouts {
        let (open, rest) = (self.timeouts_open.load(), self.timeouts_rest.load());
        Timeouts {
            opening: low(open),
            established: high(open),
            closing: low(rest),
            datagram: high(rest),
        }
    }
}

const _: () = assert!(size_of::<Service>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_survives_the_way_through_its_word() {
        for forward in [
            Forward::Local,
            Forward::Nat,
            Forward::Dnat,
            Forward::Dsr,
            Forward::Ipip,
            Forward::Gue,
        ] {
            let nature = Nature {
                forward,
                listed_flows: ListedFlows::Keep,
                tunnel_port_be: 6080_u16.to_be_bytes(),
                server_ids: ServerIds {
                    length: 3,
                    configuration: 6,
                },
                cookies: true,
            };
            assert_eq!(Nature::from_word(nature.word()), Some(nature));
            assert_eq!(Nature::tunnel_port_of(nature.word()), nature.tunnel_port_be);
            assert!(Nature::names_servers(nature.word()));
        }
        assert_eq!(Nature::from_word(0), None);
        let rings = Rings {
            current: 7,
            previous: 0xfffe,
            changed_at: 0xdead_beef,
        };
        assert_eq!(Rings::from_word(rings.word()), rings);
        let guard = Guard {
            policy: 0x1234,
            rate: 0xabcd,
            ring_grace: 15_000,
        };
        assert_eq!(Guard::from_word(guard.word()), guard);
        let treatment = Treatment {
            lenient: true,
            to_server: Mark::of(0xb8),
            to_client: Mark::of(0),
        };
        assert_eq!(Treatment::from_word(treatment.word()), treatment);
        assert_eq!(Treatment::default().word(), 0);
    }
}
