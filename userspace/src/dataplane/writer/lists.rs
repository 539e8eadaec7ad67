//! Lays out the source lists as the kernel looks them up (`tidegate_common::list4`, `list6`).
//!
//! Input are prefixes with their classes, outer ones before inner ones; output are the rows of a fresh table. The IPv4
//! rows come in one pass and go to a sink, so that the same walk also tells how many rows there will be.

use ipnet::{Ipv4Net, Ipv6Net};
use tidegate_common::action::Class;
use tidegate_common::address::Address;
use tidegate_common::list4::{Cell, FULL_ROWS, NODE_ROWS, ROOT_ROWS};
use tidegate_common::list6::{self, ALWAYS_TRIE, LENGTHS, Lengths};
use tidegate_common::word::high;

use super::{WriteError, Writer};
use crate::dataplane::classes::Classes;

/// Rows the IPv4 lists need.
pub(crate) fn rows4(prefixes: &[(Ipv4Net, Class)]) -> u32 {
    lay_out4(prefixes, &mut |_, _| {})
}

/// The IPv6 prefixes that a source can be in: a mapped address is refused before anything is looked up.
pub(crate) fn prefixes6(classes: &Classes) -> impl Iterator<Item = (Ipv6Net, Class)> {
    let looked_up = |(prefix, _): &(Ipv6Net, Class)| {
        !(prefix.prefix_len() >= 96 && Address::from(prefix.network()).is_v4())
    };
    classes.v6.iter().copied().filter(looked_up)
}

impl Writer {
    /// Writes both lists.
    pub(super) fn write_lists(&mut self, classes: &Classes) -> Result<(), WriteError> {
        let rows = &self.tables.lists4;
        let mut fits = true;
        lay_out4(
            &classes.v4,
            &mut |row, words| match rows.get(row as usize) {
                Some(row) => row
                    .words
                    .iter()
                    .zip(words)
                    .for_each(|(word, value)| word.store(value)),
                None => fits = false,
            },
        );
        if !fits {
            return Err(WriteError::Full("IPv4 source lists"));
        }
        self.write_lists6(classes)
    }

