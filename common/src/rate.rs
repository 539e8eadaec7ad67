//! Connection-rate rules.
//!
//! A rule is a region of `sources`, a period and a limit: `stick-table … store conn_rate(<period>)` with
//! `track-sc0 src` and `reject if { sc0_conn_rate gt <limit> }`. The rate is HAProxy's: two windows, of which the older
//! one counts for the part of it that is still within the period.

use crate::tick::Tick;
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
    /// Whether they are answered with resets.
    pub resets: bool,
}

/// The connections of one source by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When the current window began.
    pub start: Tick,
    /// Connections of the window before.
    pub previous: u32,
    /// Connections of the current window.
    pub current: u32,
}

impl Window {
    /// The window in force at `now`: windows follow each other without a gap while connections come, and begin anew after
    /// two periods without one.
    #[inline(always)]
    pub const fn rolled(self, period: u32, now: Tick) -> Self {
        let elapsed = now.since(self.start);
        if elapsed < period {
            self
        } else if elapsed - period < period {
            Self {
                start: Tick(self.start.0.wrapping_add(period)),
                previous: self.current,
                current: 0,
            }
        } else {
            Self {
                start: now,
                previous: 0,
                current: 0,
            }
        }
    }

    /// Connections within the last `period` ticks, as `conn_rate` tells them: those of the current window, and of the one
    /// before the share that is left, rounded down; a lonely connection counts for the whole of the next window.
    #[inline(always)]
    pub const fn rate(self, period: u32, now: Tick) -> u32 {
        let Self {
            start,
            previous,
            current,
        } = self.rolled(period, now);
        if previous <= 1 && current == 0 {
            return previous;
        }
        let left = period.wrapping_sub(now.since(start)) as u64;
        let share = match (previous as u64 * left).checked_div(period as u64) {
            Some(share) => share as u32,
            None => 0,
        };
        current.saturating_add(share)
    }

    /// What the rate would be with one connection more, made now.
    #[inline(always)]
    pub const fn rate_with_one_more(self, period: u32, now: Tick) -> u32 {
        let mut window = self.rolled(period, now);
        window.current = window.current.saturating_add(1);
        window.rate(period, now)
    }
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
        u64::from_ne_bytes([
            self.v4,
            self.v6,
            self.refused as u8,
            self.resets as u8,
            0,
            0,
            0,
            0,
        ])
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [v4, v6, refused, resets, ..] = word.to_ne_bytes();
        Self {
            v4,
            v6,
            refused: if refused == 1 {
                Refused::Uncharged
            } else {
                Refused::Charged
            },
            resets: resets != 0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, over all connections ever made: consecutive windows, fractions exact.
    fn by_definition(connections: &[u32], period: u32, now: u32) -> u32 {
        let (mut start, mut previous, mut current) = (0, 0u64, 0u64);
        let mut any = false;
        for at in connections.iter().copied().filter(|at| *at <= now) {
            if !any || at - start >= 2 * period {
                (start, previous, current) = (at, 0, 0);
            } else if at - start >= period {
                (start, previous, current) = (start + period, current, 0);
            }
            any = true;
            current += 1;
        }
        if !any || now - start >= 2 * period {
            return 0;
        }
        if now - start >= period {
            (start, previous, current) = (start + period, current, 0);
        }
        if previous <= 1 && current == 0 {
            return previous as u32;
        }
        let left = f64::from(period - (now - start)) / f64::from(period);
        current as u32 + (previous as f64 * left + 1e-9).floor() as u32
    }

    proptest! {
        #[test]
        fn the_rate_is_that_of_two_consecutive_windows(
            mut connections in prop::collection::vec(0u32..5000, 0..200),
            period in 1u32..1500,
            after in 0u32..3000,
            base: u32,
        ) {
            connections.sort_unstable();
            let mut window = Window::default();
            for (index, at) in connections.iter().enumerate() {
                let now = Tick(base.wrapping_add(*at));
                if index == 0 {
                    window.start = now;
                }
                window = window.rolled(period, now);
                window.current += 1;
                let upto = &connections[..=index];
                prop_assert_eq!(window.rate(period, now), by_definition(upto, period, *at));
            }
            let end = connections.last().copied().unwrap_or(0) + after;
            let rate = window.rate(period, Tick(base.wrapping_add(end)));
            if !connections.is_empty() {
                prop_assert_eq!(rate, by_definition(&connections, period, end));
            }
        }
    }

    #[test]
    fn a_lonely_connection_counts_for_the_next_window_too() {
        let window = Window {
            start: Tick(0),
            previous: 0,
            current: 1,
        };
        let rates: Vec<_> = [0, 99, 100, 150, 199, 200]
            .map(|at| window.rate(100, Tick(at)))
            .into();
        assert_eq!(rates, [1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn no_period_is_no_division_by_zero() {
        let window = Window {
            start: Tick(0),
            previous: 5,
            current: 2,
        };
        assert_eq!(window.rate(0, Tick(0)), 0);
    }
}
