//! The two orders in which weighted servers take turns, as rings of member indexes.
//!
//! [`schedule`] is round robin's: every server is spaced as evenly as its weight allows. [`map`] is the static array of
//! `static-rr` and `hash-type map-based`, slot for slot the one HAProxy builds, because a hash modulo its length must
//! name the same server. Neither knows which servers are up: the caller passes the weights of those that are.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};

/// The order of `balance roundrobin` over one period: each member appears in proportion to its weight, and its k-th
/// turn falls due at k/weight of the period. Ties go in declaration order.
pub(super) fn schedule(weights: &[u32]) -> Box<[u16]> {
    let weights = reduce(weights);
    let period: u32 = weights.iter().sum();
    let mut due: BinaryHeap<Reverse<Turn>> = weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0)
        .map(|(member, weight)| Reverse(Turn::first(member, *weight)))
        .collect();
    let mut order = Vec::with_capacity(period as usize);
    while order.len() < period as usize {
        let Some(mut next) = due.peek_mut() else {
            break;
        };
        order.push(next.0.member);
        next.0.number += 1;
    }
    order.into()
}

/// The array of `static-rr` and of map-based hashing. Slot `n` goes to the member that lags most behind its share of
/// the first `n + 1` slots, counted in whole turns; ties go to the first declared.
pub(super) fn map(weights: &[u32]) -> Box<[u16]> {
    let weights = reduce(weights);
    let period: u32 = weights.iter().sum();
    let mut shares = whole_turns(&weights, period).into_iter().peekable();
    let mut lag = vec![0_i32; weights.len()];
    let mut by_lag: BTreeSet<(Reverse<i32>, u16)> = (0..weights.len())
        .filter(|member| weights[*member] > 0)
        .map(|member| (Reverse(0), member as u16))
        .collect();
    let mut change = |by_lag: &mut BTreeSet<_>, member: u16, by: i32| {
        let lag = &mut lag[usize::from(member)];
        by_lag.remove(&(Reverse(*lag), member));
        *lag += by;
        by_lag.insert((Reverse(*lag), member));
    };
    let mut slots = Vec::with_capacity(period as usize);
    for slot in 0..period {
        while let Some((_, member)) = shares.next_if(|(due, _)| *due == slot) {
            change(&mut by_lag, member, 1);
        }
        let Some(&(_, best)) = by_lag.first() else {
            break;
        };
        change(&mut by_lag, best, -1);
        slots.push(best);
    }
    slots.into()
}

/// The slots at which a member's share of the ring reaches another whole turn, in order.
fn whole_turns(weights: &[u32], period: u32) -> Vec<(u32, u16)> {
    let mut turns: Vec<(u32, u16)> = weights
        .iter()
        .enumerate()
        .flat_map(|(member, &weight)| {
            (1..=u64::from(weight)).map(move |turn| {
                let slot = (turn * u64::from(period)).div_ceil(u64::from(weight)) - 1;
                (slot as u32, member as u16)
            })
        })
        .collect();
    turns.sort_unstable();
    turns
}

/// A member's next turn: due at `number / weight`.
#[derive(PartialEq, Eq)]
struct Turn {
    number: u32,
    weight: u32,
    member: u16,
}

impl Turn {
    fn first(member: usize, weight: u32) -> Self {
        Self {
            number: 1,
            weight,
            member: member as u16,
        }
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let ours = u64::from(self.number) * u64::from(other.weight);
        let theirs = u64::from(other.number) * u64::from(self.weight);
        ours.cmp(&theirs).then(self.member.cmp(&other.member))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The weights divided by their greatest common divisor, and scaled down (never to zero) if the period would still
/// exceed [`LONGEST`] slots.
fn reduce(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights
        .iter()
        .map(|weight| u64::from(weight / divisor))
        .sum();
    let shrink = total.div_ceil(LONGEST).max(1) as u32;
    weights
        .iter()
        .map(|&weight| {
            if weight == 0 {
                0
            } else {
                (weight / divisor / shrink).max(1)
            }
        })
        .collect()
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Bound on a ring's length: 4095 servers at the largest weight would need a million slots; past this bound weights lose
/// their last bits instead.
const LONGEST: u64 = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_take_turns_in_declaration_order() {
        assert_eq!(*schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(*schedule(&[16, 16]), [0, 1]);
        assert_eq!(*map(&[7, 7, 7]), [0, 1, 2]);
    }

    #[test]
    fn heavier_members_are_spread_over_the_period() {
        assert_eq!(*schedule(&[3, 1]), [0, 0, 0, 1]);
        assert_eq!(*schedule(&[5, 2, 1]), [0, 0, 1, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn static_map_equals_the_one_of_a_running_haproxy() {
        assert_eq!(*map(&[3, 1]), [0, 0, 0, 1]);
        assert_eq!(*map(&[20, 10]), [0, 0, 1]);
        assert_eq!(*map(&[5, 2, 1]), [0, 0, 1, 0, 0, 1, 0, 2]);
        assert_eq!(*map(&[1, 2, 5, 3]), [0, 1, 2, 3, 2, 1, 2, 3, 2, 2, 3]);
    }

    #[test]
    fn members_without_weight_never_appear() {
        assert_eq!(*schedule(&[0, 1]), [1]);
        assert_eq!(*map(&[0, 2, 0]), [1]);
        assert!(schedule(&[]).is_empty() && map(&[0, 0]).is_empty());
    }

    #[test]
    fn an_enormous_farm_keeps_its_ring_bounded() {
        let weights: Vec<u32> = (0..4095).map(|member| 3 + member % 253).collect();
        assert!(schedule(&weights).len() as u64 <= LONGEST);
        assert!(map(&weights).len() as u64 <= LONGEST);
    }

    proptest::proptest! {
        #[test]
        fn every_member_appears_in_proportion_to_its_weight(weights in proptest::collection::vec(0_u32..64, 1..12)) {
            let divisor = weights.iter().copied().fold(0, gcd).max(1);
            for ring in [schedule(&weights), map(&weights)] {
                for (member, weight) in weights.iter().enumerate() {
                    let turns = ring.iter().filter(|turn| usize::from(**turn) == member).count();
                    proptest::prop_assert_eq!(turns as u32, weight / divisor);
                }
            }
        }

        #[test]
        fn no_prefix_of_the_schedule_strays_more_than_one_turn(weights in proptest::collection::vec(1_u32..32, 1..8)) {
            let ring = schedule(&weights);
            let total: u32 = weights.iter().sum();
            for (member, weight) in weights.iter().enumerate() {
                let mut turns = 0_i64;
                for (slot, turn) in ring.iter().enumerate() {
                    turns += i64::from(usize::from(*turn) == member);
                    let share = (slot as i64 + 1) * i64::from(*weight) / i64::from(total);
                    proptest::prop_assert!((turns - share).abs() <= weights.len() as i64);
                }
            }
        }
    }
}
