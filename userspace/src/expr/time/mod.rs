//! Dates as text: HTTP dates, `strftime` formats, the log's formats, in UTC or local time.
//!
//! Input is a time since 1970; nothing here reads the clock. Local time comes from the system's zone files, read once.

mod format;
mod zone;

pub use format::{Civil, http_date, parse_http_date};
pub use zone::local_offset;

/// The unit a date is given in (`date(0,ms)`, `http_date(0,us)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Millis,
    Micros,
}

impl Unit {
    /// The unit for `s`, `ms` or `us`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "s" => Self::Seconds,
            "ms" => Self::Millis,
            "us" => Self::Micros,
            _ => return None,
        })
    }

    pub(super) fn unknown(word: &str) -> String {
        format!("expects 's', 'ms' or 'us', got '{word}'")
    }

    /// How many of the unit a second has.
    #[must_use]
    pub fn per_second(self) -> i64 {
        match self {
            Self::Seconds => 1,
            Self::Millis => 1000,
            Self::Micros => 1_000_000,
        }
    }

    /// A number of microseconds in this unit.
    #[must_use]
    pub fn from_micros(self, micros: i64) -> i64 {
        micros.div_euclid(1_000_000 / self.per_second())
    }
}
