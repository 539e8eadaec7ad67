//! Bytes both ways after an upgrade or CONNECT: no longer HTTP.
//!
//! Two pumps, the tunnel's timeouts, and the failure that ended it, if one did. An end of stream on
//! one side is passed on as a half-close; the tunnel ends when both sides have ended.

use std::cell::Cell;
use std::task::Poll;

use super::errors::Failure;
use crate::clock::{self, Moment};
use crate::net::{Pump, PumpError, Stream};
use crate::session::timer::Timer;
use crate::state::CutReason;
use crate::types::Millis;

/// The timeouts in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) client: Option<Millis>,
    pub(super) server: Option<Millis>,
    /// Takes the place of both.
    pub(super) tunnel: Option<Millis>,
    /// `timeout server-fin`: once the client has closed its half, and the server was told.
    pub(super) server_fin: Option<Millis>,
}

/// Two connections joined.
pub(super) struct Tunnel<'t> {
    client: &'t mut Stream,
    server: &'t mut Stream,
    timer: &'t mut Timer,
    up: Pump,
    down: Pump,
}

impl<'t> Tunnel<'t> {
    pub(super) fn new(
        client: &'t mut Stream,
        server: &'t mut Stream,
        timer: &'t mut Timer,
    ) -> Self {
        Self {
            client,
            server,
            timer,
            up: Pump::default(),
            down: Pump::default(),
        }
    }

    /// Bytes that came from the client, and how many of them the server got.
    pub(super) fn uploaded(&self) -> (u64, u64) {
        (self.up.received(), self.up.delivered())
    }

    /// The other way round.
    pub(super) fn downloaded(&self) -> (u64, u64) {
        (self.down.received(), self.down.delivered())
    }

    /// Relays until both sides are done.
    pub(super) async fn run(
        &mut self,
        timeouts: Timeouts,
        cut: &Cell<Option<CutReason>>,
    ) -> Result<(), Failure> {
        let mut moved = clock::now();
        std::future::poll_fn(|context| {
            if let Some(reason) = cut.get() {
                return Poll::Ready(Err(Failure::Cut(reason)));
            }
            let before = self.progress();
            if !self.up.is_done()
                && let Poll::Ready(Err(error)) = self.up.poll(context, self.client, self.server)
            {
                return Poll::Ready(Err(failure(&error, Side::Client)));
            }
            if !self.down.is_done()
                && let Poll::Ready(Err(error)) = self.down.poll(context, self.server, self.client)
            {
                return Poll::Ready(Err(failure(&error, Side::Server)));
            }
            if self.progress() != before {
                moved = clock::now();
            }
            if self.up.is_done() && self.down.is_done() {
                return Poll::Ready(Ok(()));
            }
            // The server's end ends the tunnel once the client has all of it.
            if self.down.is_done() {
                return Poll::Ready(Ok(()));
            }
            let (deadline, side) = self.deadline(timeouts, moved);
            self.timer.poll(context, deadline).map(|()| {
                Err(match side {
                    Side::Client => Failure::ClientTimeout,
                    Side::Server => Failure::ServerTimeout,
                })
            })
        })
        .await
    }

    fn progress(&self) -> [u64; 2] {
        [
            self.up.received() + self.up.delivered(),
            self.down.received() + self.down.delivered(),
        ]
    }

    /// When the silence has lasted too long, and whose fault it then is.
    fn deadline(&self, timeouts: Timeouts, moved: Moment) -> (Option<Moment>, Side) {
        let after = |limit: Option<Millis>| limit.map(|limit| moved.after(limit.0));
        if self.up.source_ended() {
            let limit = timeouts.server_fin.or(timeouts.tunnel).or(timeouts.server);
            return (after(limit), Side::Server);
        }
        if timeouts.tunnel.is_some() {
            return (after(timeouts.tunnel), Side::Client);
        }
        match (timeouts.client, timeouts.server) {
            (Some(client), Some(server)) if server < client => (after(Some(server)), Side::Server),
            (None, server) => (after(server), Side::Server),
            (client, _) => (after(client), Side::Client),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Reading fails the near side, writing the far one.
fn failure(error: &PumpError, near: Side) -> Failure {
    match (error, near) {
        (PumpError::Read(_), Side::Client) | (PumpError::Write(_), Side::Server) => {
            Failure::ClientReset
        }
        (PumpError::Read(_), Side::Server) | (PumpError::Write(_), Side::Client) => {
            Failure::ServerClosed
        }
    }
}
