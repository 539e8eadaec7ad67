//! What the kernel tells: counters and drops for the statistics, and the counts of sources both tiers share.
//!
//! One [`Feedback`] belongs to one loaded program; readers keep the one they began with. Counters are per-CPU rows that
//! are added up when somebody asks. Sources are a mapped array: the accept path charges a connection of a service that is
//! terminated here in the same records that the program charges and enforces, with the same code. Nothing is decided here.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aya::maps::{MapData, MapError, PerCpuArray};
use tidegate_common::address::Address;
use tidegate_common::counters::{ServerCounters, drop_index, server_index};
use tidegate_common::flow::{FlowBucket, FlowState};
use tidegate_common::server::{ServerIndex, ServerState};
use tidegate_common::service::ServiceIndex;
use tidegate_common::source::{self, SourceBucket, SourceEntry};
use tidegate_common::tick::Tick;
use tidegate_common::verdict::DropReason;
use tidegate_common::word::HostAtomics;

use super::mmap::Mapped;
use super::snapshot::{
    DropCount, InterfaceSnapshot, ServerCounts, ServerSnapshot, ServiceSnapshot, Snapshot,
};
use super::ticks::Ticks;
use crate::types::{ServerId, TableId};

/// The counters of one loaded program.
pub struct Feedback {
    pub(super) counters: PerCpuArray<MapData, ServerCounters>,
    pub(super) drops: PerCpuArray<MapData, u64>,
    pub(super) sources: Mapped<SourceBucket>,
    pub(super) flows: Mapped<FlowBucket>,
    pub(super) flow_limit: u64,
    pub(super) ticks: Ticks,
    /// Key of the tables' hashes.
    pub(super) key: u64,
    /// The regions of `sources`, by stick table.
    pub(super) regions: Vec<Region>,
    pub(super) interfaces: Vec<(String, &'static str)>,
    pub(super) services: Vec<KnownService>,
    /// The servers as of the last change.
    pub(super) servers: ArcSwap<Vec<KnownServer>>,
}

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

/// A service with its number.
#[derive(Clone, Debug)]
pub(super) struct KnownService {
    pub(super) index: ServiceIndex,
    pub(super) frontend: String,
    pub(super) backend: Option<String>,
    pub(super) protocol: &'static str,
    pub(super) binds: Vec<String>,
}

/// A server of a service with its number.
#[derive(Clone, Debug)]
pub(super) struct KnownServer {
    pub(super) service: ServiceIndex,
    pub(super) id: ServerId,
    pub(super) name: String,
    pub(super) index: Option<ServerIndex>,
    pub(super) state: ServerState,
    pub(super) trouble: Option<String>,
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
        let (region, bucket, source) = self.account(table, source)?;
        let now = self.not_before(bucket, source);
        Some(
            bucket
                .find(source)
                .map_or(0, |entry| entry.window().rate(region.period, now)),
        )
    }

    /// Every source of a table the kernel counts; `None` where it does not count that table.
    pub fn sources(&self, table: TableId) -> Option<Vec<SourceCount>> {
        let region = self.region(table)?;
        let entries = self
            .buckets(region)
            .iter()
            .flat_map(|bucket| &bucket.entries);
        let count = |entry: &SourceEntry| {
            let source = entry.read()?;
            let now = later(self.ticks.now(), source.window.start);
            let rate = source.window.rate(region.period, now);
            Some(SourceCount {
                address: source.address.into(),
                rate,
                total: source.total,
            })
        };
        Some(entries.filter_map(count).collect())
    }

    /// Forgets all sources of a table the kernel counts, or one of them (`clear table`); false where it counts none.
    pub fn clear_sources(&self, table: TableId, only: Option<IpAddr>) -> bool {
        let Some(region) = self.region(table) else {
            return false;
        };
        let only = only.map(Address::from);
        for entry in self
            .buckets(region)
            .iter()
            .flat_map(|bucket| &bucket.entries)
        {
            if entry
                .read()
                .is_some_and(|source| only.is_none_or(|only| only == source.address))
            {
                entry.counts.store(0);
            }
        }
        true
    }

    /// What servers of one backend got and sent, all services together, by server.
    pub fn server(&self, id: ServerId) -> Result<ServerCounts, MapError> {
        let mut sum = ServerCounts::default();
        for server in self.servers.load().iter().filter(|server| server.id == id) {
            sum = sum.plus(self.counts(server.index)?);
        }
        Ok(sum)
    }

    /// All counters.
    pub fn snapshot(&self) -> Result<Snapshot, MapError> {
        let servers: Arc<Vec<KnownServer>> = self.servers.load_full();
        let services = self.services.iter().map(|service| {
            let own = servers
                .iter()
                .filter(|server| server.service == service.index);
            Ok(ServiceSnapshot {
                frontend: service.frontend.clone(),
                backend: service.backend.clone(),
                protocol: service.protocol,
                binds: service.binds.clone(),
                drops: self.drops_of(service.index)?,
                servers: own
                    .map(|server| self.server_snapshot(server))
                    .collect::<Result<_, MapError>>()?,
            })
        });
        let interface = |(name, mode): &(String, &'static str)| InterfaceSnapshot {
            name: name.clone(),
            mode,
        };
        let live = self
            .flows
            .iter()
            .flat_map(|bucket| &bucket.entries)
            .map(|entry| entry.read().0);
        Ok(Snapshot {
            interfaces: self.interfaces.iter().map(interface).collect(),
            services: services.collect::<Result<_, MapError>>()?,
            unknown_drops: self.drops_of(ServiceIndex(0))?,
            flows: live
                .filter(|state| ![FlowState::NONE, FlowState::CLOSING].contains(state))
                .count() as u64,
            flow_limit: self.flow_limit,
        })
    }

    fn server_snapshot(&self, server: &KnownServer) -> Result<ServerSnapshot, MapError> {
        Ok(ServerSnapshot {
            id: server.id,
            name: server.name.clone(),
            state: state_name(server.state),
            trouble: server.trouble.clone(),
            counts: self.counts(server.index)?,
        })
    }

    fn counts(&self, index: Option<ServerIndex>) -> Result<ServerCounts, MapError> {
        let Some(index) = index else {
            return Ok(ServerCounts::default());
        };
        let rows = self.counters.get(&server_index(index), 0)?;
        Ok(rows.iter().fold(ServerCounts::default(), |sum, row| {
            sum.plus(ServerCounts::from(*row))
        }))
    }

    fn drops_of(&self, service: ServiceIndex) -> Result<Vec<DropCount>, MapError> {
        let mut drops = Vec::new();
        for reason in DropReason::ALL {
            let packets: u64 = self
                .drops
                .get(&drop_index(service, reason), 0)?
                .iter()
                .sum();
            if packets > 0 {
                drops.push(DropCount {
                    reason: reason.name(),
                    packets,
                });
            }
        }
        Ok(drops)
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
const fn later(now: Tick, start: Tick) -> Tick {
    if start.since(now) < AHEAD { start } else { now }
}

const fn state_name(state: ServerState) -> &'static str {
    match state {
        ServerState::Absent => "absent",
        ServerState::Up => "up",
        ServerState::Drain => "drain",
        ServerState::Down => "down",
    }
}

/// Ticks by which the program's clock may be ahead of ours, with a wide margin.
const AHEAD: u32 = 1000;
