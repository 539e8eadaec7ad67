//! HTTP/2 on the server's side: connections that carry the requests of many clients.
//!
//! A [`Carrier`] is one connection and the task that moves its frames; a [`Call`] is one request on
//! it, with the byte stream its bodies move through. Which requests may share a carrier is
//! `http-reuse`'s rule, applied by [`super::super::pool`].

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;

use super::halves::{Base, Halves, Shared, broken};
use super::reverse::Loan;
use super::watch::{Traffic, Watched};
use crate::clock::{self, Moment};
use crate::model::Http2Tune;
use crate::net::Stream;
use crate::proto::http::Head;
use crate::proto::http::http1::{Exchange, Limits, Response};
use crate::proto::http::http2::{Asked, decode_response, encode_request, reset_stream};
use crate::session::http::pool::Permit;
use crate::session::worker::Task;

/// One connection to a server.
pub(crate) struct Carrier {
    send: RefCell<h2::client::SendRequest<Bytes>>,
    base: Rc<Base>,
    traffic: Rc<Traffic>,
    /// Our end and the server's.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    /// Requests on it now, and ever.
    running: Cell<u32>,
    carried: Cell<u32>,
    most: u32,
    /// Abnormal events after which it takes no more requests; 0 = any number.
    glitches: u32,
    /// Since when it is without requests.
    idle_since: Cell<Moment>,
    dead: Rc<Cell<bool>>,
    bearer: Bearer,
    _permit: Option<Permit>,
}

/// Who moves a connection's frames.
enum Bearer {
    /// A task that ends with it.
    Own { _task: Task },
    /// The thread that the connection was attached on; this is one request's place on it.
    Lent { _loan: Loan },
}

/// One request to a server.
pub(crate) struct Call {
    carrier: Rc<Carrier>,
    halves: Rc<RefCell<Halves>>,
    /// Whether the carrier had served others before.
    pub(crate) reused: bool,
}

/// Why a call brought no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The connection or the stream ended.
    Closed,
    /// What came is no valid response.
    Malformed,
    /// HTTP/2, or this server, cannot do what is asked.
    Impossible,
}

impl Carrier {
    /// Begins to speak HTTP/2 on a new connection.
    pub(crate) async fn begin(
        stream: Stream,
        ends: Option<(SocketAddr, SocketAddr)>,
        tune: &Http2Tune,
        limits: Limits,
        permit: Option<Permit>,
    ) -> std::io::Result<Rc<Self>> {
        let base = Rc::new(Base::new(stream));
        let traffic = Rc::new(Traffic::default());
        let watched = Watched::to_server(Rc::clone(&base), Rc::clone(&traffic));
        let (send, wire) = builder(tune, limits)
            .handshake::<_, Bytes>(watched)
            .await
            .map_err(broken)?;
        let dead = Rc::new(Cell::new(false));
        let ending = Rc::clone(&dead);
        let greeted = Rc::clone(&traffic);
        let task = Task::new(async move {
            let mut wire = std::pin::pin!(wire);
            let mut raised = false;
            std::future::poll_fn(|context| {
                // Not before the greetings are over: some servers expect nothing in between.
                if !raised && greeted.is_introduced() {
                    raised = true;
                    wire.set_target_window_size(CONNECTION_WINDOW);
                }
                // How it ended is told to every request on it.
                wire.as_mut().poll(context).map(|_| ())
            })
            .await;
            ending.set(true);
        });
        Ok(Rc::new(Self {
            send: RefCell::new(send),
            base,
            traffic,
            ends,
            running: Cell::new(0),
            carried: Cell::new(0),
            most: tune.back.streams.unwrap_or(tune.streams),
            glitches: tune.back.glitches,
            idle_since: Cell::new(clock::now()),
            dead,
            bearer: Bearer::Own { _task: task },
            _permit: permit,
        }))
    }

    /// A connection of which one request may be made here; whoever lent it looks at its limits.
    pub(super) fn lent(
        send: h2::client::SendRequest<Bytes>,
        base: Base,
        ends: Option<(SocketAddr, SocketAddr)>,
        loan: Loan,
    ) -> Rc<Self> {
        Rc::new(Self {
            send: RefCell::new(send),
            base: Rc::new(base),
            traffic: Rc::new(Traffic::introduced()),
            ends,
            running: Cell::new(0),
            // It has been used for its introduction at least.
            carried: Cell::new(1),
            most: 1,
            glitches: 0,
            idle_since: Cell::new(clock::now()),
            dead: Rc::default(),
            bearer: Bearer::Lent { _loan: loan },
            _permit: None,
        })
    }

    /// Whether another request finds room.
    pub(crate) fn has_room(&self) -> bool {
        let allowed = self.send.borrow().current_max_send_streams();
        let running = self.running.get();
        let misbehaves = self.glitches > 0 && self.traffic.glitches() >= self.glitches;
        !self.dead.get() && !misbehaves && running < self.most && (running as usize) < allowed
    }

    /// Whether it carries none now.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.get() == 0
    }

    /// How many requests it has carried.
    pub(crate) fn carried(&self) -> u32 {
        self.carried.get()
    }

    /// Whether it may be closed: it is over, or has rested since before `moment`.
    pub(crate) fn is_spent(&self, rest: crate::types::Millis, now: Moment) -> bool {
        self.dead.get() || self.running.get() == 0 && now >= self.idle_since.get().after(rest.0)
    }
}

