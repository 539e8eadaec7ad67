//! Limits on the bandwidth of streams (manual §9.7).

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
