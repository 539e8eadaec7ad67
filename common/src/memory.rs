//! The tables in plain memory: the same decision without a kernel.
//!
//! [`Arrays`] borrows all arrays, from wherever they are: a process's memory here, mapped kernel maps in the tests of the
//! program. [`Memory`] owns them together with a trie, counters and a clock that stands still until it is moved, and
//! implements [`Tables`]; [`Bytes`] is a frame. Unit tests, property tests and "where would this packet go" run on them.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::action::{ActionRow, Class, ROWS_PER_POLICY};
use crate::address::Address;
use crate::bind::{BindBucket, RangeRow};
use crate::config::Config;
use crate::counters::ServerCounters;
use crate::flow::FlowBucket;
use crate::frame::{Frame, MAX_OFFSET, Tables};
use crate::interface::{self, Interface};
use crate::list4::ListRow;
use crate::list6::ListBucket;
use crate::maps::Sizes;
use crate::nat::NatEntry;
use crate::rate::RateRule;
use crate::ring::{RING_ROWS, RingRow};
use crate::server::{Server, ServerIndex};
use crate::service::{Service, ServiceIndex};
use crate::source::SourceBucket;
use crate::tick::Tick;
use crate::word::{Atomics, HostAtomics, Word};

/// All mapped arrays.
#[derive(Clone, Copy, Debug)]
#[expect(
    missing_docs,
    reason = "the fields are the maps; crate::maps describes them"
)]
pub struct Arrays<'a> {
    pub config: &'a Config,
    pub binds: &'a [BindBucket],
    pub ranges: &'a [RangeRow],
    pub services: &'a [Service],
    pub servers: &'a [Server],
    pub rings: &'a [RingRow],
    pub interfaces: &'a [Interface],
    pub lists4: &'a [ListRow],
    pub lists6: &'a [ListBucket],
    pub actions: &'a [ActionRow],
    pub rates: &'a [RateRule],
    pub sources: &'a [SourceBucket],
    pub flows: &'a [FlowBucket],
    pub nat: &'a [NatEntry],
}

/// Tables of this process.
#[derive(Debug)]
pub struct Memory {
    /// The time of the next decision.
    pub now: Tick,
    /// Prefixes of the IPv6 trie: network, length, class.
    pub trie: Vec<(Address, u8, Class)>,
    config: Config,
    binds: Vec<BindBucket>,
    ranges: Vec<RangeRow>,
    services: Vec<Service>,
    servers: Vec<Server>,
    rings: Vec<RingRow>,
    interfaces: Vec<Interface>,
    lists4: Vec<ListRow>,
    lists6: Vec<ListBucket>,
    actions: Vec<ActionRow>,
    rates: Vec<RateRule>,
    sources: Vec<SourceBucket>,
    flows: Vec<FlowBucket>,
    nat: Vec<NatEntry>,
    counters: RefCell<Vec<ServerCounters>>,
}

impl Memory {
    /// Empty tables of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        fn rows<T: Default>(count: u32) -> Vec<T> {
            (0..count).map(|_| T::default()).collect()
        }
        Self {
            now: Tick::default(),
            trie: Vec::new(),
            config: Config::default(),
            binds: rows(sizes.bind_buckets * 2),
            ranges: rows(sizes.range_rows),
            services: rows(sizes.services),
            servers: rows(sizes.servers),
            rings: rows(sizes.rings * RING_ROWS),
            interfaces: rows(interface::LIMIT),
            lists4: rows(sizes.list4_rows),
            lists6: rows(sizes.list6_buckets),
            actions: rows(sizes.policies * ROWS_PER_POLICY),
            rates: rows(sizes.rates),
            sources: rows(sizes.source_buckets),
            flows: rows(sizes.flow_buckets),
            nat: rows(sizes.nat_entries),
            counters: RefCell::new(rows(sizes.servers)),
        }
    }

    /// The arrays.
    pub fn arrays(&self) -> Arrays<'_> {
        Arrays {
            config: &self.config,
            binds: &self.binds,
            ranges: &self.ranges,
            services: &self.services,
            servers: &self.servers,
            rings: &self.rings,
            interfaces: &self.interfaces,
            lists4: &self.lists4,
            lists6: &self.lists6,
            actions: &self.actions,
            rates: &self.rates,
            sources: &self.sources,
            flows: &self.flows,
            nat: &self.nat,
        }
    }

    /// What was counted for a server.
    pub fn counters(&self, server: ServerIndex) -> ServerCounters {
        self.counters
            .borrow()
            .get(usize::from(server.0))
            .copied()
            .unwrap_or_default()
    }
}

