//! The flow table: which server a flow has been given.
//!
//! Map `flows` is an array of 64-byte buckets with four entries each, shared by all CPUs, because a flow's packets may
//! change the CPU at any time; a flow's hash gives bucket and fingerprint. The fingerprint (56 bits of a secret hash, the
//! bucket adds the rest) stands for the flow's addresses: two live flows that agree in all of it are not to be expected in
//! the life of a machine. Only the program writes the array, and a CPU claims an entry before it does, so that no flow is
//! ever seen with another one's track; userspace maps it to count live flows. A flow that finds no room works without an
//! entry, by its position in the ring.

use crate::hash::reduce;
use crate::parse::TcpFlags;
use crate::server::ServerIndex;
use crate::tick::{self, Tick};
use crate::word::{Atomics, Word, high};

/// The record of map `flows`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct FlowBucket {
    /// The four ways.
    pub entries: [FlowEntry; WAYS],
}

/// One way of a bucket.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct FlowEntry {
    /// State (low 8 bits) and fingerprint; 0 is a free entry.
    pub identity: Word,
    /// [`Track`].
    pub track: Word,
}

/// How far a flow has come, as far as packets through here tell. A number with names rather than an enum, so that the
/// program computes with it instead of branching on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState(u8);

/// The part of an entry that packets refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// When the entry may be replaced: the last packet (give or take [`REFRESH_MILLIS`]) plus the timeout of its state.
    pub expires: Tick,
    /// Its server.
    pub server: ServerIndex,
    /// Its source port towards the server (NAT), else 0.
    pub nat_port: u16,
}

/// The hash of a flow, split into what finds the bucket and what is compared in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowHash(pub u64);

/// Where an entry is: bucket, then way in the low two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPlace(pub u32);

impl FlowState {
    /// No flow.
    pub const NONE: Self = Self(0);
    /// The client's SYN was seen.
    pub const OPENING: Self = Self(1);
    /// The server's SYN-ACK was seen too (NAT only).
    pub const ANSWERED: Self = Self(2);
    /// The handshake is complete.
    pub const ESTABLISHED: Self = Self(3);
    /// A FIN or RST was seen.
    pub const CLOSING: Self = Self(4);
    /// UDP.
    pub const DATAGRAM: Self = Self(5);
    /// The handshake was answered by a RST, or broken off by one.
    pub const RESET: Self = Self(6);

    /// From the low bits of an identity word.
    #[inline(always)]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// As the low bits of an identity word.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the handshake is still going on.
    #[inline(always)]
    pub const fn is_handshake(self) -> bool {
        self.0 == Self::OPENING.0 || self.0 == Self::ANSWERED.0
    }

    /// Whether it is a flow's that has not been seen to end.
    #[inline(always)]
    pub const fn is_live(self) -> bool {
        self.0 != Self::NONE.0 && self.0 != Self::CLOSING.0 && self.0 != Self::RESET.0
    }

    /// Whether it never was a connection, and may give way to one that may become one.
    #[inline(always)]
    pub const fn is_unproven(self) -> bool {
        self.is_handshake() || self.0 == Self::RESET.0
    }

    /// The state after a FIN or RST, from whichever side.
    #[inline(always)]
    const fn ended(self, flags: TcpFlags) -> Self {
        if self.is_handshake() && flags.has(TcpFlags::RST) || self.0 == Self::RESET.0 {
            Self::RESET
        } else {
            Self::CLOSING
        }
    }

    /// The state after a packet of the client (`flags` of a segment, none for a datagram). Where the server's answers
    /// are not seen (`answers_seen` false), an acknowledgement by the client completes the handshake.
    #[inline(always)]
    pub const fn after_client(self, flags: TcpFlags, answers_seen: bool) -> Self {
        if flags.has(TcpFlags::FIN | TcpFlags::RST) {
            return self.ended(flags);
        }
        let awaits = if answers_seen {
            Self::ANSWERED
        } else {
            Self::OPENING
        };
        let acknowledges = flags.has(TcpFlags::ACK);
        if acknowledges && (self.0 == awaits.0 || self.0 == Self::ANSWERED.0) {
            return Self::ESTABLISHED;
        }
        self
    }

    /// The state after a packet of the server.
    #[inline(always)]
    pub const fn after_server(self, flags: TcpFlags) -> Self {
        if flags.has(TcpFlags::FIN | TcpFlags::RST) {
            return self.ended(flags);
        }
        if flags.grants() && self.0 == Self::OPENING.0 {
            return Self::ANSWERED;
        }
        self
    }

    /// How dear an unexpired entry is: a new flow may replace a cheaper one, and never an established one.
    #[inline(always)]
    const fn value(self) -> u64 {
        VALUES >> (self.0 % 8 * 8) & 0xff
    }
}

impl FlowHash {
    /// Its bucket among `buckets`.
    #[inline(always)]
    pub const fn bucket(self, buckets: u32) -> u32 {
        reduce(high(self.0), buckets)
    }

    /// What tells flows of one tunnel apart on the way.
    #[inline(always)]
    pub const fn spread(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// The identity word of an entry of this flow.
    #[inline(always)]
    pub const fn identity(self, state: FlowState) -> u64 {
        (self.0 & !0xff) | state.0 as u64
    }
}

impl FlowPlace {
    /// Way `way` of `bucket`; [`Self::NONE`] if that is [`NO_WAY`].
    #[inline(always)]
    pub const fn new(bucket: u32, way: u32) -> Self {
        // Without a branch, which would be followed twice by the verifier: NO_WAY sets all bits.
        let none = (way >> 2).wrapping_neg();
        Self((bucket << 2) | (way & 3) | none)
    }

