//! Writes what sources may do as the kernel looks it up, and follows the lists while the program runs.
//!
//! Input are the classes of addresses ([`crate::dataplane::lists`]). At the start all of them are written; later only the
//! parts of the address space that a change may have touched, in place: each address has its class from before until the
//! one store that gives it the class from now on, so no source that is listed before and after passes in between.

mod blocks;
mod prefixes;
mod rows;

use tidegate_common::action::{ActionRow, Class};
use tidegate_common::list4::{Cell, ROOT_ROWS};

use self::blocks::{CELLS_PER_ROW, lay_out, parts};
use self::prefixes::Prefixes;
use self::rows::{Part, Rows};
use super::policies::kernel_action;
use super::{WriteError, Writer};
use crate::dataplane::lists::{Changes, Lists, Misfit, Range4};
use crate::dataplane::mmap::wait_for_programs;
use crate::dataplane::tables::Tables;

/// The lists of a program, and where they are in its tables.
pub(super) struct ListTables {
    lists: Lists,
    rows: Rows,
    /// Rows that nothing leads to any more, but that a program may still be reading.
    limbo: Vec<(u32, Part)>,
    prefixes: Prefixes,
    /// Classes whose actions are written.
    classes: usize,
}

/// How large the tables of some lists are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListSize {
    /// Rows of the IPv4 table; 0 where there are no lists.
    pub rows4: u32,
    /// Prefixes of the IPv6 table.
    pub prefixes6: usize,
    /// IPv4 networks in the lists.
    pub networks4: usize,
    /// IPv6 networks in the lists.
    pub networks6: usize,
}

impl ListSize {
    /// What some lists need.
    pub(crate) fn of(lists: &mut Lists) -> Result<Self, Misfit> {
        if lists.are_none() {
            return Ok(Self::default());
        }
        let mut rows = Rows::of(u32::MAX);
        each_part(EVERYWHERE, lists, &mut |lists, part| {
            if part.0 >> 16 == part.1 >> 16 {
                let networks = lists.classes4(part)?;
                lay_out(&networks, &mut rows, &mut Vec::new(), &mut |_, _| {});
            }
            Ok::<(), Misfit>(())
        })?;
        let (networks4, networks6) = lists.count();
        Ok(Self {
            rows4: rows.reached(),
            prefixes6: lists.classes6((0, u128::MAX))?.len(),
            networks4,
            networks6,
        })
    }

    /// Bytes in the tables, the IPv6 trie left out.
    pub(crate) fn bytes(&self) -> u64 {
        (u64::from(self.rows4) + self.prefixes6 as u64) * 64
    }
}

impl ListTables {
    /// Lists of which nothing is written yet.
    pub(super) fn new(lists: Lists, tables: &Tables) -> Self {
        let rows = u32::try_from(tables.lists4.len()).unwrap_or(u32::MAX);
        Self {
            lists,
            rows: Rows::of(rows),
            limbo: Vec::new(),
            prefixes: Prefixes::default(),
            classes: 0,
        }
    }

    fn write_all(&mut self, tables: &mut Tables) -> Result<(), WriteError> {
        if !self.lists.are_none() {
            self.write_range(tables, EVERYWHERE)?;
            let all = (0, u128::MAX);
            let found = self.lists.classes6(all)?;
            self.write_actions(tables)?;
            self.prefixes.put(tables, all, &found)?;
        }
        self.write_actions(tables)
    }

    fn follow(&mut self, tables: &mut Tables) -> Result<(), WriteError> {
        let Changes { v4, v6 } = self.lists.look()?;
        let mut written = None;
        for (first, last) in v4 {
            let range = (first & !0xffff, last | 0xffff);
            if written != Some(range) {
                self.write_range(tables, range)?;
                written = Some(range);
            }
        }
        for range in v6 {
            let found = self.lists.classes6(range)?;
            self.write_actions(tables)?;
            self.prefixes.put(tables, range, &found)?;
        }
        Ok(())
    }

    /// Writes a network of /16s or larger ones.
    fn write_range(&mut self, tables: &Tables, range: Range4) -> Result<(), WriteError> {
        let mut parts = Vec::new();
        each_part(range, &mut self.lists, &mut |_, part| {
            parts.push(part);
            Ok::<(), WriteError>(())
        })?;
        for part in parts {
            if part.0 >> 16 == part.1 >> 16 {
                self.write_block(tables, part)?;
                continue;
            }
            let networks = self.lists.classes4(part)?;
            self.write_actions(tables)?;
            let class = networks.first().map_or(Class(0), |(_, class)| *class);
            for wide in part.0 >> 16..=part.1 >> 16 {
                self.replace(tables, wide, Cell::Class(class))?;
            }
        }
        Ok(())
    }

