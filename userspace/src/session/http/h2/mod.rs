//! HTTP/2 on the client's side: one connection, many requests at once.
//!
//! The frames are the `h2` crate's. Every request becomes an [`HttpStream`] over a byte stream of its
//! own ([`halves`]), so that rules, servers, logs and errors are those of HTTP/1. What is said here is
//! how long a connection lives, how many requests it may have, and when it has misbehaved enough
//! ([`watch`]).

mod halves;
mod reply;
mod reverse;
mod server;
mod watch;
mod websocket;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use halves::Base;
pub(super) use reply::Reply;
pub(in crate::session) use reverse::Attached;
pub(super) use reverse::attach;
pub(super) use server::{Call, CallError, Carrier};
use watch::{Traffic, Watched};
pub(super) use websocket::WebSocketKey;

use super::front::{Front, PRIVATE};
use super::pool::Upstream;
use super::stream::{HttpStream, Next};
use crate::clock::{self, Moment};
use crate::net::Stream;
use crate::session::connection::{Connection, Ends};
use crate::session::timer::Timer;
use crate::session::transaction::Transaction;
use crate::state::CutReason;
use crate::types::Millis;

/// Serves a client's connection as HTTP/2, to its end.
pub(super) async fn serve(connection: &Connection, stream: Stream, cut: &Cell<Option<CutReason>>) {
    let base = Rc::new(Base::new(stream));
    let traffic = Rc::new(Traffic::default());
    let mut timer = Timer::default();
    let ended = talk(connection, &base, &traffic, &mut timer, cut).await;
    traffic.report(connection);
    let Some(stream) = Rc::into_inner(base).map(Base::into_stream) else {
        return;
    };
    let front = Front::new(stream, cut);
    match ended {
        Ended::Normally => {}
        Ended::Badly => front.close().await,
        Ended::Vanishing => front.vanish(),
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Both sides know.
    Normally,
    /// The client was told why and may still be sending.
    Badly,
    /// The client is not to hear of it (`silent-drop`).
    Vanishing,
}

async fn talk(
    connection: &Connection,
    base: &Rc<Base>,
    traffic: &Rc<Traffic>,
    timer: &mut Timer,
    cut: &Cell<Option<CutReason>>,
) -> Ended {
    let timeouts = connection.frontend().timeouts;
    let limits = Limits::of(connection);
    let watched = Watched::new(Rc::clone(base), Rc::clone(traffic), limits.announced_window);
    let mut handshake = std::pin::pin!(limits.builder().handshake::<_, Bytes>(watched));
    let first = timeouts.http_request.or(timeouts.client);
    let deadline = first.map(|limit| clock::now().after(limit.0));
    let greeted = std::future::poll_fn(|context| {
        if cut.get().is_some() {
            return Poll::Ready(None);
        }
        match handshake.as_mut().poll(context) {
            Poll::Ready(greeted) => Poll::Ready(greeted.ok()),
            Poll::Pending => timer.poll(context, deadline).map(|()| None),
        }
    });
    let Some(wire) = greeted.await else {
        return Ended::Normally;
    };
    let mut talk = Talk {
        connection,
        base,
        traffic,
        cut,
        limits,
        wire,
        requests: FuturesUnordered::new(),
        kept: Rc::default(),
        accepted: 0,
        closing: false,
        over: None,
        since: clock::now(),
    };
    std::future::poll_fn(|context| {
        if connection.worker.is_stopping() {
            talk.say_goodbye();
        }
        if let Poll::Ready(ended) = talk.poll(context) {
            return Poll::Ready(ended);
        }
        let deadline = talk.idle_deadline();
        timer.poll(context, deadline).map(|()| Ended::Normally)
    })
    .await
}

/// A connection at work.
struct Talk<'c> {
    connection: &'c Connection,
    base: &'c Rc<Base>,
    traffic: &'c Rc<Traffic>,
    cut: &'c Cell<Option<CutReason>>,
    limits: Limits,
    wire: h2::server::Connection<Watched, Bytes>,
    requests: FuturesUnordered<Request<'c>>,
    /// Server connections that only this client may use, while no request does.
    kept: Rc<RefCell<Vec<Upstream>>>,
    accepted: u32,
    /// GOAWAY was sent.
    closing: bool,
    /// Nothing more comes from the wire.
    over: Option<Ended>,
    /// Since when there is no request.
    since: Moment,
}

