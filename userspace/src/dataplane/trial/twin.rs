//! A copy of tables on which the decision runs beside whatever runs on the original, to be compared with it.

use tidegate_common::memory::{Arrays, Besides, Bytes, Memory, View, words};
use tidegate_common::tick::Tick;

use super::memory::outcome;
use super::{Drops, Outcome};

/// The copy. It decides about every frame without looking first whether it is a plain one, so that what is compared with
/// it shows that the way for those comes to the same results.
pub struct Twin {
    memory: Memory,
    besides: Besides,
    drops: Drops,
}

impl Twin {
    pub(super) fn of(arrays: &Arrays<'_>, besides: Besides) -> Self {
        Self {
            memory: Memory::copy(arrays),
            besides,
            drops: Drops::new(),
        }
    }

    /// Decides about a frame that comes in through an interface.
    pub fn run(&mut self, frame: &[u8], interface: u32) -> Outcome {
        let view = View {
            arrays: self.memory.arrays(),
            besides: &self.besides,
        };
        let mut frame = Bytes::new(frame, interface);
        let verdict = view.careful(&mut frame);
        outcome(verdict, frame, &mut self.drops)
    }

    /// What was dropped so far.
    pub fn drops(&self) -> &Drops {
        &self.drops
    }

    pub(super) fn set_clock(&self, now: Tick) {
        self.besides.now.set(now);
    }

    /// How many words of the tables that the program writes differ from these, times left aside.
    pub(super) fn differences(&self, ours: &Arrays<'_>) -> usize {
        let theirs = self.memory.arrays();
        let late = |word: u64| word >> 32;
        let flows = words(ours.flows).iter().zip(words(theirs.flows));
        let flows = flows.enumerate().filter(|(at, (a, b))| {
            let (a, b) = (a.load(), b.load());
            // Identity and track alternate; the low half of a track is a time.
            if at % 2 == 0 {
                a != b
            } else {
                late(a) != late(b)
            }
        });
        let nat = words(ours.nat).iter().zip(words(theirs.nat));
        let nat = nat.enumerate().filter(|(at, (a, b))| {
            let (a, b) = (a.load(), b.load());
            // The low half of the first word is a time.
            if at % 8 == 0 {
                late(a) != late(b)
            } else {
                a != b
            }
        });
        flows.count() + nat.count()
    }
}
