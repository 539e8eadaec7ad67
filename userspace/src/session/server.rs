//! "Get me a connected server": assignment, waiting line, connection, retries and redispatch, for TCP and HTTP alike.
//!
//! A [`ServerSearch`] is made for a request that knows its backend. [`ServerSearch::connected`] does everything; who keeps
//! connections of its own calls [`ServerSearch::assign`], looks among them, and otherwise [`ServerSearch::connect`] and
//! [`ServerSearch::failed`]. What happens is noted in the transaction and counted; what the client is told is the caller's
//! business. Every wait is bounded by the backend's timeouts, and the whole may be dropped at any await: the client left.

use std::time::Duration;

use super::backend::Backend;
use super::connection::Connection;
use super::transaction::Transaction;
use super::transport::{self, TransportError};
use crate::balance::Pick;
use crate::clock::{self, Moment};
use crate::expr::View;
use crate::model::{BalanceKind, Proxy, Redispatch};
use crate::net::{ConnectError, Stream};
use crate::queue::{LocalQueue, Place, Slot, Turn};
use crate::state::{Counter, Timing};
use crate::types::{Millis, ProxyId, ServerId};

/// The search for a server of one backend, for one request or TCP session.
pub struct ServerSearch<'a> {
    connection: &'a Connection,
    transaction: &'a Transaction,
    proxy: &'a Proxy,
    backend: &'a Backend,
    queue: &'a LocalQueue,
    /// The server persistence asks for.
    persistent: Option<Persistent>,
    /// The server this client's last request went to, if it is to be taken again.
    preferred: Option<ServerId>,
    hash: Option<u32>,
    /// The server that failed last.
    avoid: Option<ServerId>,
    attempts_left: u32,
}

