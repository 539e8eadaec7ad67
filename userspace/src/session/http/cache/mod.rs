//! The cache of a proxy: `http-request cache-use`, `http-response cache-store` (manual §6).
//!
//! [`HttpStream::use_cache`] looks a request up and remembers what was found; delivery takes the
//! place of the server's response ([`deliver`]), storing watches it pass ([`store`]). What may be
//! kept is in [`policy`], variants in [`variants`]; the entries are [`crate::state::Cache`]'s.

mod deliver;
mod hints;
mod policy;
mod store;
mod variants;

use std::sync::Arc;

pub(crate) use store::Storing;

use super::errors::Failure;
use super::stream::HttpStream;
use crate::clock;
use crate::model::EarlyHints;
use crate::proto::http::{Head, Method, Version, uri};
use crate::state::{Cache, Counter, Entry, Found, Selecting};

/// What `cache-use` found out about a request.
#[derive(Debug)]
pub(crate) struct Ticket {
    cache: Arc<Cache>,
    key: Box<[u8]>,
    selecting: Selecting,
    store: bool,
    /// The response, if it was there.
    pub(crate) hit: Option<Arc<Entry>>,
}

impl HttpStream<'_, '_> {
    /// `cache-use`: looks the request up. A hit is delivered once the rules are through.
    pub(super) async fn use_cache(&mut self, cache: usize, may_hint: bool) -> Result<(), Failure> {
        let is_hit = |ticket: &Ticket| ticket.hit.is_some();
        if self.messages.ticket.as_ref().is_some_and(is_hit) {
            return Ok(());
        }
        let Some(cache) = self.connection.generation.state().cache(cache).cloned() else {
            return Ok(());
        };
        let request = &self.messages.request;
        let allowed = policy::of_request(request, self.method, self.version);
        let mut ticket = Ticket {
            key: key(request),
            selecting: match cache.settings().process_vary {
                true => variants::selecting(request),
                false => Selecting::default(),
            },
            store: allowed.store,
            hit: None,
            cache,
        };
        let mut hinting = None;
        if allowed.deliver {
            self.count_cache(Counter::CacheLookups);
            match ticket
                .cache
                .lookup(&ticket.key, &ticket.selecting, clock::now())
            {
                Found::Fresh(entry) => {
                    self.count_cache(Counter::CacheHits);
                    ticket.hit = Some(entry);
                }
                Found::Hints(entry) => hinting = Some(entry),
                Found::Nothing => {}
            }
        }
        let hints = ticket.cache.settings().early_hints != EarlyHints::Off;
        self.messages.ticket = Some(ticket);
        match hinting.filter(|_| hints && may_hint) {
            Some(entry) => self.send_hints(&entry).await,
            None => Ok(()),
        }
    }

    /// Tells the client what to fetch ahead, with a 103.
    async fn send_hints(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.count_cache(Counter::CacheHintHits);
        let mut head = Head::default();
        head.start_response(103, b"Early Hints", Version::Http11);
        for hint in &entry.hints {
            head.add(b"link", hint);
        }
        self.say_interim(&head).await
    }

    /// A successful unsafe request changes what its URI stands for (RFC 9111 §4.4).
    pub(super) fn invalidate_cache(&self) {
        let Some(ticket) = &self.messages.ticket else {
            return;
        };
        let safe = matches!(
            self.method,
            Method::Get | Method::Head | Method::Options | Method::Trace
        );
        if !safe && matches!(self.messages.response.status(), 200..=399) {
            ticket.cache.forget(&ticket.key);
        }
    }

    fn count_cache(&self, counter: Counter) {
        let state = self.connection.generation.state();
        let frontend = &state.proxy(self.connection.frontend).frontend.counters;
        frontend.count(counter);
        if let Some(backend) = self.transaction.backend() {
            state.proxy(backend).backend.counters.count(counter);
        }
    }
}

/// What a response is found by: the host and the URI without its scheme.
fn key(request: &Head) -> Box<[u8]> {
    let target = request.target();
    let host = uri::authority(target).or_else(|| request.first(b"host"));
    let mut key = host.unwrap_or_default().to_ascii_lowercase();
    key.push(0);
    key.extend_from_slice(uri::path_and_query(target).unwrap_or(target));
    key.into_boxed_slice()
}
