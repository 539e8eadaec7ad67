//! Connections to servers that are there already: which one a request may take, and when another may be made.
//!
//! Where they lie is [`super::pool`]'s; [`super::forward`] makes the others.

use super::forward::keeps_nothing;
use super::pool::{FirstRequest, Key, Permit, Sharing, Upstream};
use super::stream::HttpStream;
use crate::clock;
use crate::expr::Sample;
use crate::model::{HttpProtocol, Proxy, ServerAddress};
use crate::net::Destination;
use crate::queue::Slot;
use crate::session::server::SearchError;
use crate::session::transport;
use crate::state::Counter;
use crate::types::ServerId;

/// Whether only a new connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    Yes,
    No,
}

impl HttpStream<'_, '_> {
    /// An idle connection to the slot's server that this request may use.
    pub(super) fn reusable(
        &mut self,
        slot: &Slot,
        proxy: &Proxy,
        fresh: Fresh,
    ) -> Option<Upstream> {
        let generation = &self.connection.generation;
        if generation.model().server(slot.server()).address == ServerAddress::Reverse {
            // There are no others: whatever is said about reuse, they are shared (manual §4.4 `attach-srv`).
            return self.attached(slot.server()).filter(|_| fresh == Fresh::No);
        }
        if fresh == Fresh::Yes || keeps_nothing(proxy) {
            return None;
        }
        let key = self.key(slot.server());
        let state = generation.state().server(slot.server());
        let first = if self.messages.facts.first {
            FirstRequest::Yes
        } else {
            FirstRequest::No
        };
        let sharing = match generation.model().global.tune.share_idle {
            true => Sharing::AllThreads,
            false => Sharing::OwnThread,
        };
        let pool = &self.connection.worker.pool;
        let found = match self.protocol(slot.server()) {
            Some(HttpProtocol::Http1) => None,
            _ => pool.find_carrier(state, &key, proxy.http_reuse, first),
        };
        let found = match found {
            Some(carrier) => {
                let state = generation.state().server_handle(slot.server());
                Upstream::on(&carrier, key, state, self.limits(false))
            }
            None => self
                .front
                .take_private(state, &key)
                .or_else(|| pool.take(state, &key, proxy.http_reuse, first, sharing))?,
        };
        self.note_reuse(slot.server(), &found);
        Some(found)
    }

    /// Counts and notes that the request goes over a connection that was there.
    pub(super) fn note_reuse(&self, server: ServerId, found: &Upstream) {
        let state = self.connection.generation.state().server(server);
        state.counters.count(Counter::Reuses);
        let now = clock::now();
        self.transaction.mark(|line| line.connected = Some(now));
        self.transaction.reused.set(true);
        self.transaction.back_ends.set(found.ends);
        if let Some(tls) = found.stream.tls() {
            // Only a stale connection before it could have set it, and that never served.
            let _ = self.transaction.back_tls.set(tls);
        }
    }

    /// A place for another connection, where `strict-maxconn` bounds them; an idle one makes way (manual §5.2).
    pub(super) fn permit(&self, server: ServerId) -> Result<Option<Permit>, SearchError> {
        let generation = &self.connection.generation;
        if !generation.model().server(server).strict_maxconn {
            return Ok(None);
        }
        let state = generation.state().server_handle(server);
        let Some(limit) = state.maxconn() else {
            return Ok(None);
        };
        let pool = &self.connection.worker.pool;
        loop {
            if let Some(permit) = Permit::take(&state, limit) {
                return Ok(Some(permit));
            }
            if !pool.evict(&state) {
                let full = std::io::Error::other("as many connections as the server may have");
                return Err(SearchError::Resource(full));
            }
        }
    }

    /// What connections to a server must have in common to be shared.
    pub(super) fn key(&self, server: ServerId) -> Key {
        let generation = &self.connection.generation;
        let address = generation.state().server(server).address();
        let to = match Destination::of(&address, self.connection.ends.get().destination) {
            Some(Destination::Tcp(address)) => Some(address),
            _ => None,
        };
        let server = generation.model().server(server);
        let name = match (&server.pool_name, &server.tls) {
            (Some(expression), _) => expression
                .eval(&self.message_view())
                .and_then(Sample::into_text),
            (None, Some(tls)) => transport::server_name(tls, &self.message_view()),
            (None, None) => None,
        };
        // A PROXY header makes a connection its client's.
        let ends = self.connection.ends.get();
        let told = server.send_proxy.map(|_| (ends.source, ends.destination));
        let source = server.source.as_ref();
        let source = source.or_else(|| generation.proxy(server.proxy).source.as_ref());
        let shown = source
            .filter(|source| source.shown.is_some())
            .and_then(|source| {
                transport::shown_source(source, self.connection, &self.message_view())
            });
        Key {
            to,
            name,
            shown,
            told,
            marks: self.transaction.back.get().marks(),
        }
    }
}
