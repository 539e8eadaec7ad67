//! Enters the addresses and ports of all services.
//!
//! A bind on all addresses is entered once for every address this machine has; one that names the address goes before
//! it, as it does for sockets. The half of the table that is not in force is filled, then one store swaps the halves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_common::bind::{self, BindKey, PortRange, RANGE_ROWS, RANGES_PER_ROW, Target};
use tidegate_common::config::{BindView, PREFIXES};
use tidegate_common::server::ServerIndex;
use tidegate_common::service::ServiceIndex;
use tidegate_common::word::low;

use super::servers::ServerRecord;
use super::{ServiceRecord, WriteError, Writer};
use crate::dataplane::mmap::wait_for_programs;
use crate::dataplane::plan::{Bind, Family, Method, Plan, Service};

/// What the tables of binds must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BindSizes {
    /// Entries, those of addresses included.
    pub entries: u32,
    /// Rows of port ranges of one half.
    pub range_rows: u32,
}

/// How many entries a plan needs on a machine with these addresses.
pub(crate) fn sizes(plan: &Plan, own: &BTreeSet<IpAddr>) -> BindSizes {
    let entries = Entries::of(
        plan.services
            .iter()
            .map(|service| (ServiceIndex(0), service)),
        own,
    );
    let range_rows = entries
        .ranges
        .values()
        .map(|ranges| ranges.len().div_ceil(RANGES_PER_ROW))
        .sum::<usize>();
    let answering = plan
        .services
        .iter()
        .filter_map(|service| service.delivery.forwarding())
        .filter(|forwarding| forwarding.method == Method::Dnat);
    let answering: usize = answering.map(|forwarding| forwarding.servers.len()).sum();
    let named = plan
        .services
        .iter()
        .filter_map(|service| service.delivery.forwarding())
        .filter(|forwarding| forwarding.server_ids.is_some());
    let named: usize = named.map(|forwarding| forwarding.servers.len()).sum();
    BindSizes {
        entries: (entries.exact.len() + entries.ranges.len() + answering + named) as u32,
        range_rows: range_rows as u32,
    }
}

/// Everything a service listens on, one by one: those on all addresses come last.
pub(in crate::dataplane) fn listens(service: &Service, own: &BTreeSet<IpAddr>) -> Vec<Bind> {
    let (wildcards, named): (Vec<&Bind>, Vec<&Bind>) =
        service.binds.iter().partition(|bind| bind.is_wildcard());
    let all = wildcards.into_iter().flat_map(|bind| {
        let family = own
            .iter()
            .filter(|address| Family::of(**address) == service.family);
        family.map(|address| Bind::one(*address, bind.first, bind.last))
    });
    named.into_iter().copied().chain(all).collect()
}

/// The content of the tables.
#[derive(Default)]
struct Entries {
    exact: BTreeMap<(IpAddr, u16, u8), ServiceIndex>,
    /// Every address and network, with its ranges.
    ranges: BTreeMap<(IpAddr, u8), Vec<PortRange>>,
    /// Those with a service that is forwarded.
    forwarded: BTreeSet<(IpAddr, u8)>,
}

impl Entries {
    fn of<'a>(
        services: impl Iterator<Item = (ServiceIndex, &'a Service)> + Clone,
        own: &BTreeSet<IpAddr>,
    ) -> Self {
        let mut entries = Self::default();
        for wildcards in [false, true] {
            for (index, service) in services.clone() {
                let mut binds = service.clone();
                binds.binds.retain(|bind| bind.is_wildcard() == wildcards);
                for bind in listens(&binds, own) {
                    entries.enter(index, service, &bind);
                }
            }
        }
        // One port goes before a range around it, as it does for an address.
        for ranges in entries.ranges.values_mut() {
            ranges.sort_by_key(|range| range.first != range.last);
        }
        entries
    }

    fn enter(&mut self, index: ServiceIndex, service: &Service, bind: &Bind) {
        let protocol = service.protocol.number();
        let key = (bind.address, bind.length);
        if service.delivery.forwarding().is_some() {
            self.forwarded.insert(key);
        }
        let ranges = self.ranges.entry(key).or_default();
        if bind.first == bind.last && !bind.is_network() {
            self.exact
                .entry((bind.address, bind.first, protocol))
                .or_insert(index);
        } else {
            ranges.push(PortRange {
                first: bind.first,
                last: bind.last,
                service: index,
                protocol,
            });
        }
    }

