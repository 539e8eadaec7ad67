//! The tables in plain memory: the same decision without a kernel.
//!
//! [`Arrays`] borrows all arrays, from wherever they are: mapped kernel maps, files in their place, or a [`Memory`], which
//! owns a copy of them. [`View`] adds a trie, counters and a clock that stands still until it is moved, and implements
//! [`Tables`]; [`Bytes`] is a frame. Fixtures, property tests and the comparison with the kernel run on them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::action::{ActionRow, Class};
use crate::address::Address;
use crate::bind::{BindBucket, RangeRow};
use crate::config::Config;
use crate::cookie::{Admission, Headers};
use crate::counters::ServerCounters;
use crate::decide::{self, Work};
use crate::flow::FlowBucket;
use crate::fragment::FragmentBucket;
use crate::frame::{Frame, MAX_OFFSET, Tables};
use crate::list4::ListRow;
use crate::list6::ListBucket;
use crate::load::{Load, Turn};
use crate::nat::NatEntry;
pub use crate::pod::{Words, words};
use crate::rate::RateRule;
use crate::ring::RingRow;
use crate::server::{Server, ServerIndex};
use crate::service::{Service, ServiceIndex};
use crate::source::SourceBucket;
use crate::syn::SynRecord;
use crate::tick::Tick;
use crate::verdict::Verdict;
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
    pub loads: &'a [Load],
    pub turns: &'a [Turn],
    pub lists4: &'a [ListRow],
    pub lists6: &'a [ListBucket],
    pub actions: &'a [ActionRow],
    pub rates: &'a [RateRule],
    pub sources: &'a [SourceBucket],
    pub flows: &'a [FlowBucket],
    pub nat: &'a [NatEntry],
    pub fragments: &'a [FragmentBucket],
    pub syns: &'a [SynRecord],
}

/// Arrays, and what the kernel keeps besides them: the tables of a decision.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The mapped arrays.
    pub arrays: Arrays<'a>,
    /// The rest.
    pub besides: &'a Besides,
}

/// Everything a decision asks for that is no mapped array.
#[derive(Debug, Default)]
pub struct Besides {
    /// The time of the next decision.
    pub now: Cell<Tick>,
    /// The cookie that a stack with listeners everywhere gives for every SYN; without one nobody listens.
    pub cookie: Cell<Option<u32>>,
    /// The clock of its timestamps.
    pub milliseconds: Cell<u32>,
    /// Prefixes of the IPv6 trie: network, length, class.
    pub trie: RefCell<Vec<(Address, u8, Class)>>,
    counters: RefCell<BTreeMap<u16, ServerCounters>>,
}

/// Arrays of this process.
#[derive(Debug)]
pub struct Memory {
    config: Config,
    binds: Vec<BindBucket>,
    ranges: Vec<RangeRow>,
    services: Vec<Service>,
    servers: Vec<Server>,
    rings: Vec<RingRow>,
    loads: Vec<Load>,
    turns: Vec<Turn>,
    lists4: Vec<ListRow>,
    lists6: Vec<ListBucket>,
    actions: Vec<ActionRow>,
    rates: Vec<RateRule>,
    sources: Vec<SourceBucket>,
    flows: Vec<FlowBucket>,
    nat: Vec<NatEntry>,
    fragments: Vec<FragmentBucket>,
    syns: Vec<SynRecord>,
}

impl Memory {
    /// A copy of arrays that nobody writes meanwhile.
    pub fn copy(arrays: &Arrays<'_>) -> Self {
        fn rows<T: Default + Words>(from: &[T]) -> Vec<T> {
            let copy: Vec<T> = from.iter().map(|_| T::default()).collect();
            for (to, from) in words(&copy).iter().zip(words(from)) {
                to.store(from.load());
            }
            copy
        }
        let config = Config::default();
        let one = core::slice::from_ref;
        for (to, from) in words(one(&config)).iter().zip(words(one(arrays.config))) {
            to.store(from.load());
        }
        Self {
            config,
            binds: rows(arrays.binds),
            ranges: rows(arrays.ranges),
            services: rows(arrays.services),
            servers: rows(arrays.servers),
            rings: rows(arrays.rings),
            loads: rows(arrays.loads),
            turns: rows(arrays.turns),
            lists4: rows(arrays.lists4),
            lists6: rows(arrays.lists6),
            actions: rows(arrays.actions),
            rates: rows(arrays.rates),
            sources: rows(arrays.sources),
            flows: rows(arrays.flows),
            nat: rows(arrays.nat),
            fragments: rows(arrays.fragments),
            syns: rows(arrays.syns),
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
            loads: &self.loads,
            turns: &self.turns,
            lists4: &self.lists4,
            lists6: &self.lists6,
            actions: &self.actions,
            rates: &self.rates,
            sources: &self.sources,
            flows: &self.flows,
            nat: &self.nat,
            fragments: &self.fragments,
            syns: &self.syns,
        }
    }
}

impl Besides {
    /// What was counted for a server.
    pub fn counters(&self, server: ServerIndex) -> ServerCounters {
        self.counters
            .borrow()
            .get(&server.0)
            .copied()
            .unwrap_or_default()
    }
}

impl Atomics for View<'_> {
    fn add(&self, word: &Word, by: u64) {
        HostAtomics.add(word, by);
    }

    fn reload(&self, word: &Word) -> u64 {
        HostAtomics.reload(word)
    }

    fn take(&self, word: &Word) -> u64 {
        HostAtomics.take(word)
    }

    fn replace(&self, word: &Word, old: u64, new: u64) -> bool {
        HostAtomics.replace(word, old, new)
    }
}

