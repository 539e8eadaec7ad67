//! The only place that reads the machine's clocks.
//!
//! [`now`] is the monotonic clock every timer and counter uses; [`wall`] is the calendar time that logs, dates and
//! `If-Modified-Since` need. State machines take time as an argument, so tests give them any time they like.

mod local;

use std::cell::Cell;
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
    Moment(elapsed() / 1_000_000)
}

/// The monotonic clock now, in microseconds.
pub fn now_micros() -> u64 {
    elapsed() / 1000
}

/// The calendar time now, as the time since 1970-01-01 00:00 UTC.
pub fn wall() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Nanoseconds from 1970 to the zero of the system's monotonic clock, by which the kernel stamps what it shows.
pub fn epoch() -> u64 {
    (wall().as_nanos() as u64).saturating_sub(raw() as u64)
}

/// While it lives, [`now`] stands still on its thread: a piece of work that does not wait takes no time worth measuring,
/// and reads the clock some twenty times.
#[must_use]
pub struct Hold(u64);

/// Lets [`now`] stand still on this thread.
pub fn hold() -> Hold {
    let now = (raw() - zero().1) as u64;
    Hold(HELD.replace(now))
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.set(self.0);
    }
}

/// The instant of [`Moment`] zero.
pub fn started() -> Instant {
    zero().0
}

/// Nanoseconds since [`Moment`] zero: the clock of [`Instant`] without its arithmetic, which took 4 % of a request's
/// instructions.
fn elapsed() -> u64 {
    match HELD.get() {
        0 => (raw() - zero().1) as u64,
        held => held,
    }
}

thread_local! {
    /// Where the clock stands still; 0 while it runs.
    static HELD: Cell<u64> = const { Cell::new(0) };
}

/// [`Moment`] zero, as an instant and as nanoseconds of the same clock.
fn zero() -> (Instant, i64) {
    static ZERO: OnceLock<(Instant, i64)> = OnceLock::new();
    *ZERO.get_or_init(|| {
        // In this order a moment is never behind its instant, so that a timer that fired is over.
        let raw = raw();
        #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
        let now = Instant::now();
        match now.checked_sub(BEFORE_THE_PROCESS) {
            Some(zero) => (zero, raw - BEFORE_THE_PROCESS.as_nanos() as i64),
            None => (now, raw),
        }
    })
}

/// The monotonic clock of the system, in nanoseconds.
fn raw() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Longer than the 24 days a configured time can be.
const BEFORE_THE_PROCESS: Duration = Duration::from_secs(30 * 86_400);
