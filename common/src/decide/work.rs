//! What is found out about one packet, step by step.
//!
//! The record lies in memory of its own (one per CPU in the kernel) and every step reads from it what the steps before
//! have left; see [`Tables::settle`] for why. It means nothing from one packet to the next.

use super::choose::Pick;
use super::mapping::Search;
use crate::action::Class;
use crate::address::Address;
use crate::config::{Clock, Config};
use crate::cookie::{Headers, Offered};
use crate::flow::{FlowHash, FlowPlace, FlowState};
use crate::frame::{Frame, Tables};
use crate::interface::Interface;
use crate::mark::Mark;
use crate::parse::{Packet, destination};
use crate::quic::ServerIds;
use crate::reply::Segment;
use crate::rewrite::{Ends, Outgoing};
use crate::server::{Hop, Server, ServerIndex, ServerState};
use crate::service::{Forward, Nature, Service, ServiceIndex};
use crate::tick::Tick;
use crate::tunnel::Tunnel;

/// The record of one decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// When.
    pub(super) now: Tick,
    /// Index of the interface the frame came in through.
    pub(super) ingress: u32,
    /// The frame, parsed.
    pub(super) packet: Packet,
    /// Whose packet it is.
    pub(super) service: ServiceIndex,
    /// The rate rule its source is under, 0 if none.
    pub(super) rate: u16,
    /// Whether its source is refused, unless it has a flow.
    pub(super) listed: bool,
    /// Whether it is a SYN of a flood.
    pub(super) flooded: bool,
    /// The class of its source.
    pub(super) class: Class,
    /// The place of the mapping it answers to.
    pub(super) place: u32,
    /// The head of that, as it was found.
    pub(super) head: u64,
    /// What the search for its mapping found.
    pub(super) search: Search,
    /// What the search for its server found.
    pub(super) pick: Pick,
    /// What its service does to its packets.
    pub(super) mode: Mode,
    /// The server the packet names itself, none if it names none.
    pub(super) named: ServerIndex,
    /// Its flow.
    pub(super) flow: Flow,
    /// How it is sent on.
    pub(super) sending: Sending,
    /// What it travels in, if [`Sending::tunnels`].
    pub(super) tunnel: Tunnel,
    /// Its headers, where the stack is asked about it.
    pub(super) headers: Headers,
    /// What it offers, if it is a SYN that is answered.
    pub(super) offered: Offered,
    /// What it is answered with.
    pub(super) reply: Segment,
}

impl Work {
    /// Whose packet it was and where it came from, as far as that was found out since [`Self::forget_origin`].
    #[inline(always)]
    pub const fn origin(&self) -> (ServiceIndex, Address) {
        (self.service, self.packet.network.source)
    }

    /// Forgets whose the packet before was.
    #[inline(always)]
    pub fn forget_origin(&mut self) {
        self.service = ServiceIndex::default();
        self.packet.network.source = Address::default();
    }
}

/// What a service does to its packets; with none of it only the Ethernet header changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mode {
    /// Addresses are rewritten: flows have mappings, and answers come back through here.
    pub(super) rewrites: bool,
    /// The client's address and port are not among them.
    pub(super) keeps_client: bool,
    /// They travel in a tunnel.
    pub(super) tunnels: bool,
    /// With this UDP port, network order, unless it is zero.
    pub(super) tunnel_port_be: [u8; 2],
    /// Datagrams may name their server like this.
    pub(super) server_ids: ServerIds,
    /// What is written into its packets.
    pub(super) mark: Mark,
}

/// A packet's flow and what becomes of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    /// Its identity.
    pub(super) hash: FlowHash,
    /// Its bucket.
    pub(super) bucket: u32,
    /// Its way in the bucket, or [`crate::flow::NO_WAY`].
    pub(super) way: u32,
    /// What the entry's identity was when the way was chosen.
    pub(super) found: u64,
    /// Its server.
    pub(super) server: ServerIndex,
    /// Its source port towards the server, 0 if none was found yet.
    pub(super) nat_port: u16,
    /// Its state after the packet.
    pub(super) state: FlowState,
    /// Whether the tables have to be brought up to date.
    pub(super) writes: bool,
    /// Whether the packet may begin a flow.
    pub(super) begins: bool,
    /// Whether it has begun one.
    pub(super) began: bool,
    /// Whether it completed the handshake.
    pub(super) proven: bool,
}

