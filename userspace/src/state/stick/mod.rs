//! Stick tables: what is remembered about clients (manual §11).
//!
//! Keys come from samples ([`StickKey`]), data from sessions that track an entry, from `stick` rules and from the Runtime
//! API; fetches ask through [`StickTable::ask`] and [`Tracked::ask`]. A table never holds more than its `size`: the entries
//! untouched for longest make room, but for those in use. It does not talk to peers.

mod entry;
mod layout;
mod memory;
mod shard;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

pub use entry::{Entry, StickEvent};
pub use layout::{Kind, Layout, Slot};
use shard::Shard;

use crate::clock::{self, Moment};
use crate::expr::{Sample, StickAnswer, StickKey, StickOperation, StickType};
use crate::model::{Table, TableKeyType};

/// One table.
#[derive(Debug)]
pub struct StickTable {
    /// Its name.
    pub name: String,
    /// The type of its keys.
    pub key: StickType,
    layout: Arc<Layout>,
    size: AtomicU32,
    /// Milliseconds an untouched entry lives; 0 = for ever.
    expire: AtomicU64,
    nopurge: AtomicBool,
    used: AtomicU32,
    next_number: AtomicU64,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

impl StickTable {
    /// An empty table.
    pub fn new(table: &Table) -> Self {
        let shards = (table.size / ENTRIES_PER_SHARD)
            .next_power_of_two()
            .clamp(1, MOST_SHARDS);
        Self {
            name: table.name.clone(),
            key: key_type(table.key),
            layout: Arc::new(Layout::new(&table.data)),
            size: AtomicU32::new(table.size),
            expire: AtomicU64::new(table.expire.map_or(0, |time| time.0)),
            nopurge: AtomicBool::new(table.nopurge),
            used: AtomicU32::new(0),
            next_number: AtomicU64::new(1),
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
        }
    }

    /// The table of a new configuration: this very one while its keys and data are the same, else a new one with the
    /// entries that still fit.
    pub(super) fn succeed(self: &Arc<Self>, table: &Table, now: Moment) -> Arc<Self> {
        let new = Self::new(table);
        if self.key != new.key {
            return Arc::new(new);
        }
        if *self.layout == *new.layout {
            self.size.store(table.size, Relaxed);
            self.expire
                .store(table.expire.map_or(0, |time| time.0), Relaxed);
            self.nopurge.store(table.nopurge, Relaxed);
            self.shrink(now);
            return Arc::clone(self);
        }
        let mut entries = self.entries(now);
        entries.sort_by_key(|entry| entry.touched());
        for old in entries.iter().rev().take(table.size as usize) {
            if let Some(entry) = new.entry(&old.key, now) {
                entry.copy_from(old);
            }
        }
        Arc::new(new)
    }

    /// What each entry stores.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The most entries it may hold.
    pub fn size(&self) -> u32 {
        self.size.load(Relaxed)
    }

    /// Entries in it now, expired ones not yet removed included.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// Milliseconds an untouched entry lives; `None` = for ever.
    pub fn lifetime(&self) -> Option<u64> {
        Some(self.expire.load(Relaxed)).filter(|time| *time > 0)
    }

    /// The key a sample gives here; `None` where it cannot be cast.
    pub fn key_of(&self, sample: &Sample<'_>) -> Option<StickKey> {
        StickKey::new(self.key, sample)
    }

    /// The entry of a key, if there is one. Looking does not postpone its expiry.
    pub fn lookup(&self, key: &StickKey, now: Moment) -> Option<Arc<Entry>> {
        let entry = self.shard(key).lock().find(key)?;
        (!entry.is_expired(self.lifetime(), now)).then_some(entry)
    }

    /// The entry of a key, created when needed and refreshed; `None` when the table is full of entries that must stay.
    pub fn entry(&self, key: &StickKey, now: Moment) -> Option<Arc<Entry>> {
        self.obtain(key, now, |entry| entry.touch(now))
    }

