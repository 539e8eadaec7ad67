//! The clocks of one request, from which the timers of manual §8.4 are computed.
//!
//! The session notes moments as they pass; readers ask for a timer by name and get milliseconds, or
//! nothing where the event did not happen (logged as -1). No clock is read here.

use std::time::Duration;

use crate::clock::Moment;

/// The moments of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// The connection's acceptance, or the end of the previous response.
    pub start: Moment,
    /// When the connection was accepted, as calendar time.
    pub accept_date: Duration,
    /// What the handshakes below HTTP took; zero for all but the first request.
    pub handshake: u64,
    /// The first byte of the request, and the same as calendar time.
    pub first_byte: Option<Moment>,
    pub request_date: Duration,
    /// The request's head is complete.
    pub head: Option<Moment>,
    /// The request left the queue, or never had to enter it.
    pub dequeued: Option<Moment>,
    /// The connection to the server stands.
    pub connected: Option<Moment>,
    /// The response's head is complete.
    pub response: Option<Moment>,
    /// The last byte was sent.
    pub end: Option<Moment>,
    /// When a tarpit or a queue that was not passed began to hold the request.
    pub held: Option<Moment>,
}

impl Timeline {
    /// `Ti`: from the end of the handshakes to the first byte.
    pub fn idle(&self) -> Option<u64> {
        Some(
            self.first_byte?
                .since(self.start)
                .saturating_sub(self.handshake),
        )
    }

    /// `TR`: from the first byte to the end of the head.
    pub fn request(&self) -> Option<u64> {
        Some(self.head?.since(self.first_byte?))
    }

    /// `Tq`: `Th` + `Ti` + `TR`.
    pub fn whole_request(&self) -> Option<u64> {
        Some(self.handshake + self.idle()? + self.request()?)
    }

    /// `Tw`: the time in queues, also when the request never came out of them.
    pub fn queue(&self) -> Option<u64> {
        match (self.dequeued, self.held) {
            (Some(dequeued), _) => Some(dequeued.since(self.head?)),
            (None, Some(held)) => Some(self.end?.since(held)),
            (None, None) => None,
        }
    }

    /// `Tc`: making the connection, retries included.
    pub fn connect(&self) -> Option<u64> {
        Some(self.connected?.since(self.dequeued?))
    }

    /// `Tr`: from the connection to the response's head.
    pub fn response(&self) -> Option<u64> {
        Some(self.response?.since(self.connected?))
    }

    /// `Td`: from the response's head to its last byte. Needs the end, or `now` for a request that
    /// is still running.
    pub fn data(&self, now: Moment) -> Option<u64> {
        Some(self.end.unwrap_or(now).since(self.response?))
    }

    /// `Ta`: from the first byte (or the start, if there was none) to the end.
    pub fn active(&self, now: Moment) -> u64 {
        self.end
            .unwrap_or(now)
            .since(self.first_byte.unwrap_or(self.start))
    }

    /// `Tt`: `Th` + `Ti` + `Ta`.
    pub fn total(&self, now: Moment) -> u64 {
        self.end.unwrap_or(now).since(self.start)
    }

    /// `Tu`: `Tt` without the idle time.
    pub fn user(&self, now: Moment) -> u64 {
        self.handshake + self.active(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Timeline {
        Timeline {
            start: Moment(100),
            handshake: 5,
            first_byte: Some(Moment(110)),
            head: Some(Moment(120)),
            dequeued: Some(Moment(150)),
            connected: Some(Moment(157)),
            response: Some(Moment(170)),
            end: Some(Moment(200)),
            ..Timeline::default()
        }
    }

    #[test]
    fn the_timers_of_a_complete_request_add_up() {
        let line = whole();
        let now = Moment(999);
        assert_eq!(line.idle(), Some(5));
        assert_eq!(line.request(), Some(10));
        assert_eq!(line.whole_request(), Some(20));
        assert_eq!(line.queue(), Some(30));
        assert_eq!(line.connect(), Some(7));
        assert_eq!(line.response(), Some(13));
        assert_eq!(line.data(now), Some(30));
        assert_eq!(line.active(now), 90);
        assert_eq!(line.total(now), 100);
        assert_eq!(line.user(now), 95);
    }

    #[test]
    fn what_did_not_happen_has_no_timer() {
        let line = Timeline {
            start: Moment(100),
            end: Some(Moment(140)),
            ..Timeline::default()
        };
        assert_eq!(
            (line.idle(), line.request(), line.queue()),
            (None, None, None)
        );
        assert_eq!((line.connect(), line.response()), (None, None));
        assert_eq!(line.active(Moment(999)), 40);
    }

    #[test]
    fn a_request_that_never_left_the_queue_shows_how_long_it_was_there() {
        let line = Timeline {
            dequeued: None,
            connected: None,
            response: None,
            held: Some(Moment(121)),
            ..whole()
        };
        assert_eq!(line.queue(), Some(79));
        assert_eq!(line.connect(), None);
    }
}
