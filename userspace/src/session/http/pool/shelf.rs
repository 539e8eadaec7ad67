//! Where a thread lays idle connections by, within reach of the other threads.

use std::collections::VecDeque;
use std::net::SocketAddr;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Counted, Key, Permit, Record, Upstream, identity};
use crate::clock::Moment;
use crate::net::Parked;
use crate::session::http::input::Input;
use crate::state::ServerState;

/// The idle connections of one thread, by server.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<FxHashMap<usize, VecDeque<Resting>>>);

/// An idle connection, and until when it may be.
pub(super) struct Resting {
    pub(super) parked: Parked,
    pub(super) requests: u32,
    ends: Option<(SocketAddr, SocketAddr)>,
    pub(super) key: Key,
    record: Record,
    permit: Option<Permit>,
    until: Moment,
}

impl Shelf {
    /// Takes the connection to a server that was laid by last, among those that suit.
    pub(super) fn take(
        &self,
        state: &ServerState,
        suits: impl Fn(&Resting) -> bool,
    ) -> Option<Resting> {
        let mut servers = self.0.lock();
        let resting = servers.get_mut(&identity(state))?;
        let at = resting.iter().rposition(suits)?;
        resting.remove(at)
    }

    pub(super) fn put(&self, mut resting: Resting) {
        let mut servers = self.0.lock();
        let others = servers.entry(identity(&resting.record.state)).or_default();
        if others.len() < KEPT {
            let proven = resting.requests > 1;
            resting.record.count_as(if proven {
                Counted::IdleSafe
            } else {
                Counted::IdleUnsafe
            });
            others.push_back(resting);
        }
    }

    pub(super) fn drop_dead(&self, state: &ServerState) {
        if let Some(resting) = self.0.lock().get_mut(&identity(state)) {
            resting.retain_mut(|one| one.parked.is_quiet());
        }
    }

    /// Closes all connections to a server.
    pub(crate) fn clear(&self, state: &ServerState) {
        self.0.lock().remove(&identity(state));
    }

    pub(super) fn sweep(&self, now: Moment) {
        self.0.lock().retain(|_, resting| {
            resting.retain_mut(|one| now < one.until && one.parked.is_quiet());
            !resting.is_empty()
        });
    }
}

impl Resting {
    /// Lays a connection by; `None` if it cannot rest.
    pub(super) fn of(upstream: Upstream, until: Moment) -> Option<Self> {
        Some(Self {
            parked: upstream.stream.park()?,
            requests: upstream.requests,
            ends: upstream.ends,
            key: upstream.key,
            record: upstream.record,
            permit: upstream.permit,
            until,
        })
    }

    /// Brings it to this thread.
    pub(super) fn rehome(mut self) -> std::io::Result<Self> {
        self.parked.rehome()?;
        Ok(self)
    }

    pub(super) fn into_upstream(self) -> Upstream {
        let mut upstream = Upstream {
            stream: self.parked.resume(),
            input: Input::default(),
            requests: self.requests,
            ends: self.ends,
            call: None,
            key: self.key,
            record: self.record,
            permit: self.permit,
            private: false,
        };
        upstream.record.count_as(Counted::Used);
        upstream
    }
}

/// Most idle connections a thread keeps per server.
pub(super) const KEPT: usize = 1024;
