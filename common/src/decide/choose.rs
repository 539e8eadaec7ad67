//! Which server a packet goes to whose flow is in no table.
//!
//! A flow that will have an entry may be given any server: the one its hash tells, the next in turn, or the least loaded of
//! some. Whatever has no entry is found by its hash alone, or its next packet would go elsewhere.

use super::work::{Scene, Work, keeps_flows, takes_flows};
use crate::address::Address;
use crate::choice::{Choice, Field, HASHED, PROBES, Policy};
use crate::flow::NO_WAY;
use crate::frame::Tables;
use crate::hash::{Hasher, mix};
use crate::parse::Packet;
use crate::ring::Position;
use crate::server::{Hop, ServerIndex};
use crate::service::{Guard, Rings, Service};
use crate::verdict::DropReason;
use crate::word::{high, pair};

/// What is known while the server of a new flow is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pick {
    /// The [`Choice`] that holds for this flow, as a word.
    choice: u64,
    /// Where the next position in the ring comes from.
    hash: u64,
    /// The next turn in the schedule.
    turn: u64,
    /// How many more servers are compared.
    left: u32,
    /// Whether some server could have taken the flow but for its limit.
    full: bool,
    /// The best so far.
    server: ServerIndex,
    /// How loaded that is.
    cost: u64,
}

/// Gives the packet its server.
#[inline(always)]
pub(super) fn choose<T: Tables>(
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
) -> Result<(), DropReason> {
    work.flow.server = if work.flow.begins {
        begin(scene, work, service);
        look(scene, work, service);
        work.pick.server
    } else {
        work.pick.full = false;
        follow(scene, work, service)
    };
    if work.flow.server != ServerIndex::default() {
        Ok(())
    } else if work.pick.full {
        Err(DropReason::ServersFull)
    } else {
        Err(DropReason::NoServer)
    }
}

/// The server of a packet whose flow must have begun earlier: the one at its place in the ring as that was then, if it has
/// just changed, else in the current one.
#[inline(always)]
fn follow(scene: &Scene<'_, impl Tables>, work: &Work, service: &Service) -> ServerIndex {
    let rings = Rings::from_word(service.rings.load());
    let grace = Guard::from_word(service.guard.load()).ring_grace;
    let just_changed = work.now.0.wrapping_sub(rings.changed_at) < grace;
    let mut ring = if just_changed {
        rings.previous
    } else {
        rings.current
    };
    let choice = Choice::from_word(service.choice.load());
    let position = Position::of((ring_hash(scene, work, choice) >> 32) as u32);
    let mut tries = 0;
    while tries < 2 {
        tries += 1;
        let Some(row) = scene.tables.ring_row(position.row(ring)) else {
            break;
        };
        let index = row.server(position);
        if let Some(server) = scene.server(index)
            && keeps_flows(Hop::from_word(server.hop.load()))
        {
            return index;
        }
        if ring == rings.current {
            break;
        }
        ring = rings.current;
    }
    ServerIndex::default()
}

/// Prepares the search for the server of a new flow.
#[inline(always)]
fn begin<T: Tables>(scene: &Scene<'_, T>, work: &mut Work, service: &Service) {
    let wanted = Choice::from_word(service.choice.load());
    // Without an entry nothing remembers where the flow went, nor that it is one more.
    let choice = if work.flow.way < NO_WAY {
        wanted
    } else {
        Choice {
            policy: Policy::Hash,
            counts: false,
            schedule: 0,
            ..wanted
        }
    };
    let hash = match choice.policy {
        // Nobody can tell it beforehand.
        Policy::Random => mix(work.flow.hash.0),
        _ => ring_hash(scene, work, choice),
    };
    let turn = match choice.policy {
        Policy::Turns | Policy::Least => match scene.tables.turn(work.service) {
            Some(turn) => turn.take(scene.tables),
            None => 0,
        },
        Policy::Hash | Policy::Random => hash & 0xffff_ffff,
    };
    work.pick = Pick {
        choice: choice.word(),
        hash,
        turn,
        left: match choice.policy {
            Policy::Hash | Policy::Turns => 1,
            Policy::Least => PROBES,
            Policy::Random => choice.draws as u32,
        },
        ..Pick::default()
    };
    scene.tables.settle(work);
}

