//! Limits on client connections: the process's, the frontend's and the listener's `maxconn`, and their rates.
//!
//! A listener that has reached a limit accepts nothing; the connections beyond it wait in the kernel's backlog, as HAProxy
//! leaves them there (manual §3.2, §4.2, §5.1 `maxconn`). An [`Admitted`] connection gives its places back when it ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::generation::Current;
use crate::clock;
use crate::state::ProcessRate;
use crate::types::{BindId, ProxyId};

/// Wakes listeners that wait for a place. One for the process.
#[derive(Debug, Default)]
pub(super) struct Places(Notify);

/// A connection's places under the three limits.
#[derive(Debug)]
pub(super) struct Admitted {
    generation: Current,
    frontend: ProxyId,
    bind: BindId,
    places: Arc<Places>,
}

/// The limits one listener is under.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) generation: Current,
    pub(super) frontend: ProxyId,
    pub(super) bind: BindId,
    pub(super) places: Arc<Places>,
}

impl Limits {
    /// Waits until a connection would be admitted.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.places.0.notified();
            let Some(wait) = self.obstacle() else { return };
            // A limit raised at run time wakes nobody, so the wait is never long.
            let _either = tokio::time::timeout(wait, freed).await;
        }
    }

    /// Takes the places of a connection, waiting if another thread was faster.
    pub(super) async fn admit(&self) -> Admitted {
        loop {
            if let Some(admitted) = self.try_admit() {
                return admitted;
            }
            self.room().await;
        }
    }

    /// Takes them if they are free now.
    pub(super) fn try_admit(&self) -> Option<Admitted> {
        let state = self.generation.state();
        let frontend = &state.proxy(self.frontend).frontend;
        let listener = &state.listener(self.bind).current;
        if !state
            .process
            .connections
            .enter_below(state.process.maxconn())
        {
            return None;
        }
        if !frontend.current.enter_below(frontend.maxconn()) {
            state.process.connections.leave();
            return None;
        }
        if !listener.enter_below(self.listener_limit()) {
            frontend.current.leave();
            state.process.connections.leave();
            return None;
        }
        Some(Admitted {
            generation: Rc::clone(&self.generation),
            frontend: self.frontend,
            bind: self.bind,
            places: Arc::clone(&self.places),
        })
    }

    /// How long to wait before looking again; `None` when nothing is in the way.
    fn obstacle(&self) -> Option<Duration> {
        let state = self.generation.state();
        let frontend = &state.proxy(self.frontend).frontend;
        let full = state.process.connections.current() >= state.process.maxconn()
            || frontend.current.current() >= frontend.maxconn()
            || state.listener(self.bind).current.current() >= self.listener_limit();
        if full {
            return Some(LOOK_AGAIN);
        }
        let now = clock::now();
        let process = &state.process;
        let bind = self.generation.model().bind(self.bind);
        let tls_limit = process
            .rate_limit(ProcessRate::TlsSessions)
            .filter(|_| bind.tls.is_some());
        let session_limit = self
            .generation
            .model()
            .proxy(self.frontend)
            .rate_limit_sessions;
        [
            (
                process.rate_limit(ProcessRate::Connections),
                &process.connection_rate,
            ),
            (
                process.rate_limit(ProcessRate::Sessions),
                &process.session_rate,
            ),
            (tls_limit, &process.tls_rate),
            (session_limit, &frontend.session_rate),
        ]
        .into_iter()
        .any(|(limit, rate)| limit.is_some_and(|limit| rate.read(now) >= limit))
        .then_some(RATE_STEP)
    }

    fn listener_limit(&self) -> u32 {
        self.generation
            .model()
            .bind(self.bind)
            .maxconn
            .unwrap_or(u32::MAX)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let state = self.generation.state();
        let frontend = &state.proxy(self.frontend).frontend;
        let listener = &state.listener(self.bind).current;
        let was_full = state.process.connections.current() >= state.process.maxconn()
            || frontend.current.current() >= frontend.maxconn()
            || self
                .generation
                .model()
                .bind(self.bind)
                .maxconn
                .is_some_and(|limit| listener.current() >= limit);
        listener.leave();
        frontend.current.leave();
        state.process.connections.leave();
        if was_full {
            self.places.0.notify_waiters();
        }
    }
}

/// A place in the process's count of TLS connections.
#[derive(Debug)]
pub(super) struct TlsPlace(Current);

impl TlsPlace {
    pub(super) fn take(generation: &Current) -> Self {
        generation.state().process.tls_connections.enter();
        Self(Rc::clone(generation))
    }
}

impl Drop for TlsPlace {
    fn drop(&mut self) {
        self.0.state().process.tls_connections.leave();
    }
}

/// Longest wait at a full limit before it is read again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Wait at a rate limit: short against the second the rate is measured over.
const RATE_STEP: Duration = Duration::from_millis(5);
