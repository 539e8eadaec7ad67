//! A TCP session: content inspection, the choice of backend and server, the relay, the line in the log (manual §4
//! `mode tcp`).
//!
//! The client's stream comes in after its handshakes. Everything ends here: counters, termination flags (manual §8.5) and
//! the log. What a server search or a rule list is, is told elsewhere.

mod inspect;
mod relay;

use std::future::poll_fn;
use std::task::Poll;

use super::connection::Connection;
use super::logging::{self, Ending};
use super::persistence::{self, Stores};
use super::server::{SearchError, ServerSearch};
use super::switching;
use super::transaction::{Termination, Transaction};
use super::view::{MessageView, SessionView};
use crate::clock;
use crate::expr::{Buffer, Inspection};
use crate::model::{LogStep, Mode};
use crate::net::{Pump, PumpError, Stream};
use crate::queue::Slot;
use crate::state::{Counter, CutReason};
use crate::types::ProxyId;

/// Serves a client's connection as a TCP session, to its end; or puts the stream back when it is to go on as HTTP, with
/// everything that was read in front of it.
pub(super) async fn serve(connection: &Connection, place: &mut Option<Stream>) {
    let Some(client) = place.take() else {
        return;
    };
    let transaction = Transaction::first(connection);
    let mut session = Session {
        connection,
        transaction: &transaction,
        client,
        request: Pump::default(),
    };
    let ended = tokio::select! {
        biased;
        ended = session.run() => ended,
        reason = connection.ticket.cut() => Ended::Flags(flags_of_cut(reason, &transaction)),
    };
    match ended {
        Ended::Flags(termination) => transaction.termination.set(termination),
        Ended::SilentDrop => {
            transaction.termination.set(Termination(*b"PR"));
            session.client.socket().vanish();
        }
        Ended::SwitchModeHttp => {
            let mut stream = session.client;
            stream.unread(session.request.pending().to_vec());
            *place = Some(stream);
            return;
        }
    }
    session.finish();
}

/// One TCP session.
struct Session<'a> {
    connection: &'a Connection,
    transaction: &'a Transaction,
    client: Stream,
    /// What comes from the client: read ahead while rules and server are not decided, then relayed.
    request: Pump,
}

/// How a session ended.
enum Ended {
    Flags(Termination),
    SilentDrop,
    /// It is not over: it goes on as HTTP.
    SwitchModeHttp,
}

impl Session<'_> {
    async fn run(&mut self) -> Ended {
        match self.prepare().await {
            Ok((slot, server, stores)) => {
                stores.store(slot.server(), &self.view(Inspection::Over));
                self.log_early();
                Ended::Flags(self.relay(slot, server).await)
            }
            Err(ended) => ended,
        }
    }

    /// Rules, backend, server.
    async fn prepare(&mut self) -> Result<(Slot, Stream, Stores), Ended> {
        let frontend = self.connection.frontend();
        self.inspect(frontend).await?;
        logging::step(self.connection, LogStep::Request, || {
            self.view(Inspection::Over)
        });
        let backend = switching::backend(&self.view(Inspection::Over))
            .ok_or(Ended::Flags(Termination(*b"SC")))?;
        if self.connection.generation.proxy(backend).mode == Mode::Http {
            return Err(Ended::SwitchModeHttp);
        }
        self.transaction
            .enter_backend(self.connection, backend, clock::now());
        if backend != frontend.id {
            self.inspect(self.connection.generation.proxy(backend))
                .await?;
        }
        self.find_server(backend).await
    }

    /// A connected server; meanwhile what the client sends is kept, and its leaving noticed.
    async fn find_server(&mut self, backend: ProxyId) -> Result<(Slot, Stream, Stores), Ended> {
        let Self {
            connection,
            transaction,
            client,
            request,
        } = self;
        let proxy = connection.generation.proxy(backend);
        let (search, stores) = {
            let view = view(connection, transaction, client, request, Inspection::Over);
            let force = persistence::force(proxy, &view);
            let persistent = persistence::use_server(backend, force, &view)
                .or_else(|| persistence::sticky(backend, force, &view));
            let search = ServerSearch::new(connection, transaction, backend, persistent, &view);
            (search, Stores::of_request(backend, &view))
        };
        let mut search = search.ok_or(Ended::Flags(Termination(*b"SC")))?;
        // The client's stream is being watched while the connection is made, so the search gets a copy to look at.
        let beginning = request.pending().to_vec();
        let mut aside = SessionView::of(connection).with(transaction);
        aside.request.buffer = Some(Buffer {
            bytes: &beginning,
            may_grow: false,
        });
        let found = tokio::select! {
            biased;
            found = search.connected(&aside) => found,
            () = departure(client, request, proxy.abort_on_close) => {
                let termination = Termination([b'C', waiting_stage(transaction)]);
                self.count_client_abort();
                return Err(Ended::Flags(termination));
            }
        };
        let (slot, server) = found.map_err(|error| Ended::Flags(flags_of_search(&error)))?;
        Ok((slot, server, stores))
    }

    fn view(&self, inspection: Inspection) -> SessionView<'_> {
        view(
            self.connection,
            self.transaction,
            &self.client,
            &self.request,
            inspection,
        )
    }

    fn log_early(&self) {
        let frontend = self.connection.frontend();
        let view = self.view(Inspection::Over);
        logging::step(self.connection, LogStep::Connect, || view);
        if frontend.log_asap && frontend.log_steps.is_none() {
            self.transaction.logged_early.set(true);
            logging::finish(&view, LogStep::Connect, Ending::Normal);
        }
    }

    fn finish(self) {
        let now = clock::now();
        self.transaction.mark(|line| {
            line.end = Some(now);
        });
        self.count_total(now);
        let wanted = self.connection.frontend().log_steps;
        let wanted = wanted.is_none_or(|steps| steps.contains(LogStep::Close));
        if wanted && !self.transaction.logged_early.get() {
            let failed = !self.transaction.termination.get().is_normal()
                || self.transaction.retries.get() > 0
                || self.transaction.redispatched.get();
            let ending = if failed {
                Ending::Failed
            } else {
                Ending::Normal
            };
            logging::finish(&self.view(Inspection::Over), LogStep::Close, ending);
        }
        self.transaction.leave_backend();
    }

    fn count_total(&self, now: clock::Moment) {
        let state = self.connection.generation.state();
        let total = self.transaction.timeline.get().total(now);
        if let Some(backend) = self.transaction.backend() {
            state
                .proxy(backend)
                .backend
                .counters
                .time(crate::state::Timing::Total, total);
        }
        if let Some(server) = self.transaction.server.get() {
            state
                .server(server)
                .counters
                .time(crate::state::Timing::Total, total);
        }
    }

    fn count_client_abort(&self) {
        self.count_for_all(Counter::ClientAborts);
    }

    /// Counts for the frontend, and for the backend and the server as far as they are known.
    fn count_for_all(&self, counter: Counter) {
        let state = self.connection.generation.state();
        state
            .proxy(self.connection.frontend)
            .frontend
            .counters
            .count(counter);
        if let Some(backend) = self.transaction.backend() {
            state.proxy(backend).backend.counters.count(counter);
        }
        if let Some(server) = self.transaction.server.get() {
            state.server(server).counters.count(counter);
        }
    }
}

