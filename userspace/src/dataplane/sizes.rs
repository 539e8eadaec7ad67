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

use super::classes::{Classes, TooManyClasses};
use super::plan::{Plan, SourceTable};
use super::writer::{bind_sizes, prefixes6, rows4};
use crate::model::XdpGlobal;

/// What the source lists of several policies take together.
pub(super) struct ListSize {
    /// IPv4 prefixes.
    pub v4: usize,
    /// IPv6 prefixes.
    pub v6: usize,
    /// Bytes of the tables that hold them, the IPv6 trie left out.
    pub bytes: u64,
}

/// The size of the source lists of some policies.
pub(super) fn list_size(tables: &[&SourceTable]) -> Result<ListSize, TooManyClasses> {
    let classes = Classes::merge(tables)?;
    let v6 = prefixes6(&classes).count();
    let rows = if classes.v4.is_empty() {
        0
    } else {
        u64::from(rows4(&classes.v4))
    };
    Ok(ListSize {
        v4: classes.v4.len(),
        v6,
        bytes: (rows + v6 as u64) * 64,
    })
}

/// The sizes for a plan on a machine with these addresses; `earlier` are the entries of maps that could be taken over.
pub(super) fn sizes(
    plan: &Plan,
    settings: &XdpGlobal,
    own: &BTreeSet<IpAddr>,
    earlier: &BTreeMap<&'static str, u32>,
) -> Result<Sizes, TooManyClasses> {
    let classes = Classes::merge(
        &plan
            .policies
            .iter()
            .map(|policy| &policy.sources)
            .collect::<Vec<_>>(),
    )?;
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
    let prefixes = prefixes6(&classes).count() as u32;
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
    let rings = 3 * forwarded.len() as u32 + 1;
    Ok(Sizes {
        // Twice what is there, for addresses that come later.
        bind_buckets: buckets_for(2 * binds.entries),
        range_rows: 1 + 2 * (2 * binds.range_rows + 1),
        services: keep(name::DROPS, DROP_REASONS, services, (2 * services).max(256)),
        servers: keep(name::SERVERS, 1, servers, (4 * servers).max(1024)),
        rings: keep(name::RINGS, RING_ROWS, rings, (2 * rings).max(16)),
        list4_rows: rows4(&classes.v4),
        list6_buckets: prefixes.max(1),
        list6_prefixes: prefixes.max(1),
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