impl View<'_> {
    /// [`decide`](decide::decide()) on these tables. It is compiled here and once, so that tests of many packets run as fast as
    /// this package is optimised.
    pub fn decide(&self, frame: &mut Bytes) -> Verdict {
        decide::decide(frame, self, &mut Work::default())
    }

    /// The same for [`careful`](decide::careful()).
    pub fn careful(&self, frame: &mut Bytes) -> Verdict {
        decide::careful(frame, self, &mut Work::default())
    }
}

impl Tables for View<'_> {
    fn now(&self) -> Tick {
        self.besides.now.get()
    }

    fn config(&self) -> Option<&Config> {
        Some(self.arrays.config)
    }

    fn bind_bucket(&self, index: u32) -> Option<&BindBucket> {
        self.arrays.binds.get(index as usize)
    }

    fn range_row(&self, index: u32) -> Option<&RangeRow> {
        self.arrays.ranges.get(index as usize)
    }

    fn service(&self, index: ServiceIndex) -> Option<&Service> {
        self.arrays.services.get(usize::from(index.0))
    }

    fn server(&self, index: ServerIndex) -> Option<&Server> {
        self.arrays.servers.get(usize::from(index.0))
    }

    fn ring_row(&self, index: u32) -> Option<&RingRow> {
        self.arrays.rings.get(index as usize)
    }

    fn load(&self, index: ServerIndex) -> Option<&Load> {
        self.arrays.loads.get(usize::from(index.0))
    }

    fn turn(&self, index: ServiceIndex) -> Option<&Turn> {
        self.arrays.turns.get(usize::from(index.0))
    }

    fn list4_row(&self, index: u32) -> Option<&ListRow> {
        self.arrays.lists4.get(index as usize)
    }

    fn list6_bucket(&self, index: u32) -> Option<&ListBucket> {
        self.arrays.lists6.get(index as usize)
    }

    fn list6_trie(&self, address: Address) -> Option<Class> {
        let trie = self.besides.trie.borrow();
        trie.iter()
            .filter(|(prefix, length, _)| address.masked(*length) == *prefix)
            .max_by_key(|(_, length, _)| *length)
            .map(|(_, _, class)| *class)
    }

    fn action_row(&self, index: u32) -> Option<&ActionRow> {
        self.arrays.actions.get(index as usize)
    }

    fn rate_rule(&self, index: u32) -> Option<&RateRule> {
        self.arrays.rates.get(index as usize)
    }

    fn source_bucket(&self, index: u32) -> Option<&SourceBucket> {
        self.arrays.sources.get(index as usize)
    }

    fn flow_bucket(&self, index: u32) -> Option<&FlowBucket> {
        self.arrays.flows.get(index as usize)
    }

    fn nat_entry(&self, index: u32) -> Option<&NatEntry> {
        self.arrays.nat.get(index as usize)
    }

    fn fragment_bucket(&self, index: u32) -> Option<&FragmentBucket> {
        self.arrays.fragments.get(index as usize)
    }

    fn syn_record(&self, service: ServiceIndex) -> Option<&SynRecord> {
        self.arrays.syns.get(usize::from(service.0))
    }

    fn cookie(&self, _: &Headers, _: bool, _: u16) -> Option<u32> {
        self.besides.cookie.get()
    }

    fn admission(&self, headers: &Headers, _: bool, _: u16) -> Admission {
        match self.besides.cookie.get() {
            Some(cookie) if headers.acknowledged() == cookie.wrapping_add(1) => Admission::Proven,
            Some(_) => Admission::Forged,
            None => Admission::Known,
        }
    }

    fn milliseconds(&self) -> u32 {
        self.besides.milliseconds.get()
    }

    fn count(&self, server: ServerIndex, delta: ServerCounters) {
        let mut counters = self.besides.counters.borrow_mut();
        counters.entry(server.0).or_default().add(delta);
    }
}

/// A frame in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Its bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// The number of the interface it came in through.
    pub interface: u32,
    /// How many bytes can be put before it.
    pub headroom: usize,
}

impl Bytes {
    /// A frame with the usual room before it.
    pub fn new(bytes: &[u8], interface: u32) -> Self {
        Self {
            bytes: bytes.to_vec(),
            interface,
            headroom: HEADROOM,
        }
    }
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

    fn front<const N: usize>(&self) -> Option<&[u8; N]> {
        self.bytes.first_chunk()
    }

    fn front_mut<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.bytes.first_chunk_mut()
    }

    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()> {
        if at > MAX_OFFSET {
            return None;
        }
        self.bytes.get_mut(at..at + N)?.copy_from_slice(&bytes);
        Some(())
    }

    fn cut_back(&mut self, length: usize) -> Option<()> {
        if length < ETHERNET || length > self.bytes.len() {
            return None;
        }
        self.bytes.truncate(length);
        Some(())
    }

    fn cut_front(&mut self, bytes: i32) -> Option<()> {
        match usize::try_from(bytes) {
            Ok(cut) if cut + ETHERNET > self.bytes.len() => return None,
            Ok(cut) => {
                self.bytes.drain(..cut);
                self.headroom += cut;
            }
            Err(_) => {
                let added = bytes.unsigned_abs() as usize;
                self.headroom = self.headroom.checked_sub(added)?;
                self.bytes.splice(..0, core::iter::repeat_n(0, added));
            }
        }
        Some(())
    }
}

/// What drivers leave before a frame (`XDP_PACKET_HEADROOM`), without what the kernel keeps there itself.
const HEADROOM: usize = 256 - 40;

/// What the kernel leaves of a frame at least.
const ETHERNET: usize = 14;
