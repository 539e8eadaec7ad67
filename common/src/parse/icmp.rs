//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo requests, and errors about packets of flows.
//!
//! An error quotes the packet it is about, which went the other way. It is read as if it were a packet of that flow, from
//! the one who is to blame to the one who is to learn of it: source, destination, ports and protocol are those of the
//! quoted packet, exchanged. Everything else that ICMP can say is foreign: redirects are nobody's to pass on, and
//! neighbour discovery is the stack's.

use super::{Packet, Parsed, TCP, TcpFlags, Transport, UDP};
use crate::address::Address;
use crate::frame::Frame;
use crate::verdict::DropReason;

/// Where an ICMP error keeps the packet it is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quote {
    /// Whether this is an error at all.
    pub is_there: bool,
    /// Where the quoted IP header begins in the frame.
    pub network_at: u16,
    /// Where its transport header begins, of which eight bytes are there.
    pub transport_at: u16,
    /// Bytes of it that are there.
    pub room: u16,
}

/// The message behind the IP header.
#[inline(always)]
pub(super) fn parse(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let network = &packet.network;
    let at = network.payload_at as usize;
    // A part of a message says nothing.
    if network.is_part || network.payload_length < HEADER {
        return Parsed::Foreign;
    }
    let Some([kind, code, ..]) = frame.load::<8>(at) else {
        return Parsed::Foreign;
    };
    let (echo, is_error) = if network.is_v4 {
        let error = kind == UNREACHABLE || kind == TIME_EXCEEDED || kind == PARAMETER_PROBLEM;
        (ECHO_V4, error)
    } else {
        (ECHO_V6, (FIRST_ERROR_V6..=LAST_ERROR_V6).contains(&kind))
    };
    if kind == echo && code == 0 {
        return Parsed::Echo;
    }
    if !is_error {
        return Parsed::Foreign;
    }
    if super::is_martian(network) {
        return Parsed::Broken(DropReason::MartianSource);
    }
    quoted(frame, packet)
}

/// The packet an error is about.
#[inline(always)]
fn quoted(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let at = packet.network.payload_at + HEADER;
    let room = packet.network.payload_length - HEADER;
    let Some((header, protocol, source, destination)) = (if packet.network.is_v4 {
        quoted_v4(frame, at as usize)
    } else {
        quoted_v6(frame, at as usize)
    }) else {
        return Parsed::Foreign;
    };
    let transport_at = at + header;
    let is_tcp = protocol == TCP;
    let Some([s, t, d, e]) = frame.load::<4>(transport_at as usize) else {
        return Parsed::Foreign;
    };
    // Whom the error is sent to is who sent the packet; anything else is made up.
    let honest = source == packet.network.destination && (is_tcp || protocol == UDP);
    if !honest || room < header + QUOTED {
        return Parsed::Foreign;
    }
    packet.quote = Quote {
        is_there: true,
        network_at: at,
        transport_at,
        room: room - header,
    };
    packet.network.source = destination;
    packet.network.destination = source;
    packet.network.protocol = protocol;
    packet.transport = Transport {
        is_tcp,
        source_port_be: [d, e],
        destination_port_be: [s, t],
        // Neither begins a flow nor ends one.
        flags: TcpFlags(TcpFlags::ACK),
        length: 0,
    };
    Parsed::Packet
}

/// Length of the header, protocol, source and destination; nothing if it is no beginning of a packet.
#[inline(always)]
fn quoted_v4(frame: &impl Frame, at: usize) -> Option<(u16, u8, Address, Address)> {
    let header = frame.load::<20>(at)?;
    let [version, _, _, _, _, _, f0, f1, _, protocol, ..] = header;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let length = (version & 15) as u16 * 4;
    let is_later_part = u16::from_be_bytes([f0, f1]) & OFFSET != 0;
    if version >> 4 != 4 || length < 20 || is_later_part {
        return None;
    }
    let (source, destination) = ([s0, s1, s2, s3], [d0, d1, d2, d3]);
    Some((
        length,
        protocol,
        Address::from_v4(source),
        Address::from_v4(destination),
    ))
}

/// The same; without extension headers.
#[inline(always)]
fn quoted_v6(frame: &impl Frame, at: usize) -> Option<(u16, u8, Address, Address)> {
    let [version, _, _, _, _, _, next, _] = frame.load::<8>(at)?;
    let source = Address::from_bytes(frame.load::<16>(at + 8)?);
    let destination = Address::from_bytes(frame.load::<16>(at + 24)?);
    if version >> 4 != 6 || source.is_v4() || destination.is_v4() {
        return None;
    }
    Some((40, next, source, destination))
}

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub const ICMP_V6: u8 = 58;

const HEADER: u16 = 8;
const QUOTED: u16 = 8;
const OFFSET: u16 = 0x1fff;
const ECHO_V4: u8 = 8;
const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const ECHO_V6: u8 = 128;
const FIRST_ERROR_V6: u8 = 1;
const LAST_ERROR_V6: u8 = 4;
