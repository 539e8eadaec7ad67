//! One client connection: what stays the same for all of its requests.
//!
//! Made when a listener accepts, dropped when the connection ends; dropping it gives back its places under the limits and
//! takes it off the list of sessions. It holds no socket: the stream travels separately, so that it can be read and written
//! while rules look at everything else.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::generation::Current;
use super::limits::{Admitted, TlsPlace};
use super::worker::Worker;
use crate::clock::{self, Moment};
use crate::expr::{Tls, VariableMap};
use crate::model::LogStep;
use crate::model::{Bind, BindAddress, Proxy};
use crate::proto::proxy_protocol::Header;
use crate::state::{CutReason, SessionTicket, StickEvent, Tracked};
use crate::types::{BindId, ProxyId, ServerId};

/// One client connection, as its task and the rules see it.
pub struct Connection {
    /// The thread it runs on.
    pub worker: Rc<Worker>,
    /// The configuration it was accepted under, and keeps until it ends.
    pub generation: Current,
    /// The listener it came through.
    pub bind: BindId,
    /// The frontend of that listener.
    pub frontend: ProxyId,
    /// When it was accepted.
    pub accepted: Moment,
    /// The same as calendar time.
    pub accept_date: Duration,
    /// Milliseconds the PROXY header and the TLS handshake took.
    pub handshake: Cell<u64>,
    /// The addresses rules and logs use: `src` and `dst`.
    pub ends: Cell<Ends>,
    /// `fc_src` and `fc_dst`, once they differ from those: a header or a rule has changed them.
    own_ends: OnceCell<Box<Ends>>,
    /// Whether the connection passed its first rules: from then on `set-src` and its kin no longer change what `fc_src`
    /// shows.
    pub(super) validated: Cell<bool>,
    /// The PROXY header it began with, if it did.
    pub proxy_header: OnceCell<Box<Header>>,
    /// What is known of its TLS, once the handshake is over.
    pub tls: OnceCell<Arc<dyn Tls>>,
    /// Its place in the count of TLS connections.
    pub(super) tls_place: OnceCell<TlsPlace>,
    /// Variables of scope `sess`.
    pub variables: VariableMap,
    /// Entries tracked by `tcp-request connection` and `session` rules.
    pub tracked: TrackedSlots,
    /// The server of the last request, when its connection was kept: `option prefer-last-server`.
    pub last_server: Cell<Option<LastServer>>,
    /// The step of the line that is being logged, for `%OG`.
    pub log_step: Cell<LogStep>,
    /// The version of HTTP the client speaks; 0 while that is not known.
    pub http_major: Cell<u8>,
    /// Abnormal events on it (`fc_glitches`).
    pub glitches: Cell<u32>,
    /// The server it is to carry requests to (`attach-srv`).
    pub(super) attachment: OnceCell<Box<Attachment>>,
    /// Why somebody cut it, once its task has noticed.
    pub(super) cut: Cell<Option<CutReason>>,
    /// Its place in the list of sessions.
    pub ticket: SessionTicket,
    _admitted: Admitted,
}

/// A connection's future as one to a server, of which its client is the far end.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    /// Which.
    pub(super) server: ServerId,
    /// The name that requests must want.
    pub(super) name: Option<String>,
}

/// A server a request was sent to, and to which there is still a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastServer {
    /// Which.
    pub server: ServerId,
    /// It asked for credentials (401 or 407): the next request belongs there if it can.
    pub asked_who: bool,
}

/// The two ends of the client's side. `None` on Unix sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The client's.
    pub source: Option<SocketAddr>,
    /// Ours.
    pub destination: Option<SocketAddr>,
}

impl Connection {
    pub(super) fn new(
        worker: Rc<Worker>,
        generation: Current,
        bind: BindId,
        ends: Ends,
        admitted: Admitted,
    ) -> Self {
        let now = clock::now();
        let frontend = generation.model().bind(bind).proxy;
        let state = generation.state();
        let ticket = state
            .sessions
            .register(state.generation, frontend, ends.source, now);
        Self {
            worker,
            bind,
            frontend,
            accepted: now,
            accept_date: clock::wall(),
            handshake: Cell::new(0),
            ends: Cell::new(ends),
            own_ends: OnceCell::new(),
            validated: Cell::new(false),
            proxy_header: OnceCell::new(),
            tls: OnceCell::new(),
            tls_place: OnceCell::new(),
            variables: VariableMap::default(),
            tracked: TrackedSlots::default(),
            last_server: Cell::new(None),
            log_step: Cell::default(),
            http_major: Cell::new(0),
            glitches: Cell::new(0),
            attachment: OnceCell::new(),
            cut: Cell::new(None),
            ticket,
            generation,
            _admitted: admitted,
        }
    }

    /// The frontend it came through.
    pub fn frontend(&self) -> &Proxy {
        self.generation.proxy(self.frontend)
    }

    /// Counts abnormal events, here and in the stick tables that track the connection.
    pub fn glitch(&self, count: u32) {
        self.glitches.set(self.glitches.get().saturating_add(count));
        self.tracked
            .count(StickEvent::Glitch, count.into(), clock::now());
    }

    /// The addresses of the connection itself: `fc_src` and `fc_dst`.
    pub fn own_ends(&self) -> Ends {
        self.own_ends
            .get()
            .map_or_else(|| self.ends.get(), |own| **own)
    }

    /// Changes the addresses rules and logs use. Those of the connection itself change with them only while its first
    /// rules are at work (manual §7.3.3 `fc_src`).
    pub(super) fn change_ends(&self, ends: Ends) {
        if self.validated.get() {
            self.own_ends.get_or_init(|| Box::new(self.ends.get()));
        }
        self.ends.set(ends);
    }

    /// Whether this end opened it, and the other sends the requests (`bind rhttp@`).
    pub(super) fn is_reversed(&self) -> bool {
        matches!(self.bind().address, BindAddress::Reverse { .. })
    }

    /// Makes it one to a server once it speaks HTTP/2; the first such rule decides.
    pub(super) fn attach(&self, backend: &str, server: &str, name: Option<String>) {
        let found = self.generation.model().server_named(backend, server);
        if let Some(server) = found {
            let server = server.id;
            self.attachment
                .get_or_init(|| Box::new(Attachment { server, name }));
        }
    }

    /// The listener it came through.
    pub fn bind(&self) -> &Bind {
        self.generation.model().bind(self.bind)
    }
}

/// Stick-table entries tracked under `sc0`, `sc1`, … They are released when the owner ends.
#[derive(Default)]
pub struct TrackedSlots(RefCell<SmallVec<[Option<Rc<Tracked>>; 3]>>);

impl TrackedSlots {
    /// The entry tracked in a slot.
    pub fn at(&self, slot: u8) -> Option<Rc<Tracked>> {
        self.0.borrow().get(usize::from(slot)).cloned().flatten()
    }

    /// Tracks an entry in a slot that is free; the first one stays (manual §4.4 `track-sc0`).
    pub fn track(&self, slot: u8, tracked: Tracked) {
        let mut slots = self.0.borrow_mut();
        let slot = usize::from(slot);
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot].get_or_insert_with(|| Rc::new(tracked));
    }

    /// Counts an event on every tracked entry.
    pub fn count(&self, event: StickEvent, amount: u64, now: Moment) {
        for tracked in self.0.borrow().iter().flatten() {
            tracked.count(event, amount, now);
        }
    }

    /// Releases every entry, as the end of an HTTP request does with those of content rules.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
