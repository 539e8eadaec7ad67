//! IPv4 headers (RFC 791), options included.

use super::{Network, Packet, Parsed};
use crate::address::Address;
use crate::frame::Frame;
use crate::verdict::DropReason;

/// The header behind the Ethernet header.
#[inline(always)]
pub(super) fn parse(frame: &impl Frame, packet: &mut Packet) -> Parsed {
    let at = packet.link.length as usize;
    let Some(header) = frame.load::<20>(at) else {
        return Parsed::Foreign;
    };
    let [version, _, l0, l1, i0, i1, f0, f1, hop_limit, protocol, ..] = header;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
    if version >> 4 != 4 {
        return Parsed::Foreign;
    }
    packet.network.destination = Address::from_v4([d0, d1, d2, d3]);
    let header_length = (version & 15) as u16 * 4;
    let length = u16::from_be_bytes([l0, l1]);
    let room = frame.length().saturating_sub(at);
    if header_length < 20 || length < header_length || length as usize > room {
        return Parsed::Broken(DropReason::BadIpHeader);
    }
    packet.network = Network {
        is_v4: true,
        source: Address::from_v4([s0, s1, s2, s3]),
        hop_limit,
        protocol,
        length,
        payload_at: at as u16 + header_length,
        payload_length: length - header_length,
        is_sound: options_are_sound(frame, at + 20, at + header_length as usize),
        is_part: false,
        offset: 0,
        ..packet.network
    };
    let fragment = u16::from_be_bytes([f0, f1]);
    if fragment & (MORE | OFFSET) == 0 {
        return Parsed::Packet;
    }
    let id = u16::from_be_bytes([i0, i1]) as u32;
    super::part(
        &mut packet.network,
        fragment & OFFSET,
        fragment & MORE != 0,
        id,
    )
}

/// Whether every option ends within the header and none routes the packet (RFC 791 §3.1: loose and strict source route),
/// which no host may follow unasked (RFC 7126 §4.3).
#[inline(always)]
fn options_are_sound(frame: &impl Frame, mut at: usize, end: usize) -> bool {
    let mut steps = 0;
    loop {
        at = frame.hide(at);
        if at >= end {
            return true;
        }
        // A header has room for 40 options of one byte.
        if steps == 40 {
            return false;
        }
        steps += 1;
        let Some([kind]) = frame.load::<1>(at) else {
            return false;
        };
        match kind {
            END => return true,
            NOTHING => at += 1,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return false,
            _ => {
                let Some([length]) = frame.load::<1>(at + 1) else {
                    return false;
                };
                if length < 2 || at + length as usize > end {
                    return false;
                }
                at += length as usize;
            }
        }
    }
}

const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
const END: u8 = 0;
const NOTHING: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
