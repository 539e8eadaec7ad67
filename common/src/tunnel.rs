//! The headers in front of a packet that travels to its server in a tunnel.
//!
//! IP in IP for all pairs of families (RFC 2003, RFC 2473), and the same in a UDP datagram (generic UDP encapsulation,
//! variant 1: the inner packet follows the UDP header and its first four bits tell its family). The inner packet is not
//! touched. What is constant of an outer header is summed up in the server's record; per packet a length, the traffic
//! class, and for GUE a source port that spreads flows over the receiver's queues are added. The UDP checksum over IPv6
//! is made without reading the payload: a packet whose own checksum is right sums up to a value its header tells. Where
//! it has none, ours is zero, as RFC 6935 allows tunnels.

use crate::address::Address;
use crate::checksum::Sum;
use crate::frame::Frame;
use crate::parse::{ICMP, ICMP_V6, Packet, UDP};

/// A tunnel to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// Our end.
    pub source: Address,
    /// The server.
    pub destination: Address,
    /// UDP port of the server for GUE, network order; zero is plain IP in IP.
    pub port_be: [u8; 2],
    /// [`constant_sum`] of the above.
    pub sum: u16,
}

impl Tunnel {
    /// Whether there is a UDP header.
    #[inline(always)]
    pub const fn is_gue(&self) -> bool {
        u16::from_ne_bytes(self.port_be) != 0
    }

    /// Bytes it puts in front of a packet.
    #[inline(always)]
    pub const fn overhead(&self) -> u16 {
        let ip = if self.destination.is_v4() { V4 } else { V6 };
        if self.is_gue() { ip + DATAGRAM } else { ip }
    }

    /// Writes the headers at `at`, where [`Self::overhead`] bytes in front of the packet are free. `inner` is what
    /// [`Inner::of`] found before the frame was changed.
    #[inline(always)]
    pub fn write(&self, frame: &mut impl Frame, at: usize, inner: &Inner, flow: u32) -> Option<()> {
        let length = inner.length.wrapping_add(self.overhead());
        let datagram_at = if self.destination.is_v4() {
            self.write_v4(frame, at, inner, length)?;
            at + V4 as usize
        } else {
            self.write_v6(frame, at, inner, length, flow)?;
            at + V6 as usize
        };
        if !self.is_gue() {
            return Some(());
        }
        let datagram_at = frame.hide(datagram_at);
        let [s, t] = inner.outer(length, flow).port_be();
        let [d, e] = self.port_be;
        let length = inner.length.wrapping_add(DATAGRAM).to_be_bytes();
        let checksum = if self.destination.is_v4() || !inner.is_summed {
            [0, 0]
        } else {
            Sum::of(self.sum)
                .word([s, t])
                // Once in the pseudo header, once in the datagram's own.
                .word(length)
                .word(length)
                .word(inner.sum.to_ne_bytes())
                .udp_checksum()
        };
        let ([l, m], [c, k]) = (length, checksum);
        frame.store(datagram_at, [s, t, d, e, l, m, c, k])
    }

    #[inline(always)]
    fn write_v4(
        &self,
        frame: &mut impl Frame,
        at: usize,
        inner: &Inner,
        length: u16,
    ) -> Option<()> {
        let [a, b, c, d, e] = self.header_v4(&inner.outer(length, 0));
        frame.store(at, a)?;
        frame.store(at + 4, b)?;
        frame.store(at + 8, c)?;
        frame.store(at + 12, d)?;
        frame.store(at + 16, e)
    }

    #[inline(always)]
    fn write_v6(
        &self,
        frame: &mut impl Frame,
        at: usize,
        inner: &Inner,
        length: u16,
        flow: u32,
    ) -> Option<()> {
        let [a, b] = self.header_v6(&inner.outer(length, flow));
        frame.store(at, a)?;
        frame.store(at + 4, b)?;
        frame.store(at + 8, self.source.bytes())?;
        frame.store(at + 24, self.destination.bytes())
    }

    /// The outer header over IPv4, in words as they are in memory.
    #[inline(always)]
    pub const fn header_v4(&self, outer: &Outer) -> [[u8; 4]; 5] {
        let class = outer.traffic_class;
        let [l, m] = outer.length.to_be_bytes();
        let [c, k] = Sum::of(self.sum).word([0, class]).word([l, m]).checksum();
        [
            [VERSION_4, class, l, m],
            [0, 0, DO_NOT_FRAGMENT, 0],
            [HOPS, self.protocol(outer.inner_is_v4), c, k],
            self.source.v4_bytes(),
            self.destination.v4_bytes(),
        ]
    }

    /// The outer header over IPv6 before its addresses, in words as they are in memory.
    #[inline(always)]
    pub const fn header_v6(&self, outer: &Outer) -> [[u8; 4]; 2] {
        let class = outer.traffic_class;
        let [_, f, g, h] = (outer.flow & 0x000f_ffff).to_be_bytes();
        let [l, m] = outer.length.wrapping_sub(V6).to_be_bytes();
        let next = self.protocol(outer.inner_is_v4);
        [
            [VERSION_6 | class >> 4, class << 4 | f, g, h],
            [l, m, next, HOPS],
        ]
    }

