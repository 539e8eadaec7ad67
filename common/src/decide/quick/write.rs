//! The frame of a plain packet, written at constant places.

use super::head::{ETHERNET, Head, Version};
use crate::checksum::Delta;
use crate::flow::FlowHash;
use crate::frame::Frame;
use crate::parse::{IPV4, IPV6};
use crate::rewrite::Ends;
use crate::server::Bounds;
use crate::tunnel::{Outer, Tunnel};
use crate::word::pair;

/// Hardware addresses a frame leaves with, as words: for whom, from whom.
pub(super) type Macs = (u64, u64);

/// Replaces the hardware addresses.
#[inline(always)]
pub(super) fn link(frame: &mut impl Frame, macs: Macs) -> Option<()> {
    put_macs(frame.front_mut::<ETHERNET>()?, macs);
    Some(())
}

/// Replaces addresses and ports, counts the hop, and replaces the hardware addresses.
#[inline(always)]
pub(super) fn translated<V: Version>(frame: &mut impl Frame, macs: Macs, new: &Ends) -> Option<()> {
    let head = Head::<V>::of_plain(frame)?;
    let is_tcp = head.is_tcp();
    let (source, destination) = (head.source(), head.destination());
    let ports = head.ports();
    let bytes = V::front_mut(frame)?;
    let ([s, t], [d, e]) = (new.source_port_be, new.destination_port_be);
    let moved = if V::IS_V4 {
        Delta::NONE
            .double(source.v4_bytes(), new.source.v4_bytes())
            .double(destination.v4_bytes(), new.destination.v4_bytes())
    } else {
        Delta::NONE
            .long(source.words(), new.source.words())
            .long(destination.words(), new.destination.words())
    };
    let hops_at = V::HOPS_AT;
    let [hops] = *get::<1>(bytes, hops_at)?;
    put(bytes, hops_at, [hops.wrapping_sub(1)]);
    let end = V::ADDRESSES_END;
    if V::IS_V4 {
        let hop = Delta::NONE.word([hops, 0], [hops.wrapping_sub(1), 0]);
        let checksum = *get::<2>(bytes, ETHERNET + 10)?;
        put(bytes, ETHERNET + 10, moved.and(hop).apply(checksum));
        put(bytes, end - 8, new.source.v4_bytes());
        put(bytes, end - 4, new.destination.v4_bytes());
    } else {
        put_words(bytes, end - 32, new.source.words());
        put_words(bytes, end - 16, new.destination.words());
    }
    put(bytes, end, [s, t, d, e]);
    let delta = moved.double(ports.to_ne_bytes(), [s, t, d, e]);
    if is_tcp {
        let checksum = *get::<2>(bytes, end + 16)?;
        put(bytes, end + 16, delta.apply(checksum));
    } else {
        let checksum = *get::<2>(bytes, end + 6)?;
        put(bytes, end + 6, delta.apply_udp(checksum));
    }
    put_macs(bytes, macs);
    Some(())
}

/// Puts a tunnel's headers in front. The outer `None` is a tunnel that is not written here or a packet that does not fit,
/// and then nothing was.
#[inline(always)]
pub(super) fn tunnel<V: Version>(
    frame: &mut impl Frame,
    macs: Macs,
    tunnel: &Tunnel,
    bounds: Bounds,
    hash: FlowHash,
) -> Option<Option<()>> {
    let head = Head::<V>::of_plain(frame)?;
    let fitting = |overhead: usize| {
        let overhead = overhead as u16;
        bounds.take(head.length(), overhead).then(|| Outer {
            inner_is_v4: V::IS_V4,
            traffic_class: head.traffic_class(),
            length: head.length().wrapping_add(overhead),
            flow: hash.spread(),
        })
    };
    match (tunnel.destination.is_v4(), tunnel.is_gue()) {
        (true, false) => {
            let outer = fitting(V4_HEADER)?;
            Some(in_v4::<V4_HEADER>(frame, macs, tunnel, &outer))
        }
        (true, true) => {
            let outer = fitting(V4_HEADER + UDP_HEADER)?;
            Some(in_v4::<{ V4_HEADER + UDP_HEADER }>(
                frame, macs, tunnel, &outer,
            ))
        }
        (false, false) => {
            let outer = fitting(V6_HEADER)?;
            Some(in_v6(frame, macs, tunnel, &outer))
        }
        // Its checksum covers the payload.
        (false, true) => None,
    }
}