impl Talk<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        if self.cut.get().is_some() && self.over.is_none() {
            self.abandon(h2::Reason::CANCEL);
        }
        for _ in 0..ROUNDS {
            let accepted = self.poll_wire(context);
            self.judge();
            let mut progress = accepted;
            while let Poll::Ready(Some(next)) = self.requests.poll_next_unpin(context) {
                progress = true;
                self.since = clock::now();
                if next == Next::Vanish {
                    return Poll::Ready(Ended::Vanishing);
                }
            }
            if let Some(ended) = self.over
                && self.requests.is_empty()
            {
                return Poll::Ready(ended);
            }
            // What requests have said is on its way only once the wire was polled again.
            if !progress && !self.traffic.has_pending() {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads and writes frames; true when a request was accepted.
    fn poll_wire(&mut self, context: &mut Context<'_>) -> bool {
        let mut accepted = false;
        while self.over.is_none() {
            match self.wire.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.accept(request, respond);
                    accepted = true;
                }
                Poll::Ready(Some(Err(error))) => {
                    let told = error.is_library() || self.closing;
                    self.over = Some(if told { Ended::Badly } else { Ended::Normally });
                }
                Poll::Ready(None) => self.over = Some(Ended::Normally),
                Poll::Pending => break,
            }
        }
        accepted
    }

    fn accept(
        &mut self,
        request: http::Request<h2::RecvStream>,
        respond: h2::server::SendResponse<Bytes>,
    ) {
        let (reply, stream) = Reply::to(
            request,
            respond,
            Rc::clone(self.base),
            Rc::clone(self.traffic),
            self.limits.announced_window,
            self.limits.window_raise(),
        );
        let number = self.accepted;
        self.accepted += 1;
        let future = answer(
            self.connection,
            stream,
            reply,
            self.cut,
            number,
            Rc::clone(&self.kept),
        );
        self.requests.push(Request {
            connection: self.connection,
            ends: self.connection.ends.get(),
            future: Box::pin(future),
        });
        let total = self.limits.total;
        if total > 0 && self.accepted >= total {
            self.say_goodbye();
        }
    }

    /// Acts on how the client has behaved so far.
    fn judge(&mut self) {
        self.traffic.report(self.connection);
        if self.over.is_some() {
            return;
        }
        let glitches = self.traffic.glitches();
        let most = self.limits.glitches;
        if self.traffic.is_flooded() || (most > 0 && glitches >= most) {
            self.abandon(h2::Reason::ENHANCE_YOUR_CALM);
        } else if most > 0 && glitches >= most - most / 4 {
            self.say_goodbye();
        }
    }

    /// Lets the requests that are there finish, and takes no more.
    fn say_goodbye(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.wire.graceful_shutdown();
        }
    }

    fn abandon(&mut self, reason: h2::Reason) {
        self.closing = true;
        self.wire.abrupt_shutdown(reason);
    }

    /// Until when the connection may be without requests.
    fn idle_deadline(&self) -> Option<Moment> {
        if !self.requests.is_empty() {
            return None;
        }
        if self.connection.is_reversed() && !self.closing {
            // It is there for requests that may come at any time.
            return None;
        }
        if self.closing {
            return Some(self.since.after(FAREWELL.0));
        }
        let timeouts = self.connection.frontend().timeouts;
        let first = match self.accepted {
            0 => None,
            _ => timeouts.http_keep_alive,
        };
        let limit = first.or(timeouts.http_request).or(timeouts.client);
        limit.map(|limit| self.since.after(limit.0))
    }
}

/// One request of a connection.
struct Request<'c> {
    connection: &'c Connection,
    /// The client's addresses as this request's rules changed them.
    ends: Ends,
    future: Pin<Box<dyn Future<Output = Next> + 'c>>,
}

impl Future for Request<'_> {
    type Output = Next;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let others = self.connection.ends.replace(self.ends);
        let step = self.future.as_mut().poll(context);
        self.ends = self.connection.ends.replace(others);
        step
    }
}

async fn answer(
    connection: &Connection,
    stream: Stream,
    mut reply: Reply,
    cut: &Cell<Option<CutReason>>,
    number: u32,
    kept: Rc<RefCell<Vec<Upstream>>>,
) -> Next {
    let transaction = if number == 0 && !connection.is_reversed() {
        Transaction::first(connection)
    } else {
        Transaction::following(connection, clock::now())
    };
    let mut front = Front::new(stream, cut);
    front.requests = number;
    front.reply = Some(&mut reply);
    front.private = std::mem::take(&mut *kept.borrow_mut());
    let mut stream = HttpStream::new(connection, &transaction, &mut front);
    let next = stream.run(None).await;
    drop(stream);
    let mut kept = kept.borrow_mut();
    kept.append(&mut front.private);
    kept.truncate(PRIVATE);
    next
}

/// The bounds of a client's connection.
#[derive(Clone, Copy, Debug)]
struct Limits {
    head: u32,
    streams: u32,
    total: u32,
    glitches: u32,
    announced_window: u32,
    frame: u32,
    table: u32,
}

impl Limits {
    fn of(connection: &Connection) -> Self {
        let tune = &connection.generation.model().global.tune;
        Self {
            // The crate answers what is larger with 431; what a rule's buffer holds is judged later.
            head: (tune.bufsize * 2).clamp(16 * 1024, 1 << 20) as u32,
            streams: tune.h2.front.streams.unwrap_or(tune.h2.streams),
            total: tune.h2.total_streams,
            glitches: tune.h2.front.glitches,
            announced_window: tune.h2.front.window.unwrap_or(tune.h2.window),
            frame: tune.h2.frame_size,
            table: tune.h2.header_table,
        }
    }

    /// What a request with a large body gets beyond the announced window.
    fn window_raise(&self) -> u32 {
        self.window() - self.announced_window
    }

    fn window(&self) -> u32 {
        self.announced_window.max(STREAM_WINDOW)
    }

    fn builder(&self) -> h2::server::Builder {
        let mut builder = h2::server::Builder::new();
        builder
            .max_header_list_size(self.head)
            .max_concurrent_streams(self.streams)
            .initial_window_size(self.window())
            .max_frame_size(self.frame)
            .header_table_size(self.table)
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(RESET_STREAMS)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(Some(LOCAL_ERRORS))
            .enable_connect_protocol();
        builder
    }
}

/// Rounds of frames and requests before the other connections of the thread get their turn.
const ROUNDS: usize = 16;

/// How long a client may take to close after GOAWAY, once its requests are done.
const FAREWELL: Millis = Millis(1000);

/// What one stream may send ahead of what its server takes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What one stream may have waiting to be written.
const SEND_BUFFER: usize = 128 * 1024;

/// Streams reset by us, or by the client before we looked at them, that are remembered.
const RESET_STREAMS: usize = 32;

/// Streams that we reset for the client's mistakes before its connection is closed (MadeYouReset).
const LOCAL_ERRORS: usize = 128;
