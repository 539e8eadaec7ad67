//! The IPv4 source table: the class of every address, in at most three loads.
//!
//! Map `lists4` is one array of 64-byte rows. The first [`ROOT_ROWS`] hold a cell for each /16; a cell is a class, or
//! leads to a *node* (256 cells, one for each /24 of the /16), or to the class of single hosts of a /24: a *pair* (256 bits
//! that choose between two classes, one row) or a *full* block (256 classes, eight rows). A /24 of one class but for a
//! single prefix in it, which is what most of a long list is made of, is all in its cell. So an address costs two loads
//! and seldom a third, 64 bytes hold any number of addresses of a /24 in one list, and memory grows with the list, not
//! with the address space.

use crate::action::{CLASSES, Class};
use crate::frame::Tables;
use crate::word::Word;

/// The record of map `lists4`.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct ListRow {
    /// Sixteen cells, or a pair (four words of bits, then both classes), or 32 classes.
    pub words: [Word; 8],
}

/// A cell: what is known of a /16 or a /24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// All of it has this class.
    Class(Class),
    /// A node begins at this row (cells of a /16 only).
    Node(u32),
    /// A pair is in this row (cells of a /24 only).
    Pair(u32),
    /// A full block begins at this row (cells of a /24 only).
    Full(u32),
    /// One class but for a prefix (cells of a /24 only).
    Single(Single),
}

/// A prefix alone in its /24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    /// The last byte of its first address.
    pub host: u8,
    /// How many of its addresses' last bits differ, 0–7.
    pub bits: u8,
    /// Its class.
    pub class: Class,
    /// The class of all others; below [`SINGLE_AROUND`].
    pub around: Class,
}

impl Cell {
    /// As the 32 bits in a row.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Class(class) => (class.0 as u32) << 3,
            Self::Node(row) => (row << 3) | NODE,
            Self::Pair(row) => (row << 3) | PAIR,
            Self::Full(row) => (row << 3) | FULL,
            Self::Single(single) => {
                (single.around.0 as u32) << 26
                    | (single.class.0 as u32 % CLASSES) << 14
                    | (single.host as u32) << 6
                    | (single.bits as u32 & 7) << 3
                    | SINGLE
            }
        }
    }

    /// From the 32 bits in a row.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 7 {
            NODE => Self::Node(bits >> 3),
            PAIR => Self::Pair(bits >> 3),
            FULL => Self::Full(bits >> 3),
            SINGLE => Self::Single(Single {
                host: (bits >> 6) as u8,
                bits: (bits >> 3 & 7) as u8,
                class: Class((bits >> 14 & (CLASSES - 1)) as u16),
                around: Class((bits >> 26) as u16),
            }),
            _ => Self::Class(Class((bits >> 3) as u16)),
        }
    }
}

impl Single {
    /// The class of the host with this last byte.
    #[inline(always)]
    pub const fn of(self, host: u8) -> Class {
        if (host ^ self.host) >> self.bits == 0 {
            self.class
        } else {
            self.around
        }
    }
}

impl ListRow {
    /// The cell with this number, of which this must be the row.
    #[inline(always)]
    pub fn cell(&self, number: u32) -> Cell {
        let word = self.words[(number / 2 % 8) as usize].load();
        Cell::from_bits((word >> (number % 2 * 32)) as u32)
    }

    /// Of a pair: the class of the host with this last byte.
    #[inline(always)]
    fn of_pair(&self, host: u8) -> Class {
        let chosen = self.words[(host / 64 % 4) as usize].load() >> (host % 64) & 1;
        Class((self.words[PAIR_CLASSES].load() >> (chosen * 16)) as u16)
    }

    /// Of a full block: the class of the host with this last byte, of which this must be the row.
    #[inline(always)]
    fn of_full(&self, host: u8) -> Class {
        let word = self.words[(host / 4 % 8) as usize].load();
        Class((word >> (host % 4 * 16)) as u16)
    }
}

/// The class of an address.
#[inline(always)]
pub fn class(tables: &impl Tables, [a, b, c, d]: [u8; 4]) -> Class {
    let (wide, narrow) = (u16::from_be_bytes([a, b]) as u32, c as u32);
    let Some(row) = tables.list4_row(wide / CELLS_PER_ROW) else {
        return Class::default();
    };
    let mut cell = row.cell(wide);
    if let Cell::Node(node) = cell {
        match tables.list4_row(node + narrow / CELLS_PER_ROW) {
            Some(row) => cell = row.cell(narrow),
            None => return Class::default(),
        }
    }
    let found = match cell {
        Cell::Class(class) => return class,
        Cell::Single(single) => return single.of(d),
        Cell::Node(_) => None,
        Cell::Pair(row) => tables.list4_row(row).map(|row| row.of_pair(d)),
        Cell::Full(first) => tables
            .list4_row(first + d as u32 / CLASSES_PER_ROW)
            .map(|row| row.of_full(d)),
    };
    found.unwrap_or_default()
}

/// Rows of the root: one cell for each /16. A `lists4` of fewer rows holds no list at all.
pub const ROOT_ROWS: u32 = 65_536 / CELLS_PER_ROW;
/// Rows of a node.
pub const NODE_ROWS: u32 = 256 / CELLS_PER_ROW;
/// Rows of a full block.
pub const FULL_ROWS: u32 = 8;

/// Classes of [`Single::around`].
pub const SINGLE_AROUND: u16 = 64;

const NODE: u32 = 1;
const PAIR: u32 = 2;
const FULL: u32 = 3;
const SINGLE: u32 = 4;
const CELLS_PER_ROW: u32 = 16;
const CLASSES_PER_ROW: u32 = 32;
/// The word of a pair with both classes: 16 bits for hosts whose bit is 0, then for those whose bit is 1.
const PAIR_CLASSES: usize = 4;

const _: () = assert!(size_of::<ListRow>() == 64);
