//! Which frames are shown to userspace on request, and in which form.
//!
//! Input is what was decided about a frame and who asks ([`Control`]); output is a [`Record`] in the ring buffer
//! `captured`. While nobody asks, a frame costs one load. A frame is shown as it is after the decision: dropped and passed
//! ones as they came, forwarded ones as they leave.

use crate::address::Address;
use crate::service::ServiceIndex;
use crate::verdict::Verdict;
use crate::word::Word;

/// The record of map `capture` (one entry): what userspace wants to see, besides [`Filter`]. That one, which every frame
/// asks for, is in the configuration's record ([`crate::config::Config::capture`]).
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Control {
    /// Up to four services, sixteen bits each; none means all.
    pub services: Word,
    /// The network sources must be in.
    pub source: [Word; 2],
    /// Zero.
    pub spare: Word,
}

/// What frames are shown, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Dropped packets only.
    pub drops: bool,
    /// One frame per tick and CPU at most.
    pub sampled: bool,
    /// Bytes of a frame that are shown, 1 to [`MOST_BYTES`].
    pub bytes: u16,
    /// Bits of the source that count, in terms of all 128; 0 means all sources.
    pub source_bits: u8,
}

impl Filter {
    /// From the word; `None` while nobody asks.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Option<Self> {
        if word & ACTIVE == 0 {
            return None;
        }
        Some(Self {
            drops: word & DROPS != 0,
            sampled: word & SAMPLED != 0,
            bytes: (word >> 16) as u16,
            source_bits: (word >> 32) as u8,
        })
    }

    /// As the word.
    pub const fn word(self) -> u64 {
        ACTIVE
            | if self.drops { DROPS } else { 0 }
            | if self.sampled { SAMPLED } else { 0 }
            | (self.bytes as u64) << 16
            | (self.source_bits as u64) << 32
    }
}

impl Control {
    /// Whether a frame is wanted, given what was decided about it, whose it was and where it came from.
    #[inline(always)]
    pub fn wants(
        &self,
        filter: Filter,
        verdict: Verdict,
        service: ServiceIndex,
        source: Address,
    ) -> bool {
        let is_drop = matches!(verdict, Verdict::Drop { .. } | Verdict::Reply { .. });
        let is_ours = service.0 != 0 || !matches!(verdict, Verdict::Pass);
        if !is_ours || filter.drops && !is_drop {
            return false;
        }
        if source.network(filter.source_bits) != Address::load(&self.source) {
            return false;
        }
        let services = self.services.load();
        services == 0 || holds(services, service.0)
    }
}

/// Whether one of four numbers in a word is this one.
#[inline(always)]
const fn holds(word: u64, number: u16) -> bool {
    word as u16 == number
        || (word >> 16) as u16 == number
        || (word >> 32) as u16 == number
        || (word >> 48) as u16 == number
}

/// One frame in the ring buffer.
#[derive(Clone, Copy, Debug)]
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
pub struct Record {
    /// About it.
    pub head: Head,
    /// Its first bytes, [`Head::bytes`] of them.
    pub frame: [u8; ROOM],
}

/// What is said of a frame.
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
pub struct Head {
    /// When, in nanoseconds of the monotonic clock.
    pub when: u64,
    /// The interface it came in through.
    pub interface: u32,
    /// Its length in bytes.
    pub length: u32,
    /// How many of them are shown.
    pub bytes: u32,
    /// Whose it was ([`ServiceIndex`]); 0 if that is not known.
    pub service: u16,
    /// One of the numbers below.
    pub verdict: u8,
    /// The number of the [`crate::verdict::DropReason`], if it was dropped.
    pub reason: u8,
}

/// [`Head::verdict`]: to the stack.
pub const PASSED: u8 = 0;
/// [`Head::verdict`]: nowhere.
pub const DROPPED: u8 = 1;
/// [`Head::verdict`]: nowhere, and the frame is the news of it for its sender.
pub const ANSWERED: u8 = 2;
/// [`Head::verdict`]: out of the interface it came in through.
pub const SENT_BACK: u8 = 3;
/// [`Head::verdict`]: out of another interface.
pub const SENT_ON: u8 = 4;

/// Verdict and reason as they stand in a [`Head`].
#[inline(always)]
pub const fn numbers(verdict: Verdict) -> (u8, u8) {
    match verdict {
        Verdict::Pass => (PASSED, 0),
        Verdict::Drop { reason, .. } => (DROPPED, reason as u8),
        Verdict::Reply { reason, .. } => (ANSWERED, reason as u8),
        Verdict::Transmit => (SENT_BACK, 0),
        Verdict::Redirect(_) => (SENT_ON, 0),
    }
}

/// What one CPU remembers of its captures: the record of map `missed`.
#[derive(Clone, Copy, Debug, Default)]
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
pub struct Missed {
    /// Frames that were wanted and found no room.
    pub frames: u64,
    /// The tick of the last sample.
    pub sampled: u64,
}

crate::pod::pod!(Missed);

/// Most bytes of a frame that are shown.
pub const MOST_BYTES: u16 = ROOM as u16 - 1;
/// Room for a frame in a record; a power of two.
pub const ROOM: usize = 1024;
/// Size of the ring buffer in bytes.
pub const RING_BYTES: u32 = 1 << 20;

const ACTIVE: u64 = 1;
const DROPS: u64 = 2;
const SAMPLED: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::DropReason;

    fn address(text: &str) -> Address {
        text.parse::<core::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn filter_survives_the_way_through_its_word() {
        let filter = Filter {
            drops: true,
            sampled: false,
            bytes: 1023,
            source_bits: 104,
        };
        assert_eq!(Filter::from_word(filter.word()), Some(filter));
        assert_eq!(Filter::from_word(0), None);
    }

    #[test]
    fn frames_are_wanted_by_what_was_decided_by_service_and_by_source() {
        let control = Control::default();
        address("198.51.100.0").store(&control.source);
        control.services.store(7 | 9 << 16);
        let filter = Filter {
            drops: true,
            sampled: false,
            bytes: 64,
            source_bits: 120,
        };
        let dropped = Verdict::Drop {
            reason: DropReason::Land,
            service: ServiceIndex(9),
        };
        let source = address("198.51.100.9");
        let wants = |verdict, service, source| {
            control.wants(filter, verdict, ServiceIndex(service), source)
        };
        assert!(wants(dropped, 9, source));
        assert!(!wants(dropped, 8, source));
        assert!(!wants(dropped, 9, address("198.51.101.9")));
        assert!(!wants(Verdict::Transmit, 9, source));
        let all = Filter {
            drops: false,
            source_bits: 0,
            ..filter
        };
        let everything = Control::default();
        assert!(everything.wants(all, Verdict::Transmit, ServiceIndex(0), source));
        assert!(everything.wants(all, Verdict::Pass, ServiceIndex(3), source));
        assert!(!everything.wants(all, Verdict::Pass, ServiceIndex(0), source));
    }
}
