//! Lays out one /16 of the IPv4 source table (`tidegate_common::list4`).
//!
//! Input are the networks in it with their classes, outer ones first; output is the cell that leads to all of it, and the
//! rows behind the cell, which go to a sink: the same walk also tells how many rows there will be.

use tidegate_common::action::Class;
use tidegate_common::list4::{Cell, FULL_ROWS, ROOT_ROWS, SINGLE_AROUND, Single};

use super::rows::{Part, Rows};
use crate::dataplane::lists::Range4;

/// Lays out a /16 and takes rows for it. `None` where there are not enough; `taken` tells those that were.
pub(super) fn lay_out(
    networks: &[(Range4, Class)],
    rows: &mut Rows,
    taken: &mut Vec<(u32, Part)>,
    sink: &mut impl FnMut(u32, [u64; 8]),
) -> Option<Cell> {
    let runs = runs(networks);
    let first = runs.first()?.0;
    if let [(_, class)] = runs[..] {
        return Some(Cell::Class(class));
    }
    let mut take = |part: Part| {
        let row = rows.take(part)?;
        taken.push((row, part));
        Some(row)
    };
    let node = take(Part::Node)?;
    let mut runs = Runs { runs: &runs, at: 0 };
    let mut cells = [Cell::Class(Class(0)); 256];
    for (narrow, cell) in (0..).zip(&mut cells) {
        *cell = hosts(&mut runs, first | narrow << 8, &mut take, sink)?;
    }
    for (row, cells) in (node..).zip(cells.chunks(CELLS_PER_ROW)) {
        let mut words = [0; 8];
        for (at, cell) in cells.iter().enumerate() {
            words[at / 2] |= u64::from(cell.bits()) << (at % 2 * 32);
        }
        sink(row, words);
    }
    Some(Cell::Node(node))
}

/// The parts of a /16 that lies behind a cell, as they are in the table: `cell` reads the cells of a node.
pub(super) fn parts(cell: Cell, read: impl Fn(u32, u32) -> Cell) -> Vec<(u32, Part)> {
    let Cell::Node(node) = cell else {
        return Vec::new();
    };
    let inner =
        (0..256).filter_map(
            |narrow| match read(node + narrow / CELLS_PER_ROW as u32, narrow) {
                Cell::Pair(row) => Some((row, Part::Pair)),
                Cell::Full(row) => Some((row, Part::Full)),
                Cell::Class(_) | Cell::Single(_) | Cell::Node(_) => None,
            },
        );
    inner.chain([(node, Part::Node)]).collect()
}

/// The cell of one /24.
fn hosts(
    runs: &mut Runs<'_>,
    first: u32,
    take: &mut impl FnMut(Part) -> Option<u32>,
    sink: &mut impl FnMut(u32, [u64; 8]),
) -> Option<Cell> {
    if let Some(class) = runs.whole(first, first | 0xff) {
        return Some(Cell::Class(class));
    }
    let mut classes = [Class(0); 256];
    for (host, class) in (0..).zip(&mut classes) {
        *class = runs.class(first | host);
    }
    if let Some(single) = single(&classes) {
        return Some(Cell::Single(single));
    }
    let zero = classes[0];
    let other = classes.iter().find(|class| **class != zero);
    let one = other.copied().unwrap_or(zero);
    if classes.iter().all(|class| *class == zero || *class == one) {
        let row = take(Part::Pair)?;
        let mut words = [0; 8];
        for (host, class) in classes.iter().enumerate() {
            words[host / 64] |= u64::from(*class == one) << (host % 64);
        }
        words[4] = u64::from(zero.0) | u64::from(one.0) << 16;
        sink(row, words);
        return Some(Cell::Pair(row));
    }
    let row = take(Part::Full)?;
    for (row, classes) in (row..).zip(classes.chunks(256 / FULL_ROWS as usize)) {
        let mut words = [0; 8];
        for (at, class) in classes.iter().enumerate() {
            words[at / 4] |= u64::from(class.0) << (at % 4 * 16);
        }
        sink(row, words);
    }
    Some(Cell::Full(row))
}

/// The only network in a /24, if there is just one and the cell has room for what is said of it.
fn single(classes: &[Class; 256]) -> Option<Single> {
    let first = classes[0];
    let other = classes.iter().position(|class| *class != first)?;
    let of = |inner: usize, around: Class| {
        let class = classes[inner];
        let count = classes.iter().filter(|known| **known == class).count();
        let single = Single {
            host: inner as u8,
            bits: count.trailing_zeros() as u8,
            class,
            around,
        };
        let fits = count.is_power_of_two() && inner.is_multiple_of(count);
        let all = || {
            (0..=255)
                .zip(classes)
                .all(|(host, class)| single.of(host) == *class)
        };
        (fits && around.0 < SINGLE_AROUND && all()).then_some(single)
    };
    of(other, first).or_else(|| of(0, classes[other]))
}

/// The addresses as runs of one class: where each begins, in order.
fn runs(networks: &[(Range4, Class)]) -> Vec<(u32, Class)> {
    let mut runs: Vec<(u32, Class)> = Vec::new();
    let mut begin = |at: u32, class: Class| {
        if runs.last().is_some_and(|(start, _)| *start == at) {
            runs.pop();
        }
        if runs.last().is_none_or(|(_, known)| *known != class) {
            runs.push((at, class));
        }
    };
    // The networks around the present one, with their last addresses.
    let mut open: Vec<(u32, Class)> = Vec::new();
    for ((first, last), class) in networks {
        while let Some((last, _)) = open.pop_if(|(last, _)| *last < *first) {
            resume(&open, last, &mut begin);
        }
        begin(*first, *class);
        open.push((*last, *class));
    }
    while let Some((last, _)) = open.pop() {
        resume(&open, last, &mut begin);
    }
    runs
}

/// Goes on behind a network with the class of the one around it.
fn resume(open: &[(u32, Class)], last: u32, begin: &mut impl FnMut(u32, Class)) {
    if let (Some((end, class)), Some(behind)) = (open.last(), last.checked_add(1))
        && behind <= *end
    {
        begin(behind, *class);
    }
}

/// Runs, asked in ascending order.
struct Runs<'a> {
    runs: &'a [(u32, Class)],
    at: usize,
}

impl Runs<'_> {
    fn class(&mut self, address: u32) -> Class {
        let starts = |(start, _): &(u32, Class)| *start <= address;
        while self.runs.get(self.at + 1).is_some_and(starts) {
            self.at += 1;
        }
        self.runs[self.at].1
    }

    /// The class of all addresses from `first` to `last`, if it is one.
    fn whole(&mut self, first: u32, last: u32) -> Option<Class> {
        let class = self.class(first);
        let next = self.runs.get(self.at + 1);
        next.is_none_or(|(start, _)| *start > last).then_some(class)
    }
}

/// Cells in one row.
pub(super) const CELLS_PER_ROW: usize = 65_536 / ROOT_ROWS as usize;
