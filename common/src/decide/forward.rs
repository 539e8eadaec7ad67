//! From a client to a server: known flows, new ones, and packets whose flow is in no table.
//!
//! State is written for a SYN, for the first packet of a UDP flow, and for a packet whose NAT mapping exists; never for a
//! bare ACK, RST or FIN. A flow that finds no room in its bucket is still forwarded: by its place in the ring, and with NAT
//! by its mapping.

use super::Step;
use super::choose::{choose, tuple_hash};
use super::guard::{self, Deed};
use super::mapping;
use super::owner::find;
use super::syn;
use super::work::{Flow, Mode, Scene, Sending, Work, keeps_flows, takes_flows};
use crate::address::Address;
use crate::bind::{BindKey, Target};
use crate::choice::Choice;
use crate::counters::ServerCounters;
use crate::flow::{FlowBucket, FlowEntry, FlowHash, FlowState, NO_WAY, Track};
use crate::frame::{Frame, Tables};
use crate::nat::Tags;
use crate::parse::TcpFlags;
use crate::rewrite::{Ends, Outgoing};
use crate::server::{Bounds, Endpoint, Hop, Server, ServerIndex};
use crate::service::Service;
use crate::tunnel::Tunnel;
use crate::verdict::DropReason;
use crate::word::low;

/// Finds the server of the packet's flow and how to send the packet there.
#[inline(always)]
pub(super) fn forward<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
) -> Result<Step, DropReason> {
    if work.packet.transport.flags.grants() {
        return Err(DropReason::UnexpectedSynAck);
    }
    // Who rewrites addresses is a router to the packet, and the hop is counted.
    if work.mode.rewrites && work.packet.network.hop_limit <= 1 {
        return Err(DropReason::HopLimit);
    }
    let hash = FlowHash(tuple_hash(scene.config.table_key.load(), &work.packet));
    let index = hash.bucket(low(scene.config.flows.load()));
    let bucket = scene
        .tables
        .flow_bucket(index)
        .ok_or(DropReason::Inconsistent)?;
    work.flow.hash = hash;
    work.flow.bucket = index;
    work.flow.way = bucket.find(hash);
    work.named = named(frame, scene, work);
    scene.tables.settle(work);

    if !resume(scene, work, service, bucket) {
        if work.listed {
            return Err(DropReason::SourceListed);
        }
        begin(scene, work, service, bucket)?;
    }
    scene.tables.settle(work);

    let server = scene.server(work.flow.server).ok_or(DropReason::NoServer)?;
    let hop = Hop::from_word(server.hop.load());
    if !hop.is_known() {
        return Err(DropReason::NoNextHop);
    }
    if work.flow.writes {
        if work.mode.rewrites {
            mapping::map(frame, scene, work, service, server)?;
            scene.tables.settle(work);
        }
        record(scene, work, service, bucket)?;
    }
    Ok(address(scene, work, server))
}

/// How the packet is sent to its server, or that it does not fit.
#[inline(always)]
pub(super) fn address<T: Tables>(scene: &Scene<'_, T>, work: &mut Work, server: &Server) -> Step {
    let hop = Hop::from_word(server.hop.load());
    let endpoint = Endpoint::from_word(server.endpoint.load());
    let bounds = Bounds::from_word(server.bounds.load());
    let own = Address::load(&server.source);
    let destination = Address::load(&server.address);
    let Mode {
        rewrites,
        keeps_client,
        tunnels,
        tunnel_port_be,
        mark,
        ..
    } = work.mode;
    let (network, transport) = (&work.packet.network, &work.packet.transport);
    let (source, source_port_be) = if keeps_client {
        (network.source, transport.source_port_be)
    } else {
        (own, work.flow.nat_port.to_be_bytes())
    };
    work.sending = Sending {
        rewrites,
        keeps_source: keeps_client,
        limit: 0,
        tunnels,
        is_answer: false,
        mark,
        interface: hop.interface,
        server: work.flow.server,
        ends: Ends {
            source,
            destination,
            source_port_be,
            destination_port_be: endpoint.port_for(transport.destination_port_be),
        },
        outgoing: Outgoing {
            destination: hop.mac_word(),
            source: scene.mac_of(hop.interface),
            tags: Tags {
                count: (endpoint.vlan != 0) as u8,
                service_tag: false,
                control: [endpoint.vlan, 0],
            },
        },
    };
    let mut overhead = 0;
    if tunnels {
        work.tunnel = Tunnel {
            source: own,
            destination,
            port_be: tunnel_port_be,
            sum: bounds.sum,
        };
        overhead = work.tunnel.overhead();
    }
    if bounds.take(work.packet.network.length, overhead) {
        Step::Send
    } else {
        work.sending.limit = bounds.mtu.saturating_sub(overhead);
        Step::TooBig
    }
}

/// The server a datagram names itself, if that keeps its flows.
#[inline(always)]
fn named<T: Tables>(frame: &impl Frame, scene: &Scene<'_, T>, work: &Work) -> ServerIndex {
    let (ids, network) = (work.mode.server_ids, &work.packet.network);
    if ids.length == 0 || work.packet.quote.is_there || network.is_part {
        return ServerIndex::default();
    }
    let at = network.payload_at as usize + DATAGRAM;
    let length = network.payload_length.saturating_sub(DATAGRAM as u16);
    let Some(number) = ids.of(frame, at, length) else {
        return ServerIndex::default();
    };
    match find(scene, BindKey::server(work.service, number)) {
        Some(Target::Server(index)) => match scene.server(index) {
            Some(server) if keeps_flows(Hop::from_word(server.hop.load())) => index,
            _ => ServerIndex::default(),
        },
        _ => ServerIndex::default(),
    }
}

