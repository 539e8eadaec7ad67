//! One lock's part of a stick table: entries by key, and in the order they were last touched.
//!
//! Touching an entry does not take the lock: the order is brought up to date lazily, when the oldest entries are looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::entry::Entry;
use crate::clock::Moment;
use crate::expr::StickKey;

/// Entries of one part of a table.
#[derive(Debug, Default)]
pub(super) struct Shard {
    entries: HashMap<StickKey, Placed>,
    order: BTreeMap<Place, Arc<Entry>>,
    arrivals: u64,
}

#[derive(Debug)]
struct Placed {
    entry: Arc<Entry>,
    place: Place,
}

/// When an entry was last seen touched, and the order among entries of one moment.
type Place = (Moment, u64);

impl Shard {
    pub(super) fn find(&self, key: &StickKey) -> Option<Arc<Entry>> {
        self.entries
            .get(key)
            .map(|placed| Arc::clone(&placed.entry))
    }

    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries
            .values()
            .map(|placed| Arc::clone(&placed.entry))
            .collect()
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        let place = self.next_place(entry.touched());
        self.order.insert(place, Arc::clone(&entry));
        self.entries
            .insert(entry.key.clone(), Placed { entry, place });
    }

    pub(super) fn remove(&mut self, key: &StickKey) {
        if let Some(placed) = self.entries.remove(key) {
            self.order.remove(&placed.place);
        }
    }

    /// Removes the entry untouched for longest that nobody uses; false when there is none.
    pub(super) fn remove_oldest(&mut self, now: Moment) -> bool {
        let mut in_use = 0;
        while in_use < MOST_IN_USE.min(self.entries.len()) {
            let Some((entry, queued)) = self.first() else {
                return false;
            };
            if entry.trackers() > 0 {
                in_use += 1;
                self.requeue(&entry, now);
            } else if entry.touched() > queued {
                self.requeue(&entry, entry.touched());
            } else {
                self.remove(&entry.key);
                return true;
            }
        }
        false
    }

    /// Removes every entry that expired; returns how many.
    pub(super) fn purge_expired(&mut self, lifetime: u64, now: Moment) -> u32 {
        let mut removed = 0;
        while let Some((entry, queued)) = self.first() {
            if queued.after(lifetime) > now {
                break;
            }
            if entry.is_expired(Some(lifetime), now) {
                self.remove(&entry.key);
                removed += 1;
            } else if entry.trackers() > 0 {
                self.requeue(&entry, now);
            } else {
                self.requeue(&entry, entry.touched());
            }
        }
        removed
    }

    fn first(&self) -> Option<(Arc<Entry>, Moment)> {
        let ((queued, _), entry) = self.order.first_key_value()?;
        Some((Arc::clone(entry), *queued))
    }

    fn requeue(&mut self, entry: &Arc<Entry>, at: Moment) {
        let place = self.next_place(at);
        if let Some(placed) = self.entries.get_mut(&entry.key) {
            self.order.remove(&placed.place);
            placed.place = place;
            self.order.insert(place, Arc::clone(entry));
        }
    }

    fn next_place(&mut self, at: Moment) -> Place {
        self.arrivals += 1;
        (at, self.arrivals)
    }
}

/// How many entries in use are passed over before the search for a place is given up.
const MOST_IN_USE: usize = 256;
