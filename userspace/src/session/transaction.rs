//! One request and its response, or one TCP session from its rules to its end: what rules, logs and the choice of a server
//! read and write.
//!
//! Everything is behind `Cell`s, because expressions change some of it (`set-var`, captures) while they borrow the message
//! they look at. A transaction is reset, not remade, for the next request of a connection.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::bandwidth::Bandwidth;
use super::connection::{Connection, TrackedSlots};
use super::generation::Current;
use super::timeline::Timeline;
use crate::clock::{self, Moment};
use crate::expr::{Tls, VariableMap};
use crate::model::Severity;
use crate::queue::Priority;
use crate::state::{Counter, Counters, StickEvent, Tracked};
use crate::types::{Millis, ProxyId, ServerId};

/// What was captured, by slot; `None` where nothing was.
pub type Captures = RefCell<Vec<Option<Box<[u8]>>>>;

/// One request, or one TCP session.
#[derive(Default)]
pub struct Transaction {
    /// The backend it was given to, with its place in that backend's count of sessions.
    backend: RefCell<Option<BackendSession>>,
    /// The server it was given to.
    pub server: Cell<Option<ServerId>>,
    /// Its clocks.
    pub timeline: Cell<Timeline>,
    /// Variables of scope `txn`.
    pub variables: VariableMap,
    /// Variables of scope `req`.
    pub request_variables: VariableMap,
    /// Variables of scope `res`.
    pub response_variables: VariableMap,
    /// Entries tracked by content rules and HTTP rules.
    pub tracked: TrackedSlots,
    /// What was captured of the request, by slot.
    pub request_captures: Captures,
    /// What was captured of the response, by slot.
    pub response_captures: Captures,
    /// Bytes so far.
    pub bytes: Bytes,
    /// Connection attempts after the first (`%rc`).
    pub retries: Cell<u32>,
    /// Whether it was moved to another server after a failure: `%rc` then begins with `+`.
    pub redispatched: Cell<bool>,
    /// Sessions ahead of it when it entered a server's line (`%sq`) and the backend's (`%bq`).
    pub server_queue: Cell<u32>,
    /// See `server_queue`.
    pub backend_queue: Cell<u32>,
    /// How it ended, two characters (manual §8.5).
    pub termination: Cell<Termination>,
    /// What happened to the persistence cookie, two characters.
    pub cookie_flags: Cell<Option<[u8; 2]>>,
    /// What the client got; 0 before.
    pub status: Cell<u16>,
    /// What the server sent; 0 before.
    pub server_status: Cell<u16>,
    /// `set-log-level`.
    pub log_level: Cell<LogLevel>,
    /// `set-priority-class` and `set-priority-offset`.
    pub priority: Cell<Priority>,
    /// `set-timeout`.
    pub timeouts: Cell<TimeoutOverrides>,
    /// `file:line` of the rule that ended the last rule set that one did.
    pub last_rule: RefCell<Option<Box<str>>>,
    /// `set-bandwidth-limit`.
    pub(super) bandwidth: Bandwidth,
    /// What rules want of the server's connection.
    pub back: Cell<BackOverrides>,
    /// The rendered `unique-id-format`.
    pub unique_id: OnceCell<Box<[u8]>>,
    /// Whether it is being rendered.
    pub(super) making_unique_id: Cell<bool>,
    /// A number of the transaction, unique in the process for a long time (`%rt`).
    pub number: Cell<u32>,
    /// The frontend's log counter at the moment of logging (`%lc`).
    pub log_counter: Cell<u32>,
    /// Our end and the server's end of the connection to the server.
    pub back_ends: Cell<Option<(SocketAddr, SocketAddr)>>,
    /// What is known of the TLS connection to the server.
    pub back_tls: OnceCell<Arc<dyn Tls>>,
    /// Whether the request is a WebSocket handshake.
    pub websocket: Cell<bool>,
    /// The version of HTTP the server is spoken to in; 0 before.
    pub back_http_major: Cell<u8>,
    /// Abnormal events on the connection to the server (`bc_glitches`).
    pub back_glitches: Cell<u32>,
    /// Whether the connection to the server served an earlier request.
    pub reused: Cell<bool>,
    /// Whether the log line is written before the end (`option logasap`).
    pub logged_early: Cell<bool>,
}

/// Bytes moved on the four paths.
#[derive(Debug, Default)]
pub struct Bytes {
    /// From the client (`%U`).
    pub from_client: Cell<u64>,
    /// To the server.
    pub to_server: Cell<u64>,
    /// From the server.
    pub from_server: Cell<u64>,
    /// To the client (`%B`).
    pub to_client: Cell<u64>,
}

/// The first two characters of the termination state (manual §8.5): who ended it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination(pub [u8; 2]);

impl Termination {
    /// A normal end.
    pub const NORMAL: Self = Self(*b"--");

    /// Whether it was a normal end.
    pub fn is_normal(self) -> bool {
        self == Self::NORMAL
    }
}

impl Default for Termination {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// How loud the log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// As its outcome deserves.
    #[default]
    Default,
    /// As a rule said.
    At(Severity),
    /// Not at all.
    Silent,
}

/// Timeouts changed by `set-timeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// `timeout client`.
    pub client: Option<Millis>,
    /// `timeout server`.
    pub server: Option<Millis>,
    /// `timeout tunnel`.
    pub tunnel: Option<Millis>,
    /// `timeout connect`.
    pub connect: Option<Millis>,
    /// `timeout queue`.
    pub queue: Option<Millis>,
    /// `timeout tarpit`.
    pub tarpit: Option<Millis>,
}

