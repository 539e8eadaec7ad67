//! Connection-rate rules.
//!
//! A rule is a region of `sources`, a period and a limit: `stick-table … store conn_rate(<period>)` with
//! `track-sc0 src` and `reject if { sc0_conn_rate gt <limit> }`.

use crate::word::{Word, high, low, pair};

/// The record of map `rates`. Index 0 is never used: it means "no rule".
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct RateRule {
    /// First bucket of its region in `sources` (low half), number of buckets (high half).
    pub region: Word,
    /// [`Limit`].
    pub limit: Word,
    /// [`Keying`].
    pub keying: Word,
    /// Zero.
    pub spare: Word,
}

/// When a source is over its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The period of the rate in ticks.
    pub period: u32,
    /// A new connection is refused if the rate *including it* is greater than this. (`reject if { sc0_conn_rate gt 100 }`
    /// after `track-sc0`: 100. Before `track-sc0`: 101, with [`Refused::Uncharged`].)
    pub rate: u32,
}

/// Whether a refused connection counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refused {
    /// It does: the source was tracked before it was refused.
    Charged = 0,
    /// It does not.
    Uncharged = 1,
}

/// How a packet's source becomes the key: `src`, or `src,ipmask(<v4>,<v6>)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keying {
    /// Prefix length for IPv4 sources, 0–32.
    pub v4: u8,
    /// Prefix length for IPv6 sources, 0–128.
    pub v6: u8,
    /// Whether refused SYNs count.
    pub refused: Refused,
}

impl Limit {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(self.period, self.rate)
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            period: low(word),
            rate: high(word),
        }
    }
}

impl Keying {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        u64::from_ne_bytes([self.v4, self.v6, self.refused as u8, 0, 0, 0, 0, 0])
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [v4, v6, refused, ..] = word.to_ne_bytes();
        Self {
            v4,
            v6,
            refused: if refused == 1 {
                Refused::Uncharged
            } else {
                Refused::Charged
            },
        }
    }
}

impl RateRule {
    /// Writes a rule that no service names yet. `first` and `buckets` are its region in `sources`.
    pub fn publish(&self, first: u32, buckets: u32, limit: Limit, keying: Keying) {
        self.region.store(pair(first, buckets));
        self.keying.store(keying.word());
        self.limit.store(limit.word());
    }
}

const _: () = assert!(size_of::<RateRule>() == 32);
