//! Idle connections to servers: each thread's on a shelf that the other threads can reach.
//!
//! A connection comes here when its response is complete and both sides may go on with it, and
//! leaves when a request takes it, when it is too old, or when the server closed it. A thread looks
//! on its own shelf first: what lies there its runtime watches already. From another thread's shelf
//! it takes one only when its own has none (`tune.idle-pool.shared`).
//! Connections that carry several requests at once stay with their thread while they do.
//! Which requests may take which connections is `http-reuse`'s rule, applied by the caller.

mod shelf;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;

pub(crate) use self::shelf::Shelf;
use self::shelf::{KEPT, Resting};
use super::h2::{Attached, Call, Carrier};
use super::input::Input;
use crate::clock::{self, Moment};
use crate::model::{HttpReuse, Server};
use crate::net::Stream;
use crate::proto::http::http1::Limits;
use crate::state::{Gauge, ServerState};
use crate::types::Millis;

/// The connections to servers as one thread sees them.
pub(crate) struct Pool {
    /// The thread's number among the shelves.
    number: usize,
    shelves: Shelves,
    carriers: RefCell<FxHashMap<usize, Vec<Shared>>>,
    /// Most connections in use at once lately, by server.
    needed: RefCell<FxHashMap<usize, u32>>,
    attached: Arc<Attached>,
}

/// The shelves of all threads.
pub(crate) type Shelves = Arc<[Shelf]>;

/// Whether a thread without an idle connection may take another thread's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    AllThreads,
    OwnThread,
}

/// A connection that carries several requests, and what they have in common.
struct Shared {
    key: Key,
    carrier: Rc<Carrier>,
    rest: Millis,
}

/// A connection to a server.
pub(crate) struct Upstream {
    pub(crate) stream: Stream,
    pub(crate) input: Input,
    /// Requests it has served.
    pub(crate) requests: u32,
    /// Our end and the server's.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    /// The request, where the connection carries several.
    pub(crate) call: Option<Call>,
    /// What requests must have in common to share it.
    key: Key,
    record: Record,
    permit: Option<Permit>,
    /// Only the client it was made for may use it.
    private: bool,
}

/// A connection's place in the numbers of its server.
struct Record {
    state: Arc<ServerState>,
    counted: Counted,
}

/// A connection's place among those that `strict-maxconn` allows.
pub(crate) struct Permit(Arc<ServerState>);

impl Permit {
    /// A place for a connection that is about to be made; `None` when there are as many as may be.
    pub(crate) fn take(state: &Arc<ServerState>, limit: u32) -> Option<Self> {
        let free = state.connections.bounded.enter_below(limit);
        free.then(|| Self(Arc::clone(state)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.connections.bounded.leave();
    }
}

/// What makes one connection to a server as good as another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    /// The address it was made to: a server may move.
    pub(crate) to: Option<SocketAddr>,
    /// The name shown in TLS, or that of `pool-conn-name`.
    pub(crate) name: Option<String>,
    /// The source that the server sees, where it is not ours.
    pub(crate) shown: Option<SocketAddr>,
    /// The addresses told in a PROXY header.
    pub(crate) told: Option<Told>,
    /// `set-bc-mark` and `set-bc-tos` of the request it was made for.
    pub(crate) marks: (Option<u32>, Option<u8>),
}

impl Key {
    /// The name alone, for connections that differ in nothing else.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The client's two ends, as a PROXY header tells them.
type Told = (Option<SocketAddr>, Option<SocketAddr>);

/// Whether a request is the first of its client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstRequest {
    Yes,
    No,
}

/// As what a connection appears in the server's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Used,
    /// Idle, and proven to survive being reused.
    IdleSafe,
    IdleUnsafe,
}

impl Pool {
    /// The view of thread `number`.
    pub(crate) fn new(number: usize, shelves: Shelves, attached: Arc<Attached>) -> Self {
        Self {
            number,
            shelves,
            attached,
            carriers: RefCell::default(),
            needed: RefCell::default(),
        }
    }

    /// The connections that others opened, of all threads.
    pub(crate) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    /// Takes an idle connection, the one used last first.
    pub(crate) fn take(
        &self,
        state: &ServerState,
        key: &Key,
        reuse: HttpReuse,
        first: FirstRequest,
        sharing: Sharing,
    ) -> Option<Upstream> {
        let fewest = fewest_requests(reuse, first)?;
        let suits = |one: &Resting| one.key == *key && one.requests >= fewest;
        let own = &self.shelves[self.number];
        while let Some(mut resting) = own.take(state, suits) {
            if resting.parked.is_quiet() {
                return Some(resting.into_upstream());
            }
        }
        let connections = &state.connections;
        let idle = connections.idle_safe.current() + connections.idle_unsafe.current();
        if sharing == Sharing::OwnThread || idle == 0 {
            return None;
        }
        let (before, after) = self.shelves.split_at(self.number);
        for shelf in after[1..].iter().chain(before) {
            while let Some(resting) = shelf.take(state, suits) {
                if resting.parked.is_silent()
                    && let Ok(resting) = resting.rehome()
                {
                    return Some(resting.into_upstream());
                }
            }
        }
        None
    }

    /// Keeps a connection for later, unless there are enough.
    pub(crate) fn put(&self, upstream: Upstream, server: &Server, now: Moment) {
        let worn_out = server
            .max_reuse
            .is_some_and(|most| upstream.requests > most);
        let state = &upstream.record.state;
        let used = state.connections.used.current();
        let room = self.needed(state, used) + server.pool_low;
        let is_full = || {
            let connections = &state.connections;
            let idle = connections.idle_safe.current() + connections.idle_unsafe.current();
            idle + used > room || server.pool_max.is_some_and(|most| idle >= most)
        };
        let own = &self.shelves[self.number];
        let full = is_full() && {
            // Those that their server has closed do not count.
            self.shelves.iter().for_each(|shelf| shelf.drop_dead(state));
            is_full()
        };
        // Whether the server has closed it is asked when it is taken.
        if worn_out || full || !upstream.input.is_empty() {
            return;
        }
        let until = now.after(server.pool_purge_delay.0);
        if let Some(resting) = Resting::of(upstream, until) {
            own.put(resting);
        }
    }

