//! Maglev rings: which server a new flow goes to (Eisenbud et al., "Maglev", NSDI 2016, §3.4).
//!
//! A ring has 65537 positions with a server each; a flow's hash chooses the position. [`fill`] gives every server its
//! share of the positions by weight; while one of them cannot be used its positions alone go to others, and come back to it
//! afterwards. [`schedule`] makes a ring to be walked through instead, in which servers take turns. Map `rings` holds both
//! as rows of 32 positions, because an array's values are whole multiples of eight bytes.

#[cfg(any(feature = "user", test))]
use alloc::{collections::BinaryHeap, vec, vec::Vec};
#[cfg(any(feature = "user", test))]
use core::cmp::Reverse;

use crate::hash::reduce;
use crate::server::ServerIndex;
use crate::word::Word;

/// The record of map `rings`: 32 positions of 16 bits. A ring is [`RING_ROWS`] of them in a row.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct RingRow {
    /// Four positions each, the first in the low bits.
    pub words: [Word; 8],
}

/// A position of a ring, below [`RING_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(u32);

impl Position {
    /// The position of a flow.
    #[inline(always)]
    pub const fn of(hash: u32) -> Self {
        Self(reduce(hash, RING_SIZE))
    }

    /// The position of a turn, counted from any start.
    #[inline(always)]
    pub const fn nth(turn: u64) -> Self {
        Self((turn % RING_SIZE as u64) as u32)
    }

    /// The row in map `rings` that holds this position of ring number `ring`.
    #[inline(always)]
    pub const fn row(self, ring: u16) -> u32 {
        ring as u32 * RING_ROWS + self.0 / POSITIONS_PER_ROW
    }
}

impl RingRow {
    /// The server at `position`, of which this must be the row.
    #[inline(always)]
    pub fn server(&self, position: Position) -> ServerIndex {
        let word = self.words[(position.0 / 4 % 8) as usize].load();
        ServerIndex((word >> (position.0 % 4 * 16)) as u16)
    }
}

/// A server's claim to a ring.
#[cfg(any(feature = "user", test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What the positions will hold; not looked at unless it is usable.
    pub server: ServerIndex,
    /// Its weight, or while it is not usable that which it will have again; 0 gets nothing.
    pub weight: u32,
    /// A number that names the server wherever it is balanced to (a hash of its address and port): equal keys and
    /// weights give equal rings on every balancer, whatever the indexes and the order.
    pub key: u64,
    /// Whether it may be given new flows. Others hold its positions until it may.
    pub usable: bool,
}

/// Makes the ring of `shares`; all zero if nobody with weight is usable.
#[cfg(any(feature = "user", test))]
pub fn fill(shares: &[Share]) -> Vec<ServerIndex> {
    use crate::hash::mix;

    let mut shares: Vec<Share> = shares.iter().filter(|it| it.weight > 0).copied().collect();
    shares.sort_by_key(|share| share.key);
    if !shares.iter().any(|share| share.usable) {
        return vec![ServerIndex::default(); RING_SIZE as usize];
    }
    let owners = owners(&shares);
    let usable = |at: usize| Some(shares[owners[at]]).filter(|share| share.usable);
    // Whoever stands in is found by the position alone, so that the loss of another server moves no position of this one
    // but those it was stood in for with.
    let stand_in = |at: usize| {
        let mut hash = mix(at as u64 ^ STAND_IN);
        let mut place = at;
        for _ in 0..DRAWS {
            place = reduce((hash >> 32) as u32, RING_SIZE) as usize;
            if let Some(share) = usable(place) {
                return share;
            }
            hash = mix(hash.wrapping_add(1));
        }
        let around = (place..owners.len()).chain(0..place);
        around.filter_map(usable).next().unwrap_or(shares[0])
    };
    (0..owners.len())
        .map(|at| usable(at).unwrap_or_else(|| stand_in(at)).server)
        .collect()
}

/// Whose position each is, as a number of `shares`: Maglev's own algorithm.
#[cfg(any(feature = "user", test))]
fn owners(shares: &[Share]) -> Vec<usize> {
    use crate::hash::mix;

    struct Turn {
        weight: u32,
        credit: u32,
        next: u32,
        skip: u32,
    }

    let mut ring = vec![usize::MAX; RING_SIZE as usize];
    let most = shares.iter().map(|share| share.weight).max().unwrap_or(0);
    let mut turns: Vec<Turn> = shares
        .iter()
        .map(|share| Turn {
            weight: share.weight,
            credit: 0,
            next: reduce((mix(share.key) >> 32) as u32, RING_SIZE),
            skip: 1 + reduce(mix(share.key ^ SKIP) as u32, RING_SIZE - 1),
        })
        .collect();
    let mut left = if turns.is_empty() { 0 } else { RING_SIZE };
    while left > 0 {
        for (owner, turn) in turns.iter_mut().enumerate() {
            // A server takes a position each time its weight has added up to the largest one.
            turn.credit += turn.weight;
            if turn.credit < most || left == 0 {
                continue;
            }
            turn.credit -= most;
            while ring[turn.next as usize] != usize::MAX {
                turn.next = (turn.next + turn.skip) % RING_SIZE;
            }
            ring[turn.next as usize] = owner;
            left -= 1;
        }
    }
    ring
}

