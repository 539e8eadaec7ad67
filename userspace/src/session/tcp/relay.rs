//! The relay between client and server: two pumps, the timeouts of both sides, and how it ends.
//!
//! Timeouts follow inactivity of a side (manual §4.2): `client` and `server`, replaced by `tunnel` where it is set, and by
//! `client-fin` and `server-fin` once one direction is closed. A side is timed only while something is expected of it.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::Session;
use crate::clock::{self, Moment};
use crate::expr::{Buffer, Inspection};
use crate::model::{BandwidthDirection, Proxy, Timeouts};
use crate::net::{Pump, PumpError, Stream};
use crate::queue::Slot;
use crate::session::bandwidth::Throttle;
use crate::session::rules::{Verdict, Walk};
use crate::session::timer::Timer;
use crate::session::transaction::Termination;
use crate::session::view::SessionView;
use crate::state::Counter;
use crate::types::Millis;

/// What the relay keeps beside the session.
struct Relay<'a> {
    proxy: &'a Proxy,
    server: Stream,
    response: Pump,
    /// What holds each direction up.
    upload: Option<Box<Throttle>>,
    download: Option<Box<Throttle>>,
    /// Rules that still hold back what the server sends.
    inspection: Option<ResponseInspection>,
    timeouts: Limits,
    client_seen: Moment,
    server_seen: Moment,
    /// Bytes that moved on each side when last looked at.
    client_moved: u64,
    server_moved: u64,
    /// Bytes already in the counters, and when they were put there.
    counted: (u64, u64),
    counted_at: Moment,
    timer: Timer,
}

/// The timeouts of an established session.
#[derive(Clone, Copy)]
struct Limits {
    client: Option<Millis>,
    server: Option<Millis>,
    client_fin: Option<Millis>,
    server_fin: Option<Millis>,
}

struct ResponseInspection {
    walk: Walk,
    until: Option<Moment>,
    /// Whether bytes came that the rules have not seen.
    fresh: bool,
}

