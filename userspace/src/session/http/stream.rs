//! One request of a connection, from its first byte to the line in the log.
//!
//! HAProxy calls it a stream, and so does this program. [`HttpStream::run`] is the whole story in
//! order; the steps are in the neighbouring files: [`super::rules`], [`super::route`],
//! [`super::forward`], [`super::finish`].

use super::answer::Said;
use super::errors::{self, Exit, Failure, Stage};
use super::front::Front;
use super::h2::WebSocketKey;
use super::messages::Loan;
use super::pool::Upstream;
use crate::clock::{self, Moment};
use crate::expr::{Body, Fetched, Inspection};
use crate::model::{LogStep, Proxy, TrailingClose};
use crate::proto::http::http1::{self, Framing, Limits, RequestDecoder, Tolerance};
use crate::proto::http::{Head, Method, Version};
use crate::session::connection::Connection;
use crate::session::logging;
use crate::session::transaction::{Termination, Transaction};
use crate::session::view::{MessageView, SessionView};
use crate::state::{Counter, StickEvent};
use crate::types::Millis;

/// One request and what becomes of it.
pub(crate) struct HttpStream<'c, 'f> {
    pub(crate) connection: &'c Connection,
    pub(crate) transaction: &'c Transaction,
    pub(crate) front: &'c mut Front<'f>,
    pub(crate) messages: Loan,
    /// What the request's head says about the rest; a placeholder until it was read.
    pub(crate) request: http1::Request,
    /// The method the client used, whatever rules make of it.
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) stage: Stage,
    /// How much of a response the client has been sent.
    pub(crate) response: Response,
    /// Whether the answer to give is already in `messages.answer`, or known to be none.
    pub(crate) prepared: Option<Said>,
    /// Whether the response's head is there for expressions to see.
    pub(crate) responding: bool,
    /// Whether the connection is to end without the client hearing of it.
    pub(crate) vanishes: bool,
    /// `disable-l7-retry`.
    pub(crate) no_retry: bool,
    /// Whether the copy of the body that rules look at is all of it.
    pub(crate) body_complete: bool,
    /// How the server delimits its response.
    pub(crate) response_framing: Framing,
    /// The connection to the server while the request is on it.
    pub(crate) upstream: Option<Upstream>,
    /// The key of a WebSocket handshake that one side does without.
    pub(crate) websocket: Option<WebSocketKey>,
    /// Whether a line is to be logged at the end.
    pub(crate) logged: bool,
}

/// How far the response to the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// Nothing of it was sent; there may still be an answer of our own.
    Unsent,
    Begun,
}

/// What happens to the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may follow.
    Request,
    /// Nothing follows, and the client has sent all it had to send.
    Done,
    /// Nothing follows; the client may still be sending.
    Close,
    /// The connection is closed without ceremony.
    Abort,
    /// The client is not told at all.
    Vanish,
}

impl<'c, 'f> HttpStream<'c, 'f> {
    pub(crate) fn new(
        connection: &'c Connection,
        transaction: &'c Transaction,
        front: &'c mut Front<'f>,
    ) -> Self {
        Self {
            connection,
            transaction,
            front,
            messages: Loan::take(),
            request: http1::Request {
                consumed: 0,
                framing: Framing::None,
                keep_alive: false,
                upgrade: false,
                expect_continue: false,
            },
            method: Method::Other,
            version: Version::Http11,
            stage: Stage::Request,
            response: Response::Unsent,
            prepared: None,
            responding: false,
            vanishes: false,
            no_retry: false,
            body_complete: false,
            response_framing: Framing::None,
            upstream: None,
            websocket: None,
            logged: true,
        }
    }

    /// Serves the request. `deadline` is when its head must be complete, if its first byte does not
    /// decide that.
    pub(crate) async fn run(&mut self, deadline: Option<Moment>) -> Next {
        // What rules change of the client's addresses holds for this request only.
        let connection = self.connection;
        let ends = connection.ends.get();
        let next = self.serve(deadline).await;
        connection.ends.set(ends);
        next
    }

    async fn serve(&mut self, deadline: Option<Moment>) -> Next {
        let read = self.read_head(deadline).await;
        let first = self.front.requests == 0;
        let nothing = self.transaction.timeline.get().first_byte.is_none();
        if read.is_err() && nothing && (!first || self.proxy().http_ignore_probes) {
            // A connection that ends between two requests is the normal end of a connection.
            return Next::Abort;
        }
        if nothing && self.proxy().dont_log_null {
            self.logged = false;
        }
        self.front.requests += 1;
        self.begin(first, read.is_ok());
        let result = match read {
            Ok(()) => self.process().await,
            Err(failure) => Err(failure),
        };
        self.conclude(result).await
    }

