//! The flow table: which server a flow has been given.
//!
//! Map `flows` is an array of 64-byte buckets with four entries each, one region per CPU; a flow's hash gives bucket and
//! fingerprint. The fingerprint (56 bits of a secret hash, the bucket adds the rest) stands for the flow's addresses: two
//! live flows that agree in all of it are not to be expected in the life of a machine. Userspace maps the array read-only
//! to count live flows; it never writes it.

use crate::server::ServerIndex;
use crate::tick::Tick;
use crate::word::Word;

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

/// How far a flow has come, as far as packets through here tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowState {
    /// The client's SYN was seen.
    Opening = 1,
    /// The server's SYN-ACK was seen too (NAT only).
    Answered = 2,
    /// The handshake is complete.
    Established = 3,
    /// A FIN or RST was seen.
    Closing = 4,
    /// UDP.
    Datagram = 5,
}

/// The part of an entry that packets refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// When the last packet came (to the nearest second, see [`crate::decide`]).
    pub seen: Tick,
    /// Its server.
    pub server: ServerIndex,
    /// Its source port towards the server (NAT), else 0.
    pub nat_port: u16,
}

impl FlowState {
    /// From the low bits of an identity word; `None` for a free entry.
    #[inline(always)]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Opening,
            2 => Self::Answered,
            3 => Self::Established,
            4 => Self::Closing,
            5 => Self::Datagram,
            _ => return None,
        })
    }
}

impl Track {
    /// As the word in the entry.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.seen.0 as u64 | ((self.server.0 as u64) << 32) | ((self.nat_port as u64) << 48)
    }

    /// From the word in the entry.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            seen: Tick(word as u32),
            server: ServerIndex((word >> 32) as u16),
            nat_port: (word >> 48) as u16,
        }
    }
}

impl FlowEntry {
    /// State and track of the entry; `None` if it is free. For counting live flows.
    pub fn read(&self) -> Option<(FlowState, Track)> {
        let state = FlowState::from_bits(self.identity.load() as u8)?;
        Some((state, Track::from_word(self.track.load())))
    }
}

/// Entries of a bucket.
pub const WAYS: usize = 4;

const _: () = assert!(size_of::<FlowBucket>() == 64);
