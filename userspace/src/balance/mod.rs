//! Chooses a server for a new session or request (manual §4.2 `balance`, `hash-type`, `hash-balance-factor`).
//!
//! A [`Farm`] is built from the servers that may take traffic, whenever one of them changes state or weight; [`Farm::pick`]
//! then answers with one of them, given the key of the request and the live [`Loads`]. Nothing here waits, logs, reads
//! clocks or connects: a farm without a free slot is the queue's business ([`crate::queue`]), and persistence comes
//! before it ([`crate::session`]).

mod hash;
mod ring;
#[cfg(test)]
mod tests;
mod tree;

use std::cmp::Ordering as CompareOrdering;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::hash::avalanche;
use crate::types::ServerId;

pub use hash::{Function, KeyHash, random};
use tree::Tree;

/// How servers are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `roundrobin`: by turns, weights may change at any time.
    RoundRobin,
    /// `static-rr`: by turns over the configured weights.
    StaticRoundRobin,
    /// `leastconn`: the fewest sessions, running and queued, per unit of weight; ties by turns.
    LeastConn,
    /// `first`: the lowest id that has a free slot.
    First,
    /// Hash of a key, `hash-type map-based`.
    MapBased(Affinity),
    /// Hash of a key, `hash-type consistent`.
    Consistent(Affinity, BalanceFactor),
    /// `random(draws)`: the least loaded of some random draws; at least one draw.
    Random { draws: u32, factor: BalanceFactor },
}

/// What a hash method does when the server the key belongs to is busy (manual §4.2 `hash-preserve-affinity`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Waits in its queue.
    #[default]
    Always,
    /// Goes on to the next server when the server has reached its `maxconn`.
    Maxconn,
    /// Goes on to the next server when the server's queue is full.
    Maxqueue,
}

/// `hash-balance-factor`: a percentage of the average load that no server may exceed. Zero switches the bound off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceFactor(pub u32);

/// One server that may take traffic, as the farm is built.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Who it is.
    pub server: ServerId,
    /// Its numeric id (server option `id`, or its position), the order of `balance first`.
    pub number: u32,
    /// The configured weight, which the static methods use.
    pub configured_weight: u32,
    /// The weight in force in sixteenths of a unit (so that `slowstart` can ramp it); zero excludes the server.
    pub weight: u32,
    /// Where its points on a consistent ring begin: [`node_key`] of its id, or what `hash-key` says.
    pub key: u32,
    /// Whether it only serves when no other server can (server option `backup`).
    pub backup: bool,
}

/// The node key of `hash-key id`, the default: servers are 4096 points apart.
pub const fn node_key(number: u32) -> u32 {
    number.wrapping_mul(4096)
}

/// Sixteenths per unit of weight: the scale of [`Member::weight`], and the points per unit of weight on a ring.
pub const WEIGHT_SCALE: u32 = 16;

/// How busy one server is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Sessions or requests it is serving.
    pub active: u32,
    /// Those that wait for one of its slots.
    pub queued: u32,
    /// Its connection limit at this moment (`maxconn`, ramped by `minconn` and `slowstart`); zero for none.
    pub limit: u32,
    /// Its `maxqueue`; zero for no limit.
    pub queue_limit: u32,
    /// New sessions in the last second: settles ties of `random`.
    pub rate: u32,
}

impl Load {
    /// Whether a new session would have to wait.
    pub const fn saturated(self) -> bool {
        self.limit > 0 && (self.queued > 0 || self.active >= self.limit)
    }

    /// Whether not even waiting is possible.
    pub const fn queue_full(self) -> bool {
        self.limit > 0 && self.queue_limit > 0 && self.queued >= self.queue_limit
    }

    const fn total(self) -> u64 {
        self.active as u64 + self.queued as u64
    }
}

/// The live load of the farm's servers, read at each pick.
pub trait Loads {
    /// The load of one server now.
    fn load(&self, server: ServerId) -> Load;
}

