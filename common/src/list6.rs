//! The IPv6 source table: exact entries per prefix length in front, a longest-prefix trie behind.
//!
//! Map `lists6` is an array of 64-byte buckets with two prefixes each, found by a hash of prefix and length; the lengths in
//! use (up to eight) are in [`crate::config::Config::list6_lengths`], longest first, and the first length that has the
//! source wins. Every prefix is in the trie (`lists6_trie`) as well: it answers when a bucket had no room for all its
//! prefixes or when more lengths are in use, and only then, because it costs a microsecond under a spoofed flood.
//!
//! An address that no prefix here covers, but that has an IPv4 address within ([`crate::address::Address::embedded_v4`]), has
//! the class of that one: lists of IPv4 networks match it too, and need not be entered a second and a third time.

use crate::action::Class;
use crate::address::Address;
use crate::frame::Tables;
use crate::hash::{Hasher, reduce};
use crate::word::Word;

/// The record of map `lists6`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct ListBucket {
    /// Both ways.
    pub entries: [ListEntry; 2],
    /// Not 0: a prefix of this bucket found no room, ask the trie.
    pub overflow: Word,
    /// Zero.
    pub spare: Word,
}

/// One prefix.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct ListEntry {
    /// The prefix, all bits after its length zero.
    pub prefix: [Word; 2],
    /// Class (16 bits), then length plus one; 0 is a free entry. Stored last and cleared first.
    pub meta: Word,
}

/// The lengths in use, as they stand in the configuration word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths([u8; LENGTHS]);

impl Lengths {
    /// From the word.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word.to_ne_bytes())
    }

    /// As the word.
    pub const fn word(self) -> u64 {
        u64::from_ne_bytes(self.0)
    }
}

/// The bucket of a prefix whose bits after `length` are zero.
#[inline(always)]
pub fn bucket(key: u64, prefix: Address, length: u8, buckets: u32) -> u32 {
    let [high, low] = prefix.words();
    let hash = Hasher::new(key ^ DOMAIN ^ length as u64)
        .word(high)
        .word(low);
    reduce(hash.finish() as u32, buckets)
}

impl ListBucket {
    #[inline(always)]
    fn find(&self, prefix: Address, length: u8) -> Option<Class> {
        let [first, second] = &self.entries;
        match first.find(prefix, length) {
            None => second.find(prefix, length),
            found => found,
        }
    }
}

impl ListEntry {
    #[inline(always)]
    fn find(&self, prefix: Address, length: u8) -> Option<Class> {
        let meta = self.meta.load();
        if meta >> 16 == length as u64 + 1 && Address::load(&self.prefix) == prefix {
            return Some(Class(meta as u16));
        }
        None
    }
}

/// The class of the longest prefix around an address; `None` where there is none.
#[inline(always)]
pub fn class(
    tables: &impl Tables,
    key: u64,
    lengths: u64,
    buckets: u32,
    source: Address,
) -> Option<Class> {
    let mut rest = lengths;
    while rest != 0 {
        let [stored, ..] = rest.to_ne_bytes();
        if stored == ALWAYS_TRIE {
            return tables.list6_trie(source);
        }
        rest = u64::from_be(rest.to_be() << 8);
        let length = stored.wrapping_sub(1);
        let prefix = source.masked(length);
        let Some(bucket) = tables.list6_bucket(bucket(key, prefix, length, buckets)) else {
            break;
        };
        if let Some(class) = bucket.find(prefix, length) {
            return Some(class);
        }
        if bucket.overflow.load() != 0 {
            return tables.list6_trie(source);
        }
    }
    None
}

/// Prefix lengths in `lists6`.
pub const LENGTHS: usize = 8;
/// First byte of [`crate::config::Config::list6_lengths`] when every lookup goes to the trie.
pub const ALWAYS_TRIE: u8 = 0xff;

const DOMAIN: u64 = 0x6c69_7374_735f_7636;

const _: () = assert!(size_of::<ListBucket>() == 64);