/// A server that persistence (cookie, `stick`, `use-server`) asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistent {
    /// Which.
    pub server: ServerId,
    /// It is tried even when it is down (`option persist`, `force-persist`).
    pub forced: bool,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// No server of the backend can take traffic.
    #[error("no server is available")]
    NoServer,
    /// It waited for `timeout queue`.
    #[error("timeout in the queue")]
    QueueTimeout,
    /// Every server's queue is full.
    #[error("the queue is full")]
    QueueFull,
    /// The server, or the way to it, refused; or TLS with it failed.
    #[error("connecting to the server failed")]
    Refused(#[source] Box<dyn std::error::Error>),
    /// There is nothing to connect to: no address, or no connection is attached to the server.
    #[error("the server cannot be connected to")]
    NoAddress,
    /// It took longer than `timeout connect`.
    #[error("connecting to the server timed out")]
    ConnectTimeout,
    /// This machine is out of sockets, ports or memory.
    #[error("no local resource for a connection")]
    Resource(#[source] std::io::Error),
}

impl<'a> ServerSearch<'a> {
    /// Begins a search. `view` is what the key of a hashing algorithm is read from, now. `None` when the proxy has no
    /// backend side.
    pub fn new(
        connection: &'a Connection,
        transaction: &'a Transaction,
        backend: ProxyId,
        persistent: Option<Persistent>,
        view: &dyn View,
    ) -> Option<Self> {
        let proxy = connection.generation.proxy(backend);
        let side = connection.generation.backend(backend)?;
        let queue = connection.generation.queue(backend)?;
        // A method that looks at the request knows better than a preference (manual §4.2 `option prefer-last-server`).
        let last = connection
            .last_server
            .take()
            .filter(|last| last.asked_who || proxy.prefer_last_server)
            .filter(|last| !side.is_hashing() && proxy.servers.contains(last.server));
        Some(Self {
            connection,
            transaction,
            proxy,
            backend: side,
            queue,
            persistent,
            preferred: last.map(|last| last.server),
            hash: side.hash(view),
            avoid: None,
            attempts_left: transaction.back.get().retries.unwrap_or(proxy.retries),
        })
    }

    /// Chooses a server and gets a slot of it, waiting in its or the backend's line if need be.
    pub async fn assign(&mut self) -> Result<Slot, SearchError> {
        let began = clock::now();
        self.transaction.mark(|line| {
            line.head.get_or_insert(began);
            line.held = Some(began);
        });
        let overrides = self.transaction.timeouts.get();
        let usual = self.proxy.timeouts.queue.or(self.proxy.timeouts.connect);
        let deadline = overrides.queue.or(usual);
        let slot = loop {
            match self.choose()? {
                Chosen::Slot(slot) => break slot,
                Chosen::Wait(place) => match Box::pin(self.wait(place, began, deadline)).await? {
                    Turn::Slot(slot) => break slot,
                    // The server waited for went away: persistence gives way as it does for a dead server.
                    Turn::Again => self.drop_unusable_persistence(),
                },
            }
        };
        self.assigned(slot.server());
        Ok(slot)
    }

    /// Connects to the slot's server: TCP or Unix, PROXY header, TLS. Counted as an attempt, not as a failure.
    pub async fn connect(&self, slot: &Slot, view: &dyn View) -> Result<Stream, SearchError> {
        let state = self.connection.generation.state().server(slot.server());
        state.counters.count(Counter::ConnectAttempts);
        let overrides = self.transaction.timeouts.get();
        let limit = overrides.connect.or(self.proxy.timeouts.connect);
        let limit = limit.map(Millis::duration);
        let made = transport::connect(
            self.connection,
            self.transaction,
            slot.server(),
            limit,
            view,
        )
        .await;
        let stream = made.map_err(SearchError::from)?;
        let now = clock::now();
        self.transaction.mark(|line| line.connected = Some(now));
        let taken = self.transaction.timeline.get().connect().unwrap_or(0);
        state.counters.time(Timing::Connect, taken);
        state
            .observed_errors
            .store(0, std::sync::atomic::Ordering::Relaxed);
        Ok(stream)
    }

    /// As [`Self::failed`], when connecting failed: `retry-on` may say that this is not tried again.
    pub async fn connect_failed(
        &mut self,
        slot: Slot,
        error: SearchError,
    ) -> Result<Slot, SearchError> {
        if !self.proxy.retry_on.connection_failure {
            self.attempts_left = 0;
        }
        self.failed(slot, error).await
    }

    /// After a failed attempt (also one to send a request, if the caller retries those): waits and keeps the slot,
    /// or goes to another server, or gives up with the error.
    pub async fn failed(&mut self, slot: Slot, error: SearchError) -> Result<Slot, SearchError> {
        let server = slot.server();
        let state = self.connection.generation.state().server(server);
        state
            .observed_errors
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.attempts_left == 0 {
            self.give_up(Some(server));
            return Err(error);
        }
        self.attempts_left -= 1;
        if matches!(error, SearchError::NoAddress) && !self.redispatches() {
            // Waiting brings it none.
            self.give_up(Some(server));
            return Err(error);
        }
        self.transaction
            .retries
            .set(self.transaction.retries.get() + 1);
        if self.redispatches() {
            state.counters.count(Counter::Redispatches);
            self.counters().count(Counter::Redispatches);
            self.transaction.redispatched.set(true);
            self.persistent = None;
            self.avoid = Some(server);
            drop(slot);
            return self.assign().await;
        }
        state.counters.count(Counter::Retries);
        self.counters().count(Counter::Retries);
        if !matches!(error, SearchError::ConnectTimeout) {
            tokio::time::sleep(self.turn_around()).await;
        }
        Ok(slot)
    }

    /// Does it all: a slot, and a new connection to its server.
    pub async fn connected(&mut self, view: &dyn View) -> Result<(Slot, Stream), SearchError> {
        let mut slot = self.assign().await?;
        loop {
            match self.connect(&slot, view).await {
                Ok(stream) => return Ok((slot, stream)),
                Err(error) => slot = self.connect_failed(slot, error).await?,
            }
        }
    }

    /// Whether another attempt is left.
    pub const fn may_retry(&self) -> bool {
        self.attempts_left > 0
    }

    /// A server with a free slot, or a place in the line where one is to be waited for.
    fn choose(&mut self) -> Result<Chosen, SearchError> {
        if let Some(persistent) = self.persistent {
            let state = self.connection.generation.state().server(persistent.server);
            if state.accepts_persistent() || persistent.forced {
                match self.take_or_wait(persistent.server) {
                    Some(chosen) => return Ok(chosen),
                    // A full queue breaks persistence (manual §5.2 `maxqueue`).
                    None => self.avoid = Some(persistent.server),
                }
            }
            self.persistent = None;
        }
        if let Some(server) = self.preferred.take()
            && self
                .connection
                .generation
                .state()
                .server(server)
                .is_usable()
            && let Some(slot) = self.queue.try_take(server)
        {
            self.count_selected(server);
            return Ok(Chosen::Slot(slot));
        }
        // A pick may be overtaken by another thread: pick again, but not for ever.
        for _ in 0..PICKS {
            match self.backend.pick(self.hash, self.avoid) {
                Pick::Nobody => {
                    self.give_up(None);
                    return Err(SearchError::NoServer);
                }
                Pick::Full => break,
                Pick::Server(server) => {
                    self.count_selected(server);
                    if let Some(slot) = self.queue.try_take(server) {
                        return Ok(Chosen::Slot(slot));
                    }
                    if self.hash.is_some() && self.backend.is_hashing() {
                        return match self.take_or_wait(server) {
                            Some(chosen) => Ok(chosen),
                            None if self.avoid == Some(server) => self.full(),
                            None => {
                                self.avoid = Some(server);
                                continue;
                            }
                        };
                    }
                }
            }
        }
        Ok(Chosen::Wait(
            self.queue.wait_for_any(self.transaction.priority.get()),
        ))
    }

    fn full(&self) -> Result<Chosen, SearchError> {
        self.give_up(None);
        Err(SearchError::QueueFull)
    }

    /// A slot of this server, or a place in its line; `None` when the line is full.
    fn take_or_wait(&self, server: ServerId) -> Option<Chosen> {
        if let Some(slot) = self.queue.try_take(server) {
            return Some(Chosen::Slot(slot));
        }
        self.queue
            .wait_for_server(server, self.transaction.priority.get())
            .ok()
            .map(Chosen::Wait)
    }

    async fn wait(
        &self,
        mut place: Place,
        began: Moment,
        limit: Option<Millis>,
    ) -> Result<Turn, SearchError> {
        // The place itself counts: only who never waited shows zero (manual §8.2.3).
        let ahead = u32::try_from(place.ahead() + 1).unwrap_or(u32::MAX);
        let (own, shared) = if place.is_for_one_server() {
            (ahead, 0)
        } else {
            (0, ahead)
        };
        self.transaction.server_queue.set(own);
        self.transaction.backend_queue.set(shared);
        let Some(limit) = limit else {
            return Ok(place.turn().await);
        };
        let left = limit.0.saturating_sub(clock::now().since(began));
        match tokio::time::timeout(Duration::from_millis(left), place.turn()).await {
            Ok(turn) => Ok(turn),
            Err(_) => {
                self.give_up(self.persistent.map(|persistent| persistent.server));
                Err(SearchError::QueueTimeout)
            }
        }
    }

    fn drop_unusable_persistence(&mut self) {
        let state = self.connection.generation.state();
        self.persistent = self
            .persistent
            .filter(|wanted| wanted.forced || state.server(wanted.server).accepts_persistent());
    }

    /// Notes and counts that the session belongs to a server now.
    fn assigned(&self, server: ServerId) {
        let now = clock::now();
        self.transaction.mark(|line| {
            line.dequeued = Some(now);
            line.held = None;
        });
        self.transaction.server.set(Some(server));
        self.connection
            .ticket
            .assign(Some(self.proxy.id), Some(server));
        let state = self.connection.generation.state();
        let waited = self.transaction.timeline.get().queue().unwrap_or(0);
        let server = state.server(server);
        server.counters.count(Counter::Sessions);
        server.counters.time(Timing::Queue, waited);
        server.rate.add(1, now);
        server.touch_session(now);
        let backend = &state.proxy(self.proxy.id).backend;
        backend.counters.time(Timing::Queue, waited);
        backend.touch_session(now);
    }

    fn count_selected(&self, server: ServerId) {
        self.connection
            .generation
            .state()
            .server(server)
            .counters
            .count(Counter::Selected);
        self.counters().count(Counter::Selected);
    }

    fn give_up(&self, server: Option<ServerId>) {
        if let Some(server) = server {
            let state = self.connection.generation.state().server(server);
            state.counters.count(Counter::ConnectErrors);
        }
        self.counters().count(Counter::ConnectErrors);
    }

    fn counters(&self) -> &crate::state::Counters {
        &self
            .connection
            .generation
            .state()
            .proxy(self.proxy.id)
            .backend
            .counters
    }

    /// Whether the retry that begins now goes to another server (manual §4.2 `option redispatch`).
    fn redispatches(&self) -> bool {
        if self.persistent.is_some_and(|persistent| persistent.forced) {
            return false;
        }
        // Taking turns binds nobody to a server: the next one is as good, and at once.
        let takes_turns = matches!(
            self.proxy.balance.kind,
            BalanceKind::RoundRobin | BalanceKind::StaticRoundRobin
        );
        if takes_turns && self.persistent.is_none() && self.proxy.redispatch != Redispatch::Off {
            let usable = self
                .connection
                .generation
                .state()
                .usable_servers(self.connection.generation.model(), self.proxy.id);
            if usable.active + usable.backup > 1 {
                return true;
            }
        }
        let retries = self.transaction.back.get().retries;
        let retry = retries.unwrap_or(self.proxy.retries) - self.attempts_left;
        match self.proxy.redispatch {
            Redispatch::Off => false,
            Redispatch::LastRetry => self.attempts_left == 0,
            Redispatch::EveryNth(every) => every > 0 && retry.is_multiple_of(every),
            Redispatch::BeforeLast(before) => self.attempts_left + 1 == before,
        }
    }

    /// The wait before the same server is tried again (manual §4.2 `retries`).
    fn turn_around(&self) -> Duration {
        let second = Duration::from_secs(1);
        self.proxy
            .timeouts
            .connect
            .map_or(second, |limit| limit.duration().min(second))
    }
}

enum Chosen {
    Slot(Slot),
    Wait(Place),
}

impl From<TransportError> for SearchError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Connect(ConnectError::TimedOut) | TransportError::TimedOut => {
                Self::ConnectTimeout
            }
            TransportError::Connect(ConnectError::Resource(source)) => Self::Resource(source),
            TransportError::NoAddress => Self::NoAddress,
            other => Self::Refused(Box::new(other)),
        }
    }
}

/// Picks before a session joins the backend's line although some server looked free.
const PICKS: usize = 3;
