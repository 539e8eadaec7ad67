//! Live state of proxies and listeners: sessions, rates, queues and counters of both sides.
//!
//! Sessions write it, the stats page and the fetches of manual §7.3.2 read it. It does not know servers: whether a backend
//! is up is told to it by [`super::State::server_changed`].

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::counters::{Counters, Gauge};
use super::freq::SecondRate;
use super::server::{NEVER, age_of, touch};
use crate::clock::Moment;

/// One proxy's live state; the side a proxy does not have stays at zero.
#[derive(Debug)]
pub struct ProxyState {
    /// Its name.
    pub name: String,
    /// What clients see.
    pub frontend: FrontendState,
    /// What servers see.
    pub backend: BackendState,
}

impl ProxyState {
    pub(super) fn new(name: &str, maxconn: u32, writers: usize, now: Moment) -> Self {
        Self {
            name: name.to_owned(),
            frontend: FrontendState {
                current: Gauge::default(),
                counters: Counters::new(writers),
                connection_rate: SecondRate::new(writers),
                session_rate: SecondRate::new(writers),
                request_rate: SecondRate::new(writers),
                maxconn: AtomicU32::new(maxconn),
                status: AtomicU8::new(FrontendStatus::Open as u8),
            },
            backend: BackendState {
                current: Gauge::default(),
                queue: Gauge::default(),
                counters: Counters::new(writers),
                rate: SecondRate::new(writers),
                up: AtomicU8::new(1),
                published: AtomicBool::new(true),
                last_change: AtomicU64::new(now.0),
                last_session: AtomicU64::new(NEVER),
                down_milliseconds: AtomicU64::new(0),
            },
        }
    }

    /// Reads every rate, which keeps their highest values exact.
    pub(super) fn read_rates(&self, now: Moment) {
        let front = &self.frontend;
        for rate in [
            &front.connection_rate,
            &front.session_rate,
            &front.request_rate,
        ] {
            rate.read(now);
        }
        self.backend.rate.read(now);
    }

    /// Forgets maxima (`clear counters`).
    pub fn clear_maxima(&self) {
        self.frontend.current.clear_highest();
        self.frontend.counters.clear_timings();
        self.frontend.connection_rate.clear_highest();
        self.frontend.session_rate.clear_highest();
        self.frontend.request_rate.clear_highest();
        self.backend.current.clear_highest();
        self.backend.queue.clear_highest();
        self.backend.counters.clear_timings();
        self.backend.rate.clear_highest();
    }

    /// Forgets everything counted (`clear counters all`).
    pub fn clear(&self) {
        self.clear_maxima();
        self.frontend.counters.clear();
        self.backend.counters.clear();
        self.backend.down_milliseconds.store(0, Relaxed);
    }
}

/// Whether a frontend takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrontendStatus {
    /// It does.
    Open = 0,
    /// `disable frontend`: its listeners are closed and may be opened again.
    Paused = 1,
    /// `shutdown frontend`, or the configuration is being left: closed for good.
    Stopped = 2,
}

/// The frontend side of a proxy.
#[derive(Debug)]
pub struct FrontendState {
    /// Client connections now.
    pub current: Gauge,
    /// What happened.
    pub counters: Counters,
    /// Connections per second.
    pub connection_rate: SecondRate,
    /// Sessions per second.
    pub session_rate: SecondRate,
    /// HTTP requests per second.
    pub request_rate: SecondRate,
    maxconn: AtomicU32,
    status: AtomicU8,
}

impl FrontendState {
    /// The most client connections at once.
    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Relaxed)
    }

    /// Changes the limit (`set maxconn frontend`).
    pub fn set_maxconn(&self, limit: u32) {
        self.maxconn.store(limit, Relaxed);
    }

    /// Whether it takes connections.
    pub fn status(&self) -> FrontendStatus {
        match self.status.load(Relaxed) {
            0 => FrontendStatus::Open,
            1 => FrontendStatus::Paused,
            _ => FrontendStatus::Stopped,
        }
    }

    /// Changes whether it takes connections; the listeners follow through [`super::State::listener_events`].
    pub fn set_status(&self, status: FrontendStatus) {
        self.status.store(status as u8, Relaxed);
    }
}

/// The backend side of a proxy.
#[derive(Debug)]
pub struct BackendState {
    /// Sessions (HTTP: requests) now.
    pub current: Gauge,
    /// Sessions waiting for any server.
    pub queue: Gauge,
    /// What happened.
    pub counters: Counters,
    /// Sessions per second.
    pub rate: SecondRate,
    up: AtomicU8,
    published: AtomicBool,
    last_change: AtomicU64,
    last_session: AtomicU64,
    down_milliseconds: AtomicU64,
}

impl BackendState {
    /// Whether some server can take traffic, or there is none to begin with.
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed) == 1
    }

    /// Records whether it is up; true when that changed.
    pub(super) fn set_up(&self, up: bool, now: Moment) -> bool {
        if self.up.swap(u8::from(up), Relaxed) == u8::from(up) {
            return false;
        }
        let since = self.last_change.swap(now.0, Relaxed);
        if up {
            self.down_milliseconds
                .fetch_add(now.since(Moment(since)), Relaxed);
        }
        true
    }

    /// Whether `use_backend` and `default_backend` may choose it.
    pub fn is_published(&self) -> bool {
        self.published.load(Relaxed)
    }

    /// Changes that (`publish backend`, `unpublish backend`).
    pub fn set_published(&self, published: bool) {
        self.published.store(published, Relaxed);
    }

    /// When it last went up or down.
    pub fn last_change(&self) -> Moment {
        Moment(self.last_change.load(Relaxed))
    }

    /// Seconds since it last got a session; `None` = never.
    pub fn last_session_age(&self, now: Moment) -> Option<u64> {
        age_of(&self.last_session, now)
    }

    /// Remembers that it got a session.
    pub fn touch_session(&self, now: Moment) {
        touch(&self.last_session, now);
    }

    /// Milliseconds it was down so far.
    pub fn downtime(&self, now: Moment) -> u64 {
        let past = self.down_milliseconds.load(Relaxed);
        if self.is_up() {
            past
        } else {
            past + now.since(self.last_change())
        }
    }
}

/// One listening address's live state.
#[derive(Debug)]
pub struct ListenerState {
    /// Connections now.
    pub current: Gauge,
    /// What happened.
    pub counters: Counters,
}

impl ListenerState {
    pub(super) fn new(writers: usize) -> Self {
        Self {
            current: Gauge::default(),
            counters: Counters::new(writers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_counts_the_time_it_was_down() {
        let proxy = ProxyState::new("be", 10, 1, Moment(0));
        assert!(proxy.backend.set_up(false, Moment(1_000)));
        assert!(!proxy.backend.set_up(false, Moment(2_000)));
        assert_eq!(proxy.backend.downtime(Moment(3_000)), 2_000);
        assert!(proxy.backend.set_up(true, Moment(4_000)));
        assert_eq!(proxy.backend.downtime(Moment(9_000)), 3_000);
    }

    #[test]
    fn the_last_session_is_remembered_by_the_second() {
        let proxy = ProxyState::new("be", 10, 1, Moment(0));
        assert_eq!(proxy.backend.last_session_age(Moment(500)), None);
        proxy.backend.touch_session(Moment(5_400));
        assert_eq!(proxy.backend.last_session_age(Moment(8_100)), Some(3));
    }
}