    /// Writes a /16 beside the one in force, and puts it in its place by one store.
    fn write_block(&mut self, tables: &Tables, block: Range4) -> Result<(), WriteError> {
        let networks = self.lists.classes4(block)?;
        self.write_actions(tables)?;
        let mut sink = |row: u32, words: [u64; 8]| {
            if let Some(row) = tables.lists4.get(row as usize) {
                let stores = row.words.iter().zip(words);
                stores.for_each(|(word, value)| word.store(value));
            }
        };
        let mut taken = Vec::new();
        let mut cell = lay_out(&networks, &mut self.rows, &mut taken, &mut sink);
        if cell.is_none() {
            // What was replaced earlier may be used again after a wait.
            wait_for_programs();
            let free = taken.drain(..).chain(self.limbo.drain(..));
            free.for_each(|(row, part)| self.rows.give(row, part));
            cell = lay_out(&networks, &mut self.rows, &mut taken, &mut sink);
        }
        let cell = cell.ok_or(WriteError::Full("IPv4 source lists"))?;
        self.replace(tables, block.0 >> 16, cell)
    }

    /// Puts a cell of the root in force.
    fn replace(&mut self, tables: &Tables, number: u32, cell: Cell) -> Result<(), WriteError> {
        let row = tables.lists4.get((number / CELLS_PER_ROW as u32) as usize);
        let row = row.ok_or(WriteError::Full("IPv4 source lists"))?;
        let before = row.cell(number);
        if before == cell {
            return Ok(());
        }
        let word = &row.words[(number / 2 % 8) as usize];
        let shift = number % 2 * 32;
        let others = word.load() & !(u64::from(u32::MAX) << shift);
        word.store(others | u64::from(cell.bits()) << shift);
        let read = |row: u32, number: u32| {
            let row = tables.lists4.get(row as usize);
            row.map_or(Cell::Class(Class(0)), |row| row.cell(number))
        };
        self.limbo.extend(parts(before, read));
        Ok(())
    }

    /// Writes what every policy does with the classes that have come up since this was done before.
    fn write_actions(&mut self, tables: &Tables) -> Result<(), WriteError> {
        let new = self.lists.actions().iter().enumerate().skip(self.classes);
        for (class, actions) in new {
            let class = Class(class as u16);
            for (policy, action) in (1..).zip(actions) {
                let row = tables.actions.get(class.row(policy) as usize);
                let row: &ActionRow = row.ok_or(WriteError::Full("policies"))?;
                row.set(class, kernel_action(*action));
            }
        }
        self.classes = self.lists.actions().len();
        Ok(())
    }
}

impl Writer {
    /// Writes all lists.
    pub(super) fn write_lists(&mut self) -> Result<(), WriteError> {
        self.lists.write_all(&mut self.tables)
    }

    /// Whether a list has changed since this was last brought up to date.
    pub(in crate::dataplane) fn lists_changed(&self) -> bool {
        self.lists.lists.have_changed()
    }

    /// Brings the tables up to date with the lists.
    ///
    /// # Errors
    /// The tables have no room for it, or the lists no longer suit the plan. What is listed before and after is refused
    /// in any case; a program with other tables has to take over.
    pub(in crate::dataplane) fn follow_lists(&mut self) -> Result<(), WriteError> {
        self.lists.follow(&mut self.tables)
    }
}

/// Divides a network until each part is a /16 or has addresses of one class only.
fn each_part<E>(
    range: Range4,
    lists: &mut Lists,
    found: &mut impl FnMut(&mut Lists, Range4) -> Result<(), E>,
) -> Result<(), E> {
    let (first, last) = range;
    if first >> 16 == last >> 16 || lists.are_alike4(range) {
        return found(lists, range);
    }
    let middle = first + (last - first) / 2;
    each_part((first, middle), lists, found)?;
    each_part((middle + 1, last), lists, found)
}

/// The whole IPv4 address space.
const EVERYWHERE: Range4 = (0, u32::MAX);

/// The rows that a table is made with: room for a quarter more than there is.
pub(crate) fn roomy_rows(size: &ListSize) -> u32 {
    match size.rows4 {
        0 => 1,
        rows => (rows + ((rows - ROOT_ROWS) / 4).max(SPARE)).next_multiple_of(CELLS_PER_ROW as u32),
    }
}

/// The same for prefixes of IPv6.
pub(crate) fn roomy_prefixes(size: &ListSize) -> u32 {
    let prefixes = u32::try_from(size.prefixes6).unwrap_or(u32::MAX);
    match size.rows4 {
        0 => 1,
        _ => prefixes.saturating_add((prefixes / 4).max(SPARE)),
    }
}

/// The least room for what is listed later, in rows and in prefixes.
const SPARE: u32 = 1024;

#[cfg(test)]
mod tests;
