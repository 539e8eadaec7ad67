//! How large the maps are made for a plan.
//!
//! Input are the plan, the `xdp …` settings and the sizes of maps that could be taken over; output are the sizes of all
//! maps. What flows are remembered in keeps its size where that suffices, because a map of another size cannot be taken
//! over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_common::bind::buckets_for;
use tidegate_common::maps::{Sizes, name};
use tidegate_common::ring::RING_ROWS;
use tidegate_common::verdict::DROP_REASONS;

use super::lists::{Lists, Misfit};
use super::plan::Plan;
use super::writer::{ListSize, bind_sizes, roomy_prefixes, roomy_rows};
use crate::model::XdpGlobal;

/// What the source lists of all policies take together.
pub(super) fn list_size(plan: &Plan) -> Result<ListSize, Misfit> {
    ListSize::of(&mut Lists::new(plan)?)
}

/// The sizes for a plan on a machine with these addresses; `earlier` are the entries of maps that could be taken over.
pub(super) fn sizes(
    plan: &Plan,
    settings: &XdpGlobal,
    own: &BTreeSet<IpAddr>,
    earlier: &BTreeMap<&'static str, u32>,
) -> Result<Sizes, Misfit> {
    let lists = list_size(plan)?;
    let binds = bind_sizes(plan, own);
    let forwarded: Vec<_> = plan
        .services
        .iter()
        .filter_map(|service| service.delivery.forwarding())
        .collect();
    let servers: usize = forwarded
        .iter()
        .map(|forwarding| forwarding.servers.len())
        .sum();
    let limited = plan.policies.iter().any(|policy| policy.rate.is_some());
    let keep = |name: &str, unit: u32, needed: u32, roomy: u32| {
        let earlier = earlier
            .get(name)
            .map(|entries| entries / unit)
            .filter(|entries| *entries >= needed);
        earlier.unwrap_or_else(|| roomy.next_power_of_two())
    };
    let flows = if forwarded.is_empty() {
        1
    } else {
        settings.flows
    };
    let services = plan.services.len() as u32 + 1;
    let servers = servers as u32 + 1;
    let scheduled = forwarded.iter().filter(|it| it.needs_schedule()).count() as u32;
    let rings = 3 * forwarded.len() as u32 + 2 * scheduled + 1;
    Ok(Sizes {
        // Twice what is there, for addresses that come later.
        bind_buckets: buckets_for(2 * binds.entries),
        range_rows: 1 + 2 * (2 * binds.range_rows + 1),
        services: keep(name::DROPS, DROP_REASONS, services, (2 * services).max(256)),
        servers: keep(name::SERVERS, 1, servers, (4 * servers).max(1024)),
        rings: keep(name::RINGS, RING_ROWS, rings, (2 * rings).max(16)),
        list4_rows: roomy_rows(&lists),
        list6_buckets: roomy_prefixes(&lists),
        list6_prefixes: roomy_prefixes(&lists),
        policies: plan.policies.len() as u32 + 1,
        rates: plan.policies.len() as u32 + 1,
        source_buckets: if limited {
            (settings.sources / 2).max(1)
        } else {
            1
        },
        flow_buckets: Sizes::flow_buckets_for(flows),
        nat_entries: flows.saturating_mul(2),
    })
}
