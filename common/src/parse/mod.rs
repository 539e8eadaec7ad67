//! From a frame to what the decision asks about.
//!
//! Input is a frame; output is a [`Packet`] with what is compared later (the rest is read from the frame when it is
//! needed), or why it is none. Every length is checked against the frame before anything behind it is read. Whether a
//! packet makes *sense* is not asked here but in [`Packet::defect`], once it is known to be for one of our services:
//! packets of others are none of our business.

mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod transport;

pub use ethernet::{IPV4, IPV6, Link, SERVICE_TAG, TAG, destination};
pub use icmp::{ICMP, ICMP_V6, Quote};
pub use transport::{TCP, TcpFlags, Transport, UDP};

use crate::address::Address;
use crate::frame::Frame;
use crate::verdict::DropReason;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nothing we handle, for whomever it is.
    Foreign,
    /// A fragment that is not the first of its datagram: it has no ports.
    Part,
    /// Headers that contradict themselves or the frame before the ports are reached; the destination is known.
    Broken(DropReason),
    /// An echo request.
    Echo,
    /// A TCP segment or UDP datagram, as far as its lengths tell, or the first fragment of one, or an ICMP error about one
    /// ([`Packet::quote`]).
    Packet,
}

/// A TCP segment or UDP datagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet {
    /// The Ethernet header before it.
    pub link: Link,
    /// Its network header.
    pub network: Network,
    /// Its transport header.
    pub transport: Transport,
    /// If it is an ICMP error, where it keeps the packet it is about; then addresses, protocol and transport are of that.
    pub quote: Quote,
}

/// An IP header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// Whether it is IPv4, else IPv6.
    pub is_v4: bool,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// IP protocol number of the transport.
    pub protocol: u8,
    /// Bytes of the packet, from the IP header on, without what the frame was padded with.
    pub length: u16,
    /// Where the transport header begins in the frame.
    pub payload_at: u16,
    /// Bytes from there to the end of the packet.
    pub payload_length: u16,
    /// Whether it is a fragment.
    pub is_part: bool,
    /// Where in the datagram it begins, in units of eight bytes.
    pub offset: u16,
    /// Which datagram it belongs to.
    pub id: u32,
    /// Whether the IPv4 options are such as a host may send.
    pub is_sound: bool,
}

/// Parses a frame into `packet`, which holds nothing of use unless the result is [`Parsed::Packet`] (or the destination,
/// with [`Parsed::Broken`]).
#[inline(always)]
pub fn parse(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let outcome = network(frame, packet);
    if outcome != Parsed::Packet {
        return outcome;
    }
    let message = if packet.network.is_v4 { ICMP } else { ICMP_V6 };
    if packet.network.protocol == message {
        return icmp::parse(frame, packet);
    }
    transport::parse(frame, packet)
}

/// Parses a frame up to what the IP header carries, whatever that is.
#[inline(always)]
pub fn network(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    packet.quote.is_there = false;
    let outcome = ethernet::parse(frame, packet);
    if outcome != Parsed::Packet {
        return outcome;
    }
    if packet.network.is_v4 {
        ipv4::parse(frame, packet)
    } else {
        ipv6::parse(frame, packet)
    }
}

impl Packet {
    /// What is wrong with it, if anything: such a packet comes from no working stack. `lenient` overlooks what does not keep
    /// it from being understood: impossible flags, and addresses that nobody has.
    #[inline(always)]
    pub fn defect(&self, lenient: bool) -> Option<DropReason> {
        let Self {
            network, transport, ..
        } = self;
        if !self.quote.is_there
            && let Some(reason) = transport.defect(network.payload_length, network.is_part, lenient)
        {
            return Some(reason);
        }
        network.defect(lenient)
    }
}

impl Network {
    /// What is wrong with the header, if anything; `lenient` overlooks addresses that nobody has.
    #[inline(always)]
    pub fn defect(&self, lenient: bool) -> Option<DropReason> {
        if !self.is_sound {
            return Some(DropReason::BadIpHeader);
        }
        if self.hop_limit == 0 {
            return Some(DropReason::HopLimit);
        }
        if lenient {
            return None;
        }
        if self.source == self.destination {
            return Some(DropReason::Land);
        }
        if is_martian(self) {
            return Some(DropReason::MartianSource);
        }
        None
    }
}

/// Takes note of what a fragment says about itself.
#[inline(always)]
fn part(network: &mut Network, offset: u16, more: bool, id: u32) -> Parsed {
    let length = network.payload_length;
    // Only the last one may end anywhere; a part of a TCP header alone is no packet (RFC 1858, RFC 3128).
    let ends = !more || length.is_multiple_of(8);
    let fits = offset as u32 * 8 + length as u32 <= u16::MAX as u32;
    if length == 0 || !ends || !fits || (offset == 1 && network.protocol == TCP) {
        return Parsed::Broken(DropReason::BadFragment);
    }
    network.is_part = true;
    network.offset = offset;
    network.id = id;
    if offset == 0 {
        Parsed::Packet
    } else {
        Parsed::Part
    }
}

/// Whether nobody can have that address (RFC 6890): "this network", loopback, multicast and reserved ones; of IPv6 the
/// unspecified, loopback, multicast and mapped ones, and those that once stood for IPv4.
#[inline(always)]
fn is_martian(network: &Network) -> bool {
    let source = network.source;
    if network.is_v4 {
        let [first, ..] = source.v4_bytes();
        return first == 0 || first == 127 || first >= 224;
    }
    let [high, low] = source.words();
    let [first, ..] = high.to_ne_bytes();
    let [a, b, c, d, ..] = low.to_ne_bytes();
    let embeds = high == 0 && u32::from_ne_bytes([a, b, c, d]) == 0;
    first == 0xff || embeds || source.is_v4()
}
