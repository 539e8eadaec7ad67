//! The headers of a plain packet: Ethernet without tags, IP without options, fragments or extension headers, then TCP or
//! UDP.
//!
//! A [`Head`] reads them where they are, each time anew: that costs an instruction, where keeping a value over the look
//! into a table costs two. All offsets are constants.

use core::marker::PhantomData;

use crate::address::Address;
use crate::frame::Frame;
use crate::parse::{Network, TCP, TcpFlags, UDP};
use crate::word::{high, low};

/// What differs between the versions of IP.
pub(super) trait Version {
    /// Whether it is IPv4.
    const IS_V4: bool;
    /// Length of its header.
    const HEADER: usize;
    /// Where the destination address ends; the source address is before it.
    const ADDRESSES_END: usize;
    /// Where the time to live is.
    const HOPS_AT: usize;
    /// Where the protocol is.
    const PROTOCOL_AT: usize;

    /// Whether nothing is wrong with addresses and hop limit, and `spare`, what else has to be told with the same branch, is
    /// not negative.
    fn is_possible(source: Address, destination: Address, hop_limit: u8, spare: i32) -> bool;
    /// The first bytes of a frame: all three headers.
    fn front(frame: &impl Frame) -> Option<&[u8]>;
    /// The same, to be written.
    fn front_mut(frame: &mut impl Frame) -> Option<&mut [u8]>;
}

/// IPv4.
pub(super) struct V4;
/// IPv6.
pub(super) struct V6;

impl Version for V4 {
    const IS_V4: bool = true;
    const HEADER: usize = 20;
    const ADDRESSES_END: usize = ETHERNET + 20;
    const HOPS_AT: usize = ETHERNET + 8;
    const PROTOCOL_AT: usize = ETHERNET + 9;

    #[inline(always)]
    fn is_possible(source: Address, destination: Address, hop_limit: u8, spare: i32) -> bool {
        let [first, ..] = source.v4_bytes();
        let first = first as i32;
        let differs = high(source.words()[1]) ^ high(destination.words()[1]);
        // One branch for all of them: each is negative where something is wrong, and then so is what they have in common.
        let spare = spare as i64 | (hop_limit as i32 - 1) as i64 | differs as i64 - 1;
        let network = first - 1 | (first ^ 127) - 1 | 223 - first;
        (spare | network as i64) >= 0
    }

    #[inline(always)]
    fn front(frame: &impl Frame) -> Option<&[u8]> {
        Some(frame.front::<{ ETHERNET + Self::HEADER + TCP_HEADER }>()?)
    }

    #[inline(always)]
    fn front_mut(frame: &mut impl Frame) -> Option<&mut [u8]> {
        Some(frame.front_mut::<{ ETHERNET + Self::HEADER + TCP_HEADER }>()?)
    }
}

impl Version for V6 {
    const IS_V4: bool = false;
    const HEADER: usize = 40;
    const ADDRESSES_END: usize = ETHERNET + 40;
    const HOPS_AT: usize = ETHERNET + 7;
    const PROTOCOL_AT: usize = ETHERNET + 6;

    #[inline(always)]
    fn is_possible(source: Address, destination: Address, hop_limit: u8, spare: i32) -> bool {
        let network = Network {
            source,
            destination,
            hop_limit,
            is_sound: true,
            ..Network::default()
        };
        spare >= 0 && network.defect(false).is_none()
    }

    #[inline(always)]
    fn front(frame: &impl Frame) -> Option<&[u8]> {
        Some(frame.front::<{ ETHERNET + Self::HEADER + TCP_HEADER }>()?)
    }

    #[inline(always)]
    fn front_mut(frame: &mut impl Frame) -> Option<&mut [u8]> {
        Some(frame.front_mut::<{ ETHERNET + Self::HEADER + TCP_HEADER }>()?)
    }
}

/// The headers of one frame. Also of a datagram, which is too short for this if it carries less than twelve bytes.
pub(super) struct Head<'a, V> {
    bytes: &'a [u8],
    version: PhantomData<V>,
}

impl<V> Clone for Head<'_, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Head<'_, V> {}

impl<'a, V: Version> Head<'a, V> {
    /// The headers, if they are plain, and if all lengths before the ports agree.
    #[inline(always)]
    pub(super) fn of(frame: &'a impl Frame) -> Option<Self> {
        let this = Self {
            bytes: V::front(frame)?,
            version: PhantomData,
        };
        let [version] = this.take(ETHERNET);
        if V::IS_V4 {
            let fragment = u16::from_ne_bytes(this.take(ETHERNET + 6));
            if (version ^ PLAIN_V4) as u16 | fragment & PART != 0 {
                return None;
            }
        } else if version >> 4 != 6 || this.destination().is_v4() {
            // A mapped address in an IPv6 header is not the IPv4 address of that name.
            return None;
        }
        let protocol = this.protocol();
        let least = match protocol {
            TCP => TCP_HEADER,
            UDP => UDP_HEADER,
            _ => return None,
        };
        let length = this.stated_length() as usize;
        let before = if V::IS_V4 { V::HEADER } else { 0 };
        let room = frame.length() - (ETHERNET + V::HEADER - before);
        let most = u16::MAX as usize - (V::HEADER - before);
        if length < least + before || length > room || length > most {
            return None;
        }
        Some(this)
    }

