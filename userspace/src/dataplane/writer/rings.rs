//! Which rings are in use, and the making of new ones.
//!
//! A service names two rings: that of new flows and the one before. A changed ring is written to a number nobody names,
//! published by one store, and the number that falls out is used again only after no program can be reading it. Where
//! servers take turns, their schedule is one more ring of the service.

use std::collections::BTreeSet;

use tidegate_common::choice::Choice;
use tidegate_common::ring::{self, RING_ROWS, RingRow, Share};
use tidegate_common::server::ServerIndex;
use tidegate_common::service::Rings;
use tidegate_common::word::Word;

use super::{ServiceRecord, WriteError, Writer};
use crate::dataplane::mmap::wait_for_programs;
use crate::dataplane::predecessor::Predecessor;
use crate::dataplane::tables::Tables;

/// The numbers of rings. Number 0 is never used: it is what a service without rings names.
pub(super) struct RingNumbers {
    free: BTreeSet<u16>,
    /// Fallen out, but perhaps still being read.
    resting: BTreeSet<u16>,
    /// Named by the program before, which still runs.
    reserved: BTreeSet<u16>,
}

impl RingNumbers {
    /// All numbers but those the program before names.
    pub(super) fn new(tables: &Tables, predecessor: Option<&Predecessor>) -> Self {
        let count = tables.rings.len() / RING_ROWS as usize;
        let mut free: BTreeSet<u16> = (1..=u16::MAX).take(count.saturating_sub(1)).collect();
        let reserved: BTreeSet<u16> = predecessor
            .into_iter()
            .flat_map(|old| old.services().flat_map(|service| old.ring_numbers(service)))
            .collect();
        free.retain(|number| !reserved.contains(number));
        Self {
            free,
            resting: BTreeSet::new(),
            reserved,
        }
    }

    /// Gives free what the program before named and the new one does not.
    pub(super) fn settle(&mut self, used: impl Iterator<Item = u16>) {
        let used: BTreeSet<u16> = used.collect();
        let reserved = std::mem::take(&mut self.reserved);
        self.free
            .extend(reserved.difference(&used).filter(|number| **number != 0));
    }

    fn take(&mut self) -> Result<u16, WriteError> {
        if self.free.is_empty() && !self.resting.is_empty() {
            wait_for_programs();
            self.free.append(&mut self.resting);
        }
        self.free.pop_first().ok_or(WriteError::Full("rings"))
    }

    fn give_back(&mut self, number: u16) {
        if number != 0 && !self.reserved.contains(&number) {
            self.resting.insert(number);
        }
    }
}

impl Writer {
    /// Makes the ring of a service out of `shares`, unless it is that already.
    pub(super) fn set_ring(&mut self, at: usize, shares: Vec<Share>) -> Result<(), WriteError> {
        let ServiceRecord {
            index,
            rings,
            shares: known,
            ..
        } = &mut self.services[at];
        if rings.current != 0 && *known == shares {
            return Ok(());
        }
        let ring = ring::fill(&shares);
        if rings.current != 0 && holds(&self.tables.rings[rows(rings.current)], &ring) {
            *known = shares;
            return Ok(());
        }
        let number = self.rings.take()?;
        ring::publish(&self.tables.rings[rows(number)], &ring);
        let before = *rings;
        *rings = Rings {
            current: number,
            previous: if before.current == 0 {
                number
            } else {
                before.current
            },
            changed_at: self.ticks.now().0,
        };
        *known = shares;
        if let Some(record) = self.tables.services.get(usize::from(index.0)) {
            record.rings.store(rings.word());
        }
        if before.previous != before.current {
            self.rings.give_back(before.previous);
        }
        Ok(())
    }
}

impl Writer {
    /// Says how servers are chosen, and writes whose turn it is out of `shares`, unless it is that already. Without shares
    /// nobody takes turns.
    pub(super) fn set_choice(
        &mut self,
        at: usize,
        choice: Choice,
        shares: Option<Vec<Share>>,
    ) -> Result<(), WriteError> {
        let ServiceRecord {
            index,
            choice: known,
            turns,
            ..
        } = &mut self.services[at];
        let before = known.schedule;
        let schedule = match &shares {
            None => 0,
            Some(_) if before != 0 && *turns == shares => before,
            Some(shares) => {
                let number = self.rings.take()?;
                ring::publish(&self.tables.rings[rows(number)], &ring::schedule(shares));
                number
            }
        };
        *turns = shares;
        *known = Choice { schedule, ..choice };
        if let Some(record) = self.tables.services.get(usize::from(index.0)) {
            record.choice.store(known.word());
        }
        if before != schedule {
            self.rings.give_back(before);
        }
        Ok(())
    }
}

fn rows(number: u16) -> std::ops::Range<usize> {
    let first = number as usize * RING_ROWS as usize;
    first..first + RING_ROWS as usize
}

/// Whether a ring number holds this ring.
fn holds(rows: &[RingRow], ring: &[ServerIndex]) -> bool {
    let wanted: Vec<RingRow> = (0..RING_ROWS).map(|_| RingRow::default()).collect();
    ring::publish(&wanted, ring);
    let words = |row: &RingRow| row.words.each_ref().map(Word::load);
    rows.iter().map(words).eq(wanted.iter().map(words))
}
