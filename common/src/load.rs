//! How many flows a server has now, and whose turn it is: what `leastconn`, `random`, `roundrobin` and `maxconn` ask.
//!
//! The program counts the flows it begins and those it sees ending; what it cannot see (flows that time out, or end on a way
//! that does not lead through here) userspace finds out by counting the flow table now and then, and corrects the sum with
//! [`Load::rebase`]. Both counters only ever grow, so that neither side can lose what the other adds.

use crate::word::{Atomics, Word};

/// The record of map `loads`, indexed by server; one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Load {
    /// Flows begun; written by the program.
    pub begun: Word,
    /// Flows that were seen to end, or whose entry was given to another flow; written by the program.
    pub ended: Word,
    /// What has to be added to their difference (two's complement); written by userspace.
    pub base: Word,
    /// The most flows it may have (`maxconn`); 0 is no limit.
    pub limit: Word,
    /// What one flow weighs here: [`Load::price_of`] its weight.
    pub price: Word,
    /// Zero.
    pub spare: [Word; 3],
}

/// The record of map `turns`, indexed by service; one cache line, which only new flows touch.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Turn {
    /// Counts the flows that were given a turn.
    pub next: Word,
    /// Zero.
    pub spare: [Word; 7],
}

impl Load {
    /// The flows it has now, as far as is known.
    #[inline(always)]
    pub fn live(&self) -> u64 {
        let live = self.difference().wrapping_add(self.base.load());
        // A correction that came late may leave less than nothing.
        if live > i64::MAX as u64 { 0 } else { live }
    }

    /// Whether it may not be given another flow.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        let limit = self.limit.load();
        limit != 0 && self.live() >= limit
    }

    /// How loaded it would be with one more flow, in proportion to its weight.
    #[inline(always)]
    pub fn cost(&self) -> u64 {
        self.live().wrapping_add(1).wrapping_mul(self.price.load())
    }

    /// Counts a flow that begins.
    #[inline(always)]
    pub fn begin(&self, atomics: &impl Atomics) {
        atomics.add(&self.begun, 1);
    }

    /// Counts a flow that ends.
    #[inline(always)]
    pub fn end(&self, atomics: &impl Atomics) {
        atomics.add(&self.ended, 1);
    }

    /// Flows begun and not seen to end (wrapping). Read it before the table is counted.
    #[inline(always)]
    pub fn difference(&self) -> u64 {
        self.begun.load().wrapping_sub(self.ended.load())
    }

    /// Says that there were `live` flows when [`Self::difference`] told `difference`.
    pub fn rebase(&self, live: u64, difference: u64) {
        self.base.store(live.wrapping_sub(difference));
    }

    /// The price of a flow for a server of this weight, relative to others; none for weight 0.
    pub const fn price_of(weight: u32) -> u64 {
        match (1_u64 << 32).checked_div(weight as u64) {
            Some(price) => price,
            None => 0,
        }
    }
}

impl Turn {
    /// The number of the next turn; each is given once.
    #[inline(always)]
    pub fn take(&self, atomics: &impl Atomics) -> u64 {
        atomics.take(&self.next)
    }
}

const _: () = assert!(size_of::<Load>() == 64);
const _: () = assert!(size_of::<Turn>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::HostAtomics;

    #[test]
    fn live_flows_are_those_begun_and_not_ended_corrected() {
        let load = Load::default();
        assert_eq!(load.live(), 0);
        for _ in 0..5 {
            load.begin(&HostAtomics);
        }
        load.end(&HostAtomics);
        assert_eq!(load.live(), 4);
        // Two of them have timed out, and one more begins while they are counted.
        let difference = load.difference();
        load.begin(&HostAtomics);
        load.rebase(2, difference);
        assert_eq!(load.live(), 3);
        for _ in 0..4 {
            load.end(&HostAtomics);
        }
        assert_eq!(load.live(), 0, "never less than nothing");
    }

    #[test]
    fn a_server_is_full_at_its_limit() {
        let load = Load::default();
        assert!(!load.is_full(), "0 is no limit");
        load.limit.store(2);
        load.begin(&HostAtomics);
        assert!(!load.is_full());
        load.begin(&HostAtomics);
        assert!(load.is_full());
    }

    #[test]
    fn weights_divide_what_a_flow_costs() {
        let (light, heavy) = (Load::default(), Load::default());
        light.price.store(Load::price_of(16));
        heavy.price.store(Load::price_of(32));
        assert!(heavy.cost() < light.cost());
        heavy.begin(&HostAtomics);
        assert_eq!(heavy.cost(), light.cost());
        assert_eq!(Load::price_of(0), 0);
    }

    #[test]
    fn every_turn_is_given_once() {
        let turn = Turn::default();
        let turns: Vec<u64> = (0..3).map(|_| turn.take(&HostAtomics)).collect();
        assert_eq!(turns, [0, 1, 2]);
    }
}
