//! What the guard of a road writes on a packet: the differentiated services code point (RFC 2474).
//!
//! Input is an IP header and a [`Mark`]; output is the header with other upper six bits of its type of service or traffic
//! class. The lower two are the explicit congestion notification of its ends (RFC 3168), and nobody's to change on the way.

use crate::checksum::Delta;
use crate::frame::Frame;

/// A code point to write, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub(crate) u16);

impl Mark {
    /// Leaves packets as they are.
    pub const NONE: Self = Self(0);

    /// Writes the upper six bits of this type of service.
    #[inline(always)]
    pub const fn of(tos: u8) -> Self {
        Self(SOME | (tos & CODE_POINT) as u16)
    }

    /// Whether it leaves packets as they are.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 & SOME == 0
    }

    /// Writes it into the IP header at `at`.
    #[inline(always)]
    pub fn write(self, frame: &mut impl Frame, at: usize, is_v4: bool) -> Option<()> {
        let head = frame.load::<2>(at)?;
        let before = class_of(head, is_v4);
        set_class(
            frame,
            at,
            is_v4,
            head,
            self.0 as u8 | (before & !CODE_POINT),
        )
    }
}

/// The type of service or traffic class in the first two bytes of an IP header.
#[inline(always)]
pub const fn class_of([first, second]: [u8; 2], is_v4: bool) -> u8 {
    if is_v4 {
        second
    } else {
        first << 4 | second >> 4
    }
}

/// Replaces the type of service or traffic class of the IP header at `at`, whose first two bytes are `head`.
#[inline(always)]
pub fn set_class(
    frame: &mut impl Frame,
    at: usize,
    is_v4: bool,
    [first, second]: [u8; 2],
    class: u8,
) -> Option<()> {
    if !is_v4 {
        return frame.store(
            at,
            [(first & 0xf0) | (class >> 4), (class << 4) | (second & 0xf)],
        );
    }
    let checksum = frame.load::<2>(at + 10)?;
    let delta = Delta::NONE.word([first, second], [first, class]);
    frame.store(at + 1, [class])?;
    frame.store(at + 10, delta.apply(checksum))
}

const SOME: u16 = 0x100;
const CODE_POINT: u8 = 0xfc;
