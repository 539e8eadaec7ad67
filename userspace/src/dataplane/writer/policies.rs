//! Enters what sources may do besides the lists: rate rules. They are written once, before the program runs.

use std::collections::BTreeMap;

use tidegate_common::action::Action;
use tidegate_common::rate::{Keying, Limit, Refused};
use tidegate_common::syn::{Cookies, SynPolicy};

use super::{Surroundings, WriteError, Writer};
use crate::dataplane::plan::{
    Counting, Family, Plan, RateLimit, Service, SourceAction, SynCookies, SynRules,
};

/// The regions of `sources`: first bucket and number of buckets, by table.
pub(crate) fn regions(plan: &Plan, buckets: u32) -> BTreeMap<&str, (u32, u32)> {
    let limits = plan
        .policies
        .iter()
        .filter_map(|policy| policy.rate.as_ref());
    let mut regions: BTreeMap<&str, (u32, u32)> = limits
        .map(|limit| (limit.table_name.as_str(), (0, 0)))
        .collect();
    let each = buckets
        .checked_div(regions.len() as u32)
        .unwrap_or(0)
        .max(1);
    for (number, region) in (0..).zip(regions.values_mut()) {
        *region = (number * each, each);
    }
    regions
}

/// When the SYNs of a service are a flood.
pub(super) fn syn_policy(rules: SynRules) -> SynPolicy {
    SynPolicy {
        limit: rules.rate,
        cookies: match rules.cookies {
            SynCookies::Off => Cookies::Off,
            SynCookies::Auto => Cookies::Auto,
            SynCookies::Always => Cookies::Always,
        },
    }
}

/// The rate rule of a service; 0 for none.
pub(super) fn rate_number(plan: &Plan, service: &Service) -> u16 {
    let Some(policy) = service.policy else {
        return 0;
    };
    let limits = |limit: &RateLimit| service.family == Family::V4 || limit.v6;
    match plan
        .policies
        .get(usize::from(policy.0))
        .and_then(|policy| policy.rate.as_ref())
    {
        Some(limit) if limits(limit) => policy.0 + 1,
        _ => 0,
    }
}

impl Writer {
    /// Writes rate rules and lists.
    pub(super) fn write_policies(
        &mut self,
        surroundings: &Surroundings<'_>,
    ) -> Result<(), WriteError> {
        let regions = regions(&self.plan, surroundings.sizes.source_buckets);
        for (number, policy) in (1..).zip(&self.plan.policies) {
            let Some(limit) = &policy.rate else { continue };
            let rule = self
                .tables
                .rates
                .get(number)
                .ok_or(WriteError::Full("rate rules"))?;
            let (first, buckets) = regions
                .get(limit.table_name.as_str())
                .copied()
                .unwrap_or_default();
            rule.publish(first, buckets, self.limit(limit), keying(limit));
        }
        self.write_lists()
    }

    fn limit(&self, limit: &RateLimit) -> Limit {
        let rate = match limit.counting {
            Counting::All => limit.limit,
            Counting::Accepted => limit.limit.saturating_add(1),
        };
        Limit {
            period: self.ticks.span(limit.period),
            rate,
        }
    }
}

fn keying(limit: &RateLimit) -> Keying {
    let refused = match limit.counting {
        Counting::All => Refused::Charged,
        Counting::Accepted => Refused::Uncharged,
    };
    Keying {
        v4: limit.masks.v4,
        v6: limit.masks.v6.unwrap_or(128),
        refused,
        resets: limit.resets,
    }
}

/// The action as the program reads it.
pub(super) const fn kernel_action(action: SourceAction) -> Action {
    match action {
        SourceAction::Next => Action::Accept,
        SourceAction::Accept => Action::Exempt,
        SourceAction::Drop => Action::Refuse,
        SourceAction::Reset => Action::Reset,
    }
}
