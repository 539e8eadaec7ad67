//! Caches: responses kept in memory, shared by all threads (manual §6).
//!
//! A [`Cache`] finds entries by key and variant, makes room by letting go the oldest, and never holds more than its
//! configured size, what is still being received included. Bodies are shared, not copied: the lock is held for a lookup or
//! an insertion, never while bytes move. What may be stored, and for how long, is decided by the session.

mod entry;
mod index;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;

pub use entry::{Accepts, Encodings, Entry, Selecting, Vary};
use index::Index;

use crate::clock::Moment;
use crate::model::{CACHE_BLOCK, Cache as Settings, EarlyHints};

/// One cache and what is in it.
#[derive(Debug)]
pub struct Cache {
    settings: Arc<Settings>,
    index: Mutex<Index>,
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A response that may be given to the client.
    Fresh(Arc<Entry>),
    /// Only links a client may fetch ahead.
    Hints(Arc<Entry>),
    Nothing,
}

/// An entry as `show cache` shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub entry: Arc<Entry>,
    /// Sessions that are being given it.
    pub users: usize,
}

/// Room for a response that is being received. Dropping it gives the room back.
#[derive(Debug)]
pub struct Reservation {
    cache: Arc<Cache>,
    blocks: u64,
}

impl Cache {
    pub(super) fn new(settings: &Arc<Settings>) -> Arc<Self> {
        let total = settings.total_max_size / CACHE_BLOCK;
        let hints = match settings.early_hints {
            EarlyHints::Off => 0,
            EarlyHints::On => total * u64::from(settings.hints_ratio) / 100,
            EarlyHints::Only => total,
        };
        Arc::new(Self {
            settings: Arc::clone(settings),
            index: Mutex::new(Index::new(total, hints)),
        })
    }

    /// How it was configured.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Looks a response up.
    pub fn lookup(&self, key: &[u8], selecting: &Selecting, now: Moment) -> Found {
        self.index.lock().lookup(key, selecting, now)
    }

    /// Whether another variant of a resource may be kept.
    pub fn has_room_for_variant(&self, key: &[u8], now: Moment) -> bool {
        let variants = self.index.lock().variants(key, now);
        variants < self.settings.max_secondary_entries as usize
    }

    /// Makes room for a response; `None` when it cannot be made.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let blocks = bytes.div_ceil(CACHE_BLOCK).max(1);
        self.index.lock().take(blocks).then(|| Reservation {
            cache: Arc::clone(self),
            blocks,
        })
    }

    /// Removes every variant of a resource.
    pub fn forget(&self, key: &[u8]) {
        self.index.lock().forget(key);
    }

    /// Blocks that are free, and every entry.
    pub fn show(&self) -> (u64, Vec<Shown>) {
        self.index.lock().show()
    }
}

impl Reservation {
    /// Makes more room; false when it cannot be made.
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.div_ceil(CACHE_BLOCK).saturating_sub(self.blocks);
        if more > 0 && !self.cache.index.lock().take(more) {
            return false;
        }
        self.blocks += more;
        true
    }

    /// Puts the response in, in place of what it replaces.
    pub fn insert(mut self, entry: Entry) {
        let needed = entry.blocks();
        if self.grow_to(needed * CACHE_BLOCK) {
            let mut index = self.cache.index.lock();
            index.insert(entry);
            index.give_back(self.blocks - needed);
            drop(index);
            self.blocks = 0;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.cache.index.lock().give_back(self.blocks);
    }
}