/// One of the two sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Session<'_> {
    /// Relays until both directions are closed, one side fails, or a timeout strikes. The slot is held meanwhile.
    pub(super) async fn relay(&mut self, slot: Slot, server: Stream) -> Termination {
        let generation = &self.connection.generation;
        let proxy = generation.proxy(generation.model().server(slot.server()).proxy);
        let now = clock::now();
        if proxy.server_nolinger {
            server.socket().linger_nothing();
        }
        let mut relay = Relay {
            proxy,
            server,
            response: Pump::default(),
            upload: self.transaction.bandwidth.take(BandwidthDirection::Upload),
            download: self
                .transaction
                .bandwidth
                .take(BandwidthDirection::Download),
            inspection: (!proxy.tcp_response_content.is_empty()).then(|| ResponseInspection {
                walk: Walk::default(),
                fresh: false,
                until: proxy.response_inspect_delay.map(|delay| now.after(delay.0)),
            }),
            timeouts: Limits::new(self.connection.frontend().timeouts, proxy.timeouts),
            client_seen: now,
            server_seen: now,
            client_moved: self.request.received(),
            server_moved: 0,
            counted: (0, 0),
            counted_at: now,
            timer: Timer::default(),
        };
        let termination = poll_fn(|context| self.poll_relay(&mut relay, context)).await;
        self.count_moved(&mut relay);
        self.transaction
            .bytes
            .to_server
            .set(self.request.delivered());
        self.transaction
            .bytes
            .from_server
            .set(relay.response.received());
        termination
    }

    fn poll_relay(
        &mut self,
        relay: &mut Relay<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Termination> {
        let forward = pump(
            &mut self.request,
            context,
            (&mut self.client, &mut relay.server),
            relay.upload.as_deref_mut(),
        );
        if let Poll::Ready(Err(error)) = forward {
            let failed = match error {
                PumpError::Read(_) => Side::Client,
                PumpError::Write(_) => Side::Server,
            };
            return Poll::Ready(self.failed(failed));
        }
        if let Some(termination) = self.poll_inspection(relay, context) {
            return Poll::Ready(termination);
        }
        if relay.inspection.is_none()
            && let Poll::Ready(Err(error)) = pump(
                &mut relay.response,
                context,
                (&mut relay.server, &mut self.client),
                relay.download.as_deref_mut(),
            )
        {
            let failed = match error {
                PumpError::Read(_) => Side::Server,
                PumpError::Write(_) => Side::Client,
            };
            return Poll::Ready(self.failed(failed));
        }
        if self.request.is_done() && relay.response.is_done() {
            return Poll::Ready(Termination::NORMAL);
        }
        self.note_activity(relay);
        let (side, deadline) = self.deadline(relay);
        let wake = earliest(
            deadline,
            relay
                .inspection
                .as_ref()
                .and_then(|inspection| inspection.until),
        );
        loop {
            ready!(relay.timer.poll(context, wake));
            let now = clock::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                let cause = if side == Side::Client { b'c' } else { b's' };
                return Poll::Ready(Termination([cause, b'D']));
            }
            if let Some(termination) = self.poll_inspection(relay, context) {
                return Poll::Ready(termination);
            }
            if relay.inspection.is_none() {
                // The delay is over: the next round relays what was held back.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Goes on with `tcp-response content` rules as far as there are bytes; a termination if they refuse.
    fn poll_inspection(
        &self,
        relay: &mut Relay<'_>,
        context: &mut Context<'_>,
    ) -> Option<Termination> {
        loop {
            let inspection = relay.inspection.as_mut()?;
            let response = &mut relay.response;
            let expired = inspection.until.is_some_and(|until| clock::now() >= until);
            if !response.is_full() && !response.source_ended() {
                match response.poll_fill(context, &mut relay.server) {
                    Poll::Ready(Ok(_)) => inspection.fresh = true,
                    Poll::Ready(Err(_)) => return Some(self.failed(Side::Server)),
                    Poll::Pending if !inspection.fresh && !expired => return None,
                    Poll::Pending => {}
                }
            }
            let open = !expired
                && inspection.until.is_some()
                && !response.is_full()
                && !response.source_ended();
            inspection.fresh = false;
            match self.walk_response(relay, open) {
                Verdict::Reject | Verdict::Close | Verdict::SilentDrop => {
                    self.count_for_all(Counter::DeniedResponses);
                    return Some(Termination(*b"PD"));
                }
                Verdict::Wait if open => {}
                // Names are resolved for requests only.
                Verdict::Accept | Verdict::Wait | Verdict::SwitchModeHttp | Verdict::Resolve(_) => {
                    relay.inspection = None;
                    let bandwidth = &self.transaction.bandwidth;
                    for (place, direction) in [
                        (&mut relay.upload, BandwidthDirection::Upload),
                        (&mut relay.download, BandwidthDirection::Download),
                    ] {
                        match (place.as_mut(), bandwidth.take(direction)) {
                            (Some(own), Some(more)) => own.join(*more),
                            (None, more) => *place = more,
                            (Some(_), None) => {}
                        }
                    }
                }
            }
        }
    }

    fn walk_response(&self, relay: &mut Relay<'_>, open: bool) -> Verdict {
        let Some(inspection) = &mut relay.inspection else {
            return Verdict::Accept;
        };
        let mut view = SessionView {
            client: Some(&self.client),
            server: Some(&relay.server),
            inspection: if open {
                Inspection::Open
            } else {
                Inspection::Over
            },
            ..SessionView::of(self.connection).with(self.transaction)
        };
        view.response.buffer = Some(Buffer {
            bytes: relay.response.pending(),
            may_grow: open,
        });
        inspection
            .walk
            .over(&relay.proxy.tcp_response_content, &view)
    }

    fn note_activity(&self, relay: &mut Relay<'_>) {
        let client = self.request.received() + relay.response.delivered();
        let server = self.request.delivered() + relay.response.received();
        if client == relay.client_moved && server == relay.server_moved {
            return;
        }
        let now = clock::now();
        if client != relay.client_moved {
            relay.client_moved = client;
            relay.client_seen = now;
        }
        if server != relay.server_moved {
            relay.server_moved = server;
            relay.server_seen = now;
        }
        if self.connection.frontend().contstats && now.since(relay.counted_at) >= COUNT_INTERVAL {
            relay.counted_at = now;
            self.count_moved(relay);
        }
    }

    /// Puts what moved since the last time into the counters.
    fn count_moved(&self, relay: &mut Relay<'_>) {
        let (received, sent) = (self.request.received(), relay.response.delivered());
        let (received_before, sent_before) = relay.counted;
        relay.counted = (received, sent);
        self.transaction.count_bytes(
            self.connection,
            received - received_before,
            sent - sent_before,
        );
    }

    /// The side whose timeout strikes first, and when. A side is timed while it is to send, or to take, something.
    fn deadline(&self, relay: &Relay<'_>) -> (Side, Option<Moment>) {
        let half_closed = self.request.is_done() || relay.response.is_done();
        let (client, server) = relay.timeouts.in_force(half_closed);
        let reads = |pump: &Pump| !pump.source_ended() && !pump.is_delivering();
        let writes = |pump: &Pump| pump.is_delivering() && !pump.is_held();
        let client_busy = reads(&self.request) || writes(&relay.response);
        let server_busy = reads(&relay.response) || writes(&self.request);
        let at = |busy: bool, limit: Option<Millis>, seen: Moment| {
            limit.filter(|_| busy).map(|limit| seen.after(limit.0))
        };
        let client = at(client_busy, client, relay.client_seen);
        let server = at(server_busy, server, relay.server_seen);
        match (client, server) {
            (Some(client), Some(server)) if server < client => (Side::Server, Some(server)),
            (Some(client), _) => (Side::Client, Some(client)),
            (None, server) => (Side::Server, server),
        }
    }

    fn failed(&self, side: Side) -> Termination {
        match side {
            Side::Client => {
                self.count_for_all(Counter::ClientAborts);
                Termination(*b"CD")
            }
            Side::Server => {
                self.count_for_all(Counter::ServerAborts);
                Termination(*b"SD")
            }
        }
    }
}

impl Limits {
    fn new(front: Timeouts, back: Timeouts) -> Self {
        Self {
            client: back.tunnel.or(front.client),
            server: back.tunnel.or(back.server),
            client_fin: front.client_fin,
            server_fin: back.server_fin,
        }
    }

    /// The timeouts of client and server, before or after one direction was closed.
    fn in_force(self, half_closed: bool) -> (Option<Millis>, Option<Millis>) {
        if half_closed {
            (
                self.client_fin.or(self.client),
                self.server_fin.or(self.server),
            )
        } else {
            (self.client, self.server)
        }
    }
}

/// Moves bytes of one direction, as many as its limits let go on.
fn pump(
    pump: &mut Pump,
    context: &mut Context<'_>,
    (source, sink): (&mut Stream, &mut Stream),
    throttle: Option<&mut Throttle>,
) -> Poll<Result<(), PumpError>> {
    let Some(throttle) = throttle else {
        return pump.poll(context, source, sink);
    };
    for _ in 0..ROUNDS {
        let room = match throttle.poll_room(context) {
            Poll::Ready(room) => room as u64,
            Poll::Pending => 0,
        };
        pump.allow(room);
        let before = pump.delivered();
        let step = pump.poll(context, source, sink);
        throttle.count(usize::try_from(pump.delivered() - before).unwrap_or(usize::MAX));
        // With room left the source or the sink is waited for; without any to begin with, the limit.
        if step.is_ready() || room == 0 || !pump.is_held() {
            return step;
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

fn earliest(a: Option<Moment>, b: Option<Moment>) -> Option<Moment> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Rounds of a limited direction before the other tasks of the thread get their turn.
const ROUNDS: usize = 8;

/// Milliseconds between two updates of the counters with `option contstats`.
const COUNT_INTERVAL: u64 = 5_000;
