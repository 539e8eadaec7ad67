//! When checks run and how long they may take (manual §5.2 `inter`, §3.2 `spread-checks`, §4.2 `timeout check`).
//!
//! Pure arithmetic on a check's settings; random numbers are arguments.

use super::automaton::{Health, Limits};
use crate::model::Check;
use crate::types::Millis;

/// The time from the start of one check to the start of the next, before any spread.
pub(super) fn interval(check: &Check, health: Health, limits: &Limits, checked: bool) -> Millis {
    let settled = checked && [0, limits.highest()].contains(&health.counter());
    match (settled, health.is_up(limits)) {
        (false, _) => check.fast_inter.unwrap_or(check.inter),
        (true, true) => check.inter,
        (true, false) => check.down_inter.unwrap_or(check.inter),
    }
}

/// An interval made longer or shorter by up to `percent`; `random` is any number.
pub(super) fn spread(interval: Millis, percent: u8, random: u64) -> Millis {
    let most = interval.0 * u64::from(percent.min(50)) / 100;
    if most == 0 {
        return interval;
    }
    Millis(interval.0 - most + random % (2 * most + 1))
}

/// How long after the start of the process check number `position` of `count` runs first: checks are spread over the
/// shortest interval, so that servers on one machine are not all met at once.
pub(super) fn first(position: usize, count: usize, shortest: Millis) -> Millis {
    Millis(shortest.0 * position as u64 / count.max(1) as u64)
}

/// The limits of one check: until connected, and from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadlines {
    /// From the start to the established connection.
    pub(super) connect: Millis,
    /// From the established connection to the end; `None` = what is left of `connect`.
    pub(super) read: Option<Millis>,
}

impl Deadlines {
    /// The limits of a configured check.
    pub(super) fn of(check: &Check) -> Self {
        match check.timeout {
            Some(read) => Self {
                connect: check
                    .connect_timeout
                    .map_or(check.inter, |time| time.min(check.inter)),
                read: Some(read),
            },
            None => Self {
                connect: check.inter,
                read: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CheckSteps;

    fn check() -> Check {
        Check {
            address: None,
            port: None,
            inter: Millis(2000),
            fast_inter: Some(Millis(500)),
            down_inter: Some(Millis(9000)),
            timeout: None,
            connect_timeout: Some(Millis(300)),
            rise: 2,
            fall: 3,
            window: None,
            send_proxy: false,
            via_socks4: false,
            tls: None,
            steps: CheckSteps::Connect,
            log_all: false,
        }
    }

    #[test]
    fn the_interval_follows_the_servers_state() {
        let limits = Limits {
            rise: 2,
            fall: 3,
            window: None,
        };
        let at = |counter| Health::at(counter, &limits);
        let cases = [
            ("not yet checked", Health::unchecked(&limits), false, 500),
            ("surely up", at(4), true, 2000),
            ("going down", at(3), true, 500),
            ("surely down", at(0), true, 9000),
            ("going up", at(1), true, 500),
        ];
        for (name, health, checked, expected) in cases {
            assert_eq!(
                interval(&check(), health, &limits, checked),
                Millis(expected),
                "{name}"
            );
        }
        let plain = Check {
            fast_inter: None,
            down_inter: None,
            ..check()
        };
        assert_eq!(interval(&plain, at(0), &limits, true), Millis(2000));
        assert_eq!(interval(&plain, at(1), &limits, true), Millis(2000));
    }

    #[test]
    fn spread_stays_within_its_percentage() {
        assert_eq!(spread(Millis(1000), 0, 77), Millis(1000));
        assert_eq!(spread(Millis(1000), 10, 0), Millis(900));
        assert_eq!(spread(Millis(1000), 10, 200), Millis(1100));
        assert_eq!(spread(Millis(1000), 10, 201), Millis(900));
    }

    #[test]
    fn first_checks_are_spread_over_the_shortest_interval() {
        let starts: Vec<_> = (0..4).map(|at| first(at, 4, Millis(1000)).0).collect();
        assert_eq!(starts, [0, 250, 500, 750]);
    }

    #[test]
    fn without_timeout_check_everything_fits_in_the_interval() {
        let whole = Deadlines {
            connect: Millis(2000),
            read: None,
        };
        assert_eq!(Deadlines::of(&check()), whole);
        let split = Deadlines {
            connect: Millis(300),
            read: Some(Millis(10_000)),
        };
        assert_eq!(
            Deadlines::of(&Check {
                timeout: Some(Millis(10_000)),
                ..check()
            }),
            split
        );
    }
}
