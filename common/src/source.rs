//! Connection counts per source: the kernel's half of a stick table.
//!
//! Map `sources` is an array of 64-byte buckets with two sources each. Every rate rule ([`crate::rate::RateRule`]) has a
//! region of its own, so an entry needs no table number and two tables never evict each other. Both halves charge it: the
//! program for the services it forwards, the accept path for those terminated in userspace.

use crate::word::Word;

/// The record of map `sources`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct SourceBucket {
    /// Both ways.
    pub entries: [SourceEntry; 2],
}

/// One source.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct SourceEntry {
    /// The source, masked as the rule says.
    pub address: [Word; 2],
    /// Start of the current window (tick, low half) and the count of the window before (high half).
    pub window: Word,
    /// Count of the current window (low half) and of all time (high half); 0 is a free entry.
    pub counts: Word,
}

const _: () = assert!(size_of::<SourceBucket>() == 64);
