//! The maps shared by kernel and userspace: names, sizes, and the order in which they may be changed.
//!
//! | name | kind | key → value | entries | written by | mapped |
//! |---|---|---|---|---|---|
//! | `config` | array | 0 → [`Config`] | 1 | userspace | yes |
//! | `binds` | array | bucket → [`BindBucket`] | 2 × `Config::sizes` low | userspace | yes |
//! | `ranges` | array | row → [`RangeRow`] | as needed | userspace | yes |
//! | `services` | array | [`ServiceIndex`] → [`Service`] | ≤ 65536 | userspace | yes |
//! | `servers` | array | [`ServerIndex`] → [`Server`] | ≤ 65536 | userspace | yes |
//! | `rings` | array | ring × [`RING_ROWS`] + row → [`RingRow`] | rings × [`RING_ROWS`] | userspace | yes |
//! | `loads` | array | [`ServerIndex`] → [`Load`] | as `servers` | both | yes |
//! | `turns` | array | [`ServiceIndex`] → [`Turn`] | as `services` | program | yes |
//! | `devices` | devmap | index → interface number | [`interface::LIMIT`] | userspace | |
//! | `lists4` | array | row → [`ListRow`] | 1, or [`ROOT_ROWS`] + list | userspace | yes |
//! | `lists6` | array | bucket → [`ListBucket`] | `Config::sizes` high | userspace | yes |
//! | `lists6_trie` | LPM trie | prefix → `u32` class | prefixes | userspace | |
//! | `actions` | array | policy × [`ROWS_PER_POLICY`] + row → [`ActionRow`] | policies × [`ROWS_PER_POLICY`] | userspace | yes |
//! | `rates` | array | rule → [`RateRule`] | rules | userspace | yes |
//! | `sources` | array | region + bucket → [`SourceBucket`] | all regions | both | yes |
//! | `flows` | array | bucket → [`FlowBucket`] | `Config::flows` | program | yes |
//! | `nat` | array | place → [`NatEntry`] | `Config::nat` | program | yes |
//! | `fragments` | array | bucket → [`FragmentBucket`] | [`fragment::BUCKETS`] | program | yes |
//! | `syns` | array | [`ServiceIndex`] → [`SynRecord`] | as `services` | both | yes |
//! | `counters` | per-CPU array | [`ServerIndex`] → [`ServerCounters`] | as `servers` | program | |
//! | `drops` | per-CPU array | service × [`DROP_REASONS`] + reason → `u64` | services × [`DROP_REASONS`] | program | |
//! | `capture` | array | 0 → [`Control`] | 1 | userspace | yes |
//! | `captured` | ring buffer | [`Record`]s | [`RING_BYTES`] | program | |
//! | `missed` | per-CPU array | 0 → [`Missed`] | 1 | program | |
//! | `work` | per-CPU array | 0 → [`Work`] | 1 | program | |
//!
//! `work` is the program's own memory for one packet and of no interest to userspace. "Mapped" arrays have `BPF_F_MMAPABLE` and userspace reads and writes them through a shared mapping, word by word
//! ([`crate::word::Word`]); `bpf_map_update_elem` copies without regard to words and must not be used on them. An array's
//! mapping begins at its first entry and holds the entries one after another without gaps (all values are multiples of
//! eight bytes). Index 0 of `ranges`, `services`, `servers`, `rates` and policy 0 of `actions` mean "none" and stay zero.
//! Sizes are set at load time (`EbpfLoader::map_max_entries`); an adopted pinned map tells its own.
//!
//! # The order of changes
//!
//! A packet must never see half of a change. The rule behind all of the following: *write what nobody can reach, publish
//! it by one store, wait, and only then reuse what was replaced.* "Wait" is an RCU grace period, after which no program
//! run that began before is still running: `membarrier(MEMBARRIER_CMD_GLOBAL)`.
//!
//! - **Start**: all of `config` first, then everything else in the order servers, rings, services, binds; attach last.
//! - **Binds** (also adding and removing a service): services, rate rules and policies the new binds need are written
//!   first; new port ranges go to rows of `ranges` that the half in force does not name; [`crate::bind::place`] fills the
//!   half that is not in force; addresses that are new are added to [`Config::bound`]; one store of
//!   [`Config::bind_view`] swaps the halves; wait; then `bound` is left with the present addresses alone. Now indexes and rows that only
//!   the old half named may be reused.
//! - **Ring** (a server comes, goes, changes its weight): write the ring to a ring number that no service names, then one
//!   store of [`Service::rings`] with `previous` = the old `current` and the present tick; wait. The old `previous` is free.
//! - **Choice** (another `balance`, a changed schedule): write the schedule to a ring number that no service names, then one
//!   store of [`Service::choice`]; wait. The schedule it named is free.
//! - **Server state or next hop**: one store of [`Server::hop`]. A server that is down is marked down first (its flows are
//!   chosen anew at once), then leaves the ring. A server that comes back is marked up first, then joins the ring.
//! - **Server address**: a new index, a new ring with it, then the old index is marked absent. An index is free for another
//!   server when it is in no ring, was absent for as long as the longest flow timeout of its service, and one more wait.
//! - **Lists**: the writes of [`crate::list4`] in the order they are given, each of which changes the class of an address
//!   from old to new at most once and never to anything else; the rows given back are free after a wait. IPv6: the trie
//!   first, then `lists6`. A new class has its actions in every policy before an address gets it.
//! - **Policies and rates**: one action is one byte of one word. A policy that changes as a whole is written to a free
//!   policy number, then [`Service::guard`] is stored.
//! - **Sizes and keys** in `config` never change while tables made with them are in use.
//!
//! [`ActionRow`]: crate::action::ActionRow
//! [`Control`]: crate::capture::Control
//! [`Missed`]: crate::capture::Missed
//! [`RING_BYTES`]: crate::capture::RING_BYTES
//! [`Record`]: crate::capture::Record
//! [`BindBucket`]: crate::bind::BindBucket
//! [`Config`]: crate::config::Config
//! [`DROP_REASONS`]: crate::verdict::DROP_REASONS
//! [`FlowBucket`]: crate::flow::FlowBucket
//! [`FragmentBucket`]: crate::fragment::FragmentBucket
//! [`ListBucket`]: crate::list6::ListBucket
//! [`ListRow`]: crate::list4::ListRow
//! [`Load`]: crate::load::Load
//! [`NatEntry`]: crate::nat::NatEntry
//! [`RING_ROWS`]: crate::ring::RING_ROWS
//! [`ROOT_ROWS`]: crate::list4::ROOT_ROWS
//! [`ROWS_PER_POLICY`]: crate::action::ROWS_PER_POLICY
//! [`RangeRow`]: crate::bind::RangeRow
//! [`RateRule`]: crate::rate::RateRule
//! [`RingRow`]: crate::ring::RingRow
//! [`Server`]: crate::server::Server
//! [`ServerCounters`]: crate::counters::ServerCounters
//! [`ServerIndex`]: crate::server::ServerIndex
//! [`Service`]: crate::service::Service
//! [`ServiceIndex`]: crate::service::ServiceIndex
//! [`SourceBucket`]: crate::source::SourceBucket
//! [`SynRecord`]: crate::syn::SynRecord
//! [`Turn`]: crate::load::Turn
//! [`Work`]: crate::decide::Work
//! [`Config::bind_view`]: crate::config::Config::bind_view
//! [`Config::bound`]: crate::config::Config::bound
//! [`Service::choice`]: crate::service::Service::choice
//! [`Service::rings`]: crate::service::Service::rings
//! [`Service::guard`]: crate::service::Service::guard
//! [`Server::hop`]: crate::server::Server::hop

