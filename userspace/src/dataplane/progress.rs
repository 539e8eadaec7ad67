//! Tells an operator how long source lists take, where they take a while.

use tidegate_common::maps::Sizes;

use super::plan::Plan;
use crate::clock::{self, Moment};
use crate::log::notice;

/// The entering of large lists.
pub(super) struct Progress(Option<Moment>);

impl Progress {
    /// Says that it begins.
    pub(super) fn begin(plan: &Plan) -> Self {
        let counts = plan.policies.iter().map(|policy| policy.sources.count());
        let (v4, v6) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if v4 + v6 < MANY {
            return Self(None);
        }
        notice::notice(format_args!(
            "Kernel tier: entering source lists of {v4} IPv4 and {v6} IPv6 networks."
        ));
        Self(Some(clock::now()))
    }

    /// Says that it is done.
    pub(super) fn end(self, sizes: &Sizes) {
        if let Some(begun) = self.0 {
            let bytes = (u64::from(sizes.list4_rows) + u64::from(sizes.list6_buckets)) * 64;
            notice::notice(format_args!(
                "Kernel tier: source lists entered in {} ms; their tables take {} MiB.",
                clock::now().since(begun),
                bytes >> 20
            ));
        }
    }
}

/// Lists with fewer networks are entered at once.
const MANY: usize = 50_000;
