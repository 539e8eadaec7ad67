//! What a service does with a class of sources.
//!
//! The source tables ([`crate::list4`], [`crate::list6`]) give every address a *class*: the set of lists it is in, as
//! numbered by userspace (0: in none). A *policy* says for each class whether the service accepts it. Policies are row
//! groups of map `actions`, 64 classes to a row, so that one table of addresses serves every service.

use crate::word::Word;

/// The record of map `actions`: the actions of 64 classes, one byte each in the order of their numbers.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct ActionRow {
    /// Eight classes each.
    pub words: [Word; 8],
}

/// The class of a source; below [`CLASSES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub u16);

/// What is done with a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// Go on.
    Accept = 0,
    /// Drop (`SourceListed`).
    Refuse = 1,
    /// Go on, past the rate as well, and not charged: `tcp-request connection accept if whitelist` before the limit.
    Exempt = 2,
    /// The same as [`Self::Refuse`], but a client that asks for a TCP connection is told so by a reset.
    Reset = 3,
}

impl Class {
    /// The row of map `actions` that holds this class of a policy.
    #[inline(always)]
    pub const fn row(self, policy: u16) -> u32 {
        policy as u32 * ROWS_PER_POLICY + (self.0 as u32 % CLASSES) / 64
    }
}

impl ActionRow {
    /// The action for `class`, of which this must be the row.
    #[inline(always)]
    pub fn action(&self, class: Class) -> Action {
        let word = self.words[(class.0 / 8 % 8) as usize].load();
        match (word >> (class.0 % 8 * 8)) as u8 {
            0 => Action::Accept,
            2 => Action::Exempt,
            3 => Action::Reset,
            _ => Action::Refuse,
        }
    }

    /// Sets the action for `class`.
    pub fn set(&self, class: Class, action: Action) {
        let word = &self.words[(class.0 / 8 % 8) as usize];
        let shift = class.0 % 8 * 8;
        word.store(word.load() & !(0xff << shift) | ((action as u64) << shift));
    }
}

/// Classes a policy tells apart. A configuration whose lists overlap in more ways is not offloaded.
pub const CLASSES: u32 = 4096;
/// Rows of one policy; policy 0 is never used: it means "no policy".
pub const ROWS_PER_POLICY: u32 = CLASSES / 64;

const _: () = assert!(size_of::<ActionRow>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_neighbours_do_not_touch() {
        let row = ActionRow::default();
        row.set(Class(64 + 9), Action::Refuse);
        for class in 64..128 {
            let wanted = if class == 73 {
                Action::Refuse
            } else {
                Action::Accept
            };
            assert_eq!(row.action(Class(class)), wanted);
        }
        row.set(Class(73), Action::Accept);
        assert_eq!(row.words[1].load(), 0);
    }

    #[test]
    fn classes_of_policies_share_no_row() {
        assert_eq!(Class(0).row(1), 64);
        assert_eq!(Class(4095).row(1), 127);
        assert_eq!(Class(0).row(2), 128);
    }
}
