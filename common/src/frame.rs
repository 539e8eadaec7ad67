//! The two things a decision needs: the frame it is about and the tables it is made from.
//!
//! `xdp-ebpf` implements both over the XDP context and the maps, [`crate::memory`] over vectors. Neither trait says
//! anything about policy: whoever implements them cannot change what is decided.

use crate::action::{ActionRow, Class};
use crate::address::Address;
use crate::bind::{BindBucket, RangeRow};
use crate::config::Config;
use crate::cookie::{Admission, Headers};
use crate::counters::ServerCounters;
use crate::decide::Work;
use crate::flow::FlowBucket;
use crate::fragment::FragmentBucket;
use crate::list4::ListRow;
use crate::list6::ListBucket;
use crate::load::{Load, Turn};
use crate::nat::NatEntry;
use crate::rate::RateRule;
use crate::ring::RingRow;
use crate::server::{Server, ServerIndex};
use crate::service::{Service, ServiceIndex};
use crate::source::SourceBucket;
use crate::syn::SynRecord;
use crate::tick::Tick;
use crate::word::Atomics;

/// One frame, from the Ethernet header on. Out of bounds is `None`, never a panic.
pub trait Frame {
    /// Bytes of the frame.
    fn length(&self) -> usize;

    /// The number of the interface it came in through.
    fn interface(&self) -> u32;

    /// `N` bytes from `at` on. Offsets above [`MAX_OFFSET`] are out of bounds in any frame.
    fn load<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// The first `N` bytes, where they are.
    fn front<const N: usize>(&self) -> Option<&[u8; N]>;

    /// The first `N` bytes, to be written where they are.
    fn front_mut<const N: usize>(&mut self) -> Option<&mut [u8; N]>;

    /// Replaces `N` bytes from `at` on.
    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()>;

    /// The value itself, of which whoever verifies the program path by path knows nothing any more; for the counters of
    /// loops. See [`Tables::settle`].
    #[inline(always)]
    fn hide(&self, value: usize) -> usize {
        value
    }

    /// Cuts off everything behind the first `length` bytes.
    fn cut_back(&mut self, length: usize) -> Option<()>;

    /// Cuts `bytes` off the front, or adds that many if negative; the new ones have any content.
    fn cut_front(&mut self, bytes: i32) -> Option<()>;
}

/// The tables, the clock and the counters. An index beyond a table is `None`.
pub trait Tables: Atomics {
    /// The time.
    fn now(&self) -> Tick;

    /// Map `config`.
    fn config(&self) -> Option<&Config>;

    /// Map `binds`.
    fn bind_bucket(&self, index: u32) -> Option<&BindBucket>;

    /// Map `ranges`.
    fn range_row(&self, index: u32) -> Option<&RangeRow>;

    /// Map `services`.
    fn service(&self, index: ServiceIndex) -> Option<&Service>;

    /// Map `servers`.
    fn server(&self, index: ServerIndex) -> Option<&Server>;

    /// Map `rings`.
    fn ring_row(&self, index: u32) -> Option<&RingRow>;

    /// Map `loads`.
    fn load(&self, index: ServerIndex) -> Option<&Load>;

    /// Map `turns`.
    fn turn(&self, index: ServiceIndex) -> Option<&Turn>;

    /// Map `lists4`.
    fn list4_row(&self, index: u32) -> Option<&ListRow>;

    /// Map `lists6`.
    fn list6_bucket(&self, index: u32) -> Option<&ListBucket>;

    /// The class of the longest prefix in map `lists6_trie`.
    fn list6_trie(&self, address: Address) -> Option<Class>;

    /// Map `actions`.
    fn action_row(&self, index: u32) -> Option<&ActionRow>;

    /// Map `rates`.
    fn rate_rule(&self, index: u32) -> Option<&RateRule>;

    /// Map `sources`.
    fn source_bucket(&self, index: u32) -> Option<&SourceBucket>;

    /// Map `flows`.
    fn flow_bucket(&self, index: u32) -> Option<&FlowBucket>;

    /// Map `nat`.
    fn nat_entry(&self, index: u32) -> Option<&NatEntry>;

    /// Map `fragments`.
    fn fragment_bucket(&self, index: u32) -> Option<&FragmentBucket>;

    /// Map `syns`.
    fn syn_record(&self, service: ServiceIndex) -> Option<&SynRecord>;

    /// Asks the stack for a cookie for a SYN whose TCP header has `length` bytes, a multiple of four: the sequence number of
    /// its answer. `None` if nobody listens there or the stack answers by itself.
    fn cookie(&self, headers: &Headers, is_v4: bool, length: u16) -> Option<u32>;

    /// Asks the stack about an acknowledgement.
    fn admission(&self, headers: &Headers, is_v4: bool, length: u16) -> Admission;

    /// The clock of the stack's timestamps, in milliseconds.
    fn milliseconds(&self) -> u32;

    /// Says that a step of the decision is over and what it found out is in `work`.
    ///
    /// The kernel's verifier follows every path through the program with all it has learnt on the way. Where paths meet
    /// again, each value that steers a later branch would make it follow the rest once more. What it reads back from memory
    /// it knows nothing about; so every step leaves its results in memory, and the work stays the sum of the steps instead
    /// of their product. The same keeps them off the small stack.
    #[inline(always)]
    fn settle(&self, _work: &mut Work) {}

    /// Adds to a server's counters.
    fn count(&self, server: ServerIndex, delta: ServerCounters);
}

/// The largest offset a header may begin at: two VLAN tags, an IPv6 header, and the largest extension headers.
pub const MAX_OFFSET: usize = 0x3fff;
