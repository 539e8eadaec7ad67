//! Limits on the bandwidth of streams (manual §9.7), and how fast request bodies must come.

use crate::expr::Expression;
use crate::types::{Millis, TableId};

/// One `filter bwlim-in` or `filter bwlim-out` line. It does nothing before `set-bandwidth-limit` names it.
#[derive(Clone, Debug)]
pub struct BandwidthFilter {
    /// Its name, unique in the proxy.
    pub name: String,
    /// What it limits.
    pub direction: BandwidthDirection,
    /// Bytes of a period; not 0.
    pub limit: u32,
    /// Who shares them.
    pub share: BandwidthShare,
    /// `min-size`: fewest bytes that are let through at a time, but for the last ones.
    pub min_size: u32,
}

/// Which way limited bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BandwidthDirection {
    /// `bwlim-in`: from the client to the server.
    Upload,
    /// `bwlim-out`: from the server to the client.
    Download,
}

/// Who shares a limit.
#[derive(Clone, Debug)]
pub enum BandwidthShare {
    /// Nobody: each stream has its own.
    Stream {
        /// `default-period`; not 0.
        period: Millis,
    },
    /// All streams with the same key, in equal parts; the period is that of the table's byte rate.
    Key {
        /// `key`.
        key: Expression,
        /// `table`, or the proxy's own.
        table: TableId,
    },
}

/// How fast a request's body must come while nothing but the client holds it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRate {
    /// Bytes per second, at least 1.
    pub bytes: u64,
    /// How long a body may take before the rate counts.
    pub grace: Millis,
}

impl BodyRate {
    /// Milliseconds within which this many more bytes must have come.
    pub const fn allows(self, bytes: u64) -> u64 {
        let time = bytes.saturating_mul(1000) / self.bytes;
        self.grace.0.saturating_add(time)
    }
}
