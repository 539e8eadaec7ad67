//! From a frame to what the decision asks about.
//!
//! Input is a frame; output is a [`Packet`] with what is compared later (the rest is read from the frame when it is
//! needed), or why it is none. Every length is checked against the frame before anything behind it is read. Whether a
//! packet makes *sense* is not asked here but in [`Packet::defect`], once it is known to be for one of our services:
//! packets of others are none of our business.

mod ethernet;
mod ipv4;
mod ipv6;
mod transport;

pub use ethernet::{IPV4, IPV6, Link, SERVICE_TAG, TAG};
pub use transport::{TCP, TcpFlags, Transport, UDP};

use crate::address::Address;
use crate::frame::Frame;
use crate::verdict::DropReason;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nothing we handle, for whomever it is.
    Foreign,
    /// A fragment. Only the first one has ports, and all of a datagram must fare alike.
    Fragment,
    /// Headers that contradict themselves or the frame before the ports are reached; the destination is known.
    Broken(DropReason),
    /// A whole TCP segment or UDP datagram, as far as its lengths tell.
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
    transport::parse(frame, packet)
}

/// Parses a frame up to what the IP header carries, whatever that is.
#[inline(always)]
pub fn network(frame: &impl Frame, packet: &mut Packet) -> Parsed {
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
    /// What is wrong with it, if anything: such a packet comes from no working stack.
    #[inline(always)]
    pub fn defect(&self) -> Option<DropReason> {
        let Self {
            network, transport, ..
        } = self;
        if let Some(reason) = transport.defect(network.payload_length) {
            return Some(reason);
        }
        if !network.is_sound {
            return Some(DropReason::BadIpHeader);
        }
        if network.hop_limit == 0 {
            return Some(DropReason::HopLimit);
        }
        if network.source == network.destination {
            return Some(DropReason::Land);
        }
        if is_martian(network) {
            return Some(DropReason::MartianSource);
        }
        None
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
