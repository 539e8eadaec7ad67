//! IPv6 headers (RFC 8200) and the extension headers in front of a transport header.

use super::{Network, Packet, Parsed};
use crate::address::Address;
use crate::frame::Frame;
use crate::verdict::DropReason;

/// The header behind the Ethernet header and up to [`EXTENSIONS`] extension headers.
#[inline(always)]
pub(super) fn parse(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let at = packet.link.length as usize;
    let Some([version, _, _, _, l0, l1, next, hop_limit]) = frame.load::<8>(at) else {
        return Parsed::Foreign;
    };
    let (Some(source), Some(destination)) = (frame.load::<16>(at + 8), frame.load::<16>(at + 24))
    else {
        return Parsed::Foreign;
    };
    let destination = Address::from_bytes(destination);
    // A mapped address in an IPv6 header is not the IPv4 address of that name.
    if version >> 4 != 6 || destination.is_v4() {
        return Parsed::Foreign;
    }
    packet.network.destination = destination;
    let payload = u16::from_be_bytes([l0, l1]);
    let room = frame.length().saturating_sub(at + HEADER);
    // A payload length of 0 is a jumbogram (RFC 2675), or nothing.
    if payload as usize > room || payload == 0 || payload > u16::MAX - HEADER as u16 {
        return Parsed::Broken(DropReason::BadIpHeader);
    }
    packet.network = Network {
        is_v4: false,
        source: Address::from_bytes(source),
        hop_limit,
        protocol: next,
        length: payload + HEADER as u16,
        payload_at: (at + HEADER) as u16,
        payload_length: payload,
        is_sound: true,
        is_part: false,
        offset: 0,
        ..packet.network
    };
    extensions(frame, &mut packet.network)
}

/// Walks to the transport header.
#[inline(always)]
fn extensions(frame: &impl Frame, network: &mut Network) -> Parsed {
    let (mut at, mut room) = (network.payload_at, network.payload_length);
    let mut protocol = network.protocol;
    let mut seen = 0;
    let mut fragment = None;
    while is_extension(protocol) {
        let misplaced = protocol == HOP_BY_HOP && seen > 0;
        if seen == EXTENSIONS || misplaced {
            return Parsed::Broken(DropReason::BadExtension);
        }
        seen += 1;
        let Some([next, units, high, left]) = frame.load::<4>(at as usize) else {
            return Parsed::Broken(DropReason::BadExtension);
        };
        let mut length = (units as u16 + 1) * 8;
        if protocol == FRAGMENT {
            let Some(id) = frame.load::<4>(at as usize + 4) else {
                return Parsed::Broken(DropReason::BadExtension);
            };
            if fragment.is_some() {
                return Parsed::Broken(DropReason::BadExtension);
            }
            length = 8;
            fragment = Some((u16::from_be_bytes([high, left]), u32::from_be_bytes(id)));
        }
        // Segments left: the packet is on its way elsewhere (RFC 5095 forbids the type that goes back and forth).
        let routed = protocol == ROUTING && left != 0;
        if length > room || routed {
            return Parsed::Broken(DropReason::BadExtension);
        }
        at = frame.hide(at as usize + length as usize) as u16;
        room = frame.hide((room - length) as usize) as u16;
        protocol = next;
    }
    network.payload_at = at;
    network.payload_length = room;
    network.protocol = protocol;
    match fragment {
        // One that is all of its datagram is none (RFC 6946).
        Some((word, id)) if word & (OFFSET | MORE) != 0 => {
            super::part(network, word >> 3, word & MORE != 0, id)
        }
        _ => Parsed::Packet,
    }
}

#[inline(always)]
const fn is_extension(protocol: u8) -> bool {
    protocol == HOP_BY_HOP
        || protocol == ROUTING
        || protocol == FRAGMENT
        || protocol == DESTINATION_OPTIONS
}

/// Extension headers followed; RFC 8200 §4.1 has an order in which no sender needs more.
const EXTENSIONS: usize = 4;

const HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OFFSET: u16 = 0xfff8;
const MORE: u16 = 1;
const DESTINATION_OPTIONS: u8 = 60;
