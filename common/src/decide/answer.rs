//! From a server back to its client, for services with NAT.

use super::work::{Scene, Sending, Work};
use super::{Step, syn};
use crate::address::Address;
use crate::choice::Choice;
use crate::config::NatSizes;
use crate::flow::{FlowHash, FlowPlace, FlowState};
use crate::frame::{Frame, Tables};
use crate::nat::{self, DIRECT_PROBES, Head, NatEntry};
use crate::rewrite::{Ends, Outgoing};
use crate::server::{Bounds, Endpoint, Server};
use crate::service::{Service, ServiceIndex, Treatment};
use crate::tick::Tick;
use crate::verdict::DropReason;

/// The mapping the packet belongs to, if it is an answer of a server to us.
#[inline(always)]
pub(super) fn entry_of<'a, T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'a, T>,
    work: &mut Work,
) -> Option<&'a NatEntry> {
    let sizes = NatSizes::from_word(scene.config.nat.load());
    let (network, transport) = (&work.packet.network, &work.packet.transport);
    let port = u16::from_be_bytes(transport.destination_port_be);
    if !sizes.has(port) {
        return None;
    }
    let from = (network.source, transport.source_port_be);
    let (place, entry, word) = mapping(scene, from, port, network.protocol, sizes)?;
    let server = scene.server(entry.server())?;
    if Address::load(&server.source) != network.destination {
        return None;
    }
    work.place = place;
    accept(frame, scene, work, entry, server, word)
}

/// The place of the mapping that an answer of this server to this port belongs to, the mapping, and its head.
#[inline(always)]
pub(super) fn mapping<'a, T: Tables>(
    scene: &Scene<'a, T>,
    (server, server_port_be): (Address, [u8; 2]),
    port: u16,
    protocol: u8,
    sizes: NatSizes,
) -> Option<(u32, &'a NatEntry, u64)> {
    let key = scene.config.table_key.load();
    let place = nat::place(key, server, server_port_be, port, protocol, sizes.entries);
    let entry = scene.tables.nat_entry(place)?;
    let word = entry.head.load();
    Head::is(word, port, protocol).then_some((place, entry, word))
}

/// The mapping the packet belongs to, if it is an answer to a client whose address the server knows (`forward dnat`).
#[inline(always)]
pub(super) fn direct_entry_of<'a, T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'a, T>,
    work: &mut Work,
) -> Option<&'a NatEntry> {
    let sizes = NatSizes::from_word(scene.config.nat.load());
    let mut probe = 0;
    while probe < DIRECT_PROBES {
        probe += 1;
        let (network, transport) = (&work.packet.network, &work.packet.transport);
        let place = nat::direct_place(
            scene.config.table_key.load(),
            (network.source, transport.source_port_be),
            (network.destination, transport.destination_port_be),
            network.protocol,
            probe,
            sizes.entries,
        );
        let entry = scene.tables.nat_entry(place)?;
        let word = entry.head.load();
        // Entries are never emptied: the flow was not offered a place behind an unused one.
        if word == 0 {
            return None;
        }
        let port = u16::from_be_bytes(transport.destination_port_be);
        if !Head::is(word, port, network.protocol)
            || Address::load(&entry.client) != network.destination
        {
            continue;
        }
        let server = scene.server(entry.server())?;
        work.place = place;
        if let Some(entry) = accept(frame, scene, work, entry, server, word) {
            return Some(entry);
        }
    }
    None
}

/// The entry, if its server sent the packet, and to us.
#[inline(always)]
fn accept<'a, T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    entry: &'a NatEntry,
    server: &Server,
    word: u64,
) -> Option<&'a NatEntry> {
    let (network, transport) = (&work.packet.network, &work.packet.transport);
    let from = (network.source, transport.source_port_be);
    let service = sender(from, entry, server)?;
    if !scene.is_for_us(frame, work.ingress) {
        return None;
    }
    work.service = service;
    work.head = word;
    Some(entry)
}

