//! What a new program takes over from the one that runs: decided before it is loaded.
//!
//! Input are the plan and the set of maps in force, output are the sizes of all maps and what is inherited: all that
//! flows depend on, or nothing, with the reason told; the counts of sources only where they still mean the same. Maps are
//! compared and read here, never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_common::maps::Sizes;

use super::engine::StartError;
use super::loader::{self, Keeping, LoadError};
use super::netlink::Interface;
use super::pins::TableSet;
use super::plan::Plan;
use super::predecessor::{Predecessor, interface_modulus};
use super::sizes::sizes;
use super::tables::layout;
use super::writer::{listens, regions};
use crate::log::notice;
use crate::model::XdpGlobal;

/// What a program begins with.
pub(super) struct Inheritance {
    /// The sizes of its maps.
    pub sizes: Sizes,
    /// The set whose flows it goes on with.
    pub set: Option<TableSet>,
    /// That set, to read the numbers from.
    pub predecessor: Option<Predecessor>,
    /// Whether it goes on with the counts of sources, too.
    pub sources: Keeping,
}

/// Decides what the program for `plan` takes over from the set in force.
pub(super) fn inherit(
    plan: &Plan,
    settings: &XdpGlobal,
    interfaces: &[Interface],
    own: &[IpAddr],
    set: Option<TableSet>,
) -> Result<Inheritance, StartError> {
    let own: BTreeSet<IpAddr> = own.iter().copied().collect();
    let earlier = set.as_ref().map_or_else(BTreeMap::new, loader::entries);
    let sizes = sizes(plan, settings, &own, &earlier)?;
    let fresh = Inheritance {
        sizes,
        set: None,
        predecessor: None,
        sources: Keeping::Fresh,
    };
    let Some(set) = set else { return Ok(fresh) };
    let predecessor = match usable(&set, &sizes, interfaces) {
        Ok(predecessor) => predecessor,
        Err(reason) => {
            notice::warning(format_args!(
                "The kernel's flows begin anew: {reason}. Those through 'forward nat' and 'forward dnat' are lost, others \
                 find their servers again by their place in the ring."
            ));
            return Ok(fresh);
        }
    };
    let same_size = loader::difference(&set, &layout(&sizes, Keeping::Kept)).is_none();
    let sources = if same_size && counts_stay(plan, &sizes, &own, &predecessor) {
        Keeping::Kept
    } else {
        Keeping::Fresh
    };
    Ok(Inheritance {
        sizes,
        set: Some(set),
        predecessor: Some(predecessor),
        sources,
    })
}

/// The set, opened; or why flows cannot go on with it.
fn usable(set: &TableSet, sizes: &Sizes, interfaces: &[Interface]) -> Result<Predecessor, String> {
    if let Some(reason) = loader::difference(set, &layout(sizes, Keeping::Fresh)) {
        return Err(reason);
    }
    let predecessor = Predecessor::open(set).map_err(|error: LoadError| error.to_string())?;
    if interface_modulus(interfaces, Some(&predecessor)).is_none() {
        return Err("other interfaces have 'xdp interface' lines than before".to_owned());
    }
    Ok(predecessor)
}

/// Whether the counts of sources still mean the same: when every limit keeps its region.
fn counts_stay(
    plan: &Plan,
    sizes: &Sizes,
    own: &BTreeSet<IpAddr>,
    predecessor: &Predecessor,
) -> bool {
    let regions = regions(plan, sizes.source_buckets);
    plan.services.iter().all(|service| {
        let limit = service
            .policy
            .and_then(|policy| plan.policies[usize::from(policy.0)].rate.as_ref());
        let Some(limit) = limit else { return true };
        let listens = listens(service, own);
        let mut before = listens
            .iter()
            .filter_map(|bind| predecessor.service(bind, service.protocol));
        let region = regions.get(limit.table_name.as_str()).copied();
        before.next().and_then(|number| predecessor.region(number)) == region
    })
}