/// How a packet is sent on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sending {
    /// Whether addresses and ports change.
    pub(super) rewrites: bool,
    /// Whether an ICMP error keeps its source, whatever becomes of the packet it is about.
    pub(super) keeps_source: bool,
    /// The largest packet that fits.
    pub(super) limit: u16,
    /// Whether it travels in a tunnel.
    pub(super) tunnels: bool,
    /// Whether it comes from a server.
    pub(super) is_answer: bool,
    /// What is written into it.
    pub(super) mark: Mark,
    /// Index of the interface it leaves through.
    pub(super) interface: u8,
    /// Whose row of counters it belongs to.
    pub(super) server: ServerIndex,
    /// Addresses and ports.
    pub(super) ends: Ends,
    /// The Ethernet header.
    pub(super) outgoing: Outgoing,
}

/// What the steps read besides: the tables and their configuration.
pub(super) struct Scene<'a, T> {
    pub(super) tables: &'a T,
    pub(super) config: &'a Config,
}

impl Mode {
    /// That of a service. `None` for one whose packets go to the stack.
    #[inline(always)]
    pub(super) const fn of(nature: Nature, mark: Mark) -> Option<Self> {
        let (rewrites, keeps_client, tunnels) = match nature.forward {
            Forward::Local => return None,
            Forward::Nat => (true, false, false),
            Forward::Dnat => (true, true, false),
            Forward::Dsr => (false, false, false),
            Forward::Ipip | Forward::Gue => (false, false, true),
        };
        Some(Self {
            rewrites,
            keeps_client,
            tunnels,
            tunnel_port_be: nature.tunnel_port_be,
            server_ids: nature.server_ids,
            mark,
        })
    }

    /// Whether the handshake is followed from both ends. With a kept client address answers are expected here, but a
    /// flow does not depend on it.
    #[inline(always)]
    pub(super) const fn sees_answers(self) -> bool {
        self.rewrites && !self.keeps_client
    }
}

impl Flow {
    /// Its place in the table.
    #[inline(always)]
    pub(super) const fn place(&self) -> FlowPlace {
        FlowPlace::new(self.bucket, self.way)
    }
}

impl Work {
    /// The moment `ticks` from now.
    #[inline(always)]
    pub(super) const fn after(&self, ticks: u32) -> Tick {
        self.now.after(ticks)
    }
}

impl<'a, T: Tables> Scene<'a, T> {
    /// `None` where there is no map of the configuration.
    #[inline(always)]
    pub(super) fn new(tables: &'a T) -> Option<Self> {
        let config = tables.config()?;
        Some(Self { tables, config })
    }

    /// Index of the interface the frame came in through; `None` before the tables are set up.
    #[inline(always)]
    pub(super) fn ingress(&self, frame: &impl Frame) -> Option<u32> {
        let modulus = Clock::from_word(self.config.clock.load()).interface_modulus;
        frame.interface().checked_rem(modulus)
    }

    /// Whether the frame, which came in through the interface with this index, is addressed to this machine.
    #[inline(always)]
    pub(super) fn is_for_us(&self, frame: &impl Frame, ingress: u32) -> bool {
        let interface = self.interface(ingress as u8);
        interface.is(frame.interface()) && interface.answers_for(destination(frame))
    }

    #[inline(always)]
    fn interface(&self, index: u8) -> &'a Interface {
        &self.config.interfaces[index as usize]
    }

    /// The hardware address frames leave an interface with, as a word; 0 if there is no such interface.
    #[inline(always)]
    pub(super) fn mac_of(&self, interface: u8) -> u64 {
        self.interface(interface).mac()
    }

    /// The largest packet an interface takes; 0 is not known.
    #[inline(always)]
    pub(super) fn mtu_of(&self, interface: u8) -> u16 {
        self.interface(interface).mtu.load() as u16
    }

    /// A server, whatever its state.
    #[inline(always)]
    pub(super) fn server(&self, index: ServerIndex) -> Option<&'a Server> {
        if index == ServerIndex::default() {
            return None;
        }
        self.tables.server(index)
    }

    /// How long a flow in this state is remembered, in ticks.
    #[inline(always)]
    pub(super) fn lifetime(&self, service: &Service, state: FlowState) -> u32 {
        if state == FlowState::RESET {
            Clock::from_word(self.config.clock.load()).per_second
        } else {
            service.timeout(state)
        }
    }

    /// Whether an entry that would now expire at `fresh` was last brought up to date a second ago or more.
    #[inline(always)]
    pub(super) fn is_stale(&self, fresh: Tick, stored: Tick) -> bool {
        fresh.since(stored) >= Clock::from_word(self.config.clock.load()).per_second
    }
}

/// Whether a server is given new flows.
#[inline(always)]
pub(super) fn takes_flows(hop: Hop) -> bool {
    hop.state == ServerState::Up
}

/// Whether a server is still sent packets of flows it already has.
#[inline(always)]
pub(super) fn keeps_flows(hop: Hop) -> bool {
    matches!(hop.state, ServerState::Up | ServerState::Drain)
}