/// Makes a ring in which usable servers take turns: each as often as its weight says, and its turns as far apart as can
/// be. All zero if there are none.
#[cfg(any(feature = "user", test))]
pub fn schedule(shares: &[Share]) -> Vec<ServerIndex> {
    let mut shares: Vec<Share> = shares
        .iter()
        .filter(|share| share.usable && share.weight > 0)
        .copied()
        .collect();
    shares.sort_by_key(|share| share.key);
    // When each server's next turn is due, in the middle of the time it is for.
    let due = |weight: u32, turn: u64| ((2 * turn + 1) << 32) / u64::from(weight);
    let mut turns: BinaryHeap<_> = (0..)
        .zip(&shares)
        .map(|(number, share): (usize, _)| Reverse((due(share.weight, 0), number, 0)))
        .collect();
    let mut ring = vec![ServerIndex::default(); RING_SIZE as usize];
    for position in &mut ring {
        let Some(Reverse((_, number, turn))) = turns.pop() else {
            break;
        };
        *position = shares[number].server;
        let next = due(shares[number].weight, turn + 1);
        turns.push(Reverse((next, number, turn + 1)));
    }
    ring
}

/// Writes `ring` (as [`fill`] or [`schedule`] made it) into the rows of a ring number that no service names.
#[cfg(any(feature = "user", test))]
pub fn publish(rows: &[RingRow], ring: &[ServerIndex]) {
    let words = rows.iter().flat_map(|row| &row.words);
    for (word, positions) in words.zip(ring.chunks(4)) {
        let value = positions
            .iter()
            .rev()
            .fold(0, |value, server| (value << 16) | u64::from(server.0));
        word.store(value);
    }
}

/// Positions of a ring: a prime, so that every step walks all of them.
pub const RING_SIZE: u32 = 65_537;
/// Rows of a ring.
pub const RING_ROWS: u32 = RING_SIZE.div_ceil(POSITIONS_PER_ROW);

const POSITIONS_PER_ROW: u32 = 32;
#[cfg(any(feature = "user", test))]
const SKIP: u64 = 0x5851_f42d_4c95_7f2d;
#[cfg(any(feature = "user", test))]
const STAND_IN: u64 = 0x2545_f491_4f6c_dd1d;
/// Positions tried for a usable server in the place of one that is not, before the next one along the ring is taken.
#[cfg(any(feature = "user", test))]
const DRAWS: u32 = 64;

