//! The maps, the clock and the atomic instructions; the other place with `unsafe`.
//!
//! Names, kinds, keys and values are those of `tidegate_common::maps`; the sizes here are the smallest ones, userspace sets
//! the real ones when it loads the object.
#![expect(unsafe_code, reason = "maps and helpers are what this file is for")]

use core::arch::asm;
use core::ops::Deref;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_action};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns, bpf_redirect_map};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, DevMap, LpmTrie, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use tidegate_common::action::{ActionRow, Class, ROWS_PER_POLICY};
use tidegate_common::address::Address;
use tidegate_common::bind::{BindBucket, RangeRow};
use tidegate_common::config::Config;
use tidegate_common::cookie::{Admission, Headers};
use tidegate_common::counters::{self, ServerCounters};
use tidegate_common::decap::{DecapCounters, Endings, Outcome};
use tidegate_common::decide::Work;
use tidegate_common::flow::FlowBucket;
use tidegate_common::fragment::{self, FragmentBucket};
use tidegate_common::frame::Tables;
use tidegate_common::interface::LIMIT;
use tidegate_common::list4::ListRow;
use tidegate_common::list6::ListBucket;
use tidegate_common::load::{Load, Turn};
use tidegate_common::maps::Sizes;
use tidegate_common::nat::NatEntry;
use tidegate_common::rate::RateRule;
use tidegate_common::ring::{RING_ROWS, RingRow};
use tidegate_common::server::{Server, ServerIndex};
use tidegate_common::service::{Service, ServiceIndex};
use tidegate_common::source::SourceBucket;
use tidegate_common::syn::SynRecord;
use tidegate_common::tick::Tick;
use tidegate_common::verdict::{DROP_REASONS, DropReason};
use tidegate_common::word::{Atomics, Word};

use crate::stack;

const SIZES: Sizes = Sizes::SMALLEST;

#[map(name = "config")]
static CONFIG: Shared<Config> = Shared::with_entries(1);
#[map(name = "binds")]
static BINDS: Shared<BindBucket> = Shared::with_entries(SIZES.bind_buckets * 2);
#[map(name = "ranges")]
static RANGES: Shared<RangeRow> = Shared::with_entries(SIZES.range_rows);
#[map(name = "services")]
static SERVICES: Shared<Service> = Shared::with_entries(SIZES.services);
#[map(name = "servers")]
static SERVERS: Shared<Server> = Shared::with_entries(SIZES.servers);
#[map(name = "rings")]
static RINGS: Shared<RingRow> = Shared::with_entries(SIZES.rings * RING_ROWS);
#[map(name = "loads")]
static LOADS: Shared<Load> = Shared::with_entries(SIZES.servers);
#[map(name = "turns")]
static TURNS: Shared<Turn> = Shared::with_entries(SIZES.services);
#[map(name = "devices")]
static DEVICES: DevMap = DevMap::with_max_entries(LIMIT, 0);
#[map(name = "lists4")]
static LISTS4: Shared<ListRow> = Shared::with_entries(SIZES.list4_rows);
#[map(name = "lists6")]
static LISTS6: Shared<ListBucket> = Shared::with_entries(SIZES.list6_buckets);
#[map(name = "lists6_trie")]
static LISTS6_TRIE: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(SIZES.list6_prefixes, 0);
#[map(name = "actions")]
static ACTIONS: Shared<ActionRow> = Shared::with_entries(SIZES.policies * ROWS_PER_POLICY);
#[map(name = "rates")]
static RATES: Shared<RateRule> = Shared::with_entries(SIZES.rates);
#[map(name = "sources")]
static SOURCES: Shared<SourceBucket> = Shared::with_entries(SIZES.source_buckets);
#[map(name = "flows")]
static FLOWS: Shared<FlowBucket> = Shared::with_entries(SIZES.flow_buckets);
#[map(name = "nat")]
static NAT: Shared<NatEntry> = Shared::with_entries(SIZES.nat_entries);
#[map(name = "fragments")]
static FRAGMENTS: Shared<FragmentBucket> = Shared::with_entries(fragment::BUCKETS);
#[map(name = "syns")]
static SYNS: Shared<SynRecord> = Shared::with_entries(SIZES.services);
#[map(name = "counters")]
static COUNTERS: PerCpuArray<ServerCounters> = PerCpuArray::with_max_entries(SIZES.servers, 0);
#[map(name = "drops")]
static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(SIZES.services * DROP_REASONS, 0);

