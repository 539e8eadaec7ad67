//! Which server a packet goes to whose flow is in no table.

use super::work::{Scene, Work, keeps_flows, takes_flows};
use crate::address::Address;
use crate::frame::Tables;
use crate::hash::{Hasher, mix};
use crate::parse::Packet;
use crate::ring::Position;
use crate::server::{Hop, ServerIndex};
use crate::service::{Guard, Hashing, Nature, Rings, Service};
use crate::word::pair;

/// The server for the packet, none if there is none. One that begins a flow gets the server at its place in the current
/// ring; while that one is out of service and the ring does not know it yet, the one at another place. Any other packet
/// belongs to a flow that must have begun earlier: it gets the server at its place as the ring was then, if it has just
/// changed.
#[inline(always)]
pub(super) fn choose(
    scene: &Scene<'_, impl Tables>,
    work: &Work,
    service: &Service,
) -> ServerIndex {
    let begins = work.flow.begins;
    let rings = Rings::from_word(service.rings.load());
    let grace = Guard::from_word(service.guard.load()).ring_grace;
    let just_changed = work.now.0.wrapping_sub(rings.changed_at) < grace;
    let mut ring = if just_changed && !begins {
        rings.previous
    } else {
        rings.current
    };
    let mut hash = ring_hash(scene, work, service);
    let mut tries = 0;
    while tries < TRIES {
        tries += 1;
        let position = Position::of((hash >> 32) as u32);
        let Some(row) = scene.tables.ring_row(position.row(ring)) else {
            break;
        };
        let index = row.server(position);
        if let Some(server) = scene.server(index) {
            let hop = Hop::from_word(server.hop.load());
            if takes_flows(hop) || !begins && keeps_flows(hop) {
                return index;
            }
        }
        if begins {
            hash = mix(hash.wrapping_add(1));
        } else if ring == rings.current {
            break;
        } else {
            ring = rings.current;
        }
    }
    ServerIndex::default()
}

#[inline(always)]
fn ring_hash(scene: &Scene<'_, impl Tables>, work: &Work, service: &Service) -> u64 {
    let key = scene.config.ring_key.load();
    match Nature::from_word(service.nature.load()) {
        Some(nature) if nature.hashing == Hashing::Source => {
            let [high, low] = work.packet.network.source.words();
            Hasher::new(key).word(high).word(low).finish()
        }
        _ => tuple_hash(key, &work.packet),
    }
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
    let start = Hasher::new(key).word(pair(ports, protocol as u32));
    if is_v4 {
        let [a, b, c, d] = source.v4_bytes();
        let [e, f, g, h] = destination.v4_bytes();
        start
            .word(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
            .finish()
    } else {
        let ([a, b], [c, d]) = (source.words(), destination.words());
        start.word(a).word(b).word(c).word(d).finish()
    }
}

/// Places of the ring a packet tries.
const TRIES: u32 = 4;
