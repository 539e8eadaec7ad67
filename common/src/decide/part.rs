//! Fragments: the first one says where the others of its datagram go.
//!
//! A first fragment has been decided about like any packet; [`remember`] keeps what came of it. The others have no ports,
//! and [`follow`] sends them the same way with their addresses rewritten alike. One that comes without its first is dropped
//! and counted if it is for an address that only this program answers for; anyone else's is the stack's.

use super::owner::answers_for;
use super::work::{Mode, Scene, Sending, Work, keeps_flows};
use super::{Step, forward};
use crate::address::Address;
use crate::config::Clock;
use crate::flow::FlowHash;
use crate::fragment::{FragmentBucket, FragmentHash, LIFETIME_MILLIS, Path};
use crate::frame::{Frame, Tables};
use crate::rewrite::{Ends, Outgoing};
use crate::server::{Endpoint, Hop, ServerIndex};
use crate::service::{Nature, ServiceIndex, Treatment};
use crate::verdict::DropReason;

/// Keeps the way of a first fragment.
#[inline(always)]
pub(super) fn remember<T: Tables>(scene: &Scene<'_, T>, work: &Work) {
    if let Some((bucket, hash)) = bucket(scene, work) {
        let path = if work.sending.is_answer {
            Path::Client(work.place)
        } else {
            Path::Server(work.sending.server)
        };
        bucket.remember(hash, work.now, path);
    }
}

/// Sends a later fragment after its first.
#[inline(always)]
pub(super) fn follow<T: Tables>(
    frame: &impl Frame,
    scene: &Scene<'_, T>,
    work: &mut Work,
) -> Result<Step, DropReason> {
    work.service = ServiceIndex::default();
    let lifetime = Clock::from_word(scene.config.clock.load())
        .per_second
        .saturating_mul(LIFETIME_MILLIS / 1000);
    let (path, hash) = match bucket(scene, work) {
        Some((bucket, hash)) => (bucket.find(hash, work.now, lifetime), hash),
        None => (None, FragmentHash::default()),
    };
    scene.tables.settle(work);
    let step = match path {
        _ if !scene.is_for_us(frame, work.ingress) => return Ok(Step::Pass),
        Some(Path::Server(server)) => to_server(scene, work, hash, server),
        Some(Path::Client(place)) => to_client(scene, work, place),
        None => None,
    };
    if let Some(step) = step {
        return step;
    }
    if answers_for(scene, work) {
        Err(DropReason::UnknownFragment)
    } else {
        Ok(Step::Pass)
    }
}

#[inline(always)]
fn to_server<T: Tables>(
    scene: &Scene<'_, T>,
    work: &mut Work,
    hash: FragmentHash,
    index: ServerIndex,
) -> Option<Result<Step, DropReason>> {
    let server = scene.server(index)?;
    let hop = Hop::from_word(server.hop.load());
    work.service = Endpoint::from_word(server.endpoint.load()).service;
    let service = scene.tables.service(work.service)?;
    let treatment = Treatment::from_word(service.treatment.load());
    let nature = Nature::from_word(service.nature.load())?;
    work.mode = Mode::of(nature, treatment.to_server)?;
    if !keeps_flows(hop) {
        return None;
    }
    if !hop.is_known() {
        return Some(Err(DropReason::NoNextHop));
    }
    if work.mode.rewrites && work.packet.network.hop_limit <= 1 {
        return Some(Err(DropReason::HopLimit));
    }
    work.flow.server = index;
    // What a tunnel tells flows apart by; a fragment has no ports, but all of a datagram take one way.
    work.flow.hash = FlowHash(hash.0);
    work.flow.began = false;
    work.flow.proven = false;
    Some(Ok(forward::address(scene, work, server)))
}

#[inline(always)]
fn to_client<T: Tables>(
    scene: &Scene<'_, T>,
    work: &mut Work,
    place: u32,
) -> Option<Result<Step, DropReason>> {
    let entry = scene.tables.nat_entry(place)?;
    let server = scene.server(entry.server())?;
    // Another flow may have taken the entry since.
    if Address::load(&server.address) != work.packet.network.source {
        return None;
    }
    work.service = Endpoint::from_word(server.endpoint.load()).service;
    if work.packet.network.hop_limit <= 1 {
        return Some(Err(DropReason::HopLimit));
    }
    let service = scene.tables.service(work.service)?;
    let (mac, interface, tags) = entry.way();
    work.sending = Sending {
        rewrites: true,
        is_answer: true,
        mark: Treatment::from_word(service.treatment.load()).to_client,
        interface,
        server: entry.server(),
        ends: Ends {
            source: Address::load(&entry.service),
            destination: Address::load(&entry.client),
            ..Ends::default()
        },
        outgoing: Outgoing {
            destination: mac,
            source: scene.mac_of(interface),
            tags,
        },
        ..Sending::default()
    };
    Some(Ok(Step::Send))
}

#[inline(always)]
fn bucket<'a, T: Tables>(
    scene: &Scene<'a, T>,
    work: &Work,
) -> Option<(&'a FragmentBucket, FragmentHash)> {
    let network = &work.packet.network;
    let hash = FragmentHash::of(
        scene.config.table_key.load(),
        network.source,
        network.destination,
        network.id,
        network.protocol,
    );
    let bucket = scene.tables.fragment_bucket(hash.bucket())?;
    Some((bucket, hash))
}