impl<F: Fn(ServerId) -> Load> Loads for F {
    fn load(&self, server: ServerId) -> Load {
        self(server)
    }
}

/// The farm's place in its round, one for the whole process: strict order across threads is what users see.
#[derive(Debug, Default)]
pub struct Cursor(AtomicU32);

/// What one pick depends on.
pub struct Request<'a, L> {
    /// The hashed key; without one the hash methods take turns.
    pub hash: Option<u32>,
    /// A server that just failed this session: another one is preferred.
    pub avoid: Option<ServerId>,
    /// A random number, for `random`. Further draws are derived from it.
    pub random: u32,
    /// The farm's place in its round.
    pub cursor: &'a Cursor,
    /// How busy the servers are.
    pub loads: &'a L,
}

/// The answer of [`Farm::pick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This server; it may still be saturated when the key belongs to it.
    Server(ServerId),
    /// There are servers, but none has a free slot: wait in the backend's queue.
    Full,
    /// No server can take traffic.
    Nobody,
}

/// The servers that share the traffic of one backend right now, arranged for one [`Method`].
#[derive(Debug)]
pub struct Farm {
    members: Box<[Member]>,
    method: Method,
    /// One period of turns; indexes into `members`.
    ring: Box<[u16]>,
    /// The circle of consistent hashing, empty for other methods.
    tree: Tree,
    total_weight: u64,
}

impl Farm {
    /// Arranges `servers`, which are those that may take traffic, in configuration order. Backup servers count only when
    /// there is no other: all of them with `option allbackups`, else the first.
    pub fn new(method: Method, servers: &[Member], all_backups: AllBackups) -> Self {
        let mut members = in_use(servers, all_backups);
        if method == Method::First {
            members.sort_by_key(|member| member.number);
        }
        let ring = match method {
            Method::StaticRoundRobin | Method::MapBased(_) => {
                ring::map(&weights(&members, |member| member.configured_weight))
            }
            Method::RoundRobin | Method::Consistent(..) => {
                ring::schedule(&weights(&members, |member| member.weight))
            }
            Method::LeastConn | Method::First | Method::Random { .. } => Box::default(),
        };
        let tree = match method {
            Method::Consistent(..) | Method::Random { .. } => {
                Tree::new(members.iter().map(|member| (member.key, member.weight)))
            }
            _ => Tree::new(std::iter::empty()),
        };
        let total_weight = members.iter().map(|member| u64::from(member.weight)).sum();
        Self {
            members: members.into(),
            method,
            ring,
            tree,
            total_weight,
        }
    }

    /// Chooses a server.
    pub fn pick<L: Loads>(&self, request: &Request<'_, L>) -> Pick {
        if self.members.is_empty() {
            return Pick::Nobody;
        }
        let chosen = match (self.method, request.hash) {
            (Method::LeastConn, _) => self.least_loaded(request),
            (Method::First, _) => self.first(request),
            (Method::Random { draws, factor }, _) => self.drawn(request, draws, factor),
            (Method::MapBased(affinity), Some(hash)) => self.mapped(request, hash, affinity),
            (Method::Consistent(affinity, factor), Some(hash)) => {
                self.nearest(request, hash, affinity, factor)
            }
            (Method::RoundRobin | Method::StaticRoundRobin, _)
            | (Method::MapBased(_) | Method::Consistent(..), None) => self.next_turn(request),
        };
        chosen.map_or(Pick::Full, |member| {
            Pick::Server(self.members[member].server)
        })
    }