/// What rules want of the connection to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOverrides {
    /// `set-bc-mark`.
    pub mark: Option<u32>,
    /// `set-bc-tos`.
    pub tos: Option<u8>,
    /// `set-retries`.
    pub retries: Option<u32>,
}

impl BackOverrides {
    /// What all requests on a connection must have in common: its packets are marked once.
    pub const fn marks(&self) -> (Option<u32>, Option<u8>) {
        (self.mark, self.tos)
    }
}

impl Transaction {
    /// The first transaction of a connection.
    pub fn first(connection: &Connection) -> Self {
        Self::with_clocks(
            connection,
            Timeline {
                start: connection.accepted,
                handshake: connection.handshake.get(),
                ..Timeline::default()
            },
        )
    }

    /// A later transaction of the same connection, beginning at `start`.
    pub fn following(connection: &Connection, start: Moment) -> Self {
        Self::with_clocks(
            connection,
            Timeline {
                start,
                ..Timeline::default()
            },
        )
    }

    fn with_clocks(connection: &Connection, timeline: Timeline) -> Self {
        let frontend = connection.frontend();
        let slots = |response: bool| {
            frontend
                .captures
                .iter()
                .filter(|slot| slot.response == response)
                .count()
        };
        // Filled in place: it is too large to be made twice.
        let mut new = Self::default();
        if !frontend.captures.is_empty() {
            new.request_captures = RefCell::new(vec![None; slots(false)]);
            new.response_captures = RefCell::new(vec![None; slots(true)]);
        }
        new.timeline.set(Timeline {
            accept_date: connection.accept_date,
            ..timeline
        });
        new.number.set(connection.worker.next_transaction());
        new
    }

    /// Remembers the rule that ended a rule set.
    pub fn note_last_rule(&self, place: &str) {
        *self.last_rule.borrow_mut() = Some(place.into());
    }

    /// Changes its clocks.
    pub fn mark(&self, change: impl FnOnce(&mut Timeline)) {
        let mut timeline = self.timeline.get();
        change(&mut timeline);
        self.timeline.set(timeline);
    }

    /// The backend it was given to.
    pub fn backend(&self) -> Option<ProxyId> {
        self.backend
            .borrow()
            .as_ref()
            .map(|session| session.backend)
    }

    /// Gives it to a backend and counts it there until it ends.
    pub fn enter_backend(&self, connection: &Connection, backend: ProxyId, now: Moment) {
        connection.ticket.assign(Some(backend), None);
        let session = BackendSession::begin(&connection.generation, backend, now);
        *self.backend.borrow_mut() = Some(session);
    }

    /// Ends its count in the backend, before the log line is written or when the response is complete.
    pub fn leave_backend(&self) {
        if let Some(session) = self.backend.borrow_mut().as_mut() {
            session.end();
        }
    }

    /// Counts bytes exchanged with the client, everywhere they are counted.
    pub fn count_bytes(&self, connection: &Connection, from_client: u64, to_client: u64) {
        self.bytes
            .from_client
            .set(self.bytes.from_client.get() + from_client);
        self.bytes
            .to_client
            .set(self.bytes.to_client.get() + to_client);
        let state = connection.generation.state();
        let mut places: SmallVec<[&Counters; 5]> = SmallVec::new();
        places.push(&state.process.counters);
        places.push(&state.proxy(connection.frontend).frontend.counters);
        places.push(&state.listener(connection.bind).counters);
        places.extend(
            self.backend()
                .map(|backend| &state.proxy(backend).backend.counters),
        );
        places.extend(
            self.server
                .get()
                .map(|server| &state.server(server).counters),
        );
        for counters in places {
            counters.add(Counter::BytesIn, from_client);
            counters.add(Counter::BytesOut, to_client);
        }
        let now = clock::now();
        for (event, amount) in [
            (StickEvent::BytesIn, from_client),
            (StickEvent::BytesOut, to_client),
        ] {
            if amount > 0 {
                self.count_tracked(connection, event, amount, now);
            }
        }
    }

    /// The entry tracked in a slot: by a content rule, else by a rule of the connection.
    pub fn tracked_at(&self, connection: &Connection, slot: u8) -> Option<Rc<Tracked>> {
        connection
            .tracked
            .at(slot)
            .or_else(|| self.tracked.at(slot))
    }

    /// Counts an event on every tracked entry, the connection's included.
    pub fn count_tracked(
        &self,
        connection: &Connection,
        event: StickEvent,
        amount: u64,
        now: Moment,
    ) {
        connection.tracked.count(event, amount, now);
        self.tracked.count(event, amount, now);
    }
}

/// A session's place in its backend's count.
struct BackendSession {
    generation: Current,
    backend: ProxyId,
    counted: bool,
}

impl BackendSession {
    fn begin(generation: &Current, backend: ProxyId, now: Moment) -> Self {
        let state = &generation.state().proxy(backend).backend;
        state.current.enter();
        state.counters.count(Counter::Sessions);
        state.rate.add(1, now);
        Self {
            generation: Rc::clone(generation),
            backend,
            counted: true,
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.generation
                .state()
                .proxy(self.backend)
                .backend
                .current
                .leave();
        }
    }
}

impl Drop for BackendSession {
    fn drop(&mut self) {
        self.end();
    }
}
