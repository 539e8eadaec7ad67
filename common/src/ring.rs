//! Maglev rings: which server a new flow goes to (Eisenbud et al., "Maglev", NSDI 2016, §3.4).
//!
//! A ring has 65537 positions with a server each; a flow's hash chooses the position. [`fill`] gives every server its
//! share of the positions by weight, and a changed set of servers moves few others than it must. Map `rings` holds rings
//! as rows of 32 positions, because an array's values are whole multiples of eight bytes.

#[cfg(any(feature = "user", test))]
use alloc::{vec, vec::Vec};

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
    /// What the positions will hold.
    pub server: ServerIndex,
    /// Its weight; 0 gets nothing.
    pub weight: u32,
    /// A number that names the server wherever it is balanced to (a hash of its address and port): equal keys and
    /// weights give equal rings on every balancer, whatever the indexes and the order.
    pub key: u64,
}

/// Makes the ring of `shares`; all zero if nobody has weight.
#[cfg(any(feature = "user", test))]
pub fn fill(shares: &[Share]) -> Vec<ServerIndex> {
    use crate::hash::mix;

    struct Turn {
        server: ServerIndex,
        weight: u32,
        credit: u32,
        next: u32,
        skip: u32,
    }

    let mut ring = vec![ServerIndex::default(); RING_SIZE as usize];
    let mut shares: Vec<_> = shares.iter().filter(|share| share.weight > 0).collect();
    shares.sort_by_key(|share| share.key);
    let most = shares.iter().map(|share| share.weight).max().unwrap_or(0);
    let mut turns: Vec<Turn> = shares
        .iter()
        .map(|share| Turn {
            server: share.server,
            weight: share.weight,
            credit: 0,
            next: reduce((mix(share.key) >> 32) as u32, RING_SIZE),
            skip: 1 + reduce(mix(share.key ^ SKIP) as u32, RING_SIZE - 1),
        })
        .collect();
    let mut left = if turns.is_empty() { 0 } else { RING_SIZE };
    while left > 0 {
        for turn in &mut turns {
            // A server takes a position each time its weight has added up to the largest one.
            turn.credit += turn.weight;
            if turn.credit < most || left == 0 {
                continue;
            }
            turn.credit -= most;
            while ring[turn.next as usize] != ServerIndex::default() {
                turn.next = (turn.next + turn.skip) % RING_SIZE;
            }
            ring[turn.next as usize] = turn.server;
            left -= 1;
        }
    }
    ring
}

/// Writes `ring` (as [`fill`] made it) into the rows of a ring number that no service names.
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
        }
    }

    fn counts(ring: &[ServerIndex], server: u16) -> usize {
        ring.iter().filter(|at| at.0 == server).count()
    }

    #[test]
    fn nobody_gets_an_empty_ring() {
        assert!(fill(&[]).iter().all(|at| at.0 == 0));
        assert!(fill(&[share(1, 0)]).iter().all(|at| at.0 == 0));
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
        fn losing_one_server_of_many_moves_little_else(servers in 4u16..60, gone in 0u16..60) {
            let gone = gone % servers + 1;
            let all: Vec<_> = (1..=servers).map(|n| share(n, 1)).collect();
            let rest: Vec<_> = all.iter().copied().filter(|s| s.server.0 != gone).collect();
            let (before, after) = (fill(&all), fill(&rest));
            prop_assert_eq!(counts(&after, gone), 0);
            let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count() as f64;
            let must = f64::from(RING_SIZE) / f64::from(servers);
            prop_assert!(moved < must * 1.35 + f64::from(RING_SIZE) * 0.02, "{moved} moved, {must} had to");
        }
    }
}
