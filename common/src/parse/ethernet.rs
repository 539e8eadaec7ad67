//! Ethernet II with up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use super::{Packet, Parsed};
use crate::frame::Frame;
use crate::nat::Tags;

/// An Ethernet header, VLAN tags included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Its bytes: 14, 18 or 22.
    pub length: u8,
}

/// The header of an IP frame; anything else is foreign, three tags included.
#[inline(always)]
pub(super) fn parse(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let mut length = 14;
    let Some(mut kind) = frame.load::<2>(12) else {
        return Parsed::Foreign;
    };
    if is_tag(kind) {
        let Some(next) = frame.load::<2>(16) else {
            return Parsed::Foreign;
        };
        (kind, length) = (next, 18);
        if is_tag(kind) {
            let Some(next) = frame.load::<2>(20) else {
                return Parsed::Foreign;
            };
            (kind, length) = (next, 22);
        }
    }
    if kind != IPV4 && kind != IPV6 {
        return Parsed::Foreign;
    }
    packet.link.length = length;
    packet.network.is_v4 = kind == IPV4;
    Parsed::Packet
}

impl Link {
    /// From whom the frame is: six bytes and two zeros, as a word in memory.
    #[inline(always)]
    pub fn source(self, frame: &impl Frame) -> u64 {
        mac(frame, 6)
    }

    /// How many VLAN tags it has.
    #[inline(always)]
    pub const fn tag_count(self) -> u8 {
        (self.length / 4).wrapping_sub(3)
    }

    /// Its VLAN tags.
    #[inline(always)]
    pub fn tags(self, frame: &impl Frame) -> Option<Tags> {
        let mut tags = Tags {
            count: self.tag_count(),
            ..Tags::default()
        };
        if tags.count > 0 {
            let [s, t, a, b] = frame.load::<4>(12)?;
            tags.service_tag = [s, t] == SERVICE_TAG;
            tags.control[0] = u16::from_be_bytes([a, b]);
        }
        if tags.count > 1 {
            tags.control[1] = u16::from_be_bytes(frame.load::<2>(18)?);
        }
        Some(tags)
    }
}

/// For whom a frame is, likewise.
#[inline(always)]
pub fn destination(frame: &impl Frame) -> u64 {
    match frame.front::<8>() {
        Some(bytes) => u64::from_ne_bytes(*bytes) & MAC,
        None => 0,
    }
}

/// A hardware address; 0 if the frame is too short, which a parsed one is not.
#[inline(always)]
fn mac(frame: &impl Frame, at: usize) -> u64 {
    let (Some([a, b, c, d]), Some([e, f])) = (frame.load::<4>(at), frame.load::<2>(at + 4)) else {
        return 0;
    };
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0])
}

#[inline(always)]
fn is_tag(kind: [u8; 2]) -> bool {
    kind == TAG || kind == SERVICE_TAG
}

/// The first six bytes of eight.
const MAC: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);

/// EtherType of IPv4.
pub const IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType of IPv6.
pub const IPV6: [u8; 2] = [0x86, 0xdd];
/// EtherType of a customer VLAN tag.
pub const TAG: [u8; 2] = [0x81, 0x00];
/// EtherType of a service VLAN tag.
pub const SERVICE_TAG: [u8; 2] = [0x88, 0xa8];
