//! Which entries there are, by key and by age, and how much room they take.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;

use super::{Entry, Found, Selecting, Shown};
use crate::clock::Moment;

/// The entries of a cache.
#[derive(Debug)]
pub(super) struct Index {
    entries: Slab<Stored>,
    /// Variants of each resource. Keys come from clients: the hash is the standard library's.
    by_key: HashMap<Box<[u8]>, SmallVec<[usize; 1]>>,
    /// Whole responses, the one not used for the longest time first.
    full: BTreeMap<u64, usize>,
    /// Entries of which only the hints are left, the oldest first.
    hints: BTreeMap<u64, usize>,
    sequence: u64,
    total: u64,
    /// Blocks of entries and reservations.
    used: u64,
    most_hint_blocks: u64,
    hint_blocks: u64,
}

#[derive(Debug)]
struct Stored {
    entry: Arc<Entry>,
    sequence: u64,
}

impl Index {
    pub(super) fn new(total: u64, most_hint_blocks: u64) -> Self {
        Self {
            entries: Slab::new(),
            by_key: HashMap::new(),
            full: BTreeMap::new(),
            hints: BTreeMap::new(),
            sequence: 0,
            total,
            used: 0,
            most_hint_blocks,
            hint_blocks: 0,
        }
    }

    pub(super) fn lookup(&mut self, key: &[u8], selecting: &Selecting, now: Moment) -> Found {
        let Some(variants) = self.by_key.get(key) else {
            return Found::Nothing;
        };
        let suits = |at: &&usize| {
            let entry = &self.entries[**at].entry;
            entry.vary.as_ref().is_none_or(|vary| vary.suits(selecting))
        };
        let fresh = |at: &&usize| self.entries[**at].entry.is_fresh(now);
        let found = variants.iter().filter(suits).find(fresh).copied();
        if let Some(at) = found {
            self.touch(at);
            return Found::Fresh(Arc::clone(&self.entries[at].entry));
        }
        let hints = variants.iter().filter(suits);
        let hints = hints
            .map(|at| &self.entries[*at].entry)
            .find(|entry| !entry.hints.is_empty());
        hints.map_or(Found::Nothing, |entry| Found::Hints(Arc::clone(entry)))
    }

    /// How many variants of a resource are fresh.
    pub(super) fn variants(&self, key: &[u8], now: Moment) -> usize {
        let variants = self.by_key.get(key).into_iter().flatten();
        variants
            .filter(|at| self.entries[**at].entry.is_fresh(now))
            .count()
    }

    /// Takes blocks for a response, letting others go; false when there is no room for it.
    pub(super) fn take(&mut self, blocks: u64) -> bool {
        while self.used + blocks > self.total {
            if !self.make_room() {
                return false;
            }
        }
        self.used += blocks;
        true
    }

    pub(super) fn give_back(&mut self, blocks: u64) {
        self.used -= blocks;
    }

    /// Puts an entry in whose blocks were taken already. What it replaces goes.
    pub(super) fn insert(&mut self, entry: Entry) {
        let variants = self.by_key.get(&entry.key).cloned().unwrap_or_default();
        for at in variants {
            if replaces(&entry, &self.entries[at].entry) {
                self.remove(at);
            }
        }
        self.sequence += 1;
        let (sequence, key) = (self.sequence, entry.key.clone());
        if entry.hints_only {
            self.hint_blocks += entry.blocks();
        }
        let order = match entry.hints_only {
            true => &mut self.hints,
            false => &mut self.full,
        };
        let at = self.entries.insert(Stored {
            entry: Arc::new(entry),
            sequence,
        });
        order.insert(sequence, at);
        self.by_key.entry(key).or_default().push(at);
    }

    pub(super) fn forget(&mut self, key: &[u8]) {
        for at in self.by_key.get(key).cloned().unwrap_or_default() {
            self.remove(at);
        }
    }

    pub(super) fn show(&self) -> (u64, Vec<Shown>) {
        let ordered = self.full.values().chain(self.hints.values());
        let shown = ordered.map(|at| {
            let entry = &self.entries[*at].entry;
            Shown {
                users: Arc::strong_count(entry) - 1,
                entry: Arc::clone(entry),
            }
        });
        (self.total - self.used, shown.collect())
    }

    /// Lets the oldest response go that nobody is being given; its hints stay where they may.
    /// Without such a response, the oldest hints go. False when nothing can.
    fn make_room(&mut self) -> bool {
        let idle = |at: &&usize| Arc::strong_count(&self.entries[**at].entry) == 1;
        let Some(oldest) = self.full.values().find(idle).copied() else {
            return self.drop_hints();
        };
        let stripped = self.entries[oldest].entry.stripped();
        let blocks = stripped.blocks();
        let worth = !stripped.hints.is_empty()
            && blocks < self.entries[oldest].entry.blocks()
            && blocks <= self.most_hint_blocks;
        if worth {
            while self.hint_blocks + blocks > self.most_hint_blocks && self.drop_hints() {}
        }
        self.remove(oldest);
        if worth && self.hint_blocks + blocks <= self.most_hint_blocks {
            self.used += blocks;
            self.insert(stripped);
        }
        true
    }

    fn drop_hints(&mut self) -> bool {
        let oldest = self.hints.values().next().copied();
        oldest.inspect(|at| self.remove(*at)).is_some()
    }

    fn remove(&mut self, at: usize) {
        let stored = self.entries.remove(at);
        let blocks = stored.entry.blocks();
        self.used -= blocks;
        if stored.entry.hints_only {
            self.hint_blocks -= blocks;
            self.hints.remove(&stored.sequence);
        } else {
            self.full.remove(&stored.sequence);
        }
        if let Some(variants) = self.by_key.get_mut(&stored.entry.key) {
            variants.retain(|variant| *variant != at);
            if variants.is_empty() {
                self.by_key.remove(&stored.entry.key);
            }
        }
    }

    fn touch(&mut self, at: usize) {
        self.sequence += 1;
        let stored = &mut self.entries[at];
        self.full.remove(&stored.sequence);
        stored.sequence = self.sequence;
        self.full.insert(self.sequence, at);
    }
}

/// Whether a new entry takes the place of another of the same resource.
fn replaces(new: &Entry, old: &Entry) -> bool {
    match (&new.vary, &old.vary) {
        (Some(new), Some(old)) => new == old,
        // A resource that varies no more, or only now, is another one.
        _ => true,
    }
}
