//! The only place that reads the machine's clocks.
//!
//! [`now`] is the monotonic clock every timer and counter uses; [`wall`] is the calendar time that logs, dates and
//! `If-Modified-Since` need. State machines take time as an argument, so tests give them any time they like.

mod local;

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use local::LocalTime;

/// A moment on the monotonic clock: milliseconds since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `milliseconds` later.
    pub const fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

/// The monotonic clock now.
pub fn now() -> Moment {
    Moment(started().elapsed().as_millis() as u64)
}

/// The monotonic clock now, in microseconds since the process started.
pub fn now_micros() -> u64 {
    started().elapsed().as_micros() as u64
}

/// The calendar time now, as the time since 1970-01-01 00:00 UTC.
pub fn wall() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The process's starting point on the monotonic clock.
pub fn started() -> Instant {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
    *STARTED.get_or_init(Instant::now)
}
