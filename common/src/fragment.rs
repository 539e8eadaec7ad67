//! Which way the first fragment of a datagram went, so that the others go the same way.
//!
//! Map `fragments` is one small array of 64-byte buckets for all CPUs. Only a first fragment has ports; what was decided
//! about it is kept for [`LIFETIME_MILLIS`] under a secret hash of addresses, protocol and identification. An entry is two
//! words that each carry a part of that hash, so a reader that meets halves of two entries sees neither. The oldest entry of
//! a bucket goes first: a flood of first fragments costs other datagrams their later fragments, and no memory.

use crate::address::Address;
use crate::hash::{Hasher, reduce};
use crate::server::ServerIndex;
use crate::tick::Tick;
use crate::word::Word;

/// The record of map `fragments`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct FragmentBucket {
    /// The four ways.
    pub entries: [FragmentEntry; 4],
}

/// One datagram.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct FragmentEntry {
    /// The upper half of the hash, then when it was written; 0 is a free entry.
    pub identity: Word,
    /// The lower 24 bits of the hash, [`Path`].
    pub path: Word,
}

/// The hash of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentHash(pub u64);

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// To a server.
    Server(ServerIndex),
    /// To the client of the mapping at this place.
    Client(u32),
}

impl FragmentHash {
    /// That of a datagram.
    #[inline(always)]
    pub fn of(key: u64, source: Address, destination: Address, id: u32, protocol: u8) -> Self {
        let ([a, b], [c, d]) = (source.words(), destination.words());
        let hash = Hasher::new(key ^ DOMAIN).word(id as u64 | ((protocol as u64) << 32));
        Self(hash.word(a).word(b).word(c).word(d).finish())
    }

    /// Its bucket.
    #[inline(always)]
    pub const fn bucket(self) -> u32 {
        reduce(self.0 as u32, BUCKETS)
    }

    #[inline(always)]
    const fn identity(self, now: Tick) -> u64 {
        self.0 & !0xffff_ffff | now.0 as u64
    }
}

impl Path {
    #[inline(always)]
    const fn word(self, hash: FragmentHash) -> u64 {
        let (kind, value) = match self {
            Self::Server(server) => (SERVER, server.0 as u64),
            Self::Client(place) => (CLIENT, place as u64),
        };
        value | kind << 32 | hash.0 << 40
    }

    #[inline(always)]
    const fn from_word(word: u64, hash: FragmentHash) -> Option<Self> {
        if (word ^ (hash.0 << 40)) >> 40 != 0 {
            return None;
        }
        match word >> 32 & 0xff {
            SERVER => Some(Self::Server(ServerIndex(word as u16))),
            CLIENT => Some(Self::Client(word as u32)),
            _ => None,
        }
    }
}

impl FragmentEntry {
    #[inline(always)]
    fn is(&self, hash: FragmentHash) -> bool {
        (self.identity.load() ^ hash.0) >> 32 == 0
    }

    /// Ticks since it was written.
    #[inline(always)]
    fn age(&self, now: Tick) -> u32 {
        now.since(Tick(self.identity.load() as u32))
    }
}

impl FragmentBucket {
    /// Where the datagram goes, if its first fragment came no more than `lifetime` ticks ago.
    #[inline(always)]
    pub fn find(&self, hash: FragmentHash, now: Tick, lifetime: u32) -> Option<Path> {
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
        if entry.age(now) > lifetime {
            return None;
        }
        Path::from_word(entry.path.load(), hash)
    }

    /// Remembers where it goes, in the place of itself or else of the oldest.
    #[inline(always)]
    pub fn remember(&self, hash: FragmentHash, now: Tick, path: Path) {
        let (mut way, mut oldest) = (0, 0);
        let mut at = 0;
        while at < 4 {
            let entry = &self.entries[at];
            let age = if entry.is(hash) {
                u32::MAX
            } else if entry.identity.load() == 0 {
                u32::MAX - 1
            } else {
                entry.age(now)
            };
            if age >= oldest {
                (way, oldest) = (at, age);
            }
            at += 1;
        }
        let entry = &self.entries[way & 3];
        entry.path.store(path.word(hash));
        entry.identity.store(hash.identity(now));
    }
}

/// How long later fragments are waited for: as long as Linux waits for a datagram to be whole.
pub const LIFETIME_MILLIS: u32 = 30_000;
/// Buckets of the map.
pub const BUCKETS: u32 = 1024;

const SERVER: u64 = 1;
const CLIENT: u64 = 2;
const DOMAIN: u64 = 0x6672_6167_6d65_6e74;

const _: () = assert!(size_of::<FragmentBucket>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn hash(id: u32) -> FragmentHash {
        let source = Ipv4Addr::new(192, 0, 2, 10).into();
        FragmentHash::of(7, source, Ipv4Addr::new(198, 51, 100, 80).into(), id, 17)
    }

    #[test]
    fn a_datagram_is_found_until_its_time_is_over() {
        let bucket = FragmentBucket::default();
        assert_eq!(bucket.find(hash(1), Tick(100), 50), None);
        for path in [Path::Server(ServerIndex(0xfffe)), Path::Client(0xdead_beef)] {
            bucket.remember(hash(1), Tick(100), path);
            assert_eq!(bucket.find(hash(1), Tick(150), 50), Some(path));
            assert_eq!(bucket.find(hash(1), Tick(151), 50), None);
            assert_eq!(bucket.find(hash(2), Tick(100), 50), None);
        }
        let used = bucket.entries.iter().filter(|e| e.identity.load() != 0);
        assert_eq!(used.count(), 1, "the same datagram keeps its entry");
    }

    #[test]
    fn the_oldest_goes_first() {
        let bucket = FragmentBucket::default();
        let path = Path::Server(ServerIndex(1));
        for id in 1..=5 {
            bucket.remember(hash(id), Tick(1000 + id), path);
        }
        assert_eq!(bucket.find(hash(1), Tick(1006), 50), None);
        for id in 2..=5 {
            assert_eq!(bucket.find(hash(id), Tick(1006), 50), Some(path));
        }
    }

    #[test]
    fn halves_of_two_entries_are_neither() {
        let bucket = FragmentBucket::default();
        bucket.remember(hash(1), Tick(9), Path::Server(ServerIndex(1)));
        let way = bucket.entries.iter().position(|e| e.is(hash(1))).unwrap();
        let path = Path::Server(ServerIndex(2)).word(hash(2));
        bucket.entries[way].path.store(path);
        assert_eq!(bucket.find(hash(1), Tick(9), 50), None);
        assert_eq!(bucket.find(hash(2), Tick(9), 50), None);
    }
}
