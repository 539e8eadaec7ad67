//! A table as operators see it: userspace's entries, and in their place what the kernel counts of them.
//!
//! The kernel counts the connections of the sources it limits, those it refused included, and knows sources of services
//! it forwards that userspace never met. Reading prefers its numbers; a change is made in both. A table the kernel has no
//! part in is simply itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Call;
use crate::clock::Moment;
use crate::dataplane::{Dataplane, SourceCount};
use crate::expr::{Sample, StickKey};
use crate::state::StickTable;
use crate::state::stick::{Entry, Kind};
use crate::types::TableId;

/// One table with the kernel's part of it.
pub(super) struct Shared<'a> {
    pub(super) table: &'a Arc<StickTable>,
    kernel: Option<(&'a Dataplane, TableId)>,
    now: Moment,
}

impl<'a> Shared<'a> {
    /// The table and, where the kernel counts its sources, the kernel.
    pub(super) fn of(call: &Call<'a>, table: &'a Arc<StickTable>) -> Self {
        let id = call
            .running()
            .model
            .table_named(&table.name)
            .map(|table| table.id);
        let kernel = call.world.kernel.as_deref().zip(id);
        Self {
            table,
            kernel: kernel.filter(|(kernel, id)| kernel.feedback().counts_sources_of(*id)),
            now: call.now,
        }
    }

    /// How many entries there are.
    pub(super) fn used(&self) -> usize {
        match self.kernel {
            None => self.table.used() as usize,
            Some(_) => self.entries().len(),
        }
    }

    /// Every entry, in no particular order.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        let own = self.table.entries(self.now);
        let Some((kernel, id)) = self.kernel else {
            return own;
        };
        let mut entries: HashMap<StickKey, Arc<Entry>> = own
            .into_iter()
            .map(|entry| (entry.key.clone(), entry))
            .collect();
        for count in kernel.feedback().sources(id).unwrap_or_default() {
            if let Some(entry) = self.entry(count) {
                entries.insert(entry.key.clone(), entry);
            }
        }
        entries.into_values().collect()
    }

    /// The entry of a key.
    pub(super) fn lookup(&self, key: &StickKey) -> Option<Arc<Entry>> {
        let count = self
            .kernel
            .zip(address(key))
            .and_then(|((kernel, id), source)| kernel.feedback().source(id, source));
        count
            .and_then(|count| self.entry(count))
            .or_else(|| self.table.lookup(key, self.now))
    }

    /// Removes an entry unless a session uses it; true when it is gone.
    pub(super) fn remove(&self, key: &StickKey) -> bool {
        let removed = self.table.remove(key);
        if let (true, Some((kernel, id)), Some(source)) = (removed, self.kernel, address(key)) {
            kernel.feedback().clear_sources(id, Some(source));
        }
        removed
    }

    /// Sets data of an entry that is in the table.
    pub(super) fn set(&self, entry: &Entry, changes: &[(Kind, u8, u64)]) {
        for (kind, index, value) in changes {
            entry.set(*kind, *index, *value, self.now);
        }
        let last = |wanted: Kind| {
            let mut values = changes.iter().rev();
            let found = values.find(|(kind, ..)| *kind == wanted);
            found.map(|(.., value)| u32::try_from(*value).unwrap_or(u32::MAX))
        };
        let (rate, total) = (last(Kind::ConnRate), last(Kind::ConnCnt));
        if let (Some((kernel, id)), Some(source)) = (self.kernel, address(&entry.key))
            && (rate.is_some() || total.is_some())
        {
            kernel.feedback().set_source(id, source, rate, total);
        }
    }

    /// What the kernel counts of a source, with the rest of its entry; `None` when it would have expired.
    fn entry(&self, count: SourceCount) -> Option<Arc<Entry>> {
        let last = Moment(self.now.0.saturating_sub(count.idle));
        let expired = |lifetime| count.idle >= lifetime;
        let key = self.table.key_of(&Sample::Ip(count.address))?;
        if self.table.lifetime().is_some_and(expired) {
            return None;
        }
        let counts = (count.rate, count.total);
        let number = number(count.address);
        Some(
            self.table
                .counted_elsewhere(&key, number, counts, last, self.now),
        )
    }
}

fn address(key: &StickKey) -> Option<IpAddr> {
    match key {
        StickKey::Ipv4(address) => Some((*address).into()),
        StickKey::Ipv6(address) => Some((*address).into()),
        StickKey::Integer(_) | StickKey::Bytes(_) => None,
    }
}

/// A number for an entry that only the kernel has: userspace's own are small.
fn number(address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(31)
        }
    };
    bits | 1 << 63
}
