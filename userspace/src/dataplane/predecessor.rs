//! What an earlier program was told, as far as its successor goes on with it.
//!
//! Input is a set of pinned maps, read and never written; output are the numbers under which flows, servers and counts
//! are remembered: the same bind keeps its service's number, and with it its rings and its sources' region. Names are not
//! in the maps, so addresses and ports are what a service is recognised by.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tidegate_common::bind::{BindBucket, BindKey, RangeRow, Target};
use tidegate_common::choice::Choice;
use tidegate_common::config::{BindView, Clock, Config};
use tidegate_common::interface;
use tidegate_common::maps::name;
use tidegate_common::rate::RateRule;
use tidegate_common::service::{Guard, Nature, Rings, Service, ServiceIndex};
use tidegate_common::word::{high, low};

use super::loader::LoadError;
use super::mmap::Mapped;
use super::netlink::Interface;
use super::pins::TableSet;
use super::plan::{Bind, Protocol};
use super::tables::pinned;

/// The maps of an earlier program that are not taken over as they are.
pub(super) struct Predecessor {
    config: Mapped<Config>,
    services: Mapped<Service>,
    rates: Mapped<RateRule>,
    binds: Mapped<BindBucket>,
    ranges: Mapped<RangeRow>,
}

impl Predecessor {
    /// Opens what is pinned.
    pub(super) fn open(set: &TableSet) -> Result<Self, LoadError> {
        Ok(Self {
            config: pinned(&set.map(name::CONFIG), name::CONFIG)?,
            services: pinned(&set.map(name::SERVICES), name::SERVICES)?,
            rates: pinned(&set.map(name::RATES), name::RATES)?,
            binds: pinned(&set.map(name::BINDS), name::BINDS)?,
            ranges: pinned(&set.map(name::RANGES), name::RANGES)?,
        })
    }

    /// The same over maps that are open already.
    #[cfg(test)]
    pub(super) fn of(
        config: Mapped<Config>,
        services: Mapped<Service>,
        rates: Mapped<RateRule>,
        binds: Mapped<BindBucket>,
        ranges: Mapped<RangeRow>,
    ) -> Self {
        Self {
            config,
            services,
            rates,
            binds,
            ranges,
        }
    }

    /// The keys of the hashes: of the tables, of the rings.
    pub(super) fn keys(&self) -> (u64, u64) {
        let config = self.config.first();
        config.map_or((0, 0), |config| {
            (config.table_key.load(), config.ring_key.load())
        })
    }

    /// What turned interface numbers into the indexes that servers and flows remember.
    pub(super) fn interface_modulus(&self) -> u32 {
        self.config.first().map_or(0, |config| {
            Clock::from_word(config.clock.load()).interface_modulus
        })
    }

    /// The service that answers for an address, or for a network, and its first port.
    pub(super) fn service(&self, bind: &Bind, protocol: Protocol) -> Option<ServiceIndex> {
        let (protocol, port) = (protocol.number(), bind.first);
        let exact = BindKey {
            address: bind.address.into(),
            port_be: port.to_be_bytes(),
            protocol,
        };
        let around = match bind.address {
            _ if !bind.is_network() => BindKey::address(bind.address.into()),
            IpAddr::V4(_) => BindKey::network(bind.address.into(), 96 + bind.length),
            IpAddr::V6(_) => BindKey::network(bind.address.into(), bind.length),
        };
        if let Some(Target::Service(service)) = self.find(exact) {
            return Some(service);
        }
        match self.find(around)? {
            Target::Ranges { first, rows, .. } => (u32::from(first)
                ..u32::from(first) + u32::from(rows))
                .filter_map(|row| self.ranges.get(row as usize))
                .find_map(|row| row.find(port, protocol)),
            Target::Service(_) | Target::Answers | Target::Server(_) => None,
        }
    }

    /// What a service is; `None` for a free number.
    pub(super) fn nature(&self, service: ServiceIndex) -> Option<Nature> {
        Nature::from_word(self.services.get(usize::from(service.0))?.nature.load())
    }

    /// A service's rings.
    pub(super) fn rings(&self, service: ServiceIndex) -> Rings {
        self.services
            .get(usize::from(service.0))
            .map_or_else(Rings::default, |record| {
                Rings::from_word(record.rings.load())
            })
    }

    /// The numbers of all rings a service names, its schedule among them.
    pub(super) fn ring_numbers(&self, service: ServiceIndex) -> [u16; 3] {
        let rings = self.rings(service);
        let record = self.services.get(usize::from(service.0));
        let schedule = record.map_or(0, |record| Choice::from_word(record.choice.load()).schedule);
        [rings.current, rings.previous, schedule]
    }

    /// The region of `sources` in which a service's clients are counted: its first bucket and how many they are.
    pub(super) fn region(&self, service: ServiceIndex) -> Option<(u32, u32)> {
        let guard = Guard::from_word(self.services.get(usize::from(service.0))?.guard.load());
        let rule = self
            .rates
            .get(usize::from(guard.rate))
            .filter(|_| guard.rate > 0)?;
        let region = rule.region.load();
        Some((low(region), high(region)))
    }

    /// The numbers of all services.
    pub(super) fn services(&self) -> impl Iterator<Item = ServiceIndex> {
        let numbers = (0..=u16::MAX).take(self.services.len()).map(ServiceIndex);
        numbers.filter(|service| self.nature(*service).is_some())
    }

    fn find(&self, key: BindKey) -> Option<Target> {
        let config = self.config.first()?;
        let buckets = low(config.sizes.load());
        let view = BindView::from_word(config.bind_view.load());
        let bucket = view
            .half
            .checked_mul(buckets)?
            .checked_add(key.bucket(view.seed, buckets))?;
        self.binds.get(bucket as usize)?.find(key)
    }
}

/// What turns interface numbers into indexes. Servers and flows that are taken over remember theirs, so it stays as it was;
/// `None` where that is not possible, or where there are too many interfaces.
pub(super) fn interface_modulus(
    interfaces: &[Interface],
    predecessor: Option<&Predecessor>,
) -> Option<u32> {
    let numbers: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
    let Some(before) = predecessor.map(Predecessor::interface_modulus) else {
        return interface::modulus(&numbers);
    };
    let indexes: BTreeSet<u32> = numbers
        .iter()
        .filter_map(|number| number.checked_rem(before))
        .collect();
    (indexes.len() == numbers.iter().collect::<BTreeSet<_>>().len()).then_some(before)
}
