//! What the kernel tells: counters and drops for the statistics, and the counts of sources both tiers share.
//!
//! One [`Feedback`] belongs to one loaded program; readers keep the one they began with. Counters are per-CPU rows that
//! are added up when somebody asks; what is counted per source is in [`super::sources`]. Nothing is decided here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aya::maps::{MapData, MapError, PerCpuArray};
use parking_lot::Mutex;
use tidegate_common::counters::{ServerCounters, drop_index, server_index};
use tidegate_common::flow::FlowBucket;
use tidegate_common::load::Load;
use tidegate_common::maps::Sizes;
use tidegate_common::nat::NatEntry;
use tidegate_common::server::{ServerIndex, ServerState};
use tidegate_common::service::ServiceIndex;
use tidegate_common::source::SourceBucket;
use tidegate_common::syn::SynRecord;
use tidegate_common::verdict::DropReason;

use super::attach::Attached;
use super::capture::CaptureMaps;
use super::floods::reading;
use super::live::LiveFlows;
use super::mmap::Mapped;
use super::plan::{Protocol, SynRules};
use super::snapshot::{
    DropCount, InterfaceSnapshot, ServerCounts, ServerSnapshot, ServiceSnapshot, Snapshot,
    SynSnapshot,
};
use super::sources::Region;
use super::tables::Readings;
use super::ticks::Ticks;
use super::writer::{Writer, regions};
use crate::model::Model;
use crate::types::ServerId;

/// The counters of one loaded program.
pub struct Feedback {
    pub(super) counters: PerCpuArray<MapData, ServerCounters>,
    pub(super) drops: PerCpuArray<MapData, u64>,
    pub(super) sources: Mapped<SourceBucket>,
    /// Taken out while there is a capture.
    pub(super) capture: Mutex<Option<CaptureMaps>>,
    pub(super) flows: Mapped<FlowBucket>,
    pub(super) nat: Mapped<NatEntry>,
    pub(super) loads: Mapped<Load>,
    pub(super) syns: Mapped<SynRecord>,
    pub(super) syn_rules: SynRules,
    pub(super) flow_limit: u64,
    pub(super) ticks: Ticks,
    /// Key of the tables' hashes.
    pub(super) key: u64,
    /// The regions of `sources`, by stick table.
    pub(super) regions: Vec<Region>,
    pub(super) interfaces: Vec<(String, &'static str)>,
    /// The interfaces by number.
    pub(super) attached: Vec<(u32, String)>,
    pub(super) services: Vec<KnownService>,
    /// What an operator should know of how the plan meets this machine.
    pub(super) diagnoses: ArcSwap<Vec<String>>,
    /// The servers as of the last change.
    pub(super) servers: ArcSwap<Vec<KnownServer>>,
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

impl Feedback {
    /// What one program counts, for the plan it was told.
    pub(super) fn of(
        model: &Model,
        writer: &Writer,
        readings: Readings,
        sizes: &Sizes,
        attached: &[Attached],
    ) -> Self {
        let plan = writer.plan();
        let ticks = writer.ticks();
        let mut known: Vec<Region> = Vec::new();
        let regions = regions(plan, sizes.source_buckets);
        for limit in plan
            .policies
            .iter()
            .filter_map(|policy| policy.rate.as_ref())
        {
            let (first, buckets) = regions
                .get(limit.table_name.as_str())
                .copied()
                .unwrap_or_default();
            match known.iter_mut().find(|region| region.table == limit.table) {
                Some(region) => region.spared = region.spared.min(limit.limit),
                None => known.push(Region {
                    table: limit.table,
                    first,
                    buckets,
                    period: ticks.span(limit.period),
                    spared: limit.limit,
                    v6: limit.v6,
                }),
            }
        }
        let services = writer.services().map(|(index, service)| KnownService {
            index,
            frontend: service.frontend.clone(),
            backend: service
                .delivery
                .forwarding()
                .map(|forwarding| forwarding.backend.clone()),
            protocol: service.protocol.name(),
            binds: service.binds.iter().map(ToString::to_string).collect(),
        });
        let Readings {
            counters,
            drops,
            sources,
            capture,
            flows,
            nat,
            loads,
            syns,
        } = readings;
        Self {
            counters,
            drops,
            sources,
            capture: Mutex::new(Some(capture)),
            flows,
            nat,
            loads,
            syns,
            syn_rules: plan.syns,
            flow_limit: u64::from(model.global.xdp.flows),
            ticks,
            key: writer.table_key(),
            regions: known,
            interfaces: attached
                .iter()
                .map(|at| (at.interface.name.clone(), at.attachment.name()))
                .collect(),
            attached: attached
                .iter()
                .map(|at| (at.interface.index, at.interface.name.clone()))
                .collect(),
            services: services.collect(),
            diagnoses: ArcSwap::default(),
            servers: ArcSwap::default(),
        }
    }

    /// What servers of one backend got and sent, all services together, by server.
    pub fn server(&self, id: ServerId) -> Result<ServerCounts, MapError> {
        let mut sum = ServerCounts::default();
        for server in self.servers.load().iter().filter(|server| server.id == id) {
            sum = sum.plus(self.counts(server.index)?);
        }
        Ok(sum)
    }

    /// The flows of a server that have not been seen to end, all services together.
    pub fn live_flows(&self, id: ServerId) -> u64 {
        let counted = self.count_flows();
        let servers = self.servers.load();
        let own = servers.iter().filter(|server| server.id == id);
        own.map(|server| counted.of(server.index).live()).sum()
    }

    /// All counters.
    pub fn snapshot(&self) -> Result<Snapshot, MapError> {
        let servers: Arc<Vec<KnownServer>> = self.servers.load_full();
        let live = self.count_flows();
        let services = self.services.iter().map(|service| {
            let own = servers
                .iter()
                .filter(|server| server.service == service.index);
            Ok(ServiceSnapshot {
                frontend: service.frontend.clone(),
                backend: service.backend.clone(),
                protocol: service.protocol,
                binds: service.binds.clone(),
                syns: self.syns_of(service),
                drops: self.drops_of(service.index)?,
                servers: own
                    .map(|server| self.server_snapshot(server, live.of(server.index)))
                    .collect::<Result<_, MapError>>()?,
            })
        });
        let interface = |(name, mode): &(String, &'static str)| InterfaceSnapshot {
            name: name.clone(),
            mode,
        };
        Ok(Snapshot {
            interfaces: self.interfaces.iter().map(interface).collect(),
            services: services.collect::<Result<_, MapError>>()?,
            unknown_drops: self.drops_of(ServiceIndex(0))?,
            flows: live.live,
            flow_limit: self.flow_limit,
            notices: self.diagnoses.load().to_vec(),
        })
    }

    fn syns_of(&self, service: &KnownService) -> Option<SynSnapshot> {
        let record = self.syns.get(usize::from(service.index.0))?;
        (service.protocol == Protocol::Tcp.name())
            .then(|| reading(record, self.ticks, self.syn_rules))
    }

    fn server_snapshot(
        &self,
        server: &KnownServer,
        live: LiveFlows,
    ) -> Result<ServerSnapshot, MapError> {
        Ok(ServerSnapshot {
            id: server.id,
            name: server.name.clone(),
            state: state_name(server.state),
            trouble: server.trouble.clone(),
            counts: self.counts(server.index)?,
            live,
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
}

const fn state_name(state: ServerState) -> &'static str {
    match state {
        ServerState::Absent => "absent",
        ServerState::Up => "up",
        ServerState::Drain => "drain",
        ServerState::Down => "down",
    }
}