    /// The servers in use, in the order the method keeps them.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.members.iter().map(|member| member.server)
    }

    /// The next member of the ring with a free slot. The ring is followed for a while; under saturation, when its next
    /// slots belong to busy members, any member with a free slot will do.
    fn next_turn<L: Loads>(&self, request: &Request<'_, L>) -> Option<usize> {
        let free = |member: usize| !self.load(request, member).saturated();
        let mut turn = 0;
        for _ in 0..self.members.len() * 2 {
            turn = request.cursor.0.fetch_add(1, Ordering::Relaxed) as usize;
            let member = usize::from(self.ring[turn % self.ring.len()]);
            if !self.avoided(request, member) && free(member) {
                return Some(member);
            }
        }
        let after = self.around(turn).filter(|member| free(*member));
        prefer(after, |member| !self.avoided(request, *member))
    }

    fn least_loaded<L: Loads>(&self, request: &Request<'_, L>) -> Option<usize> {
        let start = request.cursor.0.load(Ordering::Relaxed) as usize;
        let mut best: Option<(usize, Load)> = None;
        let mut avoided = None;
        for member in self.around(start) {
            let load = self.load(request, member);
            if load.saturated() && (load.queue_limit == 0 || load.queue_full()) {
                continue;
            }
            if self.avoided(request, member) {
                avoided = Some((member, load));
            } else if best.is_none_or(|best| self.compare((member, load), best).is_lt()) {
                best = Some((member, load));
            }
        }
        let (chosen, _) = best.or(avoided)?;
        let next = (chosen + 1) % self.members.len();
        request.cursor.0.store(next as u32, Ordering::Relaxed);
        Some(chosen)
    }

    fn first<L: Loads>(&self, request: &Request<'_, L>) -> Option<usize> {
        let free =
            (0..self.members.len()).filter(|member| !self.load(request, *member).saturated());
        prefer(free, |member| !self.avoided(request, *member))
    }

    fn drawn<L: Loads>(
        &self,
        request: &Request<'_, L>,
        draws: u32,
        factor: BalanceFactor,
    ) -> Option<usize> {
        let mut random = request.random;
        let mut best: Option<(usize, Load)> = None;
        for _ in 0..draws.max(1) {
            if let Some(member) = self.nearest(request, random, Affinity::Maxconn, factor) {
                let drawn = (member, self.load(request, member));
                if best.is_none_or(|best| self.compare(drawn, best).is_lt()) {
                    best = Some(drawn);
                }
            }
            random = avalanche(random.wrapping_add(0x9e37_79b9));
        }
        best.filter(|(_, load)| !load.saturated())
            .map(|(member, _)| member)
    }

    fn mapped<L: Loads>(
        &self,
        request: &Request<'_, L>,
        hash: u32,
        affinity: Affinity,
    ) -> Option<usize> {
        let start = hash as usize % self.ring.len();
        let (before, after) = self.ring.split_at(start);
        let walk = after
            .iter()
            .chain(before)
            .map(|member| usize::from(*member));
        self.settle(request, walk, affinity, BalanceFactor(0))
    }

    fn nearest<L: Loads>(
        &self,
        request: &Request<'_, L>,
        hash: u32,
        affinity: Affinity,
        factor: BalanceFactor,
    ) -> Option<usize> {
        self.settle(request, self.tree.walk(hash), affinity, factor)
    }

    /// The first member of `walk` that may take the key. When all are refused: the last one met if only saturation
    /// refused them (manual: "the request is enqueued to the last server in the hash ring"), never the avoided one while
    /// there is another.
    fn settle<L: Loads>(
        &self,
        request: &Request<'_, L>,
        walk: impl Iterator<Item = usize>,
        affinity: Affinity,
        factor: BalanceFactor,
    ) -> Option<usize> {
        let mut refused: SmallSet = SmallSet::default();
        let bound = self.load_bound(request, factor);
        let mut last = None;
        for member in walk {
            let avoided = self.avoided(request, member);
            if !avoided {
                last = Some(member);
            }
            if refused.contains(member) {
                continue;
            }
            let load = self.load(request, member);
            let busy = match affinity {
                Affinity::Always => false,
                Affinity::Maxconn => load.saturated(),
                Affinity::Maxqueue => load.queue_full(),
            };
            let over = bound.is_some_and(|bound| !bound.admits(load, self.members[member].weight));
            if !busy && !over && !avoided {
                return Some(member);
            }
            refused.insert(member);
            if refused.len() == self.members.len() && affinity == Affinity::Always {
                break;
            }
        }
        last
    }

    fn load_bound<L: Loads>(
        &self,
        request: &Request<'_, L>,
        factor: BalanceFactor,
    ) -> Option<Bound> {
        if factor.0 == 0 {
            return None;
        }
        let running: u64 = (0..self.members.len())
            .map(|member| self.load(request, member).total())
            .sum();
        let slots = ((running + 1) * u64::from(factor.0)).div_ceil(100);
        Some(Bound {
            slots,
            total_weight: self.total_weight,
        })
    }

    /// All members once, beginning with the one at `start`.
    fn around(&self, start: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.members.len();
        (0..count).map(move |step| (start + step) % count)
    }

    fn load<L: Loads>(&self, request: &Request<'_, L>, member: usize) -> Load {
        request.loads.load(self.members[member].server)
    }

    fn avoided<L>(&self, request: &Request<'_, L>, member: usize) -> bool {
        self.members.len() > 1 && request.avoid == Some(self.members[member].server)
    }

    /// Compares two members by load per unit of weight; `random` settles ties by session rate.
    fn compare(&self, (a, load_a): (usize, Load), (b, load_b): (usize, Load)) -> CompareOrdering {
        let scaled_a = load_a.total() * u64::from(self.members[b].weight);
        let scaled_b = load_b.total() * u64::from(self.members[a].weight);
        let by_load = scaled_a.cmp(&scaled_b);
        match self.method {
            Method::Random { .. } => by_load.then(load_a.rate.cmp(&load_b.rate)),
            _ => by_load,
        }
    }
}

