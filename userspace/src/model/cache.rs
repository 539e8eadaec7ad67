//! `cache` sections (manual §6).

use crate::types::Millis;

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The section's name.
    pub name: String,
    /// `total-max-size` in bytes.
    pub total_max_size: u64,
    /// `max-object-size` in bytes; a 256th of the whole by default.
    pub max_object_size: u64,
    /// `max-age`: the longest a response is fresh; 60 s by default.
    pub max_age: Millis,
    /// `process-vary`.
    pub process_vary: bool,
    /// `max-secondary-entries`: variants of one resource; 10 by default.
    pub max_secondary_entries: u32,
    /// `early-hints`.
    pub early_hints: EarlyHints,
    /// `early-hints … ratio`: the share of the cache, in percent, that entries without a body may take.
    pub hints_ratio: u8,
}

/// What is done with the `Link` fields of cached responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyHints {
    /// Nothing.
    #[default]
    Off,
    /// They are sent ahead when the response itself is no longer there.
    On,
    /// Only they are kept.
    Only,
}

/// Bytes of one block, in which sizes are counted.
pub const CACHE_BLOCK: u64 = 1024;