/// What expressions see of a TCP session.
fn view<'a>(
    connection: &'a Connection,
    transaction: &'a Transaction,
    client: &'a Stream,
    request: &'a Pump,
    inspection: Inspection,
) -> SessionView<'a> {
    let buffer = Buffer {
        bytes: request.pending(),
        may_grow: inspection == Inspection::Open && !request.source_ended(),
    };
    SessionView {
        client: Some(client),
        request: MessageView {
            buffer: Some(buffer),
            ..MessageView::NONE
        },
        inspection,
        ..SessionView::of(connection).with(transaction)
    }
}

/// Reads the client ahead, and is ready once the client has gone: it reset the connection, or it closed without leaving
/// anything to deliver, or it closed at all and the backend says `abortonclose`.
async fn departure(client: &mut Stream, request: &mut Pump, abort_on_close: bool) {
    poll_fn(|context| {
        loop {
            if request.is_full() {
                return Poll::Pending;
            }
            match request.poll_fill(context, client) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(PumpError::Read(_) | PumpError::Write(_))) => {
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(0)) if request.pending().is_empty() || abort_on_close => {
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(0)) => return Poll::Pending,
                Poll::Ready(Ok(_)) => {}
            }
        }
    })
    .await;
}

/// Where a session that has no server yet is held up: in a queue, or connecting.
fn waiting_stage(transaction: &Transaction) -> u8 {
    let timeline = transaction.timeline.get();
    match (timeline.connected, timeline.dequeued, timeline.held) {
        (Some(_), ..) => b'D',
        (None, Some(_), _) => b'C',
        (None, None, Some(_)) => b'Q',
        (None, None, None) => b'R',
    }
}

fn flags_of_search(error: &SearchError) -> Termination {
    Termination(match error {
        SearchError::NoServer | SearchError::Refused(_) | SearchError::NoAddress => *b"SC",
        SearchError::QueueTimeout => *b"sQ",
        SearchError::QueueFull => *b"SQ",
        SearchError::ConnectTimeout => *b"sC",
        SearchError::Resource(_) => *b"RC",
    })
}

fn flags_of_cut(reason: CutReason, transaction: &Transaction) -> Termination {
    let cause = match reason {
        CutReason::Killed => b'K',
        CutReason::ServerDown => b'D',
        CutReason::ServerUp => b'U',
    };
    Termination([cause, waiting_stage(transaction)])
}
