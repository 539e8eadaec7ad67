//! Enters the addresses and ports of all services.
//!
//! A bind on all addresses is entered once for every address this machine has; one that names the address goes before
//! it, as it does for sockets. The half of the table that is not in force is filled, then one store swaps the halves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_common::bind::{self, BindKey, PortRange, RANGE_ROWS, RANGES_PER_ROW, Target};
use tidegate_common::config::BindView;
use tidegate_common::word::low;

use super::{WriteError, Writer};
use crate::dataplane::mmap::wait_for_programs;
use crate::dataplane::plan::{Family, Method, Plan, Service};

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
            .map(|service| (tidegate_common::service::ServiceIndex(0), service)),
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
    BindSizes {
        entries: (entries.exact.len() + entries.ranges.len() + answering) as u32,
        range_rows: range_rows as u32,
    }
}

/// Address, first and last port of everything a service listens on.
pub(in crate::dataplane) fn listens(
    service: &Service,
    own: &BTreeSet<IpAddr>,
) -> Vec<(IpAddr, u16, u16)> {
    let named = service
        .binds
        .iter()
        .filter(|bind| !bind.address.is_unspecified());
    let named = named.map(|bind| (bind.address, bind.first, bind.last));
    let wildcards = service
        .binds
        .iter()
        .filter(|bind| bind.address.is_unspecified());
    let all = wildcards.flat_map(|bind| {
        let family = own
            .iter()
            .filter(|address| Family::of(**address) == service.family);
        family.map(|address| (*address, bind.first, bind.last))
    });
    named.chain(all).collect()
}

/// The content of the tables.
struct Entries {
    exact: BTreeMap<(IpAddr, u16, u8), tidegate_common::service::ServiceIndex>,
    /// Every address, with its ranges.
    ranges: BTreeMap<IpAddr, Vec<PortRange>>,
    /// The addresses with a service that is forwarded.
    forwarded: BTreeSet<IpAddr>,
}

impl Entries {
    fn of<'a>(
        services: impl Iterator<Item = (tidegate_common::service::ServiceIndex, &'a Service)> + Clone,
        own: &BTreeSet<IpAddr>,
    ) -> Self {
        let mut entries = Self {
            exact: BTreeMap::new(),
            ranges: BTreeMap::new(),
            forwarded: BTreeSet::new(),
        };
        for wildcards in [false, true] {
            for (index, service) in services.clone() {
                let mut binds = service.clone();
                binds
                    .binds
                    .retain(|bind| bind.address.is_unspecified() == wildcards);
                for (address, first, last) in listens(&binds, own) {
                    let protocol = service.protocol.number();
                    if service.delivery.forwarding().is_some() {
                        entries.forwarded.insert(address);
                    }
                    let ranges = entries.ranges.entry(address).or_default();
                    if first == last {
                        entries
                            .exact
                            .entry((address, first, protocol))
                            .or_insert(index);
                    } else {
                        ranges.push(PortRange {
                            first,
                            last,
                            service: index,
                            protocol,
                        });
                    }
                }
            }
        }
        entries
    }
}

impl Writer {
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
        for (address, ranges) in &entries.ranges {
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
                forwarded: entries.forwarded.contains(address) && !self.own.contains(address),
            };
            binds.push((BindKey::address((*address).into()), target));
            next += count;
        }
        for server in &self.answering {
            binds.push((BindKey::answers((*server).into()), Target::Answers));
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
        };
        config.bind_view.store(view.word());
        self.half = half;
        wait_for_programs();
        Ok(())
    }
}