use crate::action::ROWS_PER_POLICY;
use crate::flow::WAYS;
use crate::ring::RING_ROWS;
use crate::verdict::DROP_REASONS;
use crate::{fragment, interface};

/// Name of the XDP program in the object.
pub const PROGRAM: &str = "tidegate";

/// Names of the maps in the object, and of their pins.
pub mod name {
    /// [`crate::config::Config`].
    pub const CONFIG: &str = "config";
    /// Buckets of [`crate::bind`].
    pub const BINDS: &str = "binds";
    /// Port ranges.
    pub const RANGES: &str = "ranges";
    /// Services.
    pub const SERVICES: &str = "services";
    /// Servers.
    pub const SERVERS: &str = "servers";
    /// Maglev rings and schedules.
    pub const RINGS: &str = "rings";
    /// How many flows servers have.
    pub const LOADS: &str = "loads";
    /// Whose turn it is.
    pub const TURNS: &str = "turns";
    /// Devmap.
    pub const DEVICES: &str = "devices";
    /// IPv4 source table.
    pub const LISTS4: &str = "lists4";
    /// IPv6 source table.
    pub const LISTS6: &str = "lists6";
    /// What `lists6` could not hold.
    pub const LISTS6_TRIE: &str = "lists6_trie";
    /// Policies.
    pub const ACTIONS: &str = "actions";
    /// Rate rules.
    pub const RATES: &str = "rates";
    /// Connection counts per source.
    pub const SOURCES: &str = "sources";
    /// Flow table.
    pub const FLOWS: &str = "flows";
    /// NAT table.
    pub const NAT: &str = "nat";
    /// Ways of fragmented datagrams.
    pub const FRAGMENTS: &str = "fragments";
    /// SYNs by service.
    pub const SYNS: &str = "syns";
    /// Per-CPU counters of servers.
    pub const COUNTERS: &str = "counters";
    /// Per-CPU counters of drops.
    pub const DROPS: &str = "drops";
    /// What somebody wants to see.
    pub const CAPTURE: &str = "capture";
    /// The frames shown.
    pub const CAPTURED: &str = "captured";
    /// Those there was no room for.
    pub const MISSED: &str = "missed";
}

