//! The NAT mapping of a flow: renewed, found again, or made.

use super::syn;
use super::work::{Scene, Work};
use crate::address::Address;
use crate::config::NatSizes;
use crate::flow::FlowState;
use crate::frame::{Frame, Tables};
use crate::nat::{self, CLAIMED, Candidates, DIRECT_PROBES, Head, NatEntry, PROBES};
use crate::server::{Endpoint, Server};
use crate::service::Service;
use crate::verdict::DropReason;

/// Gives the packet its source port and the flow its state: from the mapping at the port it had, else from one at any of
/// its candidate ports, else, if the packet may begin a flow, from a new one.
#[inline(always)]
pub(super) fn map<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
    server: &Server,
) -> Result<(), DropReason> {
    work.search = Search::default();
    search(frame, scene, work, server);
    scene.tables.settle(work);
    if work.packet.quote.is_there {
        // An error about the flow is no packet of it: it only needs to know the port.
        work.flow.nat_port = work.search.mine.port;
        work.flow.proven = false;
        return match work.search.mine.port {
            0 => Err(DropReason::UnknownFlow),
            _ => Ok(()),
        };
    }
    if work.search.mine.port != 0 {
        return renew(frame, scene, work, service).ok_or(DropReason::Inconsistent);
    }
    // A SYN that comes again may find that its mapping was given away.
    if !work.flow.begins && !work.packet.transport.flags.opens() {
        return Err(DropReason::UnknownFlow);
    }
    // A handshake that may never be completed gives way, the one that has waited longest: or a flood of SYNs from nowhere
    // would take every port.
    if work.search.free.port == 0 {
        work.search.free = work.search.weak;
    }
    if work.search.free.port == 0 {
        return Err(DropReason::NoNatPort);
    }
    make(frame, scene, work, service).ok_or(DropReason::NoNatPort)
}

/// What a search through the candidate ports found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    /// The flow's mapping.
    mine: Spot,
    /// The first that may be taken.
    free: Spot,
    /// That of another flow, which is not proven to be a connection and would miss the least.
    weak: Spot,
    /// What that would miss.
    price: u64,
}

/// An entry of the table; port 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Spot {
    place: u32,
    port: u16,
    /// The head that was found there.
    word: u64,
}

#[inline(always)]
fn search<T: Tables>(frame: &impl Frame, scene: &Scene<'_, T>, work: &mut Work, server: &Server) {
    let key = scene.config.table_key.load();
    let sizes = NatSizes::from_word(scene.config.nat.load());
    let address = Address::load(&server.address);
    let endpoint = Endpoint::from_word(server.endpoint.load());
    let port_be = endpoint.port_for(work.packet.transport.destination_port_be);
    let protocol = work.packet.network.protocol;

    let keeps_client = work.mode.keeps_client;
    let (client, client_port_be) = (
        work.packet.network.source,
        work.packet.transport.source_port_be,
    );
    let mut candidates = Candidates::of(work.flow.hash);
    let mut port = if keeps_client {
        u16::from_be_bytes(client_port_be)
    } else {
        match work.flow.nat_port {
            0 => candidates.next_port(sizes),
            port => port,
        }
    };
    let probes = if keeps_client { DIRECT_PROBES } else { PROBES };
    let mut probe = 0;
    while probe < PROBES && probe < probes {
        probe += 1;
        port = frame.hide(port as usize) as u16;
        let place = if keeps_client {
            let (server, client) = ((address, port_be), (client, client_port_be));
            nat::direct_place(key, server, client, protocol, probe, sizes.entries)
        } else {
            nat::place(key, address, port_be, port, protocol, sizes.entries)
        };
        let Some(entry) = scene.tables.nat_entry(place) else {
            break;
        };
        let word = entry.head.load();
        let spot = Spot { place, port, word };
        if is_mine(entry, word, port, work) {
            work.search.mine = spot;
            break;
        }
        let expired = word == 0 || Head::has_expired(word, work.now);
        if expired && work.search.free.port == 0 {
            work.search.free = spot;
        }
        let head = Head::from_word(word);
        if !expired && head.state.is_unproven() {
            let answered = (head.state == FlowState::ANSWERED) as u64;
            let price = 1 + ((answered << 32) | head.expires.since(work.now) as u64);
            if work.search.price == 0 || price < work.search.price {
                (work.search.weak, work.search.price) = (spot, price);
            }
        }
        // Entries are never emptied, so the flow was never offered a port behind an unused one. A SYN takes what is free
        // without looking for an older mapping of the same ports.
        if word == 0 || (expired && work.packet.transport.flags.opens()) {
            break;
        }
        if keeps_client {
            // The server could not tell them apart, and we not its answers.
            if !expired && answers_alike(scene, entry, word, work, (address, port_be)) {
                work.search.free = Spot::default();
                work.search.weak = Spot::default();
                break;
            }
        } else {
            port = candidates.next_port(sizes);
        }
        scene.tables.settle(work);
    }
}

