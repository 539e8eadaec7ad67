//! SYNs by service: how many come in, whether that is a flood, and how the driver answers them.
//!
//! Map `syns` has one record per service. SYNs are counted in windows of a second; while the running one or the one before
//! holds more than the limit, the service is under a flood, and no state is kept for a SYN any more. For a service that is
//! terminated here the stack's own cookies can be sent from the driver then ([`crate::cookie`]). Record 0 is no service's:
//! userspace keeps there what the machine was set to before it had to change that.

use crate::rate::Window;
use crate::tick::Tick;
use crate::word::{Atomics, Word, high, low, pair};

/// The record of map `syns`: one cache line, of SYNs alone.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct SynRecord {
    /// [`SynPolicy`].
    pub policy: Word,
    /// [`Offer`]; in record 0 what the machine was set to.
    pub offer: Word,
    /// Start of the running window (tick, low half), SYNs of the one before (high half).
    pub window: Word,
    /// SYNs of the running window.
    pub current: Word,
    /// SYNs of all time for which no state was kept.
    pub stateless: Word,
    /// SYNs of all time that were answered with a cookie.
    pub cookies: Word,
    /// Acknowledgements of all time with a cookie of ours.
    pub proven: Word,
    /// Start of the running second of resets (tick, low half) and how many it has (high half).
    pub resets: Word,
}

/// When SYNs are a flood, and what is done then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynPolicy {
    /// SYNs a second; more are a flood. 0 is no limit.
    pub limit: u32,
    /// When SYNs are answered with cookies.
    pub cookies: Cookies,
}

/// When the SYNs of a service that is terminated here are answered from the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Cookies {
    /// Never.
    #[default]
    Off = 0,
    /// Under a flood.
    Auto = 1,
    /// Always.
    Always = 2,
}

/// What a SYN-ACK from the driver offers, as the stack would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The window, not scaled.
    pub window: u16,
    /// The largest segment that is wanted (`bind … mss`); 0 is what the interface takes.
    pub segment: u16,
    /// The window scale.
    pub scale: u8,
}

impl SynPolicy {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(self.limit, self.cookies as u32)
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            limit: low(word),
            cookies: match high(word) {
                1 => Cookies::Auto,
                2 => Cookies::Always,
                _ => Cookies::Off,
            },
        }
    }
}

impl Offer {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        pair(
            self.window as u32 | ((self.segment as u32) << 16),
            self.scale as u32,
        )
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            window: low(word) as u16,
            segment: (low(word) >> 16) as u16,
            scale: high(word) as u8,
        }
    }
}

impl SynRecord {
    /// Counts one SYN; says whether the service is under a flood with it. `second` is a second in ticks.
    #[inline(always)]
    pub fn count(&self, atomics: &impl Atomics, second: u32, now: Tick) -> bool {
        let before = self.counted();
        let after = before.rolled(second, now);
        // Of several CPUs one wins the roll and takes the old count out; the others only add.
        if after.start != before.start
            && atomics.replace(
                &self.window,
                pair(before.start.0, before.previous),
                pair(after.start.0, after.previous),
            )
        {
            atomics.add(&self.current, (before.current as u64).wrapping_neg());
        }
        atomics.add(&self.current, 1);
        let limit = SynPolicy::from_word(self.policy.load()).limit;
        limit != 0 && (after.previous > limit || after.current >= limit)
    }

    /// Whether the service is under a flood.
    #[inline(always)]
    pub fn is_flooded(&self, second: u32, now: Tick) -> bool {
        let Window {
            previous, current, ..
        } = self.counted().rolled(second, now);
        let limit = SynPolicy::from_word(self.policy.load()).limit;
        limit != 0 && (previous > limit || current > limit)
    }

    /// SYNs within the last second.
    pub fn rate(&self, second: u32, now: Tick) -> u32 {
        self.counted().rate(second, now)
    }

    /// Whether one more client may be told by a reset that it is refused: so many a second are, the others hear nothing.
    #[inline(always)]
    pub fn may_reset(&self, atomics: &impl Atomics, second: u32, now: Tick) -> bool {
        let word = self.resets.load();
        if now.since(Tick(low(word))) >= second {
            // Who is late finds the new second at its next try.
            return atomics.replace(&self.resets, word, pair(now.0, 1));
        }
        let room = high(word) < RESETS;
        if room {
            atomics.add(&self.resets, pair(0, 1));
        }
        room
    }

    #[inline(always)]
    fn counted(&self) -> Window {
        let window = self.window.load();
        Window {
            start: Tick(low(window)),
            previous: high(window),
            current: low(self.current.load()),
        }
    }
}

/// Resets a second for the refused clients of one service.
pub const RESETS: u32 = 1000;

const _: () = assert!(size_of::<SynRecord>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::HostAtomics;

    const SECOND: u32 = 100;

    fn record(limit: u32) -> SynRecord {
        let record = SynRecord::default();
        let policy = SynPolicy {
            limit,
            cookies: Cookies::Auto,
        };
        record.policy.store(policy.word());
        record
    }

    #[test]
    fn more_than_the_limit_is_a_flood_until_a_quiet_second_has_passed() {
        let record = record(3);
        let floods: Vec<bool> = (0..5)
            .map(|_| record.count(&HostAtomics, SECOND, Tick(1000)))
            .collect();
        assert_eq!(floods, [false, false, false, true, true]);
        assert_eq!(record.rate(SECOND, Tick(1000)), 5);
        assert!(
            record.is_flooded(SECOND, Tick(1150)),
            "the second before counts"
        );
        assert!(!record.is_flooded(SECOND, Tick(1200)));
        assert!(record.count(&HostAtomics, SECOND, Tick(1150)));
        assert!(!record.count(&HostAtomics, SECOND, Tick(1250)));
    }

    #[test]
    fn without_a_limit_nothing_is_a_flood() {
        let record = record(0);
        assert!((0..1000).all(|_| !record.count(&HostAtomics, SECOND, Tick(7))));
        assert!(!record.is_flooded(SECOND, Tick(7)));
    }

    #[test]
    fn resets_are_limited_by_the_second() {
        let record = record(1);
        let told = |at| {
            let tries = 0..2 * RESETS;
            tries
                .filter(|_| record.may_reset(&HostAtomics, SECOND, Tick(at)))
                .count()
        };
        assert_eq!(told(5000), RESETS as usize);
        assert_eq!(told(5099), 0);
        assert_eq!(told(5100), RESETS as usize);
    }

    #[test]
    fn every_part_survives_the_way_through_its_word() {
        for cookies in [Cookies::Off, Cookies::Auto, Cookies::Always] {
            let policy = SynPolicy {
                limit: 0xdead_beef,
                cookies,
            };
            assert_eq!(SynPolicy::from_word(policy.word()), policy);
        }
        let offer = Offer {
            window: 0xfff0,
            segment: 1460,
            scale: 14,
        };
        assert_eq!(Offer::from_word(offer.word()), offer);
    }
}
