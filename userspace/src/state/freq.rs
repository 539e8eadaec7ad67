//! Event rates over a sliding window, as HAProxy reports them.
//!
//! [`Rate`] counts events of one period and remembers the previous period's total; reading blends the two by how much of
//! the previous window still overlaps the last period. [`SecondRate`] is the same over one second, split per thread so that
//! counting never shares a cache line. Neither reads a clock: time is an argument.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Moment;
use crate::state::shard::Writer;

/// Events per period of one stick-table entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    start: u64,
    current: u32,
    previous: u32,
}

impl Rate {
    /// Counts `events` at `now` and returns the rate they bring.
    pub fn add(&mut self, events: u32, period: u64, now: Moment) -> u32 {
        self.rotate(period, now);
        self.current = self.current.saturating_add(events);
        self.read(period, now)
    }

    /// Events over the last `period` milliseconds.
    pub fn read(&self, period: u64, now: Moment) -> u32 {
        let mut window = *self;
        window.rotate(period, now);
        let elapsed = now.since(Moment(window.start));
        blend(
            window.current,
            window.previous,
            period.saturating_sub(elapsed),
            period,
        )
    }

    /// Replaces the rate, as `set table` does: the value fades over the next period.
    pub fn set(&mut self, value: u32, now: Moment) {
        *self = Self {
            start: now.0,
            current: 0,
            previous: value,
        };
    }

    /// When its period began, the events since, and those of the period before.
    pub(super) const fn parts(&self) -> (u64, u32, u32) {
        (self.start, self.current, self.previous)
    }

    /// The rate of these parts.
    pub(super) const fn of(start: u64, current: u32, previous: u32) -> Self {
        Self {
            start,
            current,
            previous,
        }
    }

    fn rotate(&mut self, period: u64, now: Moment) {
        let elapsed = now.since(Moment(self.start));
        if elapsed < period {
            return;
        }
        if elapsed < period.saturating_mul(2) && self.start != 0 {
            self.previous = self.current;
            self.start += period;
        } else {
            self.previous = 0;
            self.start = now.0.max(1);
        }
        self.current = 0;
    }
}

/// Events per second of the whole process, written by each thread on its own line.
#[derive(Debug)]
pub struct SecondRate {
    lines: Box<[Seconds]>,
    highest: AtomicU64,
}

impl SecondRate {
    /// A rate written by `writers` threads (see [`super::shard`]).
    pub fn new(writers: usize) -> Self {
        Self {
            lines: (0..writers.max(1)).map(|_| Seconds::default()).collect(),
            highest: AtomicU64::new(0),
        }
    }

    /// Counts `events` at `now`.
    pub fn add(&self, events: u32, now: Moment) {
        let writer = Writer::current(self.lines.len());
        let second = now.0 / 1000;
        let cell = &self.lines[writer.index()].0[second as usize % SECONDS_KEPT];
        writer.update(cell, |value| match unpack(value) {
            (tag, count) if tag == second as u32 => {
                pack(second as u32, count.saturating_add(events))
            }
            _ => pack(second as u32, events),
        });
    }

    /// Events over the last second; also remembers the highest rate seen.
    pub fn read(&self, now: Moment) -> u32 {
        let second = now.0 / 1000;
        let current = self.sum(second);
        let previous = second.checked_sub(1).map_or(0, |last| self.sum(last));
        let rate = blend(current, previous, 1000 - now.0 % 1000, 1000);
        self.highest
            .fetch_max(u64::from(current.max(previous)), Relaxed);
        rate
    }

    /// The most events counted in any one second, as far as [`Self::read`] was called at least every other second.
    pub fn highest(&self, now: Moment) -> u32 {
        self.read(now);
        self.highest.load(Relaxed) as u32
    }

    /// Forgets the highest rate (`clear counters`).
    pub fn clear_highest(&self) {
        self.highest.store(0, Relaxed);
    }

    fn sum(&self, second: u64) -> u32 {
        self.lines
            .iter()
            .map(|line| unpack(line.0[second as usize % SECONDS_KEPT].load(Relaxed)))
            .filter(|(tag, _)| *tag == second as u32)
            .fold(0, |total, (_, count)| total.saturating_add(count))
    }
}

/// The counts of the last seconds of one thread: the second in the upper half, its events in the lower.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Seconds([AtomicU64; SECONDS_KEPT]);

/// A window's own events plus the part of the previous window that is still within one period.
///
/// With a single event in the previous window nothing is scaled, so that a slow regular source does not flicker
/// between 0 and 1; HAProxy shows the same.
fn blend(current: u32, previous: u32, remaining: u64, period: u64) -> u32 {
    if current == 0 && previous <= 1 {
        return previous;
    }
    let faded = u128::from(previous) * u128::from(remaining) / u128::from(period.max(1));
    current.saturating_add(u32::try_from(faded).unwrap_or(u32::MAX))
}

const fn pack(second: u32, count: u32) -> u64 {
    (second as u64) << 32 | count as u64
}

const fn unpack(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

const SECONDS_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate_after(events: u32) -> Rate {
        let mut rate = Rate::default();
        for _ in 0..events {
            rate.add(1, 5000, Moment(10_000));
        }
        rate
    }

    #[test]
    fn a_rate_keeps_its_value_for_one_period_and_then_fades() {
        // Values seen on HAProxy 2.6 for five connections and conn_rate(5s).
        let rate = rate_after(5);
        let seen: Vec<u32> = [0, 4_900, 5_070, 6_100, 7_130, 8_150, 9_170, 10_200]
            .map(|elapsed| rate.read(5000, Moment(10_000 + elapsed)))
            .to_vec();
        assert_eq!(seen, [5, 5, 4, 3, 2, 1, 0, 0]);
    }

    #[test]
    fn a_single_event_counts_for_two_whole_periods() {
        let rate = rate_after(1);
        assert_eq!(rate.read(5000, Moment(19_900)), 1);
        assert_eq!(rate.read(5000, Moment(20_000)), 0);
    }

    #[test]
    fn a_rate_that_was_set_fades_from_there() {
        let mut rate = Rate::default();
        rate.set(50, Moment(1_000));
        assert_eq!(rate.read(10_000, Moment(1_000)), 50);
        assert_eq!(rate.read(10_000, Moment(6_000)), 25);
        assert_eq!(rate.read(10_000, Moment(11_000)), 0);
    }

    #[test]
    fn the_rate_of_the_process_is_the_sum_of_its_threads() {
        let rate = SecondRate::new(3);
        std::thread::scope(|scope| {
            for index in 1..=2 {
                let rate = &rate;
                scope.spawn(move || {
                    super::super::shard::enter(index);
                    rate.add(10, Moment(5_000));
                });
            }
        });
        assert_eq!(rate.read(Moment(5_500)), 20);
        assert_eq!(rate.read(Moment(6_500)), 10);
        assert_eq!(rate.highest(Moment(9_000)), 20);
    }

    #[test]
    fn a_count_of_an_earlier_second_never_leaks_into_a_later_one() {
        let rate = SecondRate::new(1);
        rate.add(7, Moment(1_000));
        assert_eq!(
            rate.read(Moment(5_000)),
            0,
            "the cell is shared by seconds 1 and 5"
        );
        rate.add(1, Moment(5_000));
        assert_eq!(rate.read(Moment(5_000)), 1);
    }
}
