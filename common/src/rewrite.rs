//! Rewriting a frame in place: addresses and ports for NAT, the Ethernet header for all that is forwarded.
//!
//! Input is a frame, what it was parsed to and what shall stand there instead. Checksums are updated, never recomputed.
//! A frame that could not be rewritten to the end must be dropped, which is why all of these answer with an `Option`.

use crate::address::Address;
use crate::checksum::Delta;
use crate::frame::Frame;
use crate::nat::Tags;
use crate::parse::{IPV4, IPV6, Packet, SERVICE_TAG, TAG};

/// Where a rewritten packet seems to come from and goes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port, network order.
    pub source_port_be: [u8; 2],
    /// Destination port, network order.
    pub destination_port_be: [u8; 2],
}

/// The Ethernet header a frame leaves with. Addresses are words, as [`crate::interface::mac_word`] makes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing {
    /// For whom.
    pub destination: u64,
    /// From whom.
    pub source: u64,
    /// In which VLAN.
    pub tags: Tags,
}

/// Replaces addresses and ports, and counts the hop. Both ends must be of the packet's family.
#[inline(always)]
pub fn ends(frame: &mut impl Frame, packet: &Packet, new: &Ends) -> Option<()> {
    let addresses = if packet.network.is_v4 {
        ipv4(frame, packet, new)?
    } else {
        ipv6(frame, packet, new)?
    };
    let transport = &packet.transport;
    let delta = addresses
        .word(transport.source_port_be, new.source_port_be)
        .word(transport.destination_port_be, new.destination_port_be);
    let at = packet.network.payload_at as usize;
    let ([s, t], [d, e]) = (new.source_port_be, new.destination_port_be);
    frame.store(at, [s, t, d, e])?;
    if transport.is_tcp {
        let checksum = frame.load::<2>(at + 16)?;
        frame.store(at + 16, delta.apply(checksum))
    } else {
        let checksum = frame.load::<2>(at + 6)?;
        frame.store(at + 6, delta.apply_udp(checksum))
    }
}

/// Replaces the addresses of a later fragment, and counts the hop.
#[inline(always)]
pub fn addresses(frame: &mut impl Frame, packet: &Packet, new: &Ends) -> Option<()> {
    if packet.network.is_v4 {
        ipv4(frame, packet, new)?;
    } else {
        ipv6(frame, packet, new)?;
    }
    Some(())
}

/// Makes an ICMP error about a packet of the old ends one about a packet of the new ones (RFC 5508), and counts the hop. Its
/// own source becomes the new one too, unless that is kept.
#[inline(always)]
pub fn quoted(
    frame: &mut impl Frame,
    packet: &Packet,
    new: &Ends,
    keeps_source: bool,
) -> Option<()> {
    let (network, quote) = (&packet.network, packet.quote);
    let at = packet.link.length as usize;
    // The sum over the message changes by what changes in it, and with IPv6 by the addresses in front of it.
    let mut message = Delta::NONE;
    // The quoted packet went the other way.
    let moved = if network.is_v4 {
        let [s0, s1, s2, s3, d0, d1, d2, d3] = frame.load::<8>(at + 12)?;
        let sender = Address::from_v4([s0, s1, s2, s3]);
        let addressed = Address::from_v4([d0, d1, d2, d3]);
        let mut outer = *packet;
        (outer.network.source, outer.network.destination) = (sender, addressed);
        let source = if keeps_source { sender } else { new.source };
        ipv4(frame, &outer, &Ends { source, ..*new })?;
        let moved = Delta::NONE
            .double(network.destination.v4_bytes(), new.destination.v4_bytes())
            .double(network.source.v4_bytes(), new.source.v4_bytes());
        let quoted_at = frame.hide(quote.network_at as usize);
        let checksum = frame.load::<2>(quoted_at + 10)?;
        let updated = moved.apply(checksum);
        frame.store(quoted_at + 10, updated)?;
        frame.store(quoted_at + 12, new.destination.v4_bytes())?;
        frame.store(quoted_at + 16, new.source.v4_bytes())?;
        message = message.word(checksum, updated);
        moved
    } else {
        let sender = Address::from_bytes(frame.load::<16>(at + 8)?);
        let source = if keeps_source { sender } else { new.source };
        frame.store(at + 7, [network.hop_limit.wrapping_sub(1)])?;
        frame.store(at + 8, source.bytes())?;
        frame.store(at + 24, new.destination.bytes())?;
        // An error is sent to whom the quoted packet came from.
        message = message
            .long(sender.words(), source.words())
            .long(network.destination.words(), new.destination.words());
        let quoted_at = frame.hide(quote.network_at as usize);
        frame.store(quoted_at + 8, new.destination.bytes())?;
        frame.store(quoted_at + 24, new.source.bytes())?;
        Delta::NONE
            .long(network.destination.words(), new.destination.words())
            .long(network.source.words(), new.source.words())
    };
    let (old, transport_at) = (&packet.transport, frame.hide(quote.transport_at as usize));
    let ports = Delta::NONE
        .word(old.destination_port_be, new.destination_port_be)
        .word(old.source_port_be, new.source_port_be);
    let ([s, t], [d, e]) = (new.destination_port_be, new.source_port_be);
    frame.store(transport_at, [s, t, d, e])?;
    message = message.and(moved).and(ports);
    let checksum_at = if old.is_tcp { 16 } else { 6 };
    if quote.room >= checksum_at + 2 {
        let checksum_at = transport_at + checksum_at as usize;
        let checksum = frame.load::<2>(checksum_at)?;
        let change = moved.and(ports);
        let updated = if old.is_tcp {
            change.apply(checksum)
        } else {
            change.apply_udp(checksum)
        };
        frame.store(checksum_at, updated)?;
        message = message.word(checksum, updated);
    }
    let message_at = frame.hide(network.payload_at as usize) + 2;
    let checksum = frame.load::<2>(message_at)?;
    frame.store(message_at, message.apply_message(checksum))
}