/// Goes on with a flow that has an entry. Says no if it has none, or has to begin anew: its server is gone, or the client
/// reuses the ports of a connection that was closed.
#[inline(always)]
fn resume<T: Tables>(
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
    bucket: &FlowBucket,
) -> bool {
    if work.flow.way >= NO_WAY {
        return false;
    }
    let entry = bucket.way(work.flow.way);
    work.flow.found = entry.identity();
    let (state, track) = entry.read();
    // Another flow's by now, if another CPU took it meanwhile.
    if !entry.is(work.flow.hash) {
        work.flow.way = NO_WAY;
        return false;
    }
    let Some(server) = scene.server(track.server) else {
        return false;
    };
    // One port of a client may have connections to several servers.
    if work.named != ServerIndex::default() && work.named != track.server {
        return false;
    }
    let hop = Hop::from_word(server.hop.load());
    let flags = work.packet.transport.flags;
    let usable = if flags.opens() {
        takes_flows(hop) && state.is_live()
    } else {
        keeps_flows(hop)
    };
    if !usable {
        return false;
    }
    let next = state.after_client(flags, work.mode.sees_answers());
    let fresh = work.after(scene.lifetime(service, next));
    work.flow = Flow {
        server: track.server,
        nat_port: track.nat_port,
        state: next,
        writes: !work.packet.quote.is_there
            && (next != state || state.is_handshake() || scene.is_stale(fresh, track.expires)),
        begins: false,
        began: false,
        proven: state.is_handshake() && next == FlowState::ESTABLISHED,
        ..work.flow
    };
    true
}

/// Begins a flow, or goes on with one that has no entry.
#[inline(always)]
fn begin<T: Tables>(
    scene: &Scene<'_, T>,
    work: &mut Work,
    service: &Service,
    bucket: &FlowBucket,
) -> Result<(), DropReason> {
    let is_tcp = work.packet.transport.is_tcp;
    let is_error = work.packet.quote.is_there;
    let flags = work.packet.transport.flags;
    let begins = !is_error && (!is_tcp || flags.opens());
    let follows = is_tcp && flags.has(TcpFlags::ACK) && !flags.has(NO_FIRST_ACK);
    let takes_over =
        !is_error && follows && !work.mode.rewrites && syn::is_flooded(scene, work.service, work);
    // Under a flood a SYN is given nothing but the mapping it cannot do without, and the first packet after it the entry,
    // which is as cheap to replace as one of a SYN, because nothing was proven yet.
    let is_stateless = begins && work.flooded && work.flow.way >= NO_WAY;
    if is_stateless {
        syn::count_stateless(scene, work);
    }
    work.flow = Flow {
        server: ServerIndex::default(),
        nat_port: 0,
        state: if is_tcp {
            FlowState::OPENING
        } else {
            FlowState::DATAGRAM
        },
        writes: (begins && !is_stateless) || takes_over || work.mode.rewrites,
        begins,
        began: (begins && !is_stateless) || takes_over,
        proven: false,
        ..work.flow
    };
    if work.flow.way >= NO_WAY && !is_stateless {
        work.flow.way = bucket.victim(work.now);
        work.flow.found = bucket.way(work.flow.way).identity();
    }
    scene.tables.settle(work);
    if !is_tcp && !is_error {
        guard::account(scene, work, Deed::AskAndCharge)?;
    }
    if work.named == ServerIndex::default() {
        choose(scene, work, service)
    } else {
        work.flow.server = work.named;
        Ok(())
    }
}

/// Brings the flow's entry up to date and charges its source once it has proven itself.
#[inline(always)]
fn record<T: Tables>(
    scene: &Scene<'_, T>,
    work: &Work,
    service: &Service,
    bucket: &FlowBucket,
) -> Result<(), DropReason> {
    let flow = &work.flow;
    if !work.packet.quote.is_there {
        let track = Track {
            expires: work.after(scene.lifetime(service, flow.state)),
            server: flow.server,
            nat_port: flow.nat_port,
        };
        // Lost only to another CPU: the flow goes on without an entry.
        if flow.way < NO_WAY && write(scene, work, service, bucket.way(flow.way), track) {
        } else if flow.begins && !work.flooded {
            scene.tables.count(
                flow.server,
                ServerCounters {
                    unremembered: 1,
                    ..ServerCounters::default()
                },
            );
        }
    }
    if flow.proven {
        guard::account(scene, work, Deed::Charge)?;
    }
    Ok(())
}

/// Writes the flow's entry, and keeps count of the flows of its server and of the one whose entry it was.
#[inline(always)]
fn write<T: Tables>(
    scene: &Scene<'_, T>,
    work: &Work,
    service: &Service,
    entry: &FlowEntry,
    track: Track,
) -> bool {
    let Flow {
        found, hash, state, ..
    } = work.flow;
    let (_, before) = entry.read();
    if !entry.write(scene.tables, found, hash, state, track) {
        return false;
    }
    if Choice::from_word(service.choice.load()).counts {
        let was_live = FlowState::from_bits(found as u8).is_live() && !before.has_expired(work.now);
        let stays = was_live && before.server == track.server;
        if was_live
            && !(stays && state.is_live())
            && let Some(load) = scene.tables.load(before.server)
        {
            load.end(scene.tables);
        }
        if state.is_live()
            && !stays
            && let Some(load) = scene.tables.load(track.server)
        {
            load.begin(scene.tables);
        }
    }
    true
}

/// The header of a UDP datagram.
const DATAGRAM: usize = 8;

/// What no segment has that completes a handshake.
const NO_FIRST_ACK: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
