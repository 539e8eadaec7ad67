//! The IPv4 source table: the class of every address, in at most three loads.
//!
//! Map `lists4` is one array of 64-byte rows. The first [`ROOT_ROWS`] hold a cell for each /16; a cell is a class, or
//! leads to a *node* (256 cells, one for each /24 of the /16), or to the class of single hosts of a /24: a *pair* (256 bits
//! that choose between two classes, one row) or a *full* block (256 classes, eight rows). So 64 bytes hold any number of
//! addresses of a /24 in one list, and memory grows with the list, not with the address space.

use crate::action::Class;
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
}

impl Cell {
    /// As the 32 bits in a row.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Class(class) => (class.0 as u32) << 2,
            Self::Node(row) => (row << 2) | 1,
            Self::Pair(row) => (row << 2) | 2,
            Self::Full(row) => (row << 2) | 3,
        }
    }

    /// From the 32 bits in a row.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => Self::Class(Class((bits >> 2) as u16)),
            1 => Self::Node(bits >> 2),
            2 => Self::Pair(bits >> 2),
            _ => Self::Full(bits >> 2),
        }
    }
}

/// Rows of the root: one cell for each /16. A `lists4` of fewer rows holds no list at all.
pub const ROOT_ROWS: u32 = 65_536 / CELLS_PER_ROW;
/// Rows of a node.
pub const NODE_ROWS: u32 = 256 / CELLS_PER_ROW;
/// Rows of a full block.
pub const FULL_ROWS: u32 = 8;

const CELLS_PER_ROW: u32 = 16;

const _: () = assert!(size_of::<ListRow>() == 64);
