//! Copies of requests for other servers (`http-request mirror-to`, an extension of this program).
//!
//! A copy is made while the request passes and goes out on its own afterwards: nothing of the request waits for it, its
//! answer is thrown away, and when too many are under way, or one is too large, it is dropped and counted. Copies are not
//! sessions: no log line, no stick table, no queue knows of them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::backend::Backend;
use super::generation::Current;
use super::worker::Worker;
use crate::balance::Pick;
use crate::net::{self, Destination, Outgoing};
use crate::proto::http::http1::{Framing, Persistence, encode_request};
use crate::proto::http::{Head, uri};
use crate::proto::proxy_protocol::{self, Version2};
use crate::state::Counter;
use crate::types::ProxyId;

/// The copies a thread has under way.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Cell<usize>);

/// A copy being made. One that is not sent in the end counts as dropped.
pub(super) struct RequestCopy {
    worker: Rc<Worker>,
    generation: Current,
    backend: ProxyId,
    head: Head,
    body: Vec<u8>,
    sent: bool,
}

impl RequestCopy {
    pub(super) fn new(
        worker: &Rc<Worker>,
        generation: &Current,
        backend: ProxyId,
        head: &Head,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            generation: Rc::clone(generation),
            backend,
            head: head.clone(),
            body: Vec::new(),
            sent: false,
        }
    }

    /// Adds to the body; false when it has become too large for a copy.
    pub(super) fn add(&mut self, piece: &[u8]) -> bool {
        let fits = self.body.len() + piece.len() <= MOST_BODY;
        if fits {
            self.body.extend_from_slice(piece);
        }
        fits
    }

    /// Sends the copy on its way, or drops it. `has_body` is whether the request has one.
    pub(super) fn send(mut self, has_body: bool) {
        let under_way = &self.worker.mirrors.0;
        if under_way.get() >= MOST_COPIES {
            return;
        }
        under_way.set(under_way.get() + 1);
        self.sent = true;
        let framing = match has_body {
            true => Framing::Length(self.body.len() as u64),
            false => Framing::None,
        };
        let mut bytes = Vec::new();
        encode_request(&self.head, framing, Persistence::Close, &mut bytes);
        bytes.append(&mut self.body);
        let worker = Rc::clone(&self.worker);
        worker.spawn(deliver(self, bytes));
    }

    fn count(&self, counter: Counter) {
        let state = self.generation.state().proxy(self.backend);
        state.backend.counters.count(counter);
    }
}

impl Drop for RequestCopy {
    fn drop(&mut self) {
        if !self.sent {
            self.count(Counter::MirrorDrops);
        }
    }
}

/// Gives its place back when the copy is through, or its task ends otherwise.
struct UnderWay(Rc<Worker>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let under_way = &self.0.mirrors.0;
        under_way.set(under_way.get().saturating_sub(1));
    }
}

/// Brings a copy to a server and waits for the answer's end, within limits.
async fn deliver(copy: RequestCopy, bytes: Vec<u8>) {
    let _place = UnderWay(Rc::clone(&copy.worker));
    let timeouts = copy.generation.proxy(copy.backend).timeouts;
    let limits = [timeouts.connect, timeouts.server].into_iter().flatten();
    let limit: Duration = limits.map(|limit| limit.duration()).sum();
    let limit = if limit.is_zero() {
        LONGEST
    } else {
        limit.min(LONGEST)
    };
    let sent = tokio::time::timeout(limit, exchange(&copy, &bytes)).await;
    copy.count(match sent {
        Ok(Some(())) => Counter::Mirrored,
        Ok(None) | Err(_) => Counter::MirrorDrops,
    });
}

async fn exchange(copy: &RequestCopy, bytes: &[u8]) -> Option<()> {
    let generation = &copy.generation;
    let Pick::Server(id) = generation.backend(copy.backend).map(pick)? else {
        return None;
    };
    let server = generation.model().server(id);
    let to = Destination::of(&generation.state().server(id).address(), None)?;
    let options = Outgoing {
        source: server.source.as_ref(),
        ..Outgoing::default()
    };
    let mut stream = net::connect(&to, options, None).await.ok()?;
    if let Some(version) = server.send_proxy {
        let mut header = Vec::new();
        match version {
            1 => proxy_protocol::encode_v1(None, &mut header),
            _ => header = Version2::local().finish(),
        }
        stream.write_all(&header).await.ok()?;
    }
    if let Some(connector) = generation.tls().connector(id) {
        let host = copy.head.first(b"host").map(|host| uri::split_port(host).0);
        let name = host.and_then(|host| std::str::from_utf8(host).ok());
        let only = Some(crate::model::HttpProtocol::Http1);
        stream = connector.connect(stream, name, only).await.ok()?;
    }
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()?;
    let mut answer = [0; 4096];
    let mut read = 0;
    while read < MOST_ANSWER {
        match stream.read(&mut answer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
    }
    // Without a byte of an answer nobody knows whether it was received.
    (read > 0).then_some(())
}

fn pick(backend: &Backend) -> Pick {
    backend.pick(None, None)
}

/// Most copies a thread has under way at once.
const MOST_COPIES: usize = 64;

/// Largest body that is copied.
pub(super) const MOST_BODY: usize = 64 * 1024;

/// So much of an answer is read before the connection is closed.
const MOST_ANSWER: usize = 1 << 20;

/// Longest time for a copy, whatever the backend's timeouts are.
const LONGEST: Duration = Duration::from_secs(30);