    /// The headers of a frame that has been found to be plain before.
    #[inline(always)]
    pub(super) fn of_plain(frame: &'a impl Frame) -> Option<Self> {
        Some(Self {
            bytes: V::front(frame)?,
            version: PhantomData,
        })
    }

    /// Length of the packet, its header included.
    #[inline(always)]
    pub(super) fn length(self) -> u16 {
        if V::IS_V4 {
            self.stated_length()
        } else {
            self.stated_length().wrapping_add(V::HEADER as u16)
        }
    }

    /// The length in the header: of all with IPv4, of what follows with IPv6.
    #[inline(always)]
    fn stated_length(self) -> u16 {
        let at = if V::IS_V4 { 2 } else { 4 };
        u16::from_be_bytes(self.take(ETHERNET + at))
    }

    /// Type of service or traffic class.
    #[inline(always)]
    pub(super) fn traffic_class(self) -> u8 {
        let [a, b] = self.take(ETHERNET);
        if V::IS_V4 { b } else { a << 4 | b >> 4 }
    }

    /// Both addresses of an IPv4 packet, the source in the lower half; with loads that stay within the words memory consists
    /// of. One across two of them has to wait until both are written, where a driver has just done that.
    #[inline(always)]
    fn short(self) -> u64 {
        let (first, second) = (self.word(24), self.word(32));
        first >> 16 | second << 48
    }

    /// Source address.
    #[inline(always)]
    pub(super) fn source(self) -> Address {
        if V::IS_V4 {
            Address::from_v4(low(self.short()).to_ne_bytes())
        } else {
            self.long(V::ADDRESSES_END - 32)
        }
    }

    /// Destination address.
    #[inline(always)]
    pub(super) fn destination(self) -> Address {
        if V::IS_V4 {
            Address::from_v4(high(self.short()).to_ne_bytes())
        } else {
            self.long(V::ADDRESSES_END - 16)
        }
    }

    /// Time to live or hop limit.
    #[inline(always)]
    pub(super) fn hop_limit(self) -> u8 {
        let [hops] = self.take(V::HOPS_AT);
        hops
    }

    /// TCP or UDP.
    #[inline(always)]
    pub(super) fn protocol(self) -> u8 {
        let [protocol] = self.take(V::PROTOCOL_AT);
        protocol
    }

    /// Whether it is TCP.
    #[inline(always)]
    pub(super) fn is_tcp(self) -> bool {
        self.protocol() == TCP
    }

    /// Both ports, as the word they are in memory.
    #[inline(always)]
    pub(super) fn ports(self) -> u32 {
        u32::from_ne_bytes(self.take(V::ADDRESSES_END))
    }

    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.take(at))
    }

    /// Source port, network order.
    #[inline(always)]
    pub(super) fn source_port_be(self) -> [u8; 2] {
        self.take(V::ADDRESSES_END)
    }

    /// Destination port, network order.
    #[inline(always)]
    pub(super) fn destination_port_be(self) -> [u8; 2] {
        self.take(V::ADDRESSES_END + 2)
    }

    /// The flags of a segment, none for a datagram.
    #[inline(always)]
    pub(super) fn flags(self) -> TcpFlags {
        let [flags] = self.take(V::ADDRESSES_END + 13);
        TcpFlags(if self.is_tcp() { flags } else { 0 })
    }

    /// Zero for a datagram and for a segment that neither begins a connection nor ends one. A number, because it is asked for
    /// more than once, and a truth would be made from it first.
    #[inline(always)]
    pub(super) fn turn(self) -> u8 {
        const TURNS: u8 = TcpFlags::ACK | TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        if self.is_tcp() {
            (self.flags().0 & TURNS) ^ TcpFlags::ACK
        } else {
            0
        }
    }

    /// Whether a stack sends a segment with these flags; any datagram is right.
    #[inline(always)]
    pub(super) fn flags_are_possible(self) -> bool {
        !self.is_tcp() || self.flags().are_possible()
    }

    /// Whether nothing is wrong with them that [`crate::parse::Packet::defect`] would find, but for the flags of a segment.
    #[inline(always)]
    pub(super) fn is_sound(self) -> bool {
        let room = self.length() as i32 - V::HEADER as i32;
        let [offset] = self.take(V::ADDRESSES_END + 12);
        let [a, b] = self.source_port_be();
        let [c, d] = self.destination_port_be();
        let spare = if self.is_tcp() {
            let length = (offset >> 4 << 2) as i32;
            let ports = (a as i32 | b as i32) - 1 | (c as i32 | d as i32) - 1;
            length - TCP_HEADER as i32 | room - length | ports
        } else {
            let length = u16::from_be_bytes(self.take(V::ADDRESSES_END + 4)) as i32;
            length - UDP_HEADER as i32 | room - length
        };
        V::is_possible(self.source(), self.destination(), self.hop_limit(), spare)
    }

    #[inline(always)]
    fn long(self, at: usize) -> Address {
        Address::from_words([self.word(at), self.word(at + 8)])
    }

    /// `N` bytes at a constant place within the headers.
    #[inline(always)]
    fn take<const N: usize>(self, at: usize) -> [u8; N] {
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => *bytes,
            None => [0; N],
        }
    }
}

/// Length of the Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Version 4 and a header of five words.
const PLAIN_V4: u8 = 0x45;
/// Of the word with flags and offset of a fragment: more to come, or not the first.
const PART: u16 = u16::from_ne_bytes([0x3f, 0xff]);
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