/// Looks at one server after another until enough have been compared, or no more may be.
#[inline(always)]
fn look<T: Tables>(scene: &Scene<'_, T>, work: &mut Work, service: &Service) {
    let mut probe = 0;
    while probe < PROBES {
        let choice = Choice::from_word(work.pick.choice);
        let hashed = match choice.policy {
            Policy::Hash => HASHED,
            Policy::Random => choice.draws as u32,
            Policy::Turns | Policy::Least => 0,
        };
        let hashes = probe < hashed;
        probe += 1;
        let (ring, position) = if hashes || choice.schedule == 0 {
            let position = Position::of((work.pick.hash >> 32) as u32);
            work.pick.hash = mix(work.pick.hash.wrapping_add(1));
            (Rings::from_word(service.rings.load()).current, position)
        } else {
            let position = Position::nth(work.pick.turn);
            work.pick.turn = work.pick.turn.wrapping_add(1);
            (choice.schedule, position)
        };
        let Some(row) = scene.tables.ring_row(position.row(ring)) else {
            break;
        };
        consider(scene, work, choice.counts, row.server(position));
        scene.tables.settle(work);
        if work.pick.left == 0 {
            break;
        }
    }
}

/// Compares a server with the best so far, if it may be given the flow.
#[inline(always)]
fn consider<T: Tables>(scene: &Scene<'_, T>, work: &mut Work, counts: bool, index: ServerIndex) {
    let Some(server) = scene.server(index) else {
        return;
    };
    if !takes_flows(Hop::from_word(server.hop.load())) {
        return;
    }
    let mut cost = 0;
    if counts && let Some(load) = scene.tables.load(index) {
        if load.is_full() {
            work.pick.full = true;
            return;
        }
        cost = load.cost();
    }
    if work.pick.server == ServerIndex::default() || cost < work.pick.cost {
        (work.pick.server, work.pick.cost) = (index, cost);
    }
    work.pick.left -= 1;
}

/// What the position in the ring is computed from.
#[inline(always)]
fn ring_hash(scene: &Scene<'_, impl Tables>, work: &Work, choice: Choice) -> u64 {
    let key = scene.config.ring_key.load();
    let (network, transport) = (&work.packet.network, &work.packet.transport);
    let port = |[p, q]: [u8; 2]| [u64::from_ne_bytes([p, q, 0, 0, 0, 0, 0, 0]), 0];
    let length = if network.is_v4 { choice.v4 } else { choice.v6 };
    let [high, low] = match choice.field {
        Field::Tuple => return tuple_hash(key, &work.packet),
        Field::Source => network.source.masked(length).words(),
        Field::Destination => network.destination.masked(length).words(),
        Field::SourcePort => port(transport.source_port_be),
        Field::DestinationPort => port(transport.destination_port_be),
    };
    Hasher::new(key).word(high).word(low).finish()
}

/// The hash of addresses, ports and protocol.
#[inline(always)]
pub(super) fn tuple_hash(key: u64, packet: &Packet) -> u64 {
    let (network, transport) = (&packet.network, &packet.transport);
    let ([s, t], [d, e]) = (transport.source_port_be, transport.destination_port_be);
    hash_of(
        key,
        (network.source, network.destination),
        network.is_v4,
        u32::from_ne_bytes([s, t, d, e]),
        network.protocol,
    )
}

/// The same, of which `ports` is the word they are in memory.
#[inline(always)]
pub(super) fn hash_of(
    key: u64,
    (source, destination): (Address, Address),
    is_v4: bool,
    ports: u32,
    protocol: u8,
) -> u64 {
    let start = Hasher::new(key);
    let addresses = if is_v4 {
        let ([_, source], [_, destination]) = (source.words(), destination.words());
        start.word(pair(high(source), high(destination)))
    } else {
        let ([a, b], [c, d]) = (source.words(), destination.words());
        start.word(a).word(b).word(c).word(d)
    };
    addresses.word(pair(ports, protocol as u32)).folded()
}