    /// The bucket.
    #[inline(always)]
    pub const fn bucket(self) -> u32 {
        self.0 >> 2
    }

    /// The way.
    #[inline(always)]
    pub const fn way(self) -> u32 {
        self.0 & 3
    }

    /// No place: the flow has no entry.
    pub const NONE: Self = Self(u32::MAX);
}

impl Track {
    /// Whether the flow has been silent for longer than it may.
    #[inline(always)]
    pub const fn has_expired(self, now: Tick) -> bool {
        self.expires.since(now) > tick::LONGEST
    }

    /// As the word in the entry.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.expires.0 as u64 | ((self.server.0 as u64) << 32) | ((self.nat_port as u64) << 48)
    }

    /// From the word in the entry.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            expires: Tick(word as u32),
            server: ServerIndex((word >> 32) as u16),
            nat_port: (word >> 48) as u16,
        }
    }
}

impl FlowEntry {
    /// State ([`FlowState::NONE`] if the entry is free) and track. A flow is live until [`Track::expires`].
    #[inline(always)]
    pub fn read(&self) -> (FlowState, Track) {
        let state = FlowState::from_bits(self.identity.load() as u8);
        (state, Track::from_word(self.track.load()))
    }

    /// Replaces the entry that had the identity `found` when it was chosen. Says no, and leaves it as it is, if another CPU
    /// was faster or is about to write it.
    #[inline(always)]
    pub fn write(
        &self,
        atomics: &impl Atomics,
        found: u64,
        hash: FlowHash,
        state: FlowState,
        track: Track,
    ) -> bool {
        if found == CLAIMED || !atomics.replace(&self.identity, found, CLAIMED) {
            return false;
        }
        self.track.store(track.word());
        // Not a plain store: nobody may see the new identity before the new track.
        atomics.replace(&self.identity, CLAIMED, hash.identity(state))
    }

    /// The identity word, for [`Self::write`].
    #[inline(always)]
    pub fn identity(&self) -> u64 {
        self.identity.load()
    }

    /// Whether the entry is this flow's.
    #[inline(always)]
    pub fn is(&self, hash: FlowHash) -> bool {
        let identity = self.identity.load();
        (identity ^ hash.0) & !0xff == 0 && identity != 0 && identity != CLAIMED
    }

    /// What replacing the entry costs; free and expired ones cost nothing.
    #[inline(always)]
    fn price(&self, now: Tick) -> u64 {
        let (state, track) = self.read();
        let left = track.expires.since(now);
        if state.value() == 0 || left > tick::LONGEST {
            return 0;
        }
        (state.value() << 32) | left as u64
    }
}

impl FlowBucket {
    /// The way of the flow's entry; [`NO_WAY`] if it has none.
    #[inline(always)]
    pub fn find(&self, hash: FlowHash) -> u32 {
        let [a, b, c, d] = &self.entries;
        if a.is(hash) {
            0
        } else if b.is(hash) {
            1
        } else if c.is(hash) {
            2
        } else if d.is(hash) {
            3
        } else {
            NO_WAY
        }
    }

    /// State and track of the flow's entry, if it has one.
    #[inline(always)]
    pub fn read(&self, atomics: &impl Atomics, hash: FlowHash) -> Option<(FlowState, Track)> {
        let [a, b, c, d] = &self.entries;
        let entry = if a.is(hash) {
            a
        } else if b.is(hash) {
            b
        } else if c.is(hash) {
            c
        } else if d.is(hash) {
            d
        } else {
            return None;
        };
        let identity = entry.identity.load();
        let track = Track::from_word(entry.track.load());
        // Another flow's by now, if another CPU took it meanwhile.
        if atomics.reload(&entry.identity) != identity {
            return None;
        }
        Some((FlowState::from_bits(identity as u8), track))
    }

    /// Puts off the end of the flow's entry, unless its track has changed since it was read.
    #[inline(always)]
    pub fn refresh(&self, atomics: &impl Atomics, hash: FlowHash, track: Track, expires: Tick) {
        let entry = self.way(self.find(hash));
        let fresh = Track { expires, ..track };
        // Should another flow with just this track have taken the entry meanwhile, it lives a little longer.
        atomics.replace(&entry.track, track.word(), fresh.word());
    }

    /// The way a new flow should take: a free or expired one, else the cheapest; [`NO_WAY`] if all belong to established
    /// flows.
    #[inline(always)]
    pub fn victim(&self, now: Tick) -> u32 {
        let [a, b, c, d] = &self.entries;
        let (mut way, mut price) = (0, a.price(now));
        let other = b.price(now);
        if other < price {
            (way, price) = (1, other);
        }
        let other = c.price(now);
        if other < price {
            (way, price) = (2, other);
        }
        let other = d.price(now);
        if other < price {
            (way, price) = (3, other);
        }
        if price >= FlowState::ESTABLISHED.value() << 32 {
            way = NO_WAY;
        }
        way
    }

    /// The entry of a way.
    #[inline(always)]
    pub fn way(&self, way: u32) -> &FlowEntry {
        &self.entries[(way % NO_WAY) as usize]
    }
}

/// [`FlowState::value`] of all states, a byte each: none, opening, answered, established, closing, datagram, reset.
const VALUES: u64 = 0x00_02_02_03_02_01_00;

/// The identity of an entry that another CPU is writing.
const CLAIMED: u64 = u64::MAX;

/// Entries of a bucket.
pub const WAYS: usize = 4;
/// In place of a way: none.
pub const NO_WAY: u32 = WAYS as u32;
/// A packet of a known flow writes to its entry only if the last one to do so came this long before.
pub const REFRESH_MILLIS: u32 = 1000;

const _: () = assert!(size_of::<FlowBucket>() == 64);

#[cfg(test)]
mod tests;
