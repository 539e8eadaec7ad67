//! The IPv6 source table: exact entries per prefix length in front, a longest-prefix trie behind.
//!
//! Map `lists6` is an array of 64-byte buckets with two prefixes each, found by a hash of prefix and length; the lengths in
//! use (up to eight) are in [`crate::config::Config::list6_lengths`], longest first, and the first length that has the
//! source wins. Every prefix is in the trie (`lists6_trie`) as well: it answers when a bucket had no room for all its
//! prefixes or when more lengths are in use, and only then, because it costs a microsecond under a spoofed flood.

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

/// Prefix lengths in `lists6`.
pub const LENGTHS: usize = 8;
/// First byte of [`crate::config::Config::list6_lengths`] when every lookup goes to the trie.
pub const ALWAYS_TRIE: u8 = 0xff;

const _: () = assert!(size_of::<ListBucket>() == 64);