const _: () = assert!(size_of::<RingRow>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;
    use proptest::prelude::*;

    fn share(server: u16, weight: u32) -> Share {
        Share {
            server: ServerIndex(server),
            weight,
            key: mix(u64::from(server) + 1000),
            usable: true,
        }
    }

    fn without(shares: &[Share], gone: &[u16]) -> Vec<Share> {
        let usable = |share: &Share| share.usable && !gone.contains(&share.server.0);
        let one = |share: &Share| Share {
            usable: usable(share),
            ..*share
        };
        shares.iter().map(one).collect()
    }

    fn moved(before: &[ServerIndex], after: &[ServerIndex]) -> f64 {
        let changed = before.iter().zip(after).filter(|(b, a)| b != a).count();
        changed as f64 / f64::from(RING_SIZE)
    }

    fn counts(ring: &[ServerIndex], server: u16) -> usize {
        ring.iter().filter(|at| at.0 == server).count()
    }

    #[test]
    fn nobody_gets_an_empty_ring() {
        assert!(fill(&[]).iter().all(|at| at.0 == 0));
        assert!(fill(&[share(1, 0)]).iter().all(|at| at.0 == 0));
        assert!(
            fill(&without(&[share(1, 1)], &[1]))
                .iter()
                .all(|at| at.0 == 0)
        );
        assert!(schedule(&[]).iter().all(|at| at.0 == 0));
    }

    #[test]
    fn a_written_ring_reads_back_position_by_position() {
        let ring = fill(&[share(1, 1), share(2, 2), share(0xfffe, 3)]);
        let rows: Vec<_> = (0..2 * RING_ROWS).map(|_| RingRow::default()).collect();
        publish(&rows[RING_ROWS as usize..], &ring);
        for (at, server) in ring.iter().enumerate() {
            let position = Position(at as u32);
            assert_eq!(rows[position.row(1) as usize].server(position), *server);
        }
    }

    #[test]
    fn the_ring_depends_on_keys_and_not_on_order() {
        let shares = [share(1, 3), share(2, 1), share(3, 2)];
        let [a, b, c] = shares;
        assert_eq!(fill(&shares), fill(&[c, a, b]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn shares_follow_weights_within_two_percent(
            weights in prop::collection::vec(1u32..=256, 1..40),
        ) {
            let shares: Vec<_> = (1..).zip(&weights).map(|(n, w)| share(n, *w)).collect();
            let ring = fill(&shares);
            let total: u32 = weights.iter().sum();
            for share in shares {
                let wanted = f64::from(RING_SIZE) * f64::from(share.weight) / f64::from(total);
                let got = counts(&ring, share.server.0) as f64;
                // Two percent, or two positions where the share is tiny.
                prop_assert!((got - wanted).abs() <= (wanted * 0.02).max(2.0), "{got} for {wanted}");
            }
        }

        #[test]
        fn a_server_that_is_lost_moves_its_own_flows_and_no_others(
            weights in prop::collection::vec(1u32..=256, 2..60), gone in 0usize..60, later in 0usize..60,
        ) {
            let all: Vec<_> = (1..).zip(&weights).map(|(n, w)| share(n, *w)).collect();
            let (gone, later) = ((gone % all.len()) as u16 + 1, (later % all.len()) as u16 + 1);
            let before = fill(&all);
            let one = fill(&without(&all, &[gone]));
            let two = fill(&without(&all, &[gone, later]));
            prop_assert_eq!(counts(&one, gone), 0);
            for (at, server) in before.iter().enumerate() {
                prop_assert!(server.0 == gone || one[at] == *server, "position {} moved", at);
            }
            if all.len() > 2 || gone == later {
                prop_assert_eq!(counts(&two, gone) + counts(&two, later), 0);
                for (at, server) in one.iter().enumerate() {
                    prop_assert!(server.0 == later || two[at] == *server, "position {} moved later", at);
                }
            }
        }

        #[test]
        fn the_disruption_is_within_two_percent_of_the_servers_share(servers in 2u16..200, gone in 0u16..200) {
            let gone = gone % servers + 1;
            let all: Vec<_> = (1..=servers).map(|n| share(n, 1)).collect();
            let share = 1.0 / f64::from(servers);
            let before = fill(&all);
            let marked = moved(&before, &fill(&without(&all, &[gone])));
            prop_assert!((marked - share).abs() <= share * 0.02, "down: {marked} moved, {share} had to");
            // Taken out for good, positions are dealt anew: two percent of all flows.
            let rest: Vec<_> = all.iter().copied().filter(|s| s.server.0 != gone).collect();
            let deleted = moved(&before, &fill(&rest));
            prop_assert!(deleted - share <= 0.02, "deleted: {deleted} moved, {share} had to");
        }

        #[test]
        fn those_who_stand_in_share_by_weight(
            weights in prop::collection::vec(1u32..=16, 3..20), gone in 0usize..20,
        ) {
            let all: Vec<_> = (1..).zip(&weights).map(|(n, w)| share(n, *w)).collect();
            let gone = (gone % all.len()) as u16 + 1;
            let rest = without(&all, &[gone]);
            let ring = fill(&rest);
            let total: u32 = rest.iter().filter(|s| s.usable).map(|s| s.weight).sum();
            for share in rest.iter().filter(|s| s.usable) {
                let wanted = f64::from(share.weight) / f64::from(total);
                let got = counts(&ring, share.server.0) as f64 / f64::from(RING_SIZE);
                prop_assert!((got - wanted).abs() <= 0.02, "{got} for {wanted}");
            }
        }

        #[test]
        fn turns_are_taken_by_weight_and_evenly(weights in prop::collection::vec(1u32..=256, 1..20)) {
            let all: Vec<_> = (1..).zip(&weights).map(|(n, w)| share(n, *w)).collect();
            let ring = schedule(&all);
            let total: u32 = weights.iter().sum();
            // In every stretch of the schedule each server has its share, give or take two turns.
            for length in [total as usize, 3 * total as usize + 7] {
                for stretch in ring.chunks_exact(length) {
                    for share in &all {
                        let wanted = length as f64 * f64::from(share.weight) / f64::from(total);
                        let got = counts(stretch, share.server.0) as f64;
                        prop_assert!((got - wanted).abs() <= 2.0, "{got} turns for {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn equal_servers_take_turns_one_after_another() {
        let ring = schedule(&[share(1, 5), share(2, 5), share(3, 5)]);
        let [a, b, c, ..] = ring[..] else {
            panic!("a ring is longer")
        };
        assert_eq!([a.0, b.0, c.0].iter().sum::<u16>(), 6);
        assert!(ring.chunks_exact(3).all(|turn| turn == [a, b, c]));
        let lone = schedule(&without(&[share(1, 5), share(2, 9)], &[2]));
        assert!(lone.iter().all(|at| at.0 == 1));
    }
}
