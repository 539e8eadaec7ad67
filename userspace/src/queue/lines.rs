//! The waiting lines of one backend as a plain data structure: one line per server and one for the backend.
//!
//! Sessions are put in and taken out; order is priority class, then time of arrival shifted by the priority offset, then
//! arrival (manual §4.4 `set-priority-class`, `set-priority-offset`). Nothing here waits or wakes anybody.

use std::collections::BTreeMap;

/// The lines of a backend; servers may be added to it.
#[derive(Debug)]
pub(super) struct Lines<T> {
    backend: Line<T>,
    servers: Vec<Line<T>>,
    next: u64,
}

type Line<T> = BTreeMap<Rank, T>;

/// Which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Any server of the backend will do.
    Backend,
    /// Only that server, by position in its backend.
    Server(usize),
}

/// A session's urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    /// `set-priority-class`: lower is served first, whatever the time of arrival.
    pub class: i16,
    /// `set-priority-offset`: milliseconds added to the time of arrival.
    pub offset: i32,
}

/// A place in a line; smaller is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    class: i16,
    due: i64,
    arrival: u64,
}

impl<T> Lines<T> {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            backend: Line::new(),
            servers: (0..servers).map(|_| Line::new()).collect(),
            next: 0,
        }
    }

    /// Puts a session in a line; the rank finds it again.
    pub(super) fn join(&mut self, which: Which, priority: Priority, now: u64, waiter: T) -> Rank {
        let rank = Rank {
            class: priority.class,
            due: now as i64 + i64::from(priority.offset),
            arrival: self.next,
        };
        self.next += 1;
        self.line(which).insert(rank, waiter);
        rank
    }

    /// Takes a session out again; `None` if it was served already.
    pub(super) fn leave(&mut self, which: Which, rank: Rank) -> Option<T> {
        self.line(which).remove(&rank)
    }

    /// How many wait in a line.
    pub(super) fn waiting(&self, which: Which) -> usize {
        match which {
            Which::Backend => self.backend.len(),
            Which::Server(server) => self.servers.get(server).map_or(0, BTreeMap::len),
        }
    }

    /// The session to be served next by a server: the more urgent of the heads of its own line and, if it may take
    /// new sessions, of the backend's.
    pub(super) fn next_for(&self, server: usize, takes_new: bool) -> Option<(Which, Rank)> {
        let own = self
            .servers
            .get(server)
            .and_then(|line| line.keys().next())
            .map(|rank| (Which::Server(server), *rank));
        let shared = self
            .backend
            .keys()
            .next()
            .map(|rank| (Which::Backend, *rank));
        own.into_iter()
            .chain(shared.filter(|_| takes_new))
            .min_by_key(|(_, rank)| *rank)
    }

    /// Takes everybody out of a line.
    pub(super) fn drain(&mut self, which: Which) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(self.line(which)).into_values()
    }

    fn line(&mut self, which: Which) -> &mut Line<T> {
        match which {
            Which::Backend => &mut self.backend,
            Which::Server(server) => {
                if server >= self.servers.len() {
                    self.servers.resize_with(server + 1, Line::new);
                }
                &mut self.servers[server]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_come_is_the_first_to_be_served() {
        let mut lines = Lines::new(1);
        for (now, name) in ["a", "b", "c"].iter().enumerate() {
            lines.join(Which::Backend, Priority::default(), now as u64, *name);
        }
        assert_eq!(served(&mut lines, 0), ["a", "b", "c"]);
    }

    #[test]
    fn a_server_serves_its_own_line_and_the_backends_by_age() {
        let mut lines = Lines::new(2);
        lines.join(Which::Server(0), Priority::default(), 10, "own, early");
        lines.join(Which::Backend, Priority::default(), 20, "any");
        lines.join(Which::Server(0), Priority::default(), 30, "own, late");
        lines.join(Which::Server(1), Priority::default(), 5, "other");
        assert_eq!(served(&mut lines, 0), ["own, early", "any", "own, late"]);
        assert_eq!(lines.waiting(Which::Server(1)), 1);
    }

    #[test]
    fn a_server_that_takes_no_new_sessions_serves_its_own_line_only() {
        let mut lines = Lines::new(1);
        lines.join(Which::Backend, Priority::default(), 0, "any");
        assert_eq!(lines.next_for(0, false), None);
    }

    #[test]
    fn a_lower_class_and_a_negative_offset_overtake() {
        let mut lines = Lines::new(1);
        lines.join(Which::Backend, Priority::default(), 100, "plain");
        lines.join(
            Which::Backend,
            Priority {
                class: 0,
                offset: -50,
            },
            120,
            "offset",
        );
        lines.join(
            Which::Backend,
            Priority {
                class: -1,
                offset: 0,
            },
            500,
            "class",
        );
        lines.join(
            Which::Backend,
            Priority {
                class: 1,
                offset: -900,
            },
            0,
            "last",
        );
        assert_eq!(served(&mut lines, 0), ["class", "offset", "plain", "last"]);
    }

    #[test]
    fn who_leaves_is_not_served() {
        let mut lines = Lines::new(1);
        let rank = lines.join(Which::Server(0), Priority::default(), 0, "gone");
        assert_eq!(lines.leave(Which::Server(0), rank), Some("gone"));
        assert_eq!(lines.leave(Which::Server(0), rank), None);
        assert_eq!(lines.next_for(0, true), None);
    }

    fn served<'a>(lines: &mut Lines<&'a str>, server: usize) -> Vec<&'a str> {
        std::iter::from_fn(|| {
            let (which, rank) = lines.next_for(server, true)?;
            lines.leave(which, rank)
        })
        .collect()
    }
}