/// The service of the mapping, if its server is the one at this address and port.
#[inline(always)]
pub(super) fn sender(
    (address, port_be): (Address, [u8; 2]),
    entry: &NatEntry,
    server: &Server,
) -> Option<ServiceIndex> {
    let endpoint = Endpoint::from_word(server.endpoint.load());
    let (_, service_port_be) = entry.ports();
    let expected =
        Address::load(&server.address) == address && endpoint.port_for(service_port_be) == port_be;
    expected.then_some(endpoint.service)
}

/// How to send the packet to the client.
#[inline(always)]
pub(super) fn send_back<T: Tables>(
    scene: &Scene<'_, T>,
    work: &mut Work,
    entry: &NatEntry,
) -> Result<Step, DropReason> {
    scene.tables.settle(work);
    let service = scene
        .tables
        .service(work.service)
        .ok_or(DropReason::Inconsistent)?;
    let treatment = Treatment::from_word(service.treatment.load());
    if let Some(reason) = work.packet.defect(treatment.lenient) {
        return Err(reason);
    }
    if work.packet.network.hop_limit <= 1 {
        return Err(DropReason::HopLimit);
    }
    let (client_port_be, service_port_be) = entry.ports();
    let (mac, interface, tags) = entry.way();
    work.sending = Sending {
        rewrites: true,
        tunnels: false,
        is_answer: true,
        mark: treatment.to_client,
        interface,
        server: entry.server(),
        ends: Ends {
            source: Address::load(&entry.service),
            destination: Address::load(&entry.client),
            source_port_be: service_port_be,
            destination_port_be: client_port_be,
        },
        outgoing: Outgoing {
            destination: mac,
            source: scene.mac_of(interface),
            tags,
        },
        ..Sending::default()
    };
    // Another flow may have taken the entry meanwhile; everything but the time must still be the same.
    let word = work.head;
    if (entry.head.load() ^ word) >> 32 != 0 {
        return Err(DropReason::UnknownFlow);
    }
    let bounds = Bounds {
        sum: 0,
        mtu: scene.mtu_of(interface),
    };
    if !bounds.take(work.packet.network.length, 0) {
        work.sending.limit = bounds.mtu;
        return Ok(Step::TooBig);
    }
    // An error about the flow is no packet of it.
    if work.packet.quote.is_there {
        return Ok(Step::Send);
    }
    let head = Head::from_word(word);
    let next = head.state.after_server(work.packet.transport.flags);
    let expires = work.after(syn::hold(scene, work, service, head.state, next));
    if next != head.state || scene.is_stale(expires, head.expires) {
        let renewed = Head {
            expires,
            state: next,
            ..head
        };
        // Lost only to the other direction, which renews it as well.
        scene.tables.replace(&entry.head, word, renewed.word());
        advance_flow(scene, service, entry, head.port, next, expires);
    }
    Ok(Step::Send)
}

/// Brings the flow's entry up to date, if it is still this flow's.
#[inline(always)]
fn advance_flow<T: Tables>(
    scene: &Scene<'_, T>,
    service: &Service,
    entry: &NatEntry,
    port: u16,
    state: FlowState,
    expires: Tick,
) {
    let place = entry.flow_place();
    if place == FlowPlace::NONE {
        return;
    }
    let Some(bucket) = scene.tables.flow_bucket(place.bucket()) else {
        return;
    };
    let server = entry.server();
    let entry = bucket.way(place.way());
    let found = entry.identity();
    let (_, mut track) = entry.read();
    if track.server == server && track.nat_port == port {
        track.expires = expires;
        // Lost only to the other direction, or to another flow.
        let written = entry.write(scene.tables, found, FlowHash(found), state, track);
        let ends = FlowState::from_bits(found as u8).is_live() && !state.is_live();
        if written
            && ends
            && Choice::from_word(service.choice.load()).counts
            && let Some(load) = scene.tables.load(server)
        {
            load.end(scene.tables);
        }
    }
}
