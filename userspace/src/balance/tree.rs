//! The ring of `hash-type consistent`: every server owns sixteen points per unit of weight on a circle of 32-bit
//! numbers, and a hash belongs to the nearest point.
//!
//! Points are placed as HAProxy places them, so two balancers with the same server ids agree. When a server comes or
//! goes, only the hashes nearest to its own points move.

use crate::hash::avalanche;

/// The points of all members, sorted.
#[derive(Debug)]
pub(super) struct Tree {
    points: Box<[Point]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    at: u32,
    member: u16,
}

impl Tree {
    /// Builds the ring from `(node key, points)` of each member; see [`super::Member::key`].
    pub(super) fn new(members: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut points: Vec<Point> = members
            .enumerate()
            .flat_map(|(member, (key, count))| {
                (0..count).map(move |point| Point {
                    at: avalanche(key.wrapping_add(point)),
                    member: member as u16,
                })
            })
            .collect();
        points.sort_unstable();
        Self {
            points: points.into(),
        }
    }

    /// The members met when walking up the ring from the point nearest to `hash`, once around: a member appears as
    /// often as it has points.
    pub(super) fn walk(&self, hash: u32) -> impl Iterator<Item = usize> + '_ {
        let start = self.nearest(hash);
        let (before, after) = self.points.split_at(start);
        after
            .iter()
            .chain(before)
            .map(|point| usize::from(point.member))
    }

    fn nearest(&self, hash: u32) -> usize {
        let count = self.points.len();
        if count == 0 {
            return 0;
        }
        let above = self.points.partition_point(|point| point.at < hash);
        let (next, previous) = (above % count, (above + count - 1) % count);
        let up = self.points[next].at.wrapping_sub(hash);
        let down = hash.wrapping_sub(self.points[previous].at);
        if down <= up { previous } else { next }
    }
}
