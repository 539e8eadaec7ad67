//! The walk over networks in order: between their borders nothing changes, so it is enough to ask once for each.

use std::cmp::Reverse;
use std::ops::Range;

use tidegate_common::action::Class;

use super::classes::{Classes, Members, TooManyClasses};

/// A network of a set of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Border<T> {
    first: T,
    last: T,
    /// The set; none for a network that is in no set.
    source: Option<usize>,
    /// Written in the list as it stands here.
    is_own: bool,
}

impl<T: Copy> Border<T> {
    /// One that a list has.
    pub(super) const fn of(first: T, last: T, source: usize) -> Self {
        Self {
            first,
            last,
            source: Some(source),
            is_own: true,
        }
    }

    /// One that follows from what a list has.
    pub(super) const fn embedded(first: T, last: T, source: usize) -> Self {
        Self {
            first,
            last,
            source: Some(source),
            is_own: false,
        }
    }

    /// One that no list has, but that counts as if one had.
    pub(super) const fn of_nobody(first: T, last: T) -> Self {
        Self {
            first,
            last,
            source: None,
            is_own: true,
        }
    }

    /// Its first and last address.
    pub(super) const fn range(&self) -> (T, T) {
        (self.first, self.last)
    }
}

/// Visits networks, outer ones before inner ones, and tells each with the class of the addresses that are in no network
/// inside it, and whether a list has it as it stands. `members` says what is around all of them.
pub(super) fn walk<T: Copy + Ord>(
    mut borders: Vec<Border<T>>,
    classes: &mut Classes,
    mut members: Members,
    mut found: impl FnMut((T, T), Class, bool),
) -> Result<(), TooManyClasses> {
    borders.sort_unstable_by_key(|border| {
        (
            border.first,
            Reverse(border.last),
            border.source,
            border.is_own,
        )
    });
    borders.dedup();
    let mut path: Vec<(T, Range<usize>)> = Vec::new();
    let mut at = 0;
    for same in borders.chunk_by(|one, other| one.range() == other.range()) {
        let (first, last) = same[0].range();
        while let Some((_, left)) = path.pop_if(|(last, _)| *last < first) {
            let sources = borders[left].iter().filter_map(|border| border.source);
            sources.for_each(|source| members.leave(source));
        }
        let sources = same.iter().filter_map(|border| border.source);
        sources.for_each(|source| members.enter(source));
        let is_own = same.iter().any(|border| border.is_own);
        found((first, last), classes.class(&members)?, is_own);
        path.push((last, at..at + same.len()));
        at += same.len();
    }
    Ok(())
}