#[map(name = "endings")]
static ENDINGS: Shared<Endings> = Shared::with_entries(1);
#[map(name = "decapped")]
static DECAPPED: PerCpuArray<DecapCounters> = PerCpuArray::with_max_entries(1, 0);

/// What a program run finds out; nobody else reads it.
#[map(name = "work")]
static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(1, 0);

/// A mapped array of words.
#[repr(transparent)]
struct Shared<T>(Array<T>);

// SAFETY: the records are words, which every CPU and userspace read and write whole (see `tidegate_common::word`).
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    const fn with_entries(entries: u32) -> Self {
        Self(Array::with_max_entries(entries, BPF_F_MMAPABLE))
    }
}

impl<T> Deref for Shared<T> {
    type Target = Array<T>;

    #[inline(always)]
    fn deref(&self) -> &Array<T> {
        &self.0
    }
}

/// The memory of this program run.
#[inline(always)]
pub(crate) fn work() -> Option<&'static mut Work> {
    // SAFETY: the record is this CPU's own, all zeros are a `Work`, and nothing interrupts the program on its CPU.
    WORK.get_ptr_mut(0).map(|work| unsafe { &mut *work })
}

/// The tables of the program, and the stack behind it.
pub(crate) struct Maps<'a> {
    context: &'a XdpContext,
    pub(crate) config: &'static Config,
}

impl<'a> Maps<'a> {
    /// For one program run.
    #[inline(always)]
    pub(crate) fn of(context: &'a XdpContext) -> Option<Self> {
        let config = CONFIG.get(0)?;
        Some(Self { context, config })
    }
}

impl Atomics for Maps<'_> {
    #[inline(always)]
    fn add(&self, word: &Word, by: u64) {
        // SAFETY: the pointer is to an aligned word of a map value.
        unsafe {
            asm!(
                "lock *(u64 *)({word} + 0) += {by}",
                word = in(reg) word.as_ptr(),
                by = in(reg) by,
            );
        }
    }

    #[inline(always)]
    fn reload(&self, word: &Word) -> u64 {
        // SAFETY: the pointer is to an aligned word of a map value.
        unsafe { core::ptr::read_volatile(word.as_ptr()) }
    }

    #[inline(always)]
    fn take(&self, word: &Word) -> u64 {
        let mut by = 1;
        // SAFETY: the pointer is to an aligned word of a map value; the instruction answers in the register of the summand.
        unsafe {
            asm!(
                "{by} = atomic_fetch_add((u64 *)({word} + 0), {by})",
                word = in(reg) word.as_ptr(),
                by = inout(reg) by,
            );
        }
        by
    }

    #[inline(always)]
    fn replace(&self, word: &Word, old: u64, new: u64) -> bool {
        let mut seen = old;
        // SAFETY: the pointer is to an aligned word of a map value; the instruction compares with and answers in r0.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {new})",
                inout("r0") seen,
                new = in(reg) new,
                word = in(reg) word.as_ptr(),
            );
        }
        seen == old
    }
}

