//! The headers of a plain packet: Ethernet without tags, IP without options, fragments or extension headers, then TCP or
//! UDP.
//!
//! A [`Head`] reads them where they are, each time anew: that costs an instruction, where keeping a value over the look
//! into a table costs two. All offsets are constants.

use core::marker::PhantomData;

use crate::address::Address;
use crate::frame::Frame;
use crate::parse::{Network, TCP, TcpFlags, Transport, UDP};
use crate::verdict::DropReason;

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
        let is_plain = if V::IS_V4 {
            let fragment = u16::from_ne_bytes(this.take(ETHERNET + 6));
            version == PLAIN_V4 && fragment & PART == 0
        } else {
            // A mapped address in an IPv6 header is not the IPv4 address of that name.
            version >> 4 == 6 && !this.destination().is_v4()
        };
        let protocol = this.protocol();
        let least = match protocol {
            TCP => TCP_HEADER,
            UDP => UDP_HEADER,
            _ => return None,
        };
        let length = this.stated_length() as usize;
        let before = if V::IS_V4 { V::HEADER } else { 0 };
        let room = frame.length() - (ETHERNET + V::HEADER - before);
        let fits = length >= least + before
            && length <= room
            && length <= u16::MAX as usize - (V::HEADER - before);
        (is_plain && fits).then_some(this)
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

    /// Source address.
    #[inline(always)]
    pub(super) fn source(self) -> Address {
        if V::IS_V4 {
            Address::from_v4(self.take(V::ADDRESSES_END - 8))
        } else {
            self.long(V::ADDRESSES_END - 32)
        }
    }

    /// Destination address.
    #[inline(always)]
    pub(super) fn destination(self) -> Address {
        if V::IS_V4 {
            Address::from_v4(self.take(V::ADDRESSES_END - 4))
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

    /// What is wrong with them, if anything, as [`crate::parse::Packet::defect`] tells it. `goes_on` says that a segment's
    /// flags are known to be possible.
    #[inline(always)]
    pub(super) fn defect(self, goes_on: bool) -> Option<DropReason> {
        let is_tcp = self.is_tcp();
        let flags = if goes_on {
            TcpFlags(TcpFlags::ACK)
        } else {
            self.flags()
        };
        let [offset] = self.take(V::ADDRESSES_END + 12);
        let transport = Transport {
            is_tcp,
            source_port_be: self.source_port_be(),
            destination_port_be: self.destination_port_be(),
            flags,
            length: if is_tcp {
                (offset >> 4 << 2) as u16
            } else {
                u16::from_be_bytes(self.take(V::ADDRESSES_END + 4))
            },
        };
        let network = Network {
            is_v4: V::IS_V4,
            source: self.source(),
            destination: self.destination(),
            hop_limit: self.hop_limit(),
            is_sound: true,
            ..Network::default()
        };
        let room = self.length().wrapping_sub(V::HEADER as u16);
        transport
            .defect(room, false, false)
            .or_else(|| network.defect(false))
    }

    #[inline(always)]
    fn long(self, at: usize) -> Address {
        Address::from_words([
            u64::from_ne_bytes(self.take(at)),
            u64::from_ne_bytes(self.take(at + 8)),
        ])
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
