//! A packet of a client whose flow is known, on its way to the server.

use super::super::choose::hash_of;
use super::super::work::{Scene, keeps_flows};
use super::head::{Head, Version};
use super::write;
use crate::address::Address;
use crate::counters::ServerCounters;
use crate::flow::{FlowBucket, FlowHash, FlowState};
use crate::frame::{Frame, Tables};
use crate::rewrite::Ends;
use crate::server::{Bounds, Endpoint, Hop};
use crate::service::{Forward, Nature, Service};
use crate::tunnel::Tunnel;
use crate::verdict::{DropReason, Verdict};
use crate::word::low;

/// Where the flow of a packet would be.
#[derive(Clone, Copy)]
pub(super) struct Flow<'a> {
    hash: FlowHash,
    bucket: &'a FlowBucket,
}

impl<'a> Flow<'a> {
    /// Looks there already: the bucket of one flow among many is in no cache, and while it is on its way the steps until it
    /// is needed cost nothing. For a service that ends here there is no flow to look for, and the place is always the same.
    #[inline(always)]
    pub(super) fn of<V: Version, T: Tables>(
        scene: &Scene<'a, T>,
        head: Head<'_, V>,
        ends_here: bool,
    ) -> Option<Self> {
        let hash = if ends_here {
            FlowHash(0)
        } else {
            FlowHash(hash_of(
                scene.config.table_key.load(),
                (head.source(), head.destination()),
                V::IS_V4,
                head.ports(),
                head.protocol(),
            ))
        };
        let index = hash.bucket(low(scene.config.flows.load()));
        let bucket = scene.tables.flow_bucket(index)?;
        let [first, ..] = &bucket.entries;
        scene.tables.reload(&first.identity);
        Some(Self { hash, bucket })
    }
}

/// Sends the packet after those before it. `None` if its flow has no entry, is not in the middle of its life, or its entry
/// has to be brought up to date together with others.
#[inline(always)]
pub(super) fn send<V: Version, T: Tables, R>(
    frame: &mut impl Frame,
    scene: &Scene<'_, T>,
    ingress: u32,
    service: &Service,
    Flow { hash, bucket }: Flow<'_>,
    act: impl Fn(Verdict) -> R,
) -> Option<R> {
    let head = Head::<V>::of_plain(frame)?;
    let nature = service.nature.load();
    let forward = Nature::forward_of(nature)?;
    // Datagrams that name their server are read further.
    if !head.is_tcp() && Nature::names_servers(nature) {
        return None;
    }
    let rewrites = matches!(forward, Forward::Nat | Forward::Dnat);
    if rewrites && head.hop_limit() <= 1 {
        return None;
    }
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
        if rewrites {
            return None;
        }
        bucket.refresh(scene.tables, hash, track, fresh);
    }
    let server = scene.server(track.server)?;
    let hop = Hop::from_word(server.hop.load());
    let endpoint = Endpoint::from_word(server.endpoint.load());
    if !keeps_flows(hop) || !hop.is_known() || endpoint.vlan != 0 {
        return None;
    }
    let bounds = Bounds::from_word(server.bounds.load());
    let length = head.length();
    let macs = (hop.mac_word(), scene.mac_of(hop.interface));
    let destination = Address::load(&server.address);
    let written = match forward {
        Forward::Local => return None,
        Forward::Ipip | Forward::Gue => {
            let tunnel = Tunnel {
                source: Address::load(&server.source),
                destination,
                port_be: Nature::tunnel_port_of(nature),
                sum: bounds.sum,
            };
            write::tunnel::<V>(frame, macs, &tunnel, bounds, hash)?
        }
        _ if !bounds.take(length, 0) => return None,
        Forward::Dsr => write::link(frame, macs),
        Forward::Nat | Forward::Dnat => {
            let (source, source_port_be) = if forward == Forward::Dnat {
                (head.source(), head.source_port_be())
            } else {
                (Address::load(&server.source), track.nat_port.to_be_bytes())
            };
            let ends = Ends {
                source,
                destination,
                source_port_be,
                destination_port_be: endpoint.port_for(head.destination_port_be()),
            };
            write::translated::<V>(frame, macs, &ends)
        }
    };
    if written.is_none() {
        return Some(act(Verdict::Drop {
            reason: DropReason::Unwritable,
            service: endpoint.service,
        }));
    }
    let counts = ServerCounters {
        packets_in: 1,
        bytes_in: length as u64,
        ..ServerCounters::default()
    };
    scene.tables.count(track.server, counts);
    Some(if hop.interface as u32 == ingress {
        act(Verdict::Transmit)
    } else {
        act(Verdict::Redirect(hop.interface))
    })
}
