//! A table that grows while others read it, and never moves or takes back what is in it.

use std::fmt;
use std::iter;
use std::ops::{Index, IndexMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Rows by number. Those of the start lie together; up to [`Roster::MOST_ADDED`] are added afterwards, each at the end.
pub struct Roster<T> {
    first: Vec<T>,
    /// Each twice as long as the one before.
    shelves: [OnceLock<Box<[OnceLock<T>]>>; SHELVES],
    /// How many rows the shelves have.
    added: AtomicUsize,
    adding: Mutex<()>,
}

/// A table has all the rows it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more than {} can be added while the process runs", Roster::<()>::MOST_ADDED)]
pub struct RosterFull;

impl<T> Roster<T> {
    /// How many rows can be added to a table that others see.
    pub const MOST_ADDED: usize = FIRST_SHELF * ((1 << SHELVES) - 1);

    /// Adds a row while nobody else sees the table.
    pub fn push(&mut self, row: T) {
        debug_assert_eq!(*self.added.get_mut(), 0, "the table is in use");
        self.first.push(row);
    }

    /// Adds a row and returns its number. Whoever sees the number finds the row.
    ///
    /// # Errors
    /// The table is full.
    pub fn add(&self, row: T) -> Result<usize, RosterFull> {
        let _one_at_a_time = self.adding.lock();
        let added = self.added.load(Ordering::Relaxed);
        let (shelf, at) = place(added).ok_or(RosterFull)?;
        let rows = self.shelves[shelf].get_or_init(|| {
            iter::repeat_with(OnceLock::new)
                .take(FIRST_SHELF << shelf)
                .collect()
        });
        rows[at].set(row).map_err(|_| RosterFull)?;
        self.added.store(added + 1, Ordering::Release);
        Ok(self.first.len() + added)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.first.len() + self.added.load(Ordering::Acquire)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row.
    #[inline]
    pub fn get(&self, number: usize) -> Option<&T> {
        match self.first.get(number) {
            Some(row) => Some(row),
            None => self.added(number - self.first.len()),
        }
    }

    /// All rows there are now.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        let added = 0..self.added.load(Ordering::Acquire);
        let rest = added.filter_map(|number| self.added(number));
        self.first.iter().chain(rest)
    }

    /// All rows, while nobody else sees the table.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let shelves = self.shelves.iter_mut();
        let rows = shelves.filter_map(OnceLock::get_mut).flatten();
        let rest = rows.filter_map(OnceLock::get_mut);
        self.first.iter_mut().chain(rest)
    }

    #[cold]
    fn added(&self, number: usize) -> Option<&T> {
        let (shelf, at) = place(number)?;
        self.shelves[shelf].get()?.get(at)?.get()
    }
}

/// Shelf and place on it.
fn place(number: usize) -> Option<(usize, usize)> {
    let shelf = (number / FIRST_SHELF + 1).ilog2() as usize;
    let before = FIRST_SHELF * ((1 << shelf) - 1);
    (shelf < SHELVES).then_some((shelf, number - before))
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Roster<T> {
    fn from(first: Vec<T>) -> Self {
        Self {
            first,
            shelves: [const { OnceLock::new() }; SHELVES],
            added: AtomicUsize::new(0),
            adding: Mutex::new(()),
        }
    }
}

impl<T> FromIterator<T> for Roster<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        rows.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> Index<usize> for Roster<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        self.get(number).expect("a number of this table")
    }
}

impl<T> IndexMut<usize> for Roster<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        self.first
            .get_mut(number)
            .expect("a number of a table that is being made")
    }
}

impl<T: fmt::Debug> fmt::Debug for Roster<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// Rows of the first shelf.
const FIRST_SHELF: usize = 16;
const SHELVES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_where_they_are_while_others_come() {
        let mut roster = Roster::default();
        roster.push(0);
        roster.push(1);
        let second: *const usize = &roster[1];
        for number in 2..5000 {
            assert_eq!(roster.get(number), None);
            assert_eq!(roster.add(number), Ok(number));
        }
        assert!(std::ptr::eq(second, &raw const roster[1]));
        assert_eq!(roster.len(), 5000);
        assert!(roster.iter().copied().eq(0..5000));
        assert!((0..5000).all(|number| roster[number] == number));
        assert_eq!(roster.get(5000), None);
    }

    #[test]
    fn a_table_has_a_bound() {
        let roster: Roster<u8> = Roster::from(vec![7]);
        for number in 1..=Roster::<u8>::MOST_ADDED {
            assert_eq!(roster.add(1), Ok(number));
        }
        assert_eq!(roster.add(1), Err(RosterFull));
        assert_eq!(roster.len(), Roster::<u8>::MOST_ADDED + 1);
        assert_eq!(
            roster.iter().map(|row| u32::from(*row)).sum::<u32>(),
            7 + 65_520
        );
    }

    #[test]
    fn whoever_reads_meanwhile_sees_whole_rows() {
        let roster: Roster<String> = Roster::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..2000 {
                    roster.add(number.to_string()).unwrap();
                }
            });
            while roster.len() < 2000 {
                for (number, row) in roster.iter().enumerate() {
                    assert_eq!(*row, number.to_string());
                }
            }
        });
    }
}
