//! The memory of one request and its response, pooled per thread.
//!
//! A connection holds it only while a request is in flight; its buffers keep their size from one
//! request to the next, so the common path allocates nothing.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::answer::Answer;
use super::cache::{Storing, Ticket};
use super::compress::Wish;
use super::mirror::Mirroring;
use super::relay::Relay;
use crate::model::{Cache, CompressionAlgorithm};
use crate::proto::http::Head;

/// What one request needs beyond its connection and its transaction.
#[derive(Default)]
pub(crate) struct Messages {
    pub(crate) request: Head,
    pub(crate) response: Head,
    pub(crate) upload: Relay,
    pub(crate) download: Relay,
    pub(crate) answer: Answer,
    pub(crate) facts: HttpFacts,
    /// The request's body as far as rules may look at it, decoded.
    pub(crate) body: Vec<u8>,
    /// The response's body, the same way.
    pub(crate) response_body: Vec<u8>,
    /// The request's body as it was received, while it may have to be sent again.
    pub(crate) replay: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
    /// How the response may be compressed.
    pub(crate) wish: Option<Wish>,
    /// How the request's body is compressed, once that was decided.
    pub(crate) request_coding: Option<CompressionAlgorithm>,
    /// What the cache knows of the request.
    pub(crate) ticket: Option<Ticket>,
    /// The response on its way into the cache.
    pub(crate) storing: Option<Box<Storing>>,
    /// Copies of the request that wait for its body.
    pub(crate) mirroring: Vec<Mirroring>,
}

/// What expressions and logs want to know of a request beside its head.
#[derive(Clone, Debug, Default)]
pub struct HttpFacts {
    /// The request line as it was received; empty before it was.
    pub line: Vec<u8>,
    /// The captured `name=value` of a request cookie (`capture cookie`).
    pub request_cookie: Vec<u8>,
    /// The same of a response cookie.
    pub response_cookie: Vec<u8>,
    /// Whether it is the first request of its connection.
    pub first: bool,
    /// What answered instead of a server, as `<STATS>`.
    pub service: Option<&'static str>,
    /// How the response's body is compressed here.
    pub compressed: Option<CompressionAlgorithm>,
    /// The cache the response came from.
    pub cache: Option<Arc<Cache>>,
}

impl Messages {
    fn clear(&mut self) {
        self.request.clear();
        self.response.clear();
        self.upload.clear();
        self.download.clear();
        self.body.clear();
        self.response_body.clear();
        self.replay.clear();
        self.facts.line.clear();
        self.facts.request_cookie.clear();
        self.facts.response_cookie.clear();
        self.facts.service = None;
        self.facts.compressed = None;
        self.facts.cache = None;
        self.wish = None;
        self.ticket = None;
        self.storing = None;
        self.mirroring.clear();
        self.request_coding = None;
    }
}

/// A [`Messages`] on loan; dropping it gives it back to the thread.
pub(crate) struct Loan(Option<Box<Messages>>);

impl Loan {
    pub(crate) fn take() -> Self {
        Self(Some(POOL.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }
}

impl Deref for Loan {
    type Target = Messages;

    fn deref(&self) -> &Messages {
        self.0.as_deref().expect("only taken when dropped")
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Messages {
        self.0.as_deref_mut().expect("only taken when dropped")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut messages) = self.0.take() else {
            return;
        };
        messages.clear();
        // The pool is gone when a loan outlives its thread's storage; the memory is then freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED {
                pool.push(messages);
            }
        });
    }
}

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are lent out one by one")]
    static POOL: RefCell<Vec<Box<Messages>>> = const { RefCell::new(Vec::new()) };
}

/// Most sets of messages a thread keeps; each is a few kilobytes.
const POOLED: usize = 256;