    /// The frontend.
    pub(crate) fn proxy(&self) -> &'c Proxy {
        self.connection.frontend()
    }

    /// The backend once there is one, else the frontend.
    pub(crate) fn backend(&self) -> &'c Proxy {
        let id = self
            .transaction
            .backend()
            .unwrap_or(self.connection.frontend);
        self.connection.generation.proxy(id)
    }

    /// The bounds of message heads.
    pub(crate) fn limits(&self, unsafe_violations: bool) -> Limits {
        let tune = &self.connection.generation.model().global.tune;
        let tolerance = if unsafe_violations {
            Tolerance::Unsafe
        } else {
            Tolerance::Strict
        };
        Limits {
            head: tune.bufsize.saturating_sub(tune.maxrewrite),
            fields: tune.http_maxhdr.saturating_sub(1),
            tolerance,
        }
    }

    /// What expressions see now.
    pub(crate) fn view(&self) -> SessionView<'_> {
        let mut view = self.message_view();
        view.client = Some(&self.front.stream);
        view.server = self.upstream.as_ref().map(|upstream| &upstream.stream);
        view
    }

    /// The same without the client's socket, for work that goes on while the client is watched.
    pub(crate) fn message_view(&self) -> SessionView<'_> {
        let response = self.responding.then_some(&self.messages.response);
        let mut view = view_of(self.connection, self.transaction, &self.messages, response);
        view.request.body = self.body_view();
        if self.responding && !self.messages.response_body.is_empty() {
            let bytes = &self.messages.response_body[..];
            view.response.body = Some(Body {
                bytes,
                size: bytes.len() as u64,
                complete: false,
            });
        }
        view
    }

    /// `timeout client` in force.
    pub(crate) fn client_timeout(&self) -> Option<Millis> {
        let chosen = self.transaction.timeouts.get().client;
        chosen.or_else(|| self.proxy().timeouts.client)
    }

    async fn read_head(&mut self, deadline: Option<Moment>) -> Result<(), Failure> {
        let limits = self.limits(self.proxy().accept_invalid_request);
        if self.front.reply.is_some() {
            return self.take_head(&limits);
        }
        let timeouts = self.proxy().timeouts;
        let first = self.front.requests == 0;
        let mut deadline = deadline;
        let mut decoder = RequestDecoder::default();
        loop {
            if !self.front.input.is_empty() {
                if self.transaction.timeline.get().first_byte.is_none() {
                    let now = clock::now();
                    self.transaction.mark(|line| {
                        line.first_byte = Some(now);
                        line.request_date = clock::wall();
                    });
                    if !first {
                        let limit = timeouts.http_request.or(timeouts.client);
                        deadline = limit.map(|limit| now.after(limit.0));
                    }
                }
                let head = &mut self.messages.request;
                match decoder.decode(self.front.input.bytes(), head, &limits) {
                    Ok(Some(request)) => {
                        self.front.input.consume(request.consumed);
                        self.messages.upload.received += request.consumed as u64;
                        self.request = request;
                        return Ok(());
                    }
                    Ok(None) if self.front.input.is_full() => return Err(Failure::BadRequest(400)),
                    Ok(None) => {}
                    Err(error) => return Err(Failure::BadRequest(error.reason.status())),
                }
            }
            if self.front.read(deadline).await? == 0 {
                return Err(Failure::ClientClosed);
            }
            if timeouts.http_request.is_none() {
                deadline = timeouts.client.map(|limit| clock::now().after(limit.0));
            }
        }
    }

    /// Takes the head that came in frames of its own.
    fn take_head(&mut self, limits: &Limits) -> Result<(), Failure> {
        let now = clock::now();
        self.transaction.mark(|line| {
            line.first_byte = Some(now);
            line.request_date = clock::wall();
        });
        let Some(reply) = &mut self.front.reply else {
            return Err(Failure::Internal);
        };
        match reply.request(&mut self.messages.request, limits) {
            Ok(request) => {
                self.messages.upload.received += self.messages.request.text_len() as u64;
                self.request = request;
                Ok(())
            }
            Err(reason) => {
                // The stream was reset: that is the answer.
                self.prepared = Some(Said::Nothing);
                Err(Failure::BadRequest(reason.status()))
            }
        }
    }

    /// Counts the request and remembers what logs will want to know of it.
    fn begin(&mut self, first: bool, complete: bool) {
        let now = clock::now();
        let frontend = &self
            .connection
            .generation
            .state()
            .proxy(self.connection.frontend)
            .frontend;
        frontend.counters.count(Counter::Requests);
        frontend.counters.count(match self.front.reply {
            Some(_) => Counter::Http2Requests,
            None => Counter::Http1Requests,
        });
        frontend.request_rate.add(1, now);
        self.transaction
            .count_tracked(self.connection, StickEvent::Request, 1, now);
        self.messages.facts.first = first;
        if !complete {
            return;
        }
        self.transaction.mark(|line| line.head = Some(now));
        self.method = self.messages.request.method();
        self.version = self.messages.request.version();
        let messages = &mut *self.messages;
        let most = self
            .connection
            .generation
            .model()
            .global
            .tune
            .http_logurilen;
        messages.facts.remember(&messages.request, most);
        self.capture_request();
        logging::step(self.connection, LogStep::Request, || self.view());
    }

    /// What the configuration says is done with the request.
    async fn process(&mut self) -> Result<(), Failure> {
        self.monitor()?;
        let frontend = self.connection.frontend;
        self.apply_request_rules(frontend).await?;
        let Some(backend) = self.route() else {
            self.transaction
                .enter_backend(self.connection, frontend, clock::now());
            return Err(Failure::NoServer);
        };
        self.transaction
            .enter_backend(self.connection, backend, clock::now());
        if backend != frontend {
            self.apply_request_rules(backend).await?;
        }
        if let Some(entry) = self.cached() {
            return Box::pin(self.deliver(&entry)).await;
        }
        self.buffer_body().await?;
        self.forward(backend).await
    }

    /// Gives the answer the failure calls for, if one can be given, and ends the request.
    async fn conclude(&mut self, result: Result<(), Failure>) -> Next {
        let next = match result {
            Ok(()) => self.after_response(),
            Err(failure) => Box::pin(self.fail(failure)).await,
        };
        self.finish();
        next
    }

    async fn fail(&mut self, failure: Failure) -> Next {
        let next = self.refuse_with(failure).await;
        if let Some(reply) = &self.front.reply {
            reply.reset(errors::reset_reason(failure));
        }
        next
    }

    async fn refuse_with(&mut self, failure: Failure) -> Next {
        let Exit { status, flags } = errors::exit(failure, self.stage);
        if self.stage == Stage::Headers {
            // The response that came, if one did, is not what the client gets.
            self.transaction.mark(|line| line.response = None);
        }
        self.transaction.termination.set(Termination(flags));
        self.count_failure(failure);
        let closes = matches!(
            failure,
            Failure::ClientClosed
                | Failure::ClientReset
                | Failure::ClientTimeout
                | Failure::BadRequest(_)
                | Failure::BadRequestBody
                | Failure::Cut(_)
        );
        match (status, self.response) {
            (Some(status), Response::Unsent) => {
                if closes {
                    self.request.keep_alive = false;
                }
                let said = self.prepared.unwrap_or_else(|| self.prepare_error(status));
                if said == Said::Nothing {
                    self.transaction.status.set(status);
                    return Next::Close;
                }
                match self.answer().await {
                    Ok(next) => next,
                    Err(_) => Next::Abort,
                }
            }
            _ if self.vanishes => Next::Vanish,
            (_, Response::Unsent) if failure == Failure::Rejected => Next::Abort,
            _ => Next::Abort,
        }
    }

    /// What follows a response that came from a server.
    fn after_response(&self) -> Next {
        match (self.request.keep_alive, self.messages.upload.is_received()) {
            (true, true) => Next::Request,
            (false, true) => Next::Done,
            (_, false) => Next::Close,
        }
    }

    /// Whether the configuration wants the client's connection closed after the response.
    pub(crate) fn closes_client(&self) -> bool {
        let both = TrailingClose::Both;
        self.connection.worker.is_stopping()
            || self.proxy().trailing_close == both
            || self.backend().trailing_close == both
    }
}

/// What expressions see of a request and, if it is there, its response.
pub(crate) fn view_of<'a>(
    connection: &'a Connection,
    transaction: &'a Transaction,
    messages: &'a super::messages::Messages,
    response: Option<&'a Head>,
) -> SessionView<'a> {
    let mut view = SessionView::of(connection).with(transaction);
    view.inspection = Inspection::Over;
    view.http = Some(&messages.facts);
    view.request = MessageView {
        head: Fetched::Value(&messages.request),
        ..MessageView::NONE
    };
    view.response = MessageView {
        head: response.into(),
        ..MessageView::NONE
    };
    view
}