/// Sizes of all maps, in units that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bind buckets of one half ([`crate::bind::buckets_for`]).
    pub bind_buckets: u32,
    /// Rows of port ranges, row 0 included.
    pub range_rows: u32,
    /// Services, index 0 included.
    pub services: u32,
    /// Servers, index 0 included.
    pub servers: u32,
    /// Rings: three per service that is forwarded here (current, previous, the one being written), two more where servers
    /// take turns.
    pub rings: u32,
    /// Rows of the IPv4 source table; 1 if there are no lists.
    pub list4_rows: u32,
    /// Buckets of the IPv6 source table; as many as prefixes keeps the trie out of nearly every lookup.
    pub list6_buckets: u32,
    /// Prefixes the IPv6 trie can hold.
    pub list6_prefixes: u32,
    /// Policies, policy 0 included.
    pub policies: u32,
    /// Rate rules, rule 0 included.
    pub rates: u32,
    /// Source buckets of all regions; each holds two sources.
    pub source_buckets: u32,
    /// Flow buckets; each holds four flows.
    pub flow_buckets: u32,
    /// NAT entries: twice the flows that are expected at the same time, so that a free port is found at once.
    pub nat_entries: u32,
}

impl Sizes {
    /// The smallest of everything: what the object itself declares.
    pub const SMALLEST: Self = Self {
        bind_buckets: 1024,
        range_rows: 16,
        services: 256,
        servers: 1024,
        rings: 12,
        list4_rows: 1,
        list6_buckets: 1,
        list6_prefixes: 1,
        policies: 2,
        rates: 2,
        source_buckets: 1024,
        flow_buckets: 4096,
        nat_entries: 8192,
    };

    /// Flow buckets for `flows` flows.
    pub const fn flow_buckets_for(flows: u32) -> u32 {
        flows.div_ceil(WAYS as u32)
    }

    /// Names and entries, for `EbpfLoader::map_max_entries`. Every map has at least one entry.
    pub fn entries(&self) -> [(&'static str, u32); 20] {
        [
            (name::BINDS, self.bind_buckets.saturating_mul(2)),
            (name::RANGES, self.range_rows),
            (name::SERVICES, self.services),
            (name::SERVERS, self.servers),
            (name::RINGS, self.rings.saturating_mul(RING_ROWS)),
            (name::LOADS, self.servers),
            (name::TURNS, self.services),
            (name::DEVICES, interface::LIMIT),
            (name::LISTS4, self.list4_rows),
            (name::LISTS6, self.list6_buckets),
            (name::LISTS6_TRIE, self.list6_prefixes),
            (name::ACTIONS, self.policies.saturating_mul(ROWS_PER_POLICY)),
            (name::RATES, self.rates),
            (name::SOURCES, self.source_buckets),
            (name::FLOWS, self.flow_buckets),
            (name::NAT, self.nat_entries),
            (name::FRAGMENTS, fragment::BUCKETS),
            (name::SYNS, self.services),
            (name::COUNTERS, self.servers),
            (name::DROPS, self.services.saturating_mul(DROP_REASONS)),
        ]
        .map(|(name, entries)| (name, if entries == 0 { 1 } else { entries }))
    }
}
