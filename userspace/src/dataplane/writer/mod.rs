//! Writes a plan into the maps of a program, and keeps the servers in them up to date.
//!
//! [`Writer::fill`] writes everything before the program goes on the wire; numbers under which flows and counts are
//! remembered are taken over from the program before, so what was established goes on. Afterwards
//! [`Writer::refresh`] applies what changes while it runs: states, weights, addresses and next hops of servers, and the
//! addresses of this machine; [`Writer::follow_lists`] what changes in the lists of sources. Each change is made in the order of `tidegate_common::maps`, so that no packet meets half
//! of it. A change of the plan itself is a new program with new tables, swapped in as a whole.

mod binds;
mod lists;
mod members;
mod nature;
mod policies;
mod rings;
mod servers;
mod standings;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_common::choice::Choice;
use tidegate_common::config::{Clock, Config, NatSizes};
use tidegate_common::interface;
use tidegate_common::maps::Sizes;
use tidegate_common::server::ServerIndex;
use tidegate_common::service::{Guard, Rings, Service, ServiceIndex, Timeouts};
use tidegate_common::syn::Offer;
use tidegate_common::word::pair;

use super::lists::Lists;
use super::mmap::wait_for_programs;
use super::netlink::{Interface, Mac};
use super::plan::{self, IdleTimes, Method, Plan};
use super::predecessor::{Predecessor, interface_modulus};
use super::tables::Tables;
use super::ticks::Ticks;
pub(super) use binds::{listens, sizes as bind_sizes};
use lists::ListTables;
pub(super) use lists::{ListSize, roomy_prefixes, roomy_rows};
use nature::{nature, treatment};
pub(super) use policies::regions;
use rings::RingNumbers;
use servers::{ServerNumbers, ServerRecord};
pub(super) use standings::{Hops, Standing, Standings};

/// The maps of one program, and what has been written into them.
pub(super) struct Writer {
    tables: Tables,
    ticks: Ticks,
    plan: Plan,
    services: Vec<ServiceRecord>,
    servers: ServerNumbers,
    rings: RingNumbers,
    lists: ListTables,
    interface_modulus: u32,
    /// Rows of `ranges` come in two halves, like the binds.
    half: u32,
    /// This machine's addresses, as the wildcard binds were last entered for.
    own: BTreeSet<IpAddr>,
    /// The servers with `forward dnat`, as they were last entered.
    answering: BTreeSet<IpAddr>,
    /// The servers that connection ids name, by service and number, as they were last entered.
    named: BTreeMap<(ServiceIndex, u32), ServerIndex>,
}

/// What a program is given besides the plan.
pub(super) struct Surroundings<'a> {
    /// Sizes of its maps.
    pub sizes: Sizes,
    /// The interfaces it will be attached to.
    pub interfaces: &'a [Interface],
    /// This machine's addresses.
    pub own: Vec<IpAddr>,
    /// What SYN-ACKs from the driver offer.
    pub offer: Offer,
    /// First port for source NAT and how many follow it.
    pub nat_ports: (u16, u16),
    /// The program that runs until now.
    pub predecessor: Option<&'a Predecessor>,
}

