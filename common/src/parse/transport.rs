//! TCP (RFC 9293) and UDP (RFC 768) headers.

use super::{Packet, Parsed};
use crate::frame::Frame;
use crate::verdict::DropReason;

/// A transport header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transport {
    /// Whether it is TCP's; else it is UDP's.
    pub is_tcp: bool,
    /// Source port, network order.
    pub source_port_be: [u8; 2],
    /// Destination port, network order.
    pub destination_port_be: [u8; 2],
    /// The flags of a segment, none for a datagram.
    pub flags: TcpFlags,
    /// What it says about its length: of the header for TCP, of all for UDP, in bytes.
    pub length: u16,
}

/// The flags of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

/// The ports and what belongs to them.
#[inline(always)]
pub(super) fn parse(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let at = packet.network.payload_at as usize;
    let room = packet.network.payload_length;
    let transport = &mut packet.transport;
    match packet.network.protocol {
        TCP => {
            let Some([s, t, d, e, _, _, _, _, _, _, _, _, offset, flags]) = frame.load::<14>(at)
            else {
                return Parsed::Broken(DropReason::BadTcpHeader);
            };
            if room < TCP_HEADER {
                return Parsed::Broken(DropReason::BadTcpHeader);
            }
            *transport = Transport {
                is_tcp: true,
                source_port_be: [s, t],
                destination_port_be: [d, e],
                flags: TcpFlags(flags),
                length: (offset >> 4 << 2) as u16,
            };
        }
        UDP => {
            let Some([s, t, d, e, l, m]) = frame.load::<6>(at) else {
                return Parsed::Broken(DropReason::BadUdpLength);
            };
            if room < UDP_HEADER {
                return Parsed::Broken(DropReason::BadUdpLength);
            }
            *transport = Transport {
                is_tcp: false,
                source_port_be: [s, t],
                destination_port_be: [d, e],
                flags: TcpFlags(0),
                length: u16::from_be_bytes([l, m]),
            };
        }
        _ => return Parsed::Foreign,
    }
    Parsed::Packet
}

impl Transport {
    /// What is wrong with the header, given the room it has; the first of several parts is shorter than it says. `lenient`
    /// overlooks impossible flags.
    #[inline(always)]
    pub(crate) const fn defect(
        &self,
        room: u16,
        is_part: bool,
        lenient: bool,
    ) -> Option<DropReason> {
        if !self.is_tcp {
            return if self.length < UDP_HEADER || (self.length > room && !is_part) {
                Some(DropReason::BadUdpLength)
            } else {
                None
            };
        }
        let no_port = u16::from_ne_bytes(self.source_port_be) == 0
            || u16::from_ne_bytes(self.destination_port_be) == 0;
        if self.length < TCP_HEADER || self.length > room || no_port {
            return Some(DropReason::BadTcpHeader);
        }
        if !lenient && !self.flags.are_possible() {
            return Some(DropReason::BadTcpFlags);
        }
        None
    }
}

impl TcpFlags {
    /// FIN.
    pub const FIN: u8 = 1;
    /// SYN.
    pub const SYN: u8 = 2;
    /// RST.
    pub const RST: u8 = 4;
    /// ACK.
    pub const ACK: u8 = 16;
    const URG: u8 = 32;

    /// Whether any of `flags` is set.
    #[inline(always)]
    pub const fn has(self, flags: u8) -> bool {
        self.0 & flags != 0
    }

    /// A SYN that asks for a connection.
    #[inline(always)]
    pub const fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// A SYN that grants one.
    #[inline(always)]
    pub const fn grants(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN | Self::ACK
    }

    /// Whether a stack sends this combination: SYN excludes FIN and RST, RST excludes FIN, and nothing but a SYN or a RST
    /// comes without ACK. PSH and the congestion flags go with everything, urgent data not with a reset.
    #[inline(always)]
    pub const fn are_possible(self) -> bool {
        match self.0 & (Self::FIN | Self::SYN | Self::RST | Self::ACK) {
            Self::SYN | Self::ACK => true,
            SYN_ACK | FIN_ACK => true,
            Self::RST | RST_ACK => !self.has(Self::URG),
            _ => false,
        }
    }
}

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;
const FIN_ACK: u8 = TcpFlags::FIN | TcpFlags::ACK;
const RST_ACK: u8 = TcpFlags::RST | TcpFlags::ACK;
const TCP_HEADER: u16 = 20;
const UDP_HEADER: u16 = 8;