    /// An entry that is not in the table, for a key whose connections are counted elsewhere: a copy of the one in the table,
    /// or one called `number`.
    pub fn counted_elsewhere(
        &self,
        key: &StickKey,
        number: u64,
        (rate, total): (u32, u32),
        last: Moment,
        now: Moment,
    ) -> Arc<Entry> {
        let own = self.lookup(key, now);
        let own =
            own.unwrap_or_else(|| Arc::new(Entry::new(key.clone(), number, &self.layout, last)));
        Arc::new(own.with_connections(rate, total, last, now))
    }

    /// Starts tracking a key (`track-sc`): counts a connection on its entry and keeps it until the guard is dropped.
    pub fn track(self: &Arc<Self>, key: &StickKey, now: Moment) -> Option<Tracked> {
        let entry = self.obtain(key, now, |entry| entry.start_tracking(now))?;
        Some(Tracked {
            table: Arc::clone(self),
            entry,
        })
    }

    /// Finds or creates an entry and does something with it before anybody can evict it.
    fn obtain(&self, key: &StickKey, now: Moment, act: impl Fn(&Entry)) -> Option<Arc<Entry>> {
        {
            let mut shard = self.shard(key).lock();
            if let Some(entry) = shard.find(key) {
                if !entry.is_expired(self.lifetime(), now) {
                    act(&entry);
                    return Some(entry);
                }
                shard.remove(key);
                self.used.fetch_sub(1, Relaxed);
            }
        }
        self.reserve(key, now)?;
        let mut shard = self.shard(key).lock();
        let entry = match shard.find(key) {
            Some(entry) => {
                self.used.fetch_sub(1, Relaxed);
                entry
            }
            None => {
                let number = self.next_number.fetch_add(1, Relaxed);
                let entry = Arc::new(Entry::new(key.clone(), number, &self.layout, now));
                shard.insert(Arc::clone(&entry));
                entry
            }
        };
        act(&entry);
        Some(entry)
    }

    /// Answers a fetch about the entry of a key; operations that change something create it.
    pub fn ask(&self, key: &StickKey, operation: StickOperation, now: Moment) -> StickAnswer {
        if !self.stores(operation) {
            return StickAnswer::NotStored;
        }
        let entry = match changes(operation) {
            true => self.entry(key, now),
            false => self.lookup(key, now),
        };
        entry.map_or(StickAnswer::NoEntry, |entry| {
            entry.ask(operation, self.lifetime(), now)
        })
    }

    /// Whether the table stores what an operation needs.
    pub fn stores(&self, operation: StickOperation) -> bool {
        use StickOperation as Op;
        matches!(operation, Op::Exists | Op::Trackers | Op::Expire | Op::Idle)
            || entry::readable(&self.layout, operation).is_some()
    }

    /// Every live entry, in no particular order.
    pub fn entries(&self, now: Moment) -> Vec<Arc<Entry>> {
        let lifetime = self.lifetime();
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().all())
            .filter(|entry| !entry.is_expired(lifetime, now))
            .collect()
    }

    /// Removes the entry of a key unless it is in use; true when it is gone.
    pub fn remove(&self, key: &StickKey) -> bool {
        let mut shard = self.shard(key).lock();
        match shard.find(key) {
            None => true,
            Some(entry) if entry.trackers() > 0 => false,
            Some(_) => {
                shard.remove(key);
                self.used.fetch_sub(1, Relaxed);
                true
            }
        }
    }

    /// Removes expired entries. To be called about once a second.
    pub fn purge_expired(&self, now: Moment) {
        let Some(lifetime) = self.lifetime() else {
            return;
        };
        for shard in &self.shards {
            let removed = shard.lock().purge_expired(lifetime, now);
            self.used.fetch_sub(removed, Relaxed);
        }
    }