/// Why the plan could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A table has no room.
    #[error("the kernel's table of {0} is full")]
    Full(&'static str),
    /// The binds could not be placed.
    #[error("the kernel's table of addresses and ports is full")]
    Binds,
    /// The map of devices refused an entry.
    #[error("cannot enter an interface")]
    Device(#[from] aya::maps::xdp::XdpMapError),
    /// A map refused an entry.
    #[error("cannot write the map of {what}")]
    Map {
        /// What it holds.
        what: &'static str,
        /// Why.
        source: aya::maps::MapError,
    },
    /// More interfaces than can be told apart.
    #[error("more than {} interfaces with 'xdp interface'", interface::LIMIT)]
    Interfaces,
    /// The source lists of all frontends together.
    #[error(transparent)]
    Lists(#[from] super::lists::Misfit),
}

impl From<super::lists::TooManyClasses> for WriteError {
    fn from(error: super::lists::TooManyClasses) -> Self {
        Self::Lists(error.into())
    }
}

/// Something an operator should read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The backend.
    pub backend: String,
    /// Its server.
    pub server: String,
    /// Why the kernel cannot reach it; `None` when it can again.
    pub trouble: Option<super::neighbours::Obstacle>,
}

/// One service in the maps.
struct ServiceRecord {
    index: ServiceIndex,
    plan: plan::Service,
    servers: Vec<ServerRecord>,
    rings: Rings,
    /// What the current ring was made of.
    shares: Vec<tidegate_common::ring::Share>,
    choice: Choice,
    /// What the schedule of turns was made of, where there is one.
    turns: Option<Vec<tidegate_common::ring::Share>>,
}

impl ServiceRecord {
    /// The numbers of its rings.
    fn ring_numbers(&self) -> [u16; 3] {
        [
            self.rings.current,
            self.rings.previous,
            self.choice.schedule,
        ]
    }
}

impl Writer {
    /// Writes everything a program needs before it sees its first packet.
    pub(super) fn fill(
        tables: Tables,
        ticks: Ticks,
        plan: Plan,
        surroundings: &Surroundings<'_>,
        standings: &dyn Standings,
        hops: &dyn Hops,
    ) -> Result<(Self, Vec<Notice>), WriteError> {
        let interface_modulus =
            interface_modulus(surroundings.interfaces, surroundings.predecessor);
        let interface_modulus = interface_modulus.ok_or(WriteError::Interfaces)?;
        let services = number_services(&plan, &tables, surroundings)?;
        let mut writer = Self {
            servers: ServerNumbers::new(&tables, services.iter().map(|service| service.index)),
            rings: RingNumbers::new(&tables, surroundings.predecessor),
            lists: ListTables::new(Lists::new(&plan)?, &tables),
            tables,
            ticks,
            plan,
            services,
            interface_modulus,
            half: 0,
            own: surroundings.own.iter().copied().collect(),
            answering: BTreeSet::new(),
            named: BTreeMap::new(),
        };
        writer.write_config(surroundings);
        writer.write_interfaces(surroundings.interfaces)?;
        writer.write_policies(surroundings)?;
        let mut notices = Vec::new();
        for at in 0..writer.services.len() {
            notices.extend(writer.refresh_service(at, standings, hops)?);
            writer.publish(at, surroundings.offer);
        }
        writer.answering = writer.answering_servers();
        writer.named = writer.named_servers();
        writer.place_binds()?;
        Ok((writer, notices))
    }

    /// Forgets what only the program before needed; call it when that one no longer runs.
    pub(super) fn settle(&mut self) {
        wait_for_programs();
        self.rings
            .settle(self.services.iter().flat_map(ServiceRecord::ring_numbers));
        self.servers.settle(&self.tables, self.ticks.now());
    }

    /// Brings states, weights, addresses and next hops of all servers up to date, and retires what is due.
    pub(super) fn refresh(
        &mut self,
        standings: &dyn Standings,
        hops: &dyn Hops,
    ) -> Result<Vec<Notice>, WriteError> {
        let mut notices = Vec::new();
        for at in 0..self.services.len() {
            notices.extend(self.refresh_service(at, standings, hops)?);
        }
        self.servers.retire(&self.tables, self.ticks.now());
        let (answering, named) = (self.answering_servers(), self.named_servers());
        if answering != self.answering || named != self.named {
            (self.answering, self.named) = (answering, named);
            self.place_binds()?;
        }
        Ok(notices)
    }

    /// Enters wildcard binds for exactly these addresses of this machine.
    pub(super) fn set_own_addresses(&mut self, own: &[IpAddr]) -> Result<(), WriteError> {
        let own: BTreeSet<IpAddr> = own.iter().copied().collect();
        let wildcard =
            |service: &ServiceRecord| service.plan.binds.iter().any(plan::Bind::is_wildcard);
        if own == self.own || !self.services.iter().any(wildcard) {
            return Ok(());
        }
        self.own = own;
        self.place_binds()
    }

    /// The key of the tables' hashes.
    pub(super) fn table_key(&self) -> u64 {
        self.tables
            .config
            .first()
            .map_or(0, |config| config.table_key.load())
    }

    /// The maps.
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The plan that was written.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether the flows of some servers are counted, and the counts have to be corrected now and then.
    pub(super) fn counts_flows(&self) -> bool {
        self.services.iter().any(|service| service.choice.counts)
    }

    /// The kernel's clock.
    pub(super) fn ticks(&self) -> Ticks {
        self.ticks
    }

    /// Every service with its number.
    pub(super) fn services(&self) -> impl Iterator<Item = (ServiceIndex, &plan::Service)> {
        self.services
            .iter()
            .map(|service| (service.index, &service.plan))
    }

    /// Every server of every service, with its number where it has one, its state there, and what is in its way.
    pub(super) fn server_records(&self) -> impl Iterator<Item = servers::ServerView<'_>> {
        self.services.iter().flat_map(|service| {
            service
                .servers
                .iter()
                .map(move |server| server.view(service.index))
        })
    }

    /// Where answers come from that go back through here to a client whose address the server knows.
    fn answering_servers(&self) -> BTreeSet<IpAddr> {
        let keeps_client = |service: &&ServiceRecord| {
            let forwarding = service.plan.delivery.forwarding();
            forwarding.is_some_and(|forwarding| forwarding.method == Method::Dnat)
        };
        let services = self.services.iter().filter(keeps_client);
        services
            .flat_map(|service| service.servers.iter().filter_map(ServerRecord::address))
            .collect()
    }

    fn write_config(&self, surroundings: &Surroundings<'_>) {
        let Some(config) = self.tables.config.first() else {
            return;
        };
        let Config {
            table_key,
            ring_key,
            flows,
            nat,
            clock,
            sizes,
            ..
        } = config;
        let (tables, rings) = surroundings
            .predecessor
            .map_or_else(|| (random(), RING_KEY), Predecessor::keys);
        table_key.store(tables);
        ring_key.store(rings);
        let Sizes {
            flow_buckets,
            nat_entries,
            bind_buckets,
            list6_buckets,
            ..
        } = surroundings.sizes;
        flows.store(u64::from(flow_buckets));
        let (first_port, ports) = surroundings.nat_ports;
        nat.store(
            NatSizes {
                entries: nat_entries,
                first_port,
                ports,
            }
            .word(),
        );
        let per_second = self.ticks.per_second();
        clock.store(
            Clock {
                per_second,
                interface_modulus: self.interface_modulus,
            }
            .word(),
        );
        sizes.store(pair(bind_buckets, list6_buckets));
    }

    /// Enters the interfaces; also when a hardware address has changed.
    pub(super) fn write_interfaces(&mut self, interfaces: &[Interface]) -> Result<(), WriteError> {
        for interface in interfaces {
            let index = interface.index % self.interface_modulus;
            let macs: &[Mac] = interface.mac.as_slice();
            let records = self.tables.config.first().map(|it| &it.interfaces);
            if let Some(record) = records.and_then(|records| records.get(index as usize)) {
                // One that does not fit the field lets every packet pass.
                let mtu = u16::try_from(interface.mtu).unwrap_or(0);
                record.publish(interface.index, macs, u32::from(mtu));
            }
            self.tables.others.set_device(index, interface.index)?;
        }
        Ok(())
    }

    /// Writes the record of a service that no bind names yet.
    fn publish(&self, at: usize, offer: Offer) {
        let service = &self.services[at];
        if let Some(syns) = self.tables.syns.get(usize::from(service.index.0)) {
            let segment = service.plan.segment;
            syns.offer.store(Offer { segment, ..offer }.word());
            syns.policy
                .store(policies::syn_policy(self.plan.syns).word());
        }
        let Some(record) = self.tables.services.get(usize::from(service.index.0)) else {
            return;
        };
        let Service { rings, guard, .. } = record;
        rings.store(service.rings.word());
        record.treatment.store(treatment(&service.plan).word());
        guard.store(self.guard(&service.plan).word());
        record.publish(
            nature(&self.plan, &service.plan),
            self.timeouts(&service.plan),
        );
    }

    fn guard(&self, service: &plan::Service) -> Guard {
        let policy = service
            .policy
            .map(|policy| policy.0 + 1)
            .unwrap_or_default();
        let grace = service.delivery.forwarding().map_or(0, |forwarding| {
            self.ticks
                .span(forwarding.idle.established.min(LONGEST_GRACE))
        });
        Guard {
            policy,
            rate: policies::rate_number(&self.plan, service),
            ring_grace: grace,
        }
    }

    fn timeouts(&self, service: &plan::Service) -> Timeouts {
        let idle = service
            .delivery
            .forwarding()
            .map_or(NO_FLOWS, |forwarding| forwarding.idle);
        Timeouts {
            opening: self.ticks.span(idle.opening),
            established: self.ticks.span(idle.established),
            closing: self.ticks.span(idle.closing),
            datagram: self.ticks.span(idle.datagram),
        }
    }
}

