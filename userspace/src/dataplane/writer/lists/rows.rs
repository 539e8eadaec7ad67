//! Which rows of the IPv4 source table are free.
//!
//! Rows come in chunks of sixteen behind the root. A node takes a whole one, a full block half of one, a pair a single row;
//! what is given back is used again, whatever it was. Nothing is written here.

use tidegate_common::list4::{FULL_ROWS, NODE_ROWS, ROOT_ROWS};

/// The rows behind the root.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// One bit for each row of a chunk in use.
    used: Vec<u16>,
    /// Which of the piles below each chunk is in, one bit each.
    piled: Vec<u8>,
    /// Chunks that were free, half free, or had a free row when they were put there.
    piles: [Vec<u32>; 3],
    chunks: u32,
}

/// What rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A node.
    Node,
    /// A full block.
    Full,
    /// A pair.
    Pair,
}

impl Part {
    const fn rows(self) -> u32 {
        match self {
            Self::Node => NODE_ROWS,
            Self::Full => FULL_ROWS,
            Self::Pair => 1,
        }
    }

    /// The bits of that many rows, from the first.
    const fn bits(self) -> u16 {
        match self {
            Self::Node => u16::MAX,
            Self::Full => 0xff,
            Self::Pair => 1,
        }
    }

    /// Where in a chunk with these rows in use there is room.
    fn room(self, used: u16) -> Option<u32> {
        let mut places = (0..CHUNK).step_by(self.rows() as usize);
        places.find(|place| used & self.bits() << place == 0)
    }
}

impl Rows {
    /// The rows of a table with so many, the root's included.
    pub(super) fn of(rows: u32) -> Self {
        Self {
            used: Vec::new(),
            piled: Vec::new(),
            piles: Default::default(),
            chunks: rows.saturating_sub(ROOT_ROWS) / CHUNK,
        }
    }

    /// Rows of the table up to the last that was ever in use, the root's included.
    pub(super) fn reached(&self) -> u32 {
        ROOT_ROWS + self.used.len() as u32 * CHUNK
    }

    /// Takes rows for a part and tells the first; `None` where none are free.
    pub(super) fn take(&mut self, part: Part) -> Option<u32> {
        loop {
            let chunk = match self.piles[part as usize].last() {
                Some(chunk) => *chunk,
                None => self.fresh()?,
            };
            let used = &mut self.used[chunk as usize];
            if let Some(place) = part.room(*used) {
                *used |= part.bits() << place;
                self.pile(chunk);
                return Some(ROOT_ROWS + chunk * CHUNK + place);
            }
            // Its room was taken by another kind of part.
            self.piles[part as usize].pop();
            self.piled[chunk as usize] &= !(1 << part as u8);
        }
    }

    /// Gives the rows of a part back.
    pub(super) fn give(&mut self, first: u32, part: Part) {
        let at = first.saturating_sub(ROOT_ROWS);
        let chunk = at / CHUNK;
        if let Some(used) = self.used.get_mut(chunk as usize) {
            *used &= !(part.bits() << (at % CHUNK));
            self.pile(chunk);
        }
    }

    /// A chunk that was never used, or one that is free again.
    fn fresh(&mut self) -> Option<u32> {
        while let Some(chunk) = self.piles[Part::Node as usize].pop() {
            self.piled[chunk as usize] &= !(1 << Part::Node as u8);
            if self.used[chunk as usize] == 0 {
                return Some(chunk);
            }
        }
        let chunk = self.used.len() as u32;
        if chunk >= self.chunks {
            return None;
        }
        self.used.push(0);
        self.piled.push(0);
        Some(chunk)
    }

    /// Puts a chunk on every pile it belongs on and is not on yet.
    fn pile(&mut self, chunk: u32) {
        let used = self.used[chunk as usize];
        for part in [Part::Node, Part::Full, Part::Pair] {
            let piled = &mut self.piled[chunk as usize];
            let bit = 1 << part as u8;
            if part.room(used).is_some() && *piled & bit == 0 {
                *piled |= bit;
                self.piles[part as usize].push(chunk);
            }
        }
    }
}

/// Rows of a chunk.
const CHUNK: u32 = NODE_ROWS;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_row_is_given_twice_and_none_is_lost(
            steps in proptest::collection::vec((0_u8..3, any::<bool>(), any::<prop::sample::Index>()), 1..300),
        ) {
            let mut rows = Rows::of(ROOT_ROWS + 12 * CHUNK);
            let mut held: Vec<(u32, Part)> = Vec::new();
            for (part, takes, chosen) in steps {
                let part = [Part::Node, Part::Full, Part::Pair][usize::from(part)];
                if takes {
                    held.extend(rows.take(part).map(|first| (first, part)));
                } else if !held.is_empty() {
                    let (first, part) = held.swap_remove(chosen.index(held.len()));
                    rows.give(first, part);
                }
                let all: Vec<u32> = held.iter().flat_map(|(first, part)| *first..first + part.rows()).collect();
                let distinct: BTreeSet<u32> = all.iter().copied().collect();
                prop_assert_eq!(distinct.len(), all.len());
                prop_assert!(all.iter().all(|row| (ROOT_ROWS..ROOT_ROWS + 12 * CHUNK).contains(row)));
            }
            for (first, part) in held {
                rows.give(first, part);
            }
            for _ in 0..12 {
                prop_assert!(rows.take(Part::Node).is_some());
            }
            prop_assert_eq!(rows.take(Part::Pair), None);
        }
    }
}