    /// Makes room for one entry and takes the place.
    fn reserve(&self, key: &StickKey, now: Moment) -> Option<()> {
        loop {
            let size = self.size();
            let taken = self
                .used
                .fetch_update(Relaxed, Relaxed, |used| (used < size).then_some(used + 1));
            if taken.is_ok() {
                return Some(());
            }
            if !self.evict(self.shard_index(key), now) {
                return None;
            }
        }
    }

    /// Removes one entry: an expired one, or the oldest unused one, from the given part of the table or the next.
    fn evict(&self, first: usize, now: Moment) -> bool {
        let lifetime = self.lifetime();
        let only_expired = self.nopurge.load(Relaxed);
        let count = self.shards.len();
        for shard in (first..first + count).map(|index| &self.shards[index % count]) {
            let removed = match (only_expired, lifetime) {
                (false, _) => u32::from(shard.lock().remove_oldest(now)),
                (true, Some(lifetime)) => shard.lock().purge_expired(lifetime, now),
                (true, None) => 0,
            };
            if removed > 0 {
                self.used.fetch_sub(removed, Relaxed);
                return true;
            }
        }
        false
    }

    /// Removes entries until the table fits a smaller size.
    fn shrink(&self, now: Moment) {
        let surplus = self.used().saturating_sub(self.size());
        for attempt in 0..surplus {
            let first = attempt as usize % self.shards.len();
            let removed = (first..first + self.shards.len()).any(|index| {
                self.shards[index % self.shards.len()]
                    .lock()
                    .remove_oldest(now)
            });
            if !removed {
                return;
            }
            self.used.fetch_sub(1, Relaxed);
        }
    }

    fn shard(&self, key: &StickKey) -> &Mutex<Shard> {
        &self.shards[self.shard_index(key)]
    }

    fn shard_index(&self, key: &StickKey) -> usize {
        self.hasher.hash_one(key) as usize % self.shards.len()
    }
}

/// An entry in use by a session (`track-sc`). Dropping it ends the use and postpones the entry's expiry.
#[derive(Debug)]
pub struct Tracked {
    table: Arc<StickTable>,
    entry: Arc<Entry>,
}

impl Tracked {
    /// The table.
    pub fn table(&self) -> &Arc<StickTable> {
        &self.table
    }

    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The key as a sample (`sc_key`).
    pub fn key(&self) -> Sample<'_> {
        self.entry.key.sample(self.table.key)
    }

    /// Answers a fetch about the entry.
    pub fn ask(&self, operation: StickOperation, now: Moment) -> StickAnswer {
        self.entry.ask(operation, self.table.lifetime(), now)
    }

    /// Counts an event on the entry.
    pub fn count(&self, event: StickEvent, amount: u64, now: Moment) {
        self.entry.count(event, amount, now);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.entry.stop_tracking(clock::now());
    }
}

/// The key type in the words of the expression engine.
pub fn key_type(key: TableKeyType) -> StickType {
    match key {
        TableKeyType::Ip => StickType::Ipv4,
        TableKeyType::Ipv6 => StickType::Ipv6,
        TableKeyType::Integer => StickType::Integer,
        TableKeyType::String(length) => StickType::Str(length),
        TableKeyType::Binary(length) => StickType::Bin(length),
    }
}

/// Whether an operation changes the entry, and so creates a missing one.
const fn changes(operation: StickOperation) -> bool {
    use StickOperation as Op;
    matches!(
        operation,
        Op::IncrementGpc0
            | Op::IncrementGpc1
            | Op::IncrementGpc(_)
            | Op::ClearGpc0
            | Op::ClearGpc1
            | Op::ClearGpc(_)
            | Op::UpdateConnCnt
    )
}

/// Small tables are one part, so that the entry evicted is exactly the oldest.
const ENTRIES_PER_SHARD: u32 = 1024;
const MOST_SHARDS: u32 = 64;

#[cfg(test)]
mod tests;