impl Tables for Maps<'_> {
    #[inline(always)]
    fn now(&self) -> Tick {
        // SAFETY: the helper has no arguments and cannot fail.
        Tick(unsafe { bpf_jiffies64() } as u32)
    }

    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        Some(self.config)
    }

    #[inline(always)]
    fn bind_bucket(&self, index: u32) -> Option<&BindBucket> {
        BINDS.get(index)
    }

    #[inline(always)]
    fn range_row(&self, index: u32) -> Option<&RangeRow> {
        RANGES.get(index)
    }

    #[inline(always)]
    fn service(&self, index: ServiceIndex) -> Option<&Service> {
        SERVICES.get(index.0 as u32)
    }

    #[inline(always)]
    fn server(&self, index: ServerIndex) -> Option<&Server> {
        SERVERS.get(index.0 as u32)
    }

    #[inline(always)]
    fn ring_row(&self, index: u32) -> Option<&RingRow> {
        RINGS.get(index)
    }

    #[inline(always)]
    fn load(&self, index: ServerIndex) -> Option<&Load> {
        LOADS.get(index.0 as u32)
    }

    #[inline(always)]
    fn turn(&self, index: ServiceIndex) -> Option<&Turn> {
        TURNS.get(index.0 as u32)
    }

    #[inline(always)]
    fn list4_row(&self, index: u32) -> Option<&ListRow> {
        LISTS4.get(index)
    }

    #[inline(always)]
    fn list6_bucket(&self, index: u32) -> Option<&ListBucket> {
        LISTS6.get(index)
    }

    #[inline(always)]
    fn list6_trie(&self, address: Address) -> Option<Class> {
        let key = Key::new(128, address.bytes());
        LISTS6_TRIE.get(&key).map(|class| Class(*class as u16))
    }

    #[inline(always)]
    fn action_row(&self, index: u32) -> Option<&ActionRow> {
        ACTIONS.get(index)
    }

    #[inline(always)]
    fn rate_rule(&self, index: u32) -> Option<&RateRule> {
        RATES.get(index)
    }

    #[inline(always)]
    fn source_bucket(&self, index: u32) -> Option<&SourceBucket> {
        SOURCES.get(index)
    }

    #[inline(always)]
    fn flow_bucket(&self, index: u32) -> Option<&FlowBucket> {
        FLOWS.get(index)
    }

    #[inline(always)]
    fn nat_entry(&self, index: u32) -> Option<&NatEntry> {
        NAT.get(index)
    }

    #[inline(always)]
    fn fragment_bucket(&self, index: u32) -> Option<&FragmentBucket> {
        FRAGMENTS.get(index)
    }

    #[inline(always)]
    fn syn_record(&self, service: ServiceIndex) -> Option<&SynRecord> {
        SYNS.get(service.0 as u32)
    }

    #[inline(always)]
    fn cookie(&self, headers: &Headers, is_v4: bool, length: u16) -> Option<u32> {
        stack::cookie(self.context, headers, is_v4, length)
    }

    #[inline(always)]
    fn admission(&self, headers: &Headers, is_v4: bool, length: u16) -> Admission {
        stack::admission(self.context, headers, is_v4, length)
    }

    #[inline(always)]
    fn milliseconds(&self) -> u32 {
        // SAFETY: the helper has no arguments and cannot fail.
        (unsafe { bpf_ktime_get_ns() } / 1_000_000) as u32
    }

    #[inline(always)]
    fn settle(&self, work: &mut Work) {
        // SAFETY: the instruction does nothing. Naming the record and not excluding memory makes the compiler store what it
        // holds in registers, and load it anew afterwards.
        unsafe { asm!("{work} = {work}", work = in(reg) core::ptr::from_mut(work)) };
    }

    #[inline(always)]
    fn count(&self, server: ServerIndex, delta: ServerCounters) {
        if let Some(row) = COUNTERS.get_ptr_mut(counters::server_index(server)) {
            // SAFETY: the row is this CPU's own, and nothing interrupts the program on it.
            unsafe { (*row).add(delta) };
        }
    }
}

/// Where tunnels end.
#[inline(always)]
pub(crate) fn endings() -> Option<&'static Endings> {
    ENDINGS.get(0)
}

/// Counts what became of a frame of a tunnel.
#[inline(always)]
pub(crate) fn count_decapped(outcome: Outcome) {
    if let Some(counters) = DECAPPED.get_ptr_mut(0) {
        // SAFETY: the row is this CPU's own, and nothing interrupts the program on it.
        unsafe { (*counters).count(outcome) };
    }
}

/// Counts a drop.
#[inline(always)]
pub(crate) fn count_drop(service: ServiceIndex, reason: DropReason) {
    if let Some(count) = DROPS.get_ptr_mut(counters::drop_index(service, reason)) {
        // SAFETY: the row is this CPU's own, and nothing interrupts the program on it.
        unsafe { *count += 1 };
    }
}

/// The XDP code that sends the frame out of an interface; a drop if there is none with this index.
#[inline(always)]
pub(crate) fn redirect(interface: u8) -> u32 {
    // Not the map's own function, which tells the outcomes apart only for us to put them together again.
    let devices = (&raw const DEVICES).cast_mut().cast();
    // SAFETY: the map is a devmap; the helper answers with an XDP code.
    unsafe { bpf_redirect_map(devices, interface as u64, xdp_action::XDP_DROP as u64) as u32 }
}