/// Whether an entry is this flow's mapping.
#[inline(always)]
fn is_mine(entry: &NatEntry, word: u64, port: u16, work: &Work) -> bool {
    let (network, transport) = (&work.packet.network, &work.packet.transport);
    Head::is(word, port, network.protocol)
        && entry.server() == work.flow.server
        && entry.is_of(
            network.source,
            transport.source_port_be,
            network.destination,
            transport.destination_port_be,
        )
}

/// Whether the answers to another flow look like those to this one: the same client to the same server, by way of another
/// service.
#[inline(always)]
fn answers_alike<T: Tables>(
    scene: &Scene<'_, T>,
    entry: &NatEntry,
    word: u64,
    work: &Work,
    (address, port_be): (Address, [u8; 2]),
) -> bool {
    let port = u16::from_be_bytes(work.packet.transport.source_port_be);
    if !Head::is(word, port, work.packet.network.protocol)
        || Address::load(&entry.client) != work.packet.network.source
    {
        return false;
    }
    let Some(server) = scene.server(entry.server()) else {
        return false;
    };
    let (_, service_port_be) = entry.ports();
    let endpoint = Endpoint::from_word(server.endpoint.load());
    Address::load(&server.address) == address && endpoint.port_for(service_port_be) == port_be
}

/// Brings the flow's mapping up to date. A SYN that begins a flow on a mapping that was closing opens it again.
#[inline(always)]
fn renew<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
) -> Option<()> {
    let entry = scene.tables.nat_entry(work.search.mine.place)?;
    let word = entry.head.load();
    let head = Head::from_word(word);
    let reopened = work.flow.begins && !head.state.is_live();
    let next = if reopened {
        FlowState::OPENING
    } else {
        head.state
            .after_client(work.packet.transport.flags, work.mode.sees_answers())
    };
    let renewed = Head {
        expires: work.after(syn::hold(scene, work, service, head.state, next)),
        state: next,
        ..head
    };
    write_way_back(frame, work, entry);
    // Lost only to the other direction, which renews it as well.
    scene.tables.replace(&entry.head, word, renewed.word());
    work.flow.nat_port = head.port;
    work.flow.state = next;
    work.flow.began = reopened;
    work.flow.proven = head.state.is_handshake() && next == FlowState::ESTABLISHED;
    Some(())
}

/// Takes the entry that was found; `None` if another CPU was faster, and then the client's next try finds another.
#[inline(always)]
fn make<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
) -> Option<()> {
    let Spot { place, port, word } = work.search.free;
    let entry = scene.tables.nat_entry(place)?;
    let packet = &work.packet;
    let head = Head {
        expires: work.after(syn::hold(
            scene,
            work,
            service,
            FlowState::NONE,
            work.flow.state,
        )),
        port,
        state: work.flow.state,
        protocol: packet.network.protocol,
    };
    let claim = Head {
        state: CLAIMED,
        ..head
    };
    if !scene.tables.replace(&entry.head, word, claim.word()) {
        return None;
    }
    packet.network.source.store(&entry.client);
    packet.network.destination.store(&entry.service);
    entry.write_ends(
        packet.transport.source_port_be,
        packet.transport.destination_port_be,
        work.flow.server,
    );
    write_way_back(frame, work, entry);
    entry.head.store(head.word());
    work.flow.nat_port = port;
    Some(())
}

/// Answers go to where this packet came from.
#[inline(always)]
fn write_way_back(frame: &impl Frame, work: &Work, entry: &NatEntry) {
    let link = work.packet.link;
    if let Some(tags) = link.tags(frame) {
        let mac = link.source(frame);
        entry.write_way(mac, work.ingress as u8, tags, work.flow.place());
    }
}