/// Writes the IPv4 header from the time to live on; what its addresses change in the transport's checksum.
#[inline(always)]
fn ipv4(frame: &mut impl Frame, packet: &Packet, new: &Ends) -> Option<Delta> {
    let (network, at) = (&packet.network, packet.link.length as usize);
    let [ttl, protocol, c, d] = frame.load::<4>(at + 8)?;
    let addresses = Delta::NONE
        .double(network.source.v4_bytes(), new.source.v4_bytes())
        .double(network.destination.v4_bytes(), new.destination.v4_bytes());
    let lower = ttl.wrapping_sub(1);
    let hop = Delta::NONE.word([ttl, protocol], [lower, protocol]);
    let [c, d] = addresses.and(hop).apply([c, d]);
    frame.store(at + 8, [lower, protocol, c, d])?;
    frame.store(at + 12, new.source.v4_bytes())?;
    frame.store(at + 16, new.destination.v4_bytes())?;
    Some(addresses)
}

/// The same for IPv6, whose header has no checksum.
#[inline(always)]
fn ipv6(frame: &mut impl Frame, packet: &Packet, new: &Ends) -> Option<Delta> {
    let (network, at) = (&packet.network, packet.link.length as usize);
    frame.store(at + 7, [network.hop_limit.wrapping_sub(1)])?;
    frame.store(at + 8, new.source.bytes())?;
    frame.store(at + 24, new.destination.bytes())?;
    Some(
        Delta::NONE
            .long(network.source.words(), new.source.words())
            .long(network.destination.words(), new.destination.words()),
    )
}

/// Replaces the Ethernet header by one for IPv4 or IPv6, with room for `room` more bytes behind it (or that many cut off,
/// if negative), and says where they begin. The frame's length may change: nothing that was parsed is where it was.
#[inline(always)]
pub fn link(
    frame: &mut impl Frame,
    packet: &Packet,
    new: &Outgoing,
    room: i32,
    is_v4: bool,
) -> Option<usize> {
    let (had, wanted) = (packet.link.tag_count(), new.tags.count);
    let cut = (had as i32 - wanted as i32) * 4 - room;
    if cut != 0 {
        frame.cut_front(cut)?;
    }
    let [d0, d1, d2, d3, d4, d5, ..] = new.destination.to_ne_bytes();
    let [s0, s1, s2, s3, s4, s5, ..] = new.source.to_ne_bytes();
    frame.store(0, [d0, d1, d2, d3])?;
    frame.store(4, [d4, d5, s0, s1])?;
    frame.store(8, [s2, s3, s4, s5])?;
    if had == 0 && wanted == 0 && room == 0 {
        return Some(ETHERNET);
    }
    let mut kind_at = 12;
    if wanted > 0 {
        let [s, t] = if new.tags.service_tag {
            SERVICE_TAG
        } else {
            TAG
        };
        let [a, b] = new.tags.control[0].to_be_bytes();
        frame.store(12, [s, t, a, b])?;
        kind_at = 16;
    }
    if wanted > 1 {
        let ([s, t], [a, b]) = (TAG, new.tags.control[1].to_be_bytes());
        frame.store(16, [s, t, a, b])?;
        kind_at = 20;
    }
    let kind_at = frame.hide(kind_at);
    frame.store(kind_at, if is_v4 { IPV4 } else { IPV6 })?;
    Some(kind_at + 2)
}

const ETHERNET: usize = 14;
