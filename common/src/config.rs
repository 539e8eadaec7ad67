//! The one record that tells the program how large its tables are and which halves are in force.
//!
//! Userspace writes it before the program is attached; afterwards only [`Config::bind_view`] and
//! [`Config::list6_lengths`] change, each by one store. It lives in a pinned map, so a new process reads from it what the
//! tables it adopts were made with.

use crate::word::{Word, high, low, pair};

/// The record of map `config` (one entry, one cache line).
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Config {
    /// Secret key of the flow, NAT, source and list6 hashes; random, and kept as long as the tables are.
    pub table_key: Word,
    /// Key of the position in a ring. Balancers that stand in for each other (ECMP, failover) need the same one, and it
    /// must survive a restart that loses the maps.
    pub ring_key: Word,
    /// Flow buckets (low half).
    pub flows: Word,
    /// NAT entries (low half), then two 16-bit numbers: the first source port and how many follow it. The ports must lie
    /// outside the host's `ip_local_port_range`. No entries or no ports: NAT services drop (`NoNatPort`).
    pub nat: Word,
    /// Ticks per second (low half) and the modulus that turns an interface number into an index of `interfaces` and
    /// `devices` (high half, 1–256; see [`crate::interface::modulus`]).
    pub clock: Word,
    /// Bind buckets of one half (low half); `binds` has twice as many entries. IPv6 list buckets (high half).
    pub sizes: Word,
    /// [`BindView`].
    pub bind_view: Word,
    /// The prefix lengths in `lists6`, longest first; see [`crate::list6`].
    pub list6_lengths: Word,
}

/// [`Config::nat`] in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatSizes {
    /// Entries of map `nat`.
    pub entries: u32,
    /// First source port.
    pub first_port: u16,
    /// Number of source ports.
    pub ports: u16,
}

/// [`Config::clock`] in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Ticks per second: the kernel's `CONFIG_HZ`, which is one over the resolution of `CLOCK_MONOTONIC_COARSE`.
    pub per_second: u32,
    /// Interface number → index.
    pub interface_modulus: u32,
}

/// [`Config::bind_view`] in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindView {
    /// 0 or 1.
    pub half: u32,
    /// What [`crate::bind::place`] chose; 16 bits.
    pub seed: u32,
    /// Whether it holds servers whose answers come back through here ([`crate::bind::BindKey::answers`]); else nobody
    /// looks for any.
    pub answers: bool,
    /// The lengths of the networks it holds, a byte each, the longest in the lowest, in terms of all 128 bits and plus one;
    /// 0 is none.
    pub prefixes: u64,
}

impl NatSizes {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(
            self.entries,
            self.first_port as u32 | ((self.ports as u32) << 16),
        )
    }

    /// Whether a port is one of them.
    #[inline(always)]
    pub const fn has(self, port: u16) -> bool {
        port.wrapping_sub(self.first_port) < self.ports
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            entries: low(word),
            first_port: high(word) as u16,
            ports: (high(word) >> 16) as u16,
        }
    }
}

impl Clock {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(self.per_second, self.interface_modulus)
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            per_second: low(word),
            interface_modulus: high(word),
        }
    }
}

impl BindView {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        let flags = (self.half & 1) as u64 | ((self.answers as u64) << 1);
        flags | ((self.seed as u16 as u64) << 8) | (self.prefixes << 24)
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            half: low(word) & 1,
            seed: (low(word) >> 8) & 0xffff,
            answers: word & 2 != 0,
            prefixes: word >> 24,
        }
    }

    /// The length of a network, if there are so many.
    #[inline(always)]
    pub const fn prefix(&self, at: usize) -> Option<u8> {
        ((self.prefixes >> (at * 8)) as u8).checked_sub(1)
    }
}

/// How many lengths networks may have.
pub const PREFIXES: usize = 5;

const _: () = assert!(size_of::<Config>() == 64);
