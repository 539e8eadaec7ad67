//! Enters prefixes into the IPv6 source table (`tidegate_common::list6`) and its trie, and takes them out.
//!
//! Input is what a part of the address space should hold; what it holds is known here. In between every address has its
//! class from before or the one from now on and nothing else: what is entered or changed goes first, the longest prefixes
//! before shorter ones, then what is gone goes out, the shortest first; all of it in the trie, then all of it in front.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;
use tidegate_common::action::Class;
use tidegate_common::address::Address;
use tidegate_common::list6::{self, ALWAYS_TRIE, LENGTHS, Lengths, ListBucket, ListEntry};
use tidegate_common::word::high;

use super::super::WriteError;
use crate::dataplane::lists::Range6;
use crate::dataplane::mmap::wait_for_programs;
use crate::dataplane::tables::Tables;

/// What is in the tables.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// First address and length, with the class.
    entered: BTreeMap<(u128, u8), Class>,
    /// How many prefixes of each length there are.
    lengths: BTreeMap<u8, usize>,
    /// Buckets with an entry that a program may still be reading although it is free.
    freed: BTreeSet<u32>,
}

/// A prefix: first address and length.
type Prefix = (u128, u8);

impl Prefixes {
    /// Makes a part of the address space hold exactly these prefixes.
    pub(super) fn put(
        &mut self,
        tables: &mut Tables,
        (first, last): Range6,
        wanted: &[(Range6, Class)],
    ) -> Result<(), WriteError> {
        let length = |(first, last): Range6| (first ^ last).leading_zeros() as u8;
        let wanted: BTreeMap<Prefix, Class> = wanted
            .iter()
            .map(|(range, class)| ((range.0, length(*range)), *class))
            .collect();
        let whole = (first, length((first, last)));
        let present = self.entered.range((first, 0)..=(last, 128));
        let mut gone: Vec<Prefix> = present
            .map(|(prefix, _)| *prefix)
            .filter(|prefix| prefix.1 >= whole.1 && !wanted.contains_key(prefix))
            .collect();
        let mut new: Vec<(Prefix, Class)> = wanted
            .into_iter()
            .filter(|(prefix, class)| self.entered.get(prefix) != Some(class))
            .collect();
        new.sort_unstable_by_key(|((_, length), _)| Reverse(*length));
        gone.sort_unstable_by_key(|(_, length)| *length);
        for ((_, length), _) in &new {
            self.lengths.entry(*length).or_default();
        }
        self.publish_lengths(tables);
        for (prefix, class) in &new {
            tables.others.insert_prefix(net(*prefix), *class)?;
        }
        for prefix in &gone {
            tables.others.remove_prefix(net(*prefix))?;
        }
        for (prefix, class) in new {
            self.enter(tables, prefix, class)?;
        }
        for prefix in gone {
            self.take_out(tables, prefix);
        }
        self.lengths.retain(|_, count| *count > 0);
        self.publish_lengths(tables);
        Ok(())
    }

    fn enter(&mut self, tables: &Tables, prefix: Prefix, class: Class) -> Result<(), WriteError> {
        let (number, bucket) = bucket(tables, prefix)?;
        let meta = u64::from(class.0) | (u64::from(prefix.1) + 1) << 16;
        if self.entered.insert(prefix, class).is_some() {
            if let Some(entry) = entry_of(bucket, prefix) {
                entry.meta.store(meta);
            }
            return Ok(());
        }
        *self.lengths.entry(prefix.1).or_default() += 1;
        match bucket.entries.iter().find(|entry| entry.meta.load() == 0) {
            Some(entry) => {
                if self.freed.contains(&number) {
                    wait_for_programs();
                    self.freed.clear();
                }
                address(prefix).store(&entry.prefix);
                entry.meta.store(meta);
            }
            None => bucket.overflow.store(1),
        }
        Ok(())
    }

    fn take_out(&mut self, tables: &Tables, prefix: Prefix) {
        self.entered.remove(&prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.1) {
            *count = count.saturating_sub(1);
        }
        let Ok((number, bucket)) = bucket(tables, prefix) else {
            return;
        };
        if let Some(entry) = entry_of(bucket, prefix) {
            entry.meta.store(0);
            self.freed.insert(number);
        }
    }

    /// Says which lengths are looked up. Those that are entered next are among them already.
    fn publish_lengths(&self, tables: &Tables) {
        if let Some(config) = tables.config.first() {
            let lengths: Vec<u8> = self.lengths.keys().rev().copied().collect();
            config.list6_lengths.store(in_use(&lengths).word());
        }
    }
}

/// The bucket of a prefix and its number.
fn bucket(tables: &Tables, prefix: Prefix) -> Result<(u32, &ListBucket), WriteError> {
    let full = WriteError::Full("IPv6 source lists");
    let Some(config) = tables.config.first() else {
        return Err(full);
    };
    let (key, buckets) = (config.table_key.load(), high(config.sizes.load()));
    let number = list6::bucket(key, address(prefix), prefix.1, buckets);
    let bucket = tables.lists6.get(number as usize).ok_or(full)?;
    Ok((number, bucket))
}

fn entry_of(bucket: &ListBucket, prefix: Prefix) -> Option<&ListEntry> {
    bucket.entries.iter().find(|entry| {
        entry.meta.load() >> 16 == u64::from(prefix.1) + 1
            && Address::load(&entry.prefix) == address(prefix)
    })
}

fn address((first, _): Prefix) -> Address {
    Address::from_bytes(first.to_be_bytes())
}

fn net((first, length): Prefix) -> Ipv6Net {
    Ipv6Net::new_assert(first.into(), length)
}

/// The word that says which lengths are looked up, given them longest first.
fn in_use(lengths: &[u8]) -> Lengths {
    let mut stored = [0; LENGTHS];
    if lengths.len() > LENGTHS {
        stored[0] = ALWAYS_TRIE;
    } else {
        stored
            .iter_mut()
            .zip(lengths)
            .for_each(|(stored, length)| *stored = length + 1);
    }
    Lengths::from_word(u64::from_ne_bytes(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_stored_longest_first_or_all_go_to_the_trie() {
        assert_eq!(
            in_use(&[128, 64, 0]).word().to_ne_bytes(),
            [129, 65, 1, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            in_use(&[9, 8, 7, 6, 5, 4, 3, 2, 1]).word().to_ne_bytes()[0],
            ALWAYS_TRIE
        );
    }
}
