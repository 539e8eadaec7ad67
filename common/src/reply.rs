//! What the program says by itself: answers to echo requests, that a packet is too big for the way to its server, and TCP
//! segments that answer a SYN.
//!
//! Input is a frame as it came and what it was parsed to; output is the frame turned into the reply, which leaves through
//! the interface it came in through. The service's address is the sender, as it is with every reply of the service.

use crate::checksum::{Delta, Sum};
use crate::cookie::OPTIONS_WITH_TIME;
use crate::frame::Frame;
use crate::parse::{ICMP, ICMP_V6, Packet, TCP, destination};
use crate::rewrite::{self, Outgoing};

/// Turns an echo request into its answer.
#[inline(always)]
pub fn echo(frame: &mut impl Frame, packet: &Packet) -> Option<()> {
    let (network, at) = (&packet.network, packet.link.length as usize);
    let message_at = network.payload_at as usize;
    let (kind, answer) = if network.is_v4 {
        let [hops, protocol, c, d] = frame.load::<4>(at + 8)?;
        let delta = Delta::NONE.word([hops, protocol], [HOPS, protocol]);
        let [c, d] = delta.apply([c, d]);
        frame.store(at + 8, [HOPS, protocol, c, d])?;
        // Exchanging addresses changes no checksum.
        frame.store(at + 12, network.destination.v4_bytes())?;
        frame.store(at + 16, network.source.v4_bytes())?;
        (8, 0)
    } else {
        frame.store(at + 7, [HOPS])?;
        frame.store(at + 8, network.destination.bytes())?;
        frame.store(at + 24, network.source.bytes())?;
        (128, 129)
    };
    let message_at = frame.hide(message_at);
    let [_, code, c, d] = frame.load::<4>(message_at)?;
    let [c, d] = Delta::NONE
        .word([kind, code], [answer, code])
        .apply_message([c, d]);
    frame.store(message_at, [answer, code, c, d])?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = frame.load::<12>(0)?;
    frame.store(0, [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5])
}

/// Turns a packet into the news for its sender that none larger than `mtu` fits (RFC 1191, RFC 8201): the beginning of
/// the packet behind an ICMP header.
#[inline(always)]
pub fn too_big(frame: &mut impl Frame, packet: &Packet, mtu: u16) -> Option<()> {
    let network = &packet.network;
    let (header, quoted) = if network.is_v4 {
        (20, QUOTED_V4)
    } else {
        (40, QUOTED_V6)
    };
    if network.length < quoted {
        return None;
    }
    let link = packet.link;
    let back = Outgoing {
        destination: link.source(frame),
        source: destination(frame),
        tags: link.tags(frame)?,
    };
    let room = header + MESSAGE as i32;
    let at = rewrite::link(frame, packet, &back, room, network.is_v4)?;
    let message_at = frame.hide(at + header as usize);
    let end = message_at + (MESSAGE + quoted) as usize;
    frame.cut_back(end)?;
    let mut sum = quote(frame, message_at + MESSAGE as usize, quoted)?;
    let length = MESSAGE + quoted;
    let [m, n] = mtu.to_be_bytes();
    let (kind, code) = if network.is_v4 {
        header_v4(frame, at, packet, [CONTROL, ICMP], length + 20)?;
        UNREACHABLE_TOO_BIG
    } else {
        header_v6(frame, at, packet, [CONTROL, ICMP_V6], length)?;
        let ([a, b], [c, d]) = (network.source.words(), network.destination.words());
        sum = sum.quad(a).quad(b).quad(c).quad(d);
        sum = sum.word([0, ICMP_V6]).word(length.to_be_bytes());
        TOO_BIG_V6
    };
    let [c, d] = sum.word([kind, code]).word([m, n]).checksum();
    frame.store(message_at, [kind, code, c, d, 0, 0, m, n])
}

/// A TCP segment without data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Sequence number, network order.
    pub sequence_be: [u8; 4],
    /// What is acknowledged, network order.
    pub acknowledged_be: [u8; 4],
    /// Its flags.
    pub flags: u8,
    /// Its window, network order.
    pub window_be: [u8; 2],
    /// Its options.
    pub options: [[u8; 4]; OPTIONS_WITH_TIME],
    /// How many words of them there are: none, one, or all.
    pub words: u8,
}