impl Atomics for Memory {
    fn add(&self, word: &Word, by: u64) {
        HostAtomics.add(word, by);
    }

    fn replace(&self, word: &Word, old: u64, new: u64) -> bool {
        HostAtomics.replace(word, old, new)
    }
}

impl Tables for Memory {
    fn now(&self) -> Tick {
        self.now
    }

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn bind_bucket(&self, index: u32) -> Option<&BindBucket> {
        self.binds.get(index as usize)
    }

    fn range_row(&self, index: u32) -> Option<&RangeRow> {
        self.ranges.get(index as usize)
    }

    fn service(&self, index: ServiceIndex) -> Option<&Service> {
        self.services.get(usize::from(index.0))
    }

    fn server(&self, index: ServerIndex) -> Option<&Server> {
        self.servers.get(usize::from(index.0))
    }

    fn ring_row(&self, index: u32) -> Option<&RingRow> {
        self.rings.get(index as usize)
    }

    fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(index as usize)
    }

    fn list4_row(&self, index: u32) -> Option<&ListRow> {
        self.lists4.get(index as usize)
    }

    fn list6_bucket(&self, index: u32) -> Option<&ListBucket> {
        self.lists6.get(index as usize)
    }

    fn list6_trie(&self, address: Address) -> Option<Class> {
        self.trie
            .iter()
            .filter(|(prefix, length, _)| address.masked(*length) == *prefix)
            .max_by_key(|(_, length, _)| *length)
            .map(|(_, _, class)| *class)
    }

    fn action_row(&self, index: u32) -> Option<&ActionRow> {
        self.actions.get(index as usize)
    }

    fn rate_rule(&self, index: u32) -> Option<&RateRule> {
        self.rates.get(index as usize)
    }

    fn source_bucket(&self, index: u32) -> Option<&SourceBucket> {
        self.sources.get(index as usize)
    }

    fn flow_bucket(&self, index: u32) -> Option<&FlowBucket> {
        self.flows.get(index as usize)
    }

    fn nat_entry(&self, index: u32) -> Option<&NatEntry> {
        self.nat.get(index as usize)
    }

    fn count(&self, server: ServerIndex, delta: ServerCounters) {
        if let Some(row) = self.counters.borrow_mut().get_mut(usize::from(server.0)) {
            row.add(delta);
        }
    }
}

/// A frame in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Its bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// The number of the interface it came in through.
    pub interface: u32,
}

impl Frame for Bytes {
    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn load<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if at > MAX_OFFSET {
            return None;
        }
        self.bytes.get(at..at + N)?.try_into().ok()
    }

    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()> {
        if at > MAX_OFFSET {
            return None;
        }
        self.bytes.get_mut(at..at + N)?.copy_from_slice(&bytes);
        Some(())
    }

    fn cut_front(&mut self, bytes: i32) -> Option<()> {
        match usize::try_from(bytes) {
            Ok(cut) if cut + ETHERNET > self.bytes.len() => return None,
            Ok(cut) => drop(self.bytes.drain(..cut)),
            Err(_) => {
                let added = bytes.unsigned_abs() as usize;
                self.bytes.splice(..0, core::iter::repeat_n(0, added));
            }
        }
        Some(())
    }
}

/// What the kernel leaves of a frame at least.
const ETHERNET: usize = 14;