    /// Closes a connection to a server that nobody uses, to make room for another; false when there is none.
    pub(crate) fn evict(&self, state: &ServerState) -> bool {
        if self
            .shelves
            .iter()
            .any(|shelf| shelf.take(state, |_| true).is_some())
        {
            return true;
        }
        let mut servers = self.carriers.borrow_mut();
        let Some(carriers) = servers.get_mut(&identity(state)) else {
            return false;
        };
        let idle = carriers.iter().position(|shared| shared.carrier.is_idle());
        idle.map(|index| carriers.swap_remove(index)).is_some()
    }

    /// How many connections were in use at once lately, now that `used` are.
    fn needed(&self, state: &ServerState, used: u32) -> u32 {
        let mut servers = self.needed.borrow_mut();
        let needed = servers.entry(identity(state)).or_default();
        *needed = used.max(*needed);
        *needed
    }

    /// Finds room on a connection that carries several requests.
    pub(crate) fn find_carrier(
        &self,
        state: &ServerState,
        key: &Key,
        reuse: HttpReuse,
        first: FirstRequest,
    ) -> Option<Rc<Carrier>> {
        let fewest = fewest_requests(reuse, first)?;
        let servers = self.carriers.borrow();
        let carriers = servers.get(&identity(state))?;
        let fits = |shared: &&Shared| {
            shared.key == *key && shared.carrier.has_room() && shared.carrier.carried() >= fewest
        };
        carriers
            .iter()
            .find(fits)
            .map(|shared| Rc::clone(&shared.carrier))
    }

    /// Lets other requests share a connection.
    pub(crate) fn share(&self, state: &ServerState, key: Key, carrier: &Rc<Carrier>, rest: Millis) {
        let mut servers = self.carriers.borrow_mut();
        let carriers = servers.entry(identity(state)).or_default();
        if carriers.len() < KEPT {
            carriers.push(Shared {
                key,
                carrier: Rc::clone(carrier),
                rest,
            });
        }
    }

    /// Closes what rested for too long (`pool-purge-delay`) and what its server closed.
    pub(crate) fn sweep(&self, now: Moment) {
        self.shelves[self.number].sweep(now);
        // What was needed is forgotten little by little.
        self.needed.borrow_mut().retain(|_, needed| {
            *needed -= needed.div_ceil(8);
            *needed > 0
        });
        self.carriers.borrow_mut().retain(|_, carriers| {
            carriers.retain(|shared| !shared.carrier.is_spent(shared.rest, now));
            !carriers.is_empty()
        });
    }

    /// Sweeps again and again.
    pub(crate) async fn keep_clean(&self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            self.sweep(clock::now());
        }
    }
}

impl Upstream {
    /// A new connection.
    pub(crate) fn new(
        stream: Stream,
        ends: Option<(SocketAddr, SocketAddr)>,
        key: Key,
        state: Arc<ServerState>,
        permit: Option<Permit>,
    ) -> Self {
        state.connections.used.enter();
        Self {
            stream,
            input: Input::default(),
            requests: 0,
            ends,
            call: None,
            key,
            record: Record {
                state,
                counted: Counted::Used,
            },
            permit,
            private: false,
        }
    }

    /// A request on a connection that carries several.
    pub(crate) fn on(
        carrier: &Rc<Carrier>,
        key: Key,
        state: Arc<ServerState>,
        limits: Limits,
    ) -> Self {
        let (call, stream) = Call::on(carrier, limits);
        let mut upstream = Self::new(stream, carrier.ends, key, state, None);
        upstream.requests = u32::from(call.reused);
        upstream.call = Some(call);
        upstream
    }

    /// Reserves it for one client.
    pub(crate) fn make_private(&mut self) {
        self.private = true;
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    /// Whether it leads to that server as `key` wants.
    pub(crate) fn leads_to(&self, state: &ServerState, key: &Key) -> bool {
        std::ptr::eq(&raw const *self.record.state, state) && self.key == *key
    }

    /// Whether it may carry another request: the server has sent nothing, not even its end.
    pub(crate) fn is_alive(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.input.is_empty() && self.stream.poll_readable(&mut context).is_pending()
    }
}

impl Record {
    fn count_as(&mut self, counted: Counted) {
        self.gauge().leave();
        self.counted = counted;
        self.gauge().enter();
    }

    fn gauge(&self) -> &Gauge {
        let connections = &self.state.connections;
        match self.counted {
            Counted::Used => &connections.used,
            Counted::IdleSafe => &connections.idle_safe,
            Counted::IdleUnsafe => &connections.idle_unsafe,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.gauge().leave();
    }
}

/// How many requests a connection must have served for this one to take it; `None` = it takes no used one.
const fn fewest_requests(reuse: HttpReuse, first: FirstRequest) -> Option<u32> {
    match (reuse, first) {
        (HttpReuse::Never, _) | (HttpReuse::Safe, FirstRequest::Yes) => None,
        (HttpReuse::Aggressive, FirstRequest::Yes) => Some(2),
        _ => Some(0),
    }
}

/// A server keeps its state, and so its connections, across configurations.
fn identity(state: &ServerState) -> usize {
    std::ptr::from_ref(state) as usize
}

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