/// Turns a segment into another one for its sender, between the same ends.
#[inline(always)]
pub fn segment(frame: &mut impl Frame, packet: &Packet, answer: &Segment) -> Option<()> {
    let network = &packet.network;
    let at = packet.link.length as usize;
    let words = answer.words;
    let length = 20 + 4 * words as u16;
    let header = if network.is_v4 { 20 } else { 40 };
    let end = at + header as usize + length as usize;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, rest @ ..] = frame.load::<22>(0)?;
    let missing = frame.hide(end) as i32 - frame.hide(frame.length()) as i32;
    if missing > 0 {
        frame.cut_front(-missing)?;
    }
    frame.cut_back(end)?;
    frame.store(0, [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5])?;
    // With fewer tags the last of these bytes are the IP header's.
    frame.store(12, rest)?;
    let mut sum = if network.is_v4 {
        header_v4(frame, at, packet, [0, TCP], header + length)?;
        let (source, destination) = (network.source.v4_bytes(), network.destination.v4_bytes());
        Sum::ZERO.double(source).double(destination)
    } else {
        header_v6(frame, at, packet, [0, TCP], length)?;
        let ([a, b], [c, d]) = (network.source.words(), network.destination.words());
        Sum::ZERO.quad(a).quad(b).quad(c).quad(d)
    };
    let at = frame.hide(at + header as usize);
    let ([s, t], [d, e]) = (
        packet.transport.destination_port_be,
        packet.transport.source_port_be,
    );
    let control = [(5 + words) << 4, answer.flags];
    sum = sum
        .word([0, TCP])
        .word(length.to_be_bytes())
        .double([s, t, d, e])
        .double(answer.sequence_be)
        .double(answer.acknowledged_be)
        .word(control)
        .word(answer.window_be);
    let mut word = 0;
    while word < OPTIONS_WITH_TIME {
        if word < words as usize {
            sum = sum.double(answer.options[word]);
            frame.store(at + 20 + 4 * word, answer.options[word])?;
        }
        word += 1;
    }
    let [c, f] = sum.checksum();
    let [w, x] = answer.window_be;
    let [g, h] = control;
    frame.store(at, [s, t, d, e])?;
    frame.store(at + 4, answer.sequence_be)?;
    frame.store(at + 8, answer.acknowledged_be)?;
    frame.store(at + 12, [g, h, w, x, c, f, 0, 0])
}

#[inline(always)]
fn header_v4(
    frame: &mut impl Frame,
    at: usize,
    packet: &Packet,
    [class, protocol]: [u8; 2],
    length: u16,
) -> Option<()> {
    let (source, destination) = (packet.network.destination, packet.network.source);
    let [l, m] = length.to_be_bytes();
    let [c, d] = Sum::ZERO
        .word([0x45, class])
        .word([l, m])
        .word([0x40, 0])
        .word([HOPS, protocol])
        .double(source.v4_bytes())
        .double(destination.v4_bytes())
        .checksum();
    frame.store(at, [0x45, class, l, m, 0, 0, 0x40, 0])?;
    frame.store(at + 8, [HOPS, protocol, c, d])?;
    frame.store(at + 12, source.v4_bytes())?;
    frame.store(at + 16, destination.v4_bytes())
}

#[inline(always)]
fn header_v6(
    frame: &mut impl Frame,
    at: usize,
    packet: &Packet,
    [class, protocol]: [u8; 2],
    length: u16,
) -> Option<()> {
    let [l, m] = length.to_be_bytes();
    frame.store(
        at,
        [0x60 | class >> 4, class << 4, 0, 0, l, m, protocol, HOPS],
    )?;
    frame.store(at + 8, packet.network.destination.bytes())?;
    frame.store(at + 24, packet.network.source.bytes())
}

/// The sum over the quoted bytes.
#[inline(always)]
fn quote(frame: &impl Frame, at: usize, length: u16) -> Option<Sum> {
    let mut sum = Sum::ZERO;
    let mut done = 0;
    while done < QUOTED_V6 && done < length {
        let bytes = frame.load::<8>(at + done as usize)?;
        sum = Sum::of(sum.quad(u64::from_ne_bytes(bytes)).folded());
        done += 8;
    }
    Some(sum)
}

const HOPS: u8 = 64;
/// Network control (RFC 4594): such news are few and matter.
const CONTROL: u8 = 0xc0;
const MESSAGE: u16 = 8;
/// The longest IPv4 header and eight bytes more, in multiples of eight.
const QUOTED_V4: u16 = 72;
/// Enough for extension headers; RFC 4443 allows as much as fits into 1280 bytes.
const QUOTED_V6: u16 = 256;
const UNREACHABLE_TOO_BIG: (u8, u8) = (3, 4);
const TOO_BIG_V6: (u8, u8) = (2, 0);

#[cfg(test)]
mod tests;