/// `option allbackups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllBackups {
    /// All backup servers serve together.
    Yes,
    /// Only the first one does.
    #[default]
    No,
}

/// The load no server may exceed: its share, by weight, of `slots`.
#[derive(Clone, Copy)]
struct Bound {
    slots: u64,
    total_weight: u64,
}

impl Bound {
    fn admits(self, load: Load, weight: u32) -> bool {
        let share = (self.slots * u64::from(weight)).div_ceil(self.total_weight.max(1));
        load.total() < share.max(1)
    }
}

/// Members already seen on a walk: a bit per member, on the stack for farms up to 256.
#[derive(Default)]
struct SmallSet {
    words: smallvec::SmallVec<[u64; 4]>,
    count: usize,
}

impl SmallSet {
    fn contains(&self, member: usize) -> bool {
        self.words
            .get(member / 64)
            .is_some_and(|word| word >> (member % 64) & 1 == 1)
    }

    fn insert(&mut self, member: usize) {
        if self.words.len() <= member / 64 {
            self.words.resize(member / 64 + 1, 0);
        }
        self.words[member / 64] |= 1 << (member % 64);
        self.count += 1;
    }

    const fn len(&self) -> usize {
        self.count
    }
}

fn in_use(servers: &[Member], all_backups: AllBackups) -> Vec<Member> {
    let serving = |backup: bool| {
        servers
            .iter()
            .filter(move |member| member.weight > 0 && member.backup == backup)
            .copied()
    };
    let active: Vec<Member> = serving(false).collect();
    match (active.is_empty(), all_backups) {
        (false, _) => active,
        (true, AllBackups::Yes) => serving(true).collect(),
        (true, AllBackups::No) => serving(true).take(1).collect(),
    }
}

fn weights(members: &[Member], weight: impl Fn(&Member) -> u32) -> Vec<u32> {
    members.iter().map(|member| weight(member).max(1)).collect()
}

/// The first item that satisfies `wanted`, else the first.
fn prefer<T>(items: impl Iterator<Item = T>, wanted: impl Fn(&T) -> bool) -> Option<T> {
    let mut fallback = None;
    for item in items {
        if wanted(&item) {
            return Some(item);
        }
        fallback = fallback.or(Some(item));
    }
    fallback
}
