//! A packet of a server, on its way back to a client of a known mapping.

use super::super::answer::{mapping, sender};
use super::super::work::Scene;
use super::head::{Head, Version};
use super::write;
use crate::address::Address;
use crate::config::NatSizes;
use crate::counters::ServerCounters;
use crate::frame::{Frame, Tables};
use crate::nat;
use crate::rewrite::Ends;
use crate::server::Bounds;
use crate::verdict::{DropReason, Verdict};

/// Sends the packet to the client. `None` if it belongs to no mapping, or changes it.
#[inline(always)]
pub(super) fn send_back<V: Version, T: Tables, R>(
    frame: &mut impl Frame,
    scene: &Scene<'_, T>,
    sizes: NatSizes,
    act: impl Fn(Verdict) -> R,
) -> Option<R> {
    let head = Head::<V>::of_plain(frame)?;
    let from = (head.source(), head.source_port_be());
    let port = u16::from_be_bytes(head.destination_port_be());
    let (_, entry, word) = mapping(scene, from, port, head.protocol(), sizes)?;
    let index = entry.server();
    let server = scene.server(index)?;
    let from = (head.source(), head.source_port_be());
    let service = sender(from, entry, server)?;
    let ingress = scene.ingress(frame)?;
    if Address::load(&server.source) != head.destination()
        || !scene.is_for_us(frame, ingress)
        || !head.is_sound()
        || !head.flags_are_possible()
        || head.hop_limit() <= 1
    {
        return None;
    }
    let known = nat::Head::from_word(word);
    if known.state.after_server(head.flags()) != known.state {
        return None;
    }
    let record = scene.tables.service(service)?;
    if record.treatment.load() != 0 {
        return None;
    }
    let fresh = scene.tables.now().after(record.timeout(known.state));
    if scene.is_stale(fresh, known.expires) {
        return None;
    }
    let (mac, interface, tags) = entry.way();
    let bounds = Bounds {
        sum: 0,
        mtu: scene.mtu_of(interface),
    };
    let length = head.length();
    if tags.count != 0 || !bounds.take(length, 0) {
        return None;
    }
    let (client_port_be, service_port_be) = entry.ports();
    let ends = Ends {
        source: Address::load(&entry.service),
        destination: Address::load(&entry.client),
        source_port_be: service_port_be,
        destination_port_be: client_port_be,
    };
    // Another flow may have taken the entry meanwhile; everything but the time must still be the same.
    if (scene.tables.reload(&entry.head) ^ word) >> 32 != 0 {
        return None;
    }
    let macs = (mac, scene.mac_of(interface));
    if write::translated::<V>(frame, macs, &ends).is_none() {
        return Some(act(Verdict::Drop {
            reason: DropReason::Unwritable,
            service,
        }));
    }
    let counts = ServerCounters {
        packets_out: 1,
        bytes_out: length as u64,
        ..ServerCounters::default()
    };
    scene.tables.count(index, counts);
    Some(if interface as u32 == ingress {
        act(Verdict::Transmit)
    } else {
        act(Verdict::Redirect(interface))
    })
}
