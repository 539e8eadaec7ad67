//! Source lists and connection rates.

use super::work::{Scene, Work};
use crate::action::{Action, Class};
use crate::address::Address;
use crate::frame::Tables;
use crate::rate::{Keying, Limit, Refused};
use crate::source::{self, SourceBucket};
use crate::verdict::DropReason;
use crate::word::{high, low};
use crate::{list4, list6};

/// The class of a source.
#[inline(always)]
pub(super) fn class<T: Tables>(scene: &Scene<'_, T>, source: Address) -> Class {
    let mut v4 = source.v4_bytes();
    // One outcome at a time: where they meet, the verifier does not see what is known of each.
    if !source.is_v4() {
        let listed = list6::class(
            scene.tables,
            scene.config.table_key.load(),
            scene.config.list6_lengths.load(),
            high(scene.config.sizes.load()),
            source,
        );
        if let Some(class) = listed {
            return class;
        }
        let Some(embedded) = source.embedded_v4() else {
            return Class::default();
        };
        v4 = embedded;
    }
    list4::class(scene.tables, v4)
}

/// What a policy does with a class.
#[inline(always)]
pub(super) fn action<T: Tables>(scene: &Scene<'_, T>, class: Class, policy: u16) -> Option<Action> {
    let row = scene.tables.action_row(class.row(policy))?;
    Some(row.action(class))
}

/// What is asked of a source's account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// It asks for a connection: is it over its rate?
    Ask,
    /// It made one: charge it.
    Charge,
    /// It did both with one packet, which is all that can be known of a UDP flow.
    AskAndCharge,
}

/// That a source is over its rate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// It hears nothing.
    Silently,
    /// It may be told.
    Told,
}

impl From<Over> for DropReason {
    #[inline(always)]
    fn from(_: Over) -> Self {
        Self::RateExceeded
    }
}

/// Books a deed of the packet's source under the rate rule it is under.
#[inline(always)]
pub(super) fn account<T: Tables>(
    scene: &Scene<'_, T>,
    work: &Work,
    deed: Deed,
) -> Result<(), Over> {
    if work.rate == 0 {
        return Ok(());
    }
    let Some(account) = Account::of(scene, work) else {
        return Ok(());
    };
    let limit = account.limit;
    if deed != Deed::Charge {
        let entry = account.bucket.find(account.source);
        let rate = match entry {
            Some(entry) => entry.window().rate_with_one_more(limit.period, work.now),
            None => 1,
        };
        if rate > limit.rate {
            if account.refused == Refused::Charged
                && let Some(entry) = entry
            {
                entry.charge(scene.tables, limit.period, work.now);
            }
            return Err(if account.resets {
                Over::Told
            } else {
                Over::Silently
            });
        }
    }
    if deed != Deed::Ask {
        account.bucket.charge(
            scene.tables,
            account.source,
            limit.period,
            limit.rate,
            work.now,
        );
    }
    Ok(())
}

/// Where a source is counted.
struct Account<'a> {
    source: Address,
    bucket: &'a SourceBucket,
    limit: Limit,
    refused: Refused,
    resets: bool,
}

impl<'a> Account<'a> {
    #[inline(always)]
    fn of<T: Tables>(scene: &Scene<'a, T>, work: &Work) -> Option<Self> {
        let rule = scene.tables.rate_rule(work.rate as u32)?;
        let keying = Keying::from_word(rule.keying.load());
        let network = &work.packet.network;
        let length = if network.is_v4 { keying.v4 } else { keying.v6 };
        let source = network.source.masked(length);
        let region = rule.region.load();
        let at = source::bucket(scene.config.table_key.load(), source, high(region));
        Some(Self {
            source,
            bucket: scene.tables.source_bucket(low(region).wrapping_add(at))?,
            limit: Limit::from_word(rule.limit.load()),
            refused: keying.refused,
            resets: keying.resets,
        })
    }
}
