//! Whose a packet is: the service of its destination, and whether its address is one of ours at all.
//!
//! The exact port of an address goes first, then the port ranges of the address, then those of the networks around it, the
//! longest prefix first. How the entries lie in memory is [`crate::bind`]'s business.

use super::work::{Scene, Work};
use crate::bind::{BindBucket, BindKey, RANGE_ROWS, Target};
use crate::config::{BindView, PREFIXES};
use crate::frame::Tables;
use crate::service::ServiceIndex;
use crate::word::low;

/// The service of just this address, port and protocol.
#[inline(always)]
pub(super) fn exact<T: Tables>(scene: &Scene<'_, T>, key: BindKey) -> Option<ServiceIndex> {
    bucket(scene, key)?.service(key)
}

/// The service of a range of ports, of the packet's destination or of a network around it.
#[inline(always)]
pub(super) fn ranged<T: Tables>(scene: &Scene<'_, T>, work: &mut Work) -> Option<ServiceIndex> {
    let view = BindView::from_word(scene.config.bind_view.load());
    let mut at = 0;
    while at <= PREFIXES {
        let key = key_at(&view, at, work)?;
        at += 1;
        let found = match find(scene, key) {
            Some(Target::Ranges { first, rows, .. }) => ranges(scene, work, first, rows),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        scene.tables.settle(work);
    }
    None
}

/// Whether the address the packet is for is one of ours.
#[inline(always)]
pub(super) fn is_ours<T: Tables>(scene: &Scene<'_, T>, work: &mut Work) -> bool {
    owner(scene, work).is_some()
}

/// Whether nobody but us answers for the address the packet is for.
#[inline(always)]
pub(super) fn answers_for<T: Tables>(scene: &Scene<'_, T>, work: &mut Work) -> bool {
    let owner = owner(scene, work);
    matches!(
        owner,
        Some(Target::Ranges {
            forwarded: true,
            ..
        })
    )
}

/// The entry of the address, or of the smallest network around it.
#[inline(always)]
fn owner<T: Tables>(scene: &Scene<'_, T>, work: &mut Work) -> Option<Target> {
    let view = BindView::from_word(scene.config.bind_view.load());
    let mut at = 0;
    while at <= PREFIXES {
        let key = key_at(&view, at, work)?;
        at += 1;
        let found = find(scene, key);
        if found.is_some() {
            return found;
        }
        scene.tables.settle(work);
    }
    None
}

/// What is asked for in turn: the address, then the networks around it. `None` when there are no more.
#[inline(always)]
fn key_at(view: &BindView, at: usize, work: &Work) -> Option<BindKey> {
    let address = work.packet.network.destination;
    if at == 0 {
        return Some(BindKey::address(address));
    }
    let bits = view.prefix(at - 1)?;
    Some(BindKey::network(address.network(bits), bits))
}

/// The service of the packet's port among some rows of ranges.
#[inline(always)]
fn ranges<T: Tables>(
    scene: &Scene<'_, T>,
    work: &Work,
    first: u16,
    rows: u8,
) -> Option<ServiceIndex> {
    let port = u16::from_be_bytes(work.packet.transport.destination_port_be);
    let mut row = 0;
    while row < RANGE_ROWS && row < rows {
        let found = scene
            .tables
            .range_row(first as u32 + row as u32)?
            .find(port, work.packet.network.protocol);
        if found.is_some() {
            return found;
        }
        row += 1;
    }
    None
}

/// What one key leads to.
#[inline(always)]
pub(super) fn find(scene: &Scene<'_, impl Tables>, key: BindKey) -> Option<Target> {
    bucket(scene, key)?.find(key)
}

/// Where a key would be.
#[inline(always)]
fn bucket<'a, T: Tables>(scene: &Scene<'a, T>, key: BindKey) -> Option<&'a BindBucket> {
    let view = BindView::from_word(scene.config.bind_view.load());
    let buckets = low(scene.config.sizes.load());
    let index = view
        .half
        .wrapping_mul(buckets)
        .wrapping_add(key.bucket(view.seed, buckets));
    scene.tables.bind_bucket(index)
}