    #[inline(always)]
    const fn protocol(&self, inner_is_v4: bool) -> u8 {
        if self.is_gue() {
            UDP
        } else if inner_is_v4 {
            IPV4_INSIDE
        } else {
            IPV6_INSIDE
        }
    }
}

/// What the outer headers take from the inner packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inner {
    /// Whether it is IPv4.
    is_v4: bool,
    /// Type of service or traffic class, which routers on the way shall see (RFC 2983, RFC 6040).
    traffic_class: u8,
    /// Its bytes.
    length: u16,
    /// What all of it sums up to.
    sum: u16,
    /// Whether that is known.
    is_summed: bool,
}

/// What of the outer headers depends on the packet.
#[derive(Clone, Copy, Debug)]
pub struct Outer {
    /// Whether the inner packet is IPv4.
    pub inner_is_v4: bool,
    /// Its type of service or traffic class.
    pub traffic_class: u8,
    /// Bytes of the whole, the outer IP header included.
    pub length: u16,
    /// What tells flows apart on the way.
    pub flow: u32,
}

impl Outer {
    /// The source port of a datagram: in the dynamic range (RFC 6335 §6), as GUE recommends.
    #[inline(always)]
    pub const fn port_be(&self) -> [u8; 2] {
        (self.flow as u16 | 0xc000).to_be_bytes()
    }
}

impl Inner {
    #[inline(always)]
    const fn outer(&self, length: u16, flow: u32) -> Outer {
        Outer {
            inner_is_v4: self.is_v4,
            traffic_class: self.traffic_class,
            length,
            flow,
        }
    }

    /// Looks at a packet before the frame is changed.
    #[inline(always)]
    pub fn of(frame: &impl Frame, packet: &Packet) -> Option<Self> {
        let network = &packet.network;
        let at = packet.link.length as usize;
        let head = frame.load::<8>(at)?;
        let [a, b, ..] = head;
        let is_error = packet.quote.is_there;
        let protocol = match (is_error, network.is_v4) {
            (false, _) => network.protocol,
            (true, true) => ICMP,
            (true, false) => ICMP_V6,
        };
        // A right header and a right segment sum up to nothing, but for what their pseudo header adds.
        let (proto, length) = ([0, protocol], network.payload_length.to_be_bytes());
        let (class, sum, begins_at) = if network.is_v4 {
            let pseudo = Sum::ZERO
                .word(proto)
                .word(length)
                .double(network.source.v4_bytes())
                .double(network.destination.v4_bytes());
            // ICMP has no pseudo header.
            let sum = if is_error {
                Sum::ZERO
            } else {
                Sum::ZERO.without(pseudo)
            };
            (b, sum, network.payload_at)
        } else {
            let pseudo = Sum::ZERO.word(proto).word(length);
            // The addresses are in the header and in the pseudo header, and go out against each other.
            let sum = Sum::ZERO.quad(u64::from_ne_bytes(head)).without(pseudo);
            (a << 4 | b >> 4, sum, packet.link.length as u16 + V6)
        };
        let has_checksum = is_error || packet.transport.is_tcp || {
            let at = network.payload_at as usize;
            network.protocol == UDP && frame.load::<2>(at + 6)? != [0, 0]
        };
        Some(Self {
            is_v4: network.is_v4,
            traffic_class: class,
            length: network.length,
            sum: sum.folded(),
            // A part of a segment sums up to anything.
            is_summed: has_checksum && !network.is_part && begins_at == network.payload_at,
        })
    }
}

/// The sum over what never changes of a tunnel's headers: over IPv4 of the IP header, over IPv6 (GUE) of the UDP header and
/// its pseudo header.
pub fn constant_sum(
    source: Address,
    destination: Address,
    port_be: [u8; 2],
    inner_is_v4: bool,
) -> u16 {
    let tunnel = Tunnel {
        source,
        destination,
        port_be,
        sum: 0,
    };
    let [s, t] = source.words();
    let [d, e] = destination.words();
    let sum = if destination.is_v4() {
        Sum::ZERO
            .word([VERSION_4, 0])
            .word([DO_NOT_FRAGMENT, 0])
            .word([HOPS, tunnel.protocol(inner_is_v4)])
            .double(source.v4_bytes())
            .double(destination.v4_bytes())
    } else {
        Sum::ZERO
            .quad(s)
            .quad(t)
            .quad(d)
            .quad(e)
            .word([0, UDP])
            .word(port_be)
    };
    sum.folded()
}

/// Where GUE is taken at unless something else is said (IANA).
pub const GUE_PORT: u16 = 6080;
/// IP protocol number of IPv4 inside IP.
pub const IPV4_INSIDE: u8 = 4;
/// IP protocol number of IPv6 inside IP.
pub const IPV6_INSIDE: u8 = 41;

const VERSION_4: u8 = 0x45;
const VERSION_6: u8 = 0x60;
const DO_NOT_FRAGMENT: u8 = 0x40;
const HOPS: u8 = 64;
const V4: u16 = 20;
const V6: u16 = 40;
const DATAGRAM: u16 = 8;
