//! When a server is up: the automaton behind `rise` and `fall`, and behind `window` and `threshold`.
//!
//! Results of checks go in, changes of side come out. It is pure: it reads no clock, knows no server and logs nothing.

use crate::model::{Check, Window};

/// How many results it takes to change sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Passed checks that bring a server up.
    pub rise: u32,
    /// Failed checks that take it down.
    pub fall: u32,
    /// Instead: passed checks needed among the last ones.
    pub window: Option<Window>,
}

impl Limits {
    /// The limits of a configured check.
    pub fn of(check: &Check) -> Self {
        Self {
            rise: check.rise.max(1),
            fall: check.fall.max(1),
            window: check.window,
        }
    }

    /// The counter from which on a server is up: `rise`, or the window's threshold.
    pub const fn needed(&self) -> u32 {
        match self.window {
            Some(window) => window.threshold as u32,
            None => self.rise,
        }
    }

    /// The counter of a server that is as much up as can be.
    pub const fn highest(&self) -> u32 {
        match self.window {
            Some(window) => window.size as u32,
            None => self.rise + self.fall - 1,
        }
    }

    /// How many steps lie between just up and as much up as can be, the first included.
    pub const fn steps_down(&self) -> u32 {
        self.highest() - self.needed() + 1
    }
}

/// A server that changed sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is up now.
    WentUp,
    /// It is down now.
    WentDown,
}

/// Where a server stands between down and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Between 0 and [`Limits::highest`].
    counter: u32,
    /// The last results, the newest in the lowest bit (window only).
    results: u64,
}

impl Health {
    /// A server nobody checked yet: up, but the first failed check takes it down (manual §5.2 `init-state`).
    pub fn unchecked(limits: &Limits) -> Self {
        let results = limits.window.map_or(0, |window| {
            let oldest = u32::from(window.size - window.threshold);
            ones(window.threshold.into())
                .checked_shl(oldest)
                .unwrap_or(0)
        });
        Self {
            counter: limits.needed(),
            results,
        }
    }

    /// A server at a given counter, as found in the state.
    pub fn at(counter: u32, limits: &Limits) -> Self {
        let counter = counter.min(limits.highest());
        Self {
            counter,
            results: ones(counter),
        }
    }

    /// The counter shown as `check_health`.
    pub const fn counter(&self) -> u32 {
        self.counter
    }

    /// Whether the server is up.
    pub const fn is_up(&self, limits: &Limits) -> bool {
        self.counter >= limits.needed()
    }

    /// Records one result, and tells whether the server just changed sides.
    pub fn record(&mut self, passed: bool, limits: &Limits) -> Option<Change> {
        let was_up = self.is_up(limits);
        match limits.window {
            Some(window) => {
                let mask = ones(window.size.into());
                self.results = (self.results << 1 | u64::from(passed)) & mask;
                self.counter = self.results.count_ones();
            }
            None => self.step(passed, limits),
        }
        debug_assert!(
            self.counter <= limits.highest(),
            "the counter left its range"
        );
        match (was_up, self.is_up(limits)) {
            (false, true) => Some(Change::WentUp),
            (true, false) => Some(Change::WentDown),
            _ => None,
        }
    }

    /// One failed check more would take the server down (`on-error sudden-death`).
    pub fn weaken(&mut self, limits: &Limits) {
        if self.is_up(limits) {
            *self = Self::unchecked(limits);
        }
    }

    /// Puts the server on one side for sure.
    pub fn force(&mut self, up: bool, limits: &Limits) {
        *self = Self::at(if up { limits.highest() } else { 0 }, limits);
    }

    fn step(&mut self, passed: bool, limits: &Limits) {
        self.counter = match (passed, self.is_up(limits)) {
            (true, true) => limits.highest(),
            (true, false) if self.counter + 1 >= limits.rise => limits.highest(),
            (true, false) => self.counter + 1,
            (false, true) if self.counter > limits.rise => self.counter - 1,
            (false, _) => 0,
        };
    }
}

const fn ones(count: u32) -> u64 {
    match count {
        0 => 0,
        64.. => u64::MAX,
        count => (1 << count) - 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Limits = Limits {
        rise: 2,
        fall: 3,
        window: None,
    };

    fn run(limits: Limits, results: &str) -> (String, u32) {
        let mut health = Health::unchecked(&limits);
        let sides = results
            .chars()
            .map(|result| {
                health.record(result == '+', &limits);
                if health.is_up(&limits) { 'u' } else { 'd' }
            })
            .collect();
        (sides, health.counter())
    }

    #[test]
    fn rise_and_fall_count_results_in_a_row() {
        let cases = [
            ("the first failure takes it down", "-", "d", 0),
            ("the first success confirms it", "+", "u", 4),
            ("fall failures in a row", "+---", "uuud", 0),
            ("a success in between starts again", "+--+--", "uuuuuu", 2),
            ("rise successes in a row", "-++", "ddu", 4),
            ("a failure in between starts again", "-+-+", "dddd", 1),
        ];
        for (name, results, sides, counter) in cases {
            assert_eq!(run(PLAIN, results), (sides.to_owned(), counter), "{name}");
        }
    }

    #[test]
    fn a_window_counts_results_in_any_order() {
        let limits = Limits {
            window: Some(Window {
                size: 4,
                threshold: 3,
            }),
            ..PLAIN
        };
        let cases = [
            ("the first failure takes it down", "-", "d"),
            ("one failure among four is borne", "++++-+++-", "uuuuuuuuu"),
            ("two among four are not", "++++-+-", "uuuuuud"),
            (
                "it returns when the threshold is met again",
                "++++--+++",
                "uuuuudddu",
            ),
        ];
        for (name, results, sides) in cases {
            assert_eq!(run(limits, results).0, sides, "{name}");
        }
    }

    #[test]
    fn a_weakened_server_dies_of_the_next_failure() {
        let mut health = Health::unchecked(&PLAIN);
        health.record(true, &PLAIN);
        health.weaken(&PLAIN);
        assert!(health.is_up(&PLAIN));
        assert_eq!(health.record(false, &PLAIN), Some(Change::WentDown));
    }

    proptest! {
        #[test]
        fn changes_are_told_exactly_when_the_side_changes(
            rise in 1u32..6,
            fall in 1u32..6,
            size in 1u8..=64,
            threshold in 1u8..=64,
            windowed: bool,
            results in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let window = windowed.then_some(Window { size, threshold: threshold.min(size) });
            let limits = Limits { rise, fall, window };
            let mut health = Health::unchecked(&limits);
            let mut up = true;
            prop_assert!(health.is_up(&limits));
            for passed in results {
                match health.record(passed, &limits) {
                    Some(Change::WentUp) => { prop_assert!(!up); up = true; }
                    Some(Change::WentDown) => { prop_assert!(up); up = false; }
                    None => {}
                }
                prop_assert_eq!(health.is_up(&limits), up);
                prop_assert!(health.counter() <= limits.highest());
            }
        }
    }
}