impl Call {
    /// A call that waits for its request, and the stream for its bodies.
    pub(crate) fn on(carrier: &Rc<Carrier>, limits: Limits) -> (Self, Stream) {
        let halves = Rc::new(RefCell::new(Halves::new(limits)));
        let shared = Shared(Rc::clone(&halves), Rc::clone(&carrier.base));
        let stream = Stream::carried(Box::new(shared));
        carrier.running.set(carrier.running.get() + 1);
        let reused = carrier.carried.replace(carrier.carried.get() + 1) > 0;
        let call = Self {
            carrier: Rc::clone(carrier),
            halves,
            reused,
        };
        (call, stream)
    }

    /// Sends the request's head; `ends` when no body follows.
    pub(crate) fn start(&self, head: &Head, asked: Asked<'_>, ends: bool) -> Result<(), CallError> {
        let mut send = self.carrier.send.borrow_mut();
        if asked.protocol.is_some() && !send.is_extended_connect_protocol_enabled() {
            self.decline();
            return Err(CallError::Impossible);
        }
        let request = encode_request(head, asked).ok_or(CallError::Impossible)?;
        let (response, body) = send
            .send_request(request, ends)
            .map_err(|_| CallError::Closed)?;
        let mut halves = self.halves.borrow_mut();
        halves.response = Some(response);
        halves.send = Some(body);
        halves.ended = ends;
        Ok(())
    }

    /// Gives up a request that HTTP/2, or this server, cannot be asked. A connection that was made for it alone ends; as
    /// HAProxy does, the stream that the request would have had is reset first, which servers may wait for.
    pub(crate) fn decline(&self) {
        let carrier = &self.carrier;
        if carrier.carried.get() == 1 && matches!(carrier.bearer, Bearer::Own { .. }) {
            carrier.dead.set(true);
            carrier
                .base
                .write_last(&reset_stream(1, h2::Reason::CANCEL.into()));
        }
    }

    /// Ready once the server has said what it can do.
    pub(crate) fn poll_introduced(&self, context: &Context<'_>) -> Poll<()> {
        if self.carrier.traffic.is_introduced() || self.carrier.dead.get() {
            Poll::Ready(())
        } else {
            self.carrier.traffic.wake_when_introduced(context.waker());
            Poll::Pending
        }
    }

    /// The next response head, interim or final.
    pub(crate) fn poll_head(
        &self,
        context: &mut Context<'_>,
        head: &mut Head,
        exchange: Exchange,
        limits: &Limits,
    ) -> Poll<Result<Response, CallError>> {
        let mut halves = self.halves.borrow_mut();
        let Some(response) = &mut halves.response else {
            return Poll::Ready(Err(CallError::Closed));
        };
        if let Poll::Ready(Some(interim)) = response.poll_informational(context) {
            let interim = interim.map_err(|_| CallError::Closed)?;
            let (parts, ()) = interim.into_parts();
            let decoded = decode_response(&parts, false, head, exchange, limits);
            return Poll::Ready(decoded.map_err(|_| CallError::Malformed));
        }
        let arrived = ready!(Pin::new(response).poll(context)).map_err(|error| {
            let malformed = error.is_library() && error.is_reset();
            if malformed {
                CallError::Malformed
            } else {
                CallError::Closed
            }
        })?;
        let (parts, receive) = arrived.into_parts();
        let ended = receive.is_end_stream();
        halves.over = ended;
        halves.receive = Some(receive);
        halves.response = None;
        let decoded = decode_response(&parts, ended, head, exchange, limits);
        Poll::Ready(decoded.map_err(|_| CallError::Malformed))
    }

    /// Tells the server that nobody wants its response any more.
    pub(crate) fn give_up(&self) {
        self.halves.borrow_mut().reset(h2::Reason::CANCEL);
    }

    /// Abnormal events on its connection (`bc_glitches`).
    pub(crate) fn glitches(&self) -> u32 {
        self.carrier.traffic.glitches()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let carrier = &self.carrier;
        carrier.running.set(carrier.running.get() - 1);
        carrier.idle_since.set(clock::now());
    }
}

pub(super) fn builder(tune: &Http2Tune, limits: Limits) -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .max_header_list_size((limits.head * 2).clamp(16 * 1024, 1 << 20) as u32)
        .initial_window_size(tune.back.window.unwrap_or(tune.window).max(STREAM_WINDOW))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(LOCAL_ERRORS));
    builder
}

/// Whoever waits for a server's first SETTINGS.
#[derive(Default)]
pub(super) struct Waiting(RefCell<Vec<Waker>>);

impl Waiting {
    pub(super) fn add(&self, waker: &Waker) {
        let mut wakers = self.0.borrow_mut();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(super) fn wake(&self) {
        for waker in self.0.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}

/// What one response may send ahead of what its client takes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What all responses of a connection together may.
pub(super) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

const SEND_BUFFER: usize = 128 * 1024;
const RESET_STREAMS: usize = 128;
const LOCAL_ERRORS: usize = 1024;
