//! The one record that tells the program how large its tables are and which halves are in force.
//!
//! Userspace writes it before the program is attached; afterwards only [`Config::bind_view`], [`Config::bound`],
//! [`Config::list6_lengths`] and [`Config::capture`] change, each by one store a word, and the records of interfaces. It lives in a pinned map, so a
//! new process reads from it what the tables it adopts were made with. The interfaces are part of it because every packet
//! needs two of them: a place in a record that is at hand costs a fifth of a look into a map.

use crate::address::Address;
use crate::interface::{Interface, LIMIT};
use crate::word::{Word, high, low, pair};

/// The record of map `config` (one entry): a cache line that every packet needs, one that tells others' packets apart, one
/// for new flows, and the interfaces.
#[derive(Debug)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Config {
    /// Secret key of the flow, NAT, source and list6 hashes; random, and kept as long as the tables are.
    pub table_key: Word,
    /// [`crate::capture::Filter`]; 0 while nobody asks for frames. Stored after what [`crate::capture::Control`] says of
    /// them, and cleared first.
    pub capture: Word,
    /// Flow buckets (low half).
    pub flows: Word,
    /// NAT entries (low half), then two 16-bit numbers: the first source port and how many follow it. The ports must lie
    /// outside the host's `ip_local_port_range`. No entries or no ports: NAT services drop (`NoNatPort`).
    pub nat: Word,
    /// Ticks per second (low half) and the modulus that turns an interface number into an index of
    /// `interfaces` and map `devices` (high half, 1–256; see [`crate::interface::modulus`]).
    pub clock: Word,
    /// Bind buckets of one half (low half); `binds` has twice as many entries. IPv6 list buckets (high half).
    pub sizes: Word,
    /// [`BindView`].
    pub bind_view: Word,
    /// The prefix lengths in `lists6`, longest first; see [`crate::list6`].
    pub list6_lengths: Word,
    /// A set of addresses, a bit for each that is in `binds` ([`Bound`]): a packet whose addresses are not in it is nobody's
    /// here.
    pub bound: [Word; BOUND_WORDS],
    /// Key of the position in a ring. Balancers that stand in for each other (ECMP, failover) need the same one, and it
    /// must survive a restart that loses the maps.
    pub ring_key: Word,
    /// Zero.
    pub spare: [Word; 7],
    /// Interfaces, by index.
    pub interfaces: [Interface; LIMIT as usize],
}

/// The bit of an address in [`Config::bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which word.
    word: usize,
    /// Which bit of it, as a mask.
    mask: u64,
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

impl Default for Config {
    fn default() -> Self {
        Self {
            table_key: Word::default(),
            capture: Word::default(),
            flows: Word::default(),
            nat: Word::default(),
            clock: Word::default(),
            sizes: Word::default(),
            bind_view: Word::default(),
            list6_lengths: Word::default(),
            bound: Default::default(),
            ring_key: Word::default(),
            spare: Default::default(),
            interfaces: core::array::from_fn(|_| Interface::default()),
        }
    }
}

impl Config {
    /// Whether an address may be in `binds`. It is not if this says no, unless a network around it is.
    #[inline(always)]
    pub fn may_be_bound(&self, address: Address) -> bool {
        let Bound { word, mask } = Bound::of(address);
        self.bound[word].load() & mask != 0
    }

    /// Adds addresses to those that may be bound; before a view with them is in force.
    pub fn bind_more(&self, addresses: &[Address]) {
        for address in addresses {
            let Bound { word, mask } = Bound::of(*address);
            let word = &self.bound[word];
            word.store(word.load() | mask);
        }
    }

    /// Leaves only these addresses; once no program asks for others any more.
    pub fn bind_only(&self, addresses: &[Address]) {
        let mut words = [0; BOUND_WORDS];
        for address in addresses {
            let Bound { word, mask } = Bound::of(*address);
            words[word] |= mask;
        }
        for (word, value) in self.bound.iter().zip(words) {
            word.store(value);
        }
    }
}

impl Bound {
    #[inline(always)]
    const fn of(address: Address) -> Self {
        let hash = address.scattered();
        Self {
            // The highest bits, of which the shift leaves as many as there are words.
            word: (hash >> (u64::BITS - BOUND_WORDS.ilog2())) as usize,
            mask: 1 << ((hash >> 52) & 63),
        }
    }
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

/// Words of [`Config::bound`]: with n addresses one foreign address in 512/n is looked up in vain.
const BOUND_WORDS: usize = 8;

/// How many lengths networks may have.
pub const PREFIXES: usize = 5;

const _: () = assert!(size_of::<Config>() == 64 + 64 + 64 + 64 * LIMIT as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn addresses(range: core::ops::Range<u32>) -> Vec<Address> {
        range
            .map(|number| Ipv4Addr::from(0xc633_6400 + number).into())
            .collect()
    }

    #[test]
    fn bound_addresses_are_never_missed_and_few_others_are_found() {
        let config = Config::default();
        let (first, more) = (addresses(0..20), addresses(20..50));
        config.bind_more(&first);
        config.bind_more(&more);
        assert!(first.iter().chain(&more).all(|it| config.may_be_bound(*it)));
        config.bind_only(&more);
        assert!(more.iter().all(|it| config.may_be_bound(*it)));
        let others = addresses(1000..11_000);
        let found = others.iter().filter(|it| config.may_be_bound(**it)).count();
        assert!(found < others.len() / 10, "{found}");
    }
}