    /// The lengths of the networks, as the program looks for them.
    fn prefixes(&self) -> u64 {
        let networks = self
            .ranges
            .keys()
            .map(|(address, length)| bits(*address, *length));
        let lengths: BTreeSet<u8> = networks.filter(|bits| *bits < 128).collect();
        let longest = lengths.into_iter().rev().take(PREFIXES);
        longest.zip(0..).fold(0, |word, (bits, at)| {
            word | (u64::from(bits) + 1) << (8 * at)
        })
    }
}

/// A length in terms of all 128 bits.
const fn bits(address: IpAddr, length: u8) -> u8 {
    if address.is_ipv4() {
        96 + length
    } else {
        length
    }
}

impl Writer {
    /// Who is named by connection ids.
    pub(super) fn named_servers(&self) -> BTreeMap<(ServiceIndex, u32), ServerIndex> {
        let names = |service: &&ServiceRecord| {
            let forwarding = service.plan.delivery.forwarding();
            forwarding.is_some_and(|forwarding| forwarding.server_ids.is_some())
        };
        let services = self.services.iter().filter(names);
        let numbers = services.flat_map(|service| {
            let numbers = service.servers.iter().filter_map(ServerRecord::numbers);
            numbers.map(|(number, server)| ((service.index, number), server))
        });
        numbers.collect()
    }

    /// Enters all binds, for this machine's present addresses.
    pub(super) fn place_binds(&mut self) -> Result<(), WriteError> {
        let services = self
            .services
            .iter()
            .map(|service| (service.index, &service.plan));
        let entries = Entries::of(services, &self.own);
        let Some(config) = self.tables.config.first() else {
            return Ok(());
        };
        let buckets = low(config.sizes.load()) as usize;
        let half = 1 - self.half;
        // Row 0 means "none"; each half of the binds has half of the rest.
        let rows = (self.tables.ranges.len() - 1) / 2;
        let mut next = 1 + half as usize * rows;
        let end = next + rows;
        let mut binds: Vec<(BindKey, Target)> = Vec::new();
        for ((address, port, protocol), service) in &entries.exact {
            let key = BindKey {
                address: (*address).into(),
                port_be: port.to_be_bytes(),
                protocol: *protocol,
            };
            binds.push((key, Target::Service(*service)));
        }
        for ((address, length), ranges) in &entries.ranges {
            let count = ranges.len().div_ceil(RANGES_PER_ROW);
            if count > usize::from(RANGE_ROWS) || next + count > end {
                return Err(WriteError::Full("port ranges"));
            }
            for (row, ranges) in self.tables.ranges[next..]
                .iter()
                .zip(ranges.chunks(RANGES_PER_ROW))
            {
                row.publish(ranges);
            }
            let target = Target::Ranges {
                first: next as u16,
                rows: count as u8,
                forwarded: entries.forwarded.contains(&(*address, *length))
                    && !self.own.contains(address),
            };
            let key = match bits(*address, *length) {
                128 => BindKey::address((*address).into()),
                bits => BindKey::network((*address).into(), bits),
            };
            binds.push((key, target));
            next += count;
        }
        for server in &self.answering {
            binds.push((BindKey::answers((*server).into()), Target::Answers));
        }
        for ((service, number), server) in &self.named {
            binds.push((
                BindKey::server(*service, u64::from(*number)),
                Target::Server(*server),
            ));
        }
        let first = half as usize * buckets;
        let bucket_half = self
            .tables
            .binds
            .get(first..first + buckets)
            .ok_or(WriteError::Binds)?;
        let seed = bind::place(bucket_half, &binds).ok_or(WriteError::Binds)?;
        let view = BindView {
            half,
            seed,
            answers: !self.answering.is_empty(),
            prefixes: entries.prefixes(),
        };
        let addresses: Vec<_> = binds.iter().map(|(key, _)| key.address).collect();
        config.bind_more(&addresses);
        config.bind_view.store(view.word());
        self.half = half;
        wait_for_programs();
        config.bind_only(&addresses);
        Ok(())
    }
}
