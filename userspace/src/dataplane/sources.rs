//! The counts of sources that both tiers share: the kernel's half of stick tables.
//!
//! Sources are a mapped array: the accept path charges a connection of a service that is terminated here in the same
//! records that the program charges and enforces, with the same code; `show table`, `set table` and `clear table` read and
//! change them. What a table's other data are, and how they look, is not known here.

use std::net::IpAddr;

use tidegate_common::address::Address;
use tidegate_common::source::{self, Counts, SourceBucket, SourceEntry};
use tidegate_common::tick::Tick;
use tidegate_common::word::HostAtomics;

use super::feedback::Feedback;
use crate::types::TableId;

/// Where the sources of one stick table are counted.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) table: TableId,
    pub(super) first: u32,
    pub(super) buckets: u32,
    /// Of the rate, in ticks.
    pub(super) period: u32,
    /// The lowest limit on it: sources above are not replaced.
    pub(super) spared: u32,
    /// Whether IPv6 sources are counted.
    pub(super) v6: bool,
}

/// One source of a stick table, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCount {
    /// Who.
    pub address: IpAddr,
    /// Connections in the table's period (`conn_rate`).
    pub rate: u32,
    /// Connections of all time (`conn_cnt`).
    pub total: u32,
    /// For how many milliseconds at least it has made no connection.
    pub idle: u64,
}

impl Feedback {
    /// Charges a connection that was accepted here to its source, where the kernel counts that table. Costs one cache
    /// miss and no system call.
    pub fn charge(&self, table: TableId, source: IpAddr) {
        if let Some((region, bucket, source)) = self.account(table, source) {
            let now = self.not_before(bucket, source);
            bucket.charge(&HostAtomics, source, region.period, region.spared, now);
        }
    }

    /// The rate of a source in a table the kernel counts; `None` where it does not count that table.
    pub fn rate(&self, table: TableId, source: IpAddr) -> Option<u32> {
        self.account(table, source)?;
        Some(self.source(table, source).map_or(0, |count| count.rate))
    }

    /// One source of a table the kernel counts, if it knows it.
    pub fn source(&self, table: TableId, source: IpAddr) -> Option<SourceCount> {
        let (region, bucket, source) = self.account(table, source)?;
        self.count(region, bucket.find(source)?)
    }

    /// Whether the kernel counts the sources of a table.
    pub fn counts_sources_of(&self, table: TableId) -> bool {
        self.region(table).is_some()
    }

    /// Every source of a table the kernel counts; `None` where it does not count that table.
    pub fn sources(&self, table: TableId) -> Option<Vec<SourceCount>> {
        let region = self.region(table)?;
        let entries = self
            .buckets(region)
            .iter()
            .flat_map(|bucket| &bucket.entries);
        Some(
            entries
                .filter_map(|entry| self.count(region, entry))
                .collect(),
        )
    }

    /// Gives a source a rate, from now on, and a total (`set table`); what is `None` stays as it is. Nothing happens
    /// where the kernel does not count the table.
    pub fn set_source(
        &self,
        table: TableId,
        source: IpAddr,
        rate: Option<u32>,
        total: Option<u32>,
    ) {
        let Some((region, bucket, address)) = self.account(table, source) else {
            return;
        };
        let known = self.source(table, source);
        let counts = Counts {
            rate: rate.or_else(|| known.map(|known| known.rate)).unwrap_or(0),
            total: total
                .or_else(|| known.map(|known| known.total))
                .unwrap_or(0),
        };
        let now = self.not_before(bucket, address);
        bucket.set(&HostAtomics, address, counts, region.period, now);
    }

    /// Forgets all sources of a table the kernel counts, or one of them (`clear table`); false where it counts none.
    pub fn clear_sources(&self, table: TableId, only: Option<IpAddr>) -> bool {
        let Some(region) = self.region(table) else {
            return false;
        };
        if let Some(only) = only {
            let known = self.account(table, only);
            let entry = known.and_then(|(_, bucket, source)| bucket.find(source));
            entry.into_iter().for_each(SourceEntry::forget);
            return true;
        }
        self.buckets(region)
            .iter()
            .flat_map(|bucket| &bucket.entries)
            .filter(|entry| entry.read().is_some())
            .for_each(SourceEntry::forget);
        true
    }

    fn count(&self, region: &Region, entry: &SourceEntry) -> Option<SourceCount> {
        let source = entry.read()?;
        let now = later(self.ticks.now(), source.window.start);
        // Windows are rolled by connections, so the last one came within the window that is on record.
        let idle = now.since(source.window.start).saturating_sub(region.period);
        Some(SourceCount {
            address: source.address.into(),
            rate: source.window.rate(region.period, now),
            total: source.total,
            idle: u64::from(idle) * 1000 / u64::from(self.ticks.per_second()),
        })
    }

    fn region(&self, table: TableId) -> Option<&Region> {
        self.regions.iter().find(|region| region.table == table)
    }

    fn buckets(&self, region: &Region) -> &[SourceBucket] {
        let first = region.first as usize;
        self.sources
            .get(first..first + region.buckets as usize)
            .unwrap_or_default()
    }

    fn account(&self, table: TableId, source: IpAddr) -> Option<(&Region, &SourceBucket, Address)> {
        let source = source.to_canonical();
        let region = self
            .region(table)
            .filter(|region| region.v6 || source.is_ipv4())?;
        let source = Address::from(source);
        let at = source::bucket(self.key, source, region.buckets);
        self.buckets(region)
            .get(at as usize)
            .map(|bucket| (region, bucket, source))
    }

    /// The tick now, but not before the source's window began: the program's clock may be a tick ahead of ours.
    fn not_before(&self, bucket: &SourceBucket, source: Address) -> Tick {
        let now = self.ticks.now();
        bucket
            .find(source)
            .map_or(now, |entry| later(now, entry.window().start))
    }
}

/// `now`, or `start` where that is a little later.
pub(super) const fn later(now: Tick, start: Tick) -> Tick {
    if start.since(now) < AHEAD { start } else { now }
}

/// Ticks by which the program's clock may be ahead of ours, with a wide margin.
const AHEAD: u32 = 1000;
