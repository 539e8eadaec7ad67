//! A packet of a client whose flow is known, on its way to the server.

use super::super::choose::hash_of;
use super::super::work::{Mode, Scene, keeps_flows};
use super::head::{Head, Version};
use super::write;
use crate::address::Address;
use crate::counters::ServerCounters;
use crate::flow::{FlowHash, FlowState};
use crate::frame::{Frame, Tables};
use crate::rewrite::Ends;
use crate::server::{Bounds, Endpoint, Hop};
use crate::service::Service;
use crate::tunnel::Tunnel;
use crate::verdict::{DropReason, Verdict};
use crate::word::low;

/// Sends the packet after those before it. `None` if its flow has no entry, is not in the middle of its life, or its entry
/// has to be brought up to date together with others.
#[inline(always)]
pub(super) fn send<V: Version, T: Tables>(
    frame: &mut impl Frame,
    scene: &Scene<'_, T>,
    ingress: u32,
    service: &Service,
    mode: Mode,
) -> Option<Verdict> {
    let head = Head::<V>::of_plain(frame)?;
    if mode.rewrites && head.hop_limit() <= 1 {
        return None;
    }
    let hash = FlowHash(hash_of(
        scene.config.table_key.load(),
        (head.source(), head.destination()),
        V::IS_V4,
        head.ports(),
        head.protocol(),
    ));
    let bucket = scene
        .tables
        .flow_bucket(hash.bucket(low(scene.config.flows.load())))?;
    let (state, track) = bucket.read(scene.tables, hash)?;
    let lasting = if head.is_tcp() {
        FlowState::ESTABLISHED
    } else {
        FlowState::DATAGRAM
    };
    if state != lasting {
        return None;
    }
    let fresh = scene.tables.now().after(service.timeout(lasting));
    if scene.is_stale(fresh, track.expires) {
        // With NAT the mapping has to be renewed too.
        if mode.rewrites {
            return None;
        }
        bucket.refresh(scene.tables, hash, track, fresh);
    }
    let server = scene.server(track.server)?;
    let hop = Hop::from_word(server.hop.load());
    let endpoint = Endpoint::from_word(server.endpoint.load());
    let bounds = Bounds::from_word(server.bounds.load());
    if !keeps_flows(hop) || !hop.is_known() || endpoint.vlan != 0 {
        return None;
    }
    let own = Address::load(&server.source);
    let destination = Address::load(&server.address);
    let length = head.length();
    let macs = (hop.mac_word(), scene.mac_of(hop.interface));
    let written = if mode.tunnels {
        let tunnel = Tunnel {
            source: own,
            destination,
            port_be: mode.tunnel_port_be,
            sum: bounds.sum,
        };
        if !bounds.take(length, tunnel.overhead()) {
            return None;
        }
        write::tunnel::<V>(frame, macs, &tunnel, hash)?
    } else {
        if !bounds.take(length, 0) {
            return None;
        }
        if mode.rewrites {
            let (source, source_port_be) = if mode.keeps_client {
                (head.source(), head.source_port_be())
            } else {
                (own, track.nat_port.to_be_bytes())
            };
            let ends = Ends {
                source,
                destination,
                source_port_be,
                destination_port_be: endpoint.port_for(head.destination_port_be()),
            };
            write::translated::<V>(frame, macs, &ends)
        } else {
            write::link(frame, macs)
        }
    };
    if written.is_none() {
        return Some(Verdict::Drop {
            reason: DropReason::Unwritable,
            service: endpoint.service,
        });
    }
    let counts = ServerCounters {
        packets_in: 1,
        bytes_in: length as u64,
        ..ServerCounters::default()
    };
    scene.tables.count(track.server, counts);
    Some(if hop.interface as u32 == ingress {
        Verdict::Transmit
    } else {
        Verdict::Redirect(hop.interface)
    })
}