    fn write_lists6(&mut self, classes: &Classes) -> Result<(), WriteError> {
        let Some(config) = self.tables.config.first() else {
            return Ok(());
        };
        let (key, buckets) = (config.table_key.load(), high(config.sizes.load()));
        let mut lengths: Vec<u8> = prefixes6(classes)
            .map(|(prefix, _)| prefix.prefix_len())
            .collect();
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        for (prefix, class) in prefixes6(classes) {
            self.tables.others.insert_prefix(prefix, class)?;
            let (length, address) = (
                prefix.prefix_len(),
                Address::from_bytes(prefix.network().octets()),
            );
            let bucket = self
                .tables
                .lists6
                .get(list6::bucket(key, address, length, buckets) as usize);
            let bucket = bucket.ok_or(WriteError::Full("IPv6 source lists"))?;
            match bucket.entries.iter().find(|entry| entry.meta.load() == 0) {
                Some(entry) => {
                    address.store(&entry.prefix);
                    entry
                        .meta
                        .store(u64::from(class.0) | (u64::from(length) + 1) << 16);
                }
                None => bucket.overflow.store(1),
            }
        }
        config.list6_lengths.store(in_use(&lengths).word());
        Ok(())
    }
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

/// Gives every row of the table to `sink` and returns how many there are; 1 when nothing is listed.
fn lay_out4(prefixes: &[(Ipv4Net, Class)], sink: &mut impl FnMut(u32, [u64; 8])) -> u32 {
    let runs = runs(prefixes);
    if runs.len() == 1 && runs[0].1 == Class(0) {
        return 1;
    }
    let mut next = ROOT_ROWS;
    let mut runs = Runs { runs: &runs, at: 0 };
    let mut root = vec![Cell::Class(Class(0)); 1 << 16];
    for (wide, cell) in (0_u32..).zip(&mut root) {
        let first = wide << 16;
        *cell = match runs.whole(first, first | 0xffff) {
            Some(class) => Cell::Class(class),
            None => {
                let node = next;
                next += NODE_ROWS;
                let cells: Vec<Cell> = (0..256)
                    .map(|narrow| hosts(&mut runs, first | narrow << 8, &mut next, sink))
                    .collect();
                give_cells(node, &cells, sink);
                Cell::Node(node)
            }
        };
    }
    give_cells(0, &root, sink);
    next
}

/// The cell of one /24.
fn hosts(
    runs: &mut Runs<'_>,
    first: u32,
    next: &mut u32,
    sink: &mut impl FnMut(u32, [u64; 8]),
) -> Cell {
    if let Some(class) = runs.whole(first, first | 0xff) {
        return Cell::Class(class);
    }
    let classes: Vec<Class> = (first..=first | 0xff)
        .map(|address| runs.class(address))
        .collect();
    let zero = classes[0];
    let one = classes
        .iter()
        .copied()
        .find(|class| *class != zero)
        .unwrap_or(zero);
    let row = *next;
    if classes.iter().all(|class| *class == zero || *class == one) {
        let mut words = [0; 8];
        for (host, _) in classes
            .iter()
            .enumerate()
            .filter(|(_, class)| **class == one)
        {
            words[host / 64] |= 1 << (host % 64);
        }
        words[4] = u64::from(zero.0) | u64::from(one.0) << 16;
        sink(row, words);
        *next += 1;
        return Cell::Pair(row);
    }
    for (offset, classes) in (0..).zip(classes.chunks(256 / FULL_ROWS as usize)) {
        let mut words = [0; 8];
        for (at, class) in classes.iter().enumerate() {
            words[at / 4] |= u64::from(class.0) << (at % 4 * 16);
        }
        sink(row + offset, words);
    }
    *next += FULL_ROWS;
    Cell::Full(row)
}

fn give_cells(first: u32, cells: &[Cell], sink: &mut impl FnMut(u32, [u64; 8])) {
    for (row, cells) in (first..).zip(cells.chunks(CELLS_PER_ROW)) {
        let mut words = [0; 8];
        for (at, cell) in cells.iter().enumerate() {
            words[at / 2] |= u64::from(cell.bits()) << (at % 2 * 32);
        }
        sink(row, words);
    }
}

/// The address space as runs of one class: where each begins, in order.
fn runs(prefixes: &[(Ipv4Net, Class)]) -> Vec<(u32, Class)> {
    let mut runs = vec![(0, Class(0))];
    let mut begin = |at: u32, class: Class| {
        if runs.last().is_some_and(|(start, _)| *start == at) {
            runs.pop();
        }
        if runs.last().is_none_or(|(_, known)| *known != class) {
            runs.push((at, class));
        }
    };
    // The prefixes around the present one, with their last addresses.
    let mut open: Vec<(u32, Class)> = Vec::new();
    for (prefix, class) in prefixes {
        let first = u32::from(prefix.network());
        close(&mut open, Some(first), &mut begin);
        begin(first, *class);
        open.push((u32::from(prefix.broadcast()), *class));
    }
    close(&mut open, None, &mut begin);
    runs
}

/// Ends the prefixes that lie wholly before `next`.
fn close(open: &mut Vec<(u32, Class)>, next: Option<u32>, begin: &mut impl FnMut(u32, Class)) {
    while let Some((last, _)) = open
        .last()
        .copied()
        .filter(|(last, _)| next.is_none_or(|next| *last < next))
    {
        open.pop();
        if let Some(behind) = last.checked_add(1) {
            begin(behind, open.last().map_or(Class(0), |(_, class)| *class));
        }
    }
}

/// Runs, asked in ascending order.
struct Runs<'a> {
    runs: &'a [(u32, Class)],
    at: usize,
}

impl Runs<'_> {
    fn class(&mut self, address: u32) -> Class {
        while self
            .runs
            .get(self.at + 1)
            .is_some_and(|(start, _)| *start <= address)
        {
            self.at += 1;
        }
        self.runs[self.at].1
    }

    /// The class of all addresses from `first` to `last`, if it is one.
    fn whole(&mut self, first: u32, last: u32) -> Option<Class> {
        let class = self.class(first);
        self.runs
            .get(self.at + 1)
            .is_none_or(|(start, _)| *start > last)
            .then_some(class)
    }
}

/// Cells in one row.
const CELLS_PER_ROW: usize = 65_536 / ROOT_ROWS as usize;

#[cfg(test)]
mod tests;
