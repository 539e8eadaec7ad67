//! The only place that reads the machine's clocks.
//!
//! [`now`] is the monotonic clock every timer and counter uses; [`wall`] is the calendar time that logs, dates and
//! `If-Modified-Since` need. State machines take time as an argument, so tests give them any time they like.

mod local;

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use local::LocalTime;

/// A moment on the monotonic clock, in milliseconds. The count begins long before the process does, so that what another
/// process saw last week (a reload hands it on) has its moment too.
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

/// The monotonic clock now, in microseconds.
pub fn now_micros() -> u64 {
    started().elapsed().as_micros() as u64
}

/// The calendar time now, as the time since 1970-01-01 00:00 UTC.
pub fn wall() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The instant of [`Moment`] zero.
pub fn started() -> Instant {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    *STARTED.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
        let now = Instant::now();
        now.checked_sub(BEFORE_THE_PROCESS).unwrap_or(now)
    })
}

/// Longer than the 24 days a configured time can be.
const BEFORE_THE_PROCESS: Duration = Duration::from_secs(30 * 86_400);
