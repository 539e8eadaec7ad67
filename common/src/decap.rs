//! Takes packets out of the tunnels of `forward ipip` and `forward gue`, on the servers.
//!
//! Input is a frame and the addresses and port tunnels end at here; output is the frame with the inner packet only, for the
//! stack to take, or what was wrong with it. It keeps nothing between packets, looks at no inner address (which service
//! a server answers for is the stack's business), and leaves alone what is not addressed to one of the endings.

use crate::address::Address;
use crate::frame::Frame;
use crate::mark::{class_of, set_class};
use crate::parse::{self, Packet, Parsed, UDP, destination};
use crate::pod::pod;
use crate::rewrite::{self, Outgoing};
use crate::tunnel::{IPV4_INSIDE, IPV6_INSIDE};
use crate::word::Word;

/// The record of map `endings`: where tunnels end.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Endings {
    /// UDP port of GUE as a number; 0 takes none.
    pub port: Word,
    /// How many of the addresses are meant.
    pub count: Word,
    /// The addresses.
    pub addresses: [[Word; 2]; ENDINGS],
}

impl Endings {
    /// Writes the record; surplus addresses are left out.
    pub fn publish(&self, port: u16, addresses: &[Address]) {
        for (words, address) in self.addresses.iter().zip(addresses) {
            address.store(words);
        }
        self.port.store(u64::from(port));
        self.count.store(addresses.len().min(ENDINGS) as u64);
    }

    #[inline(always)]
    fn has(&self, address: Address) -> bool {
        let count = self.count.load() as usize;
        let mut at = 0;
        while at < ENDINGS && at < count {
            if Address::load(&self.addresses[at % ENDINGS]) == address {
                return true;
            }
            at += 1;
        }
        false
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is none of ours, and untouched.
    Passed,
    /// The inner packet is left, and goes on into the stack.
    Taken {
        /// Whether it came by GUE, else by IP in IP.
        gue: bool,
        /// Bytes of the inner packet.
        length: u16,
    },
    /// There is no whole IP packet inside, or one that routers marked as met by congestion and that must not be marked
    /// (RFC 6040 §4.2).
    Refused,
}

/// What the program counts, per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(
        zerocopy::FromBytes,
        zerocopy::IntoBytes,
        zerocopy::KnownLayout,
        zerocopy::Immutable
    )
)]
pub struct DecapCounters {
    /// Packets out of IP in IP.
    pub ipip: u64,
    /// Packets out of GUE.
    pub gue: u64,
    /// Bytes of both, without the outer headers.
    pub bytes: u64,
    /// Dropped.
    pub refused: u64,
}

pod!(DecapCounters);

impl DecapCounters {
    /// Counts one frame.
    #[inline(always)]
    pub const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => {}
            Outcome::Taken { gue, length } => {
                self.gue += gue as u64;
                self.ipip += !gue as u64;
                self.bytes += length as u64;
            }
            Outcome::Refused => self.refused += 1,
        }
    }

    /// Adds another CPU's.
    pub const fn add(&mut self, other: Self) {
        self.ipip += other.ipip;
        self.gue += other.gue;
        self.bytes += other.bytes;
        self.refused += other.refused;
    }
}

/// Takes the inner packet out of one frame.
#[inline(always)]
pub fn decapsulate(frame: &mut impl Frame, endings: &Endings) -> Outcome {
    let mut packet = Packet::default();
    if parse::network(frame, &mut packet) != Parsed::Packet {
        return Outcome::Passed;
    }
    let network = &packet.network;
    let (gue, head) = match network.protocol {
        IPV4_INSIDE | IPV6_INSIDE => (false, 0),
        UDP if is_gue(frame, &packet, endings) => (true, DATAGRAM),
        _ => return Outcome::Passed,
    };
    if !endings.has(network.destination) {
        return Outcome::Passed;
    }
    let Some(room) = network.payload_length.checked_sub(head) else {
        return Outcome::Refused;
    };
    let at = frame.hide((network.payload_at + head) as usize);
    match take(frame, &packet, gue, at, room) {
        Some(length) => Outcome::Taken { gue, length },
        None => Outcome::Refused,
    }
}

#[inline(always)]
fn is_gue(frame: &impl Frame, packet: &Packet, endings: &Endings) -> bool {
    let port = endings.port.load();
    let found = frame.load::<2>(packet.network.payload_at as usize + 2);
    port != 0 && found.is_some_and(|found| u16::from_be_bytes(found) as u64 == port)
}

/// Cuts off everything before the packet at `at`, which has `room` bytes, and writes a new Ethernet header.
#[inline(always)]
fn take(frame: &mut impl Frame, packet: &Packet, gue: bool, at: usize, room: u16) -> Option<u16> {
    let [first, second, l, m, n, o, ..] = frame.load::<8>(at)?;
    let is_v4 = first >> 4 == 4;
    let is_v6 = first >> 4 == 6;
    // With IP in IP the outer header says the family, with GUE nobody does.
    let said = gue || is_v4 == (packet.network.protocol == IPV4_INSIDE);
    let length = if is_v4 {
        u16::from_be_bytes([l, m])
    } else {
        u16::from_be_bytes([n, o]).checked_add(40)?
    };
    let least = if is_v4 { 20 } else { 40 };
    if !(is_v4 || is_v6) || !said || length < least || length > room {
        return None;
    }
    let outer = traffic_class(frame, packet)?;
    if outer & ECN == CONGESTED {
        mark(frame, at, is_v4, [first, second])?;
    }
    let link = packet.link;
    let outgoing = Outgoing {
        destination: destination(frame),
        source: link.source(frame),
        tags: link.tags(frame)?,
    };
    let headers = at as i32 - link.length as i32;
    rewrite::link(frame, packet, &outgoing, -headers, is_v4)?;
    Some(length)
}

#[inline(always)]
fn traffic_class(frame: &impl Frame, packet: &Packet) -> Option<u8> {
    let head = frame.load::<2>(packet.link.length as usize)?;
    Some(class_of(head, packet.network.is_v4))
}

/// Hands the congestion mark of the outer header on to the inner one.
#[inline(always)]
fn mark(frame: &mut impl Frame, at: usize, is_v4: bool, head: [u8; 2]) -> Option<()> {
    let class = class_of(head, is_v4);
    if class & ECN == 0 {
        return None;
    }
    set_class(frame, at, is_v4, head, class | CONGESTED)
}

/// Addresses one machine can take tunnels at.
pub const ENDINGS: usize = 15;
/// Name of the program in the object.
pub const PROGRAM: &str = "decap";
/// Name of the map of [`Endings`].
pub const MAP_ENDINGS: &str = "endings";
/// Name of the per-CPU map of [`DecapCounters`].
pub const MAP_COUNTERS: &str = "decapped";

const DATAGRAM: u16 = 8;
const ECN: u8 = 3;
const CONGESTED: u8 = 3;

const _: () = assert!(size_of::<Endings>() == 256);

#[cfg(test)]
mod tests;