/// Gives every service its number: the one it had, where one of its binds led to a service of the same nature.
fn number_services(
    plan: &Plan,
    tables: &Tables,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<ServiceRecord>, WriteError> {
    let earlier = |service: &plan::Service| {
        let predecessor = surroundings.predecessor?;
        let listens = listens(service, &surroundings.own.iter().copied().collect());
        let mut known = listens
            .iter()
            .filter_map(|bind| predecessor.service(bind, service.protocol));
        known.find(|number| predecessor.nature(*number) == Some(nature(plan, service)))
    };
    let mut taken: BTreeSet<ServiceIndex> = BTreeSet::from([ServiceIndex(0)]);
    let kept: Vec<Option<ServiceIndex>> = plan
        .services
        .iter()
        .map(|service| earlier(service).filter(|number| taken.insert(*number)))
        .collect();
    // A number that flows may still lead to is not given to another service.
    taken.extend(
        surroundings
            .predecessor
            .into_iter()
            .flat_map(Predecessor::services),
    );
    taken.extend(servers::named_services(tables));
    let mut free = (1..=u16::MAX)
        .take(tables.services.len().saturating_sub(1))
        .map(ServiceIndex);
    let mut records = Vec::new();
    for (service, kept) in plan.services.iter().zip(kept) {
        let fresh = || free.find(|number| taken.insert(*number));
        let index = kept.or_else(fresh).ok_or(WriteError::Full("services"))?;
        let rings = kept
            .zip(surroundings.predecessor)
            .map_or_else(Rings::default, |(number, old)| old.rings(number));
        let servers = service
            .delivery
            .forwarding()
            .map_or_else(Vec::new, |forwarding| {
                forwarding
                    .servers
                    .iter()
                    .map(|server| ServerRecord::new(server.clone()))
                    .collect()
            });
        records.push(ServiceRecord {
            index,
            plan: service.clone(),
            servers,
            rings,
            shares: Vec::new(),
            choice: Choice::default(),
            turns: None,
        });
    }
    Ok(records)
}

/// A secret from the system.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

/// The same everywhere, so that balancers that stand in for each other choose alike.
const RING_KEY: u64 = 0x7469_6465_6761_7465;

/// For how long packets of unknown flows follow the ring before, in milliseconds.
const LONGEST_GRACE: u64 = 600_000;

/// Times of a service whose flows are not remembered here.
const NO_FLOWS: IdleTimes = IdleTimes {
    opening: 0,
    established: 0,
    datagram: 0,
    closing: 0,
};

#[cfg(test)]
mod tests;