/// `ROOM` bytes in front: an IPv4 header, with that of a datagram if there is room for it.
#[inline(always)]
fn in_v4<const ROOM: usize>(
    frame: &mut impl Frame,
    macs: Macs,
    tunnel: &Tunnel,
    outer: &Outer,
) -> Option<()> {
    frame.cut_front(-(ROOM as i32))?;
    let bytes = frame.front_mut::<{ ETHERNET + V4_HEADER + UDP_HEADER }>()?;
    let [a, b, c, source, destination] = tunnel.header_v4(outer).map(u32::from_ne_bytes);
    let (to, from) = macs;
    // Eight bytes at a time: the Ethernet header ends within a word.
    put_word(bytes, 0, to | from << 48);
    let types = (u16::from_ne_bytes(IPV4) as u64) << 32;
    put_word(
        bytes,
        8,
        from >> 16 & 0xffff_ffff | types | (a as u64) << 48,
    );
    put_word(bytes, 16, pair(a, b) >> 16 | (c as u64) << 48);
    put_word(
        bytes,
        24,
        pair(c, source) >> 16 | (destination as u64) << 48,
    );
    put(bytes, 32, ((destination >> 16) as u16).to_ne_bytes());
    if ROOM > V4_HEADER {
        let ([s, t], [d, e]) = (outer.port_be(), tunnel.port_be);
        put(bytes, ETHERNET + V4_HEADER, [s, t, d, e]);
        let [l, m] = outer.length.wrapping_sub(V4_HEADER as u16).to_be_bytes();
        put(bytes, ETHERNET + V4_HEADER + 4, [l, m, 0, 0]);
    }
    Some(())
}

#[inline(always)]
fn in_v6(frame: &mut impl Frame, macs: Macs, tunnel: &Tunnel, outer: &Outer) -> Option<()> {
    frame.cut_front(-(V6_HEADER as i32))?;
    let bytes = frame.front_mut::<{ ETHERNET + V6_HEADER }>()?;
    put_macs(bytes, macs);
    put(bytes, 12, IPV6);
    put_all(bytes, ETHERNET, tunnel.header_v6(outer));
    put_words(bytes, ETHERNET + 8, tunnel.source.words());
    put_words(bytes, ETHERNET + 24, tunnel.destination.words());
    Some(())
}

#[inline(always)]
fn put_macs(bytes: &mut [u8], (destination, source): Macs) {
    let [d0, d1, d2, d3, d4, d5, ..] = destination.to_ne_bytes();
    let [s0, s1, s2, s3, s4, s5, ..] = source.to_ne_bytes();
    put(bytes, 0, [d0, d1, d2, d3]);
    put(bytes, 4, [d4, d5, s0, s1]);
    put(bytes, 8, [s2, s3, s4, s5]);
}

#[inline(always)]
fn put_all<const N: usize>(bytes: &mut [u8], at: usize, words: [[u8; 4]; N]) {
    let mut index = 0;
    while index < N {
        put(bytes, at + index * 4, words[index]);
        index += 1;
    }
}

#[inline(always)]
fn put_word(bytes: &mut [u8], at: usize, word: u64) {
    put(bytes, at, word.to_ne_bytes());
}

#[inline(always)]
fn put_words(bytes: &mut [u8], at: usize, [high, low]: [u64; 2]) {
    put_word(bytes, at, high);
    put_word(bytes, at + 8, low);
}

/// Writes at a constant place within `bytes`.
#[inline(always)]
fn put<const N: usize>(bytes: &mut [u8], at: usize, new: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = new;
    }
}

#[inline(always)]
fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
