//! A request and its response between two connections: both directions at once, with deadlines.
//!
//! The request's head waits in the upload's writer when an exchange begins; [`Wire::head`] sends it
//! and whatever there is of the body while it waits for the response's head, and [`Wire::body`]
//! moves the bodies. What is not HTTP any more is [`super::tunnel`]'s. Nothing here knows rules,
//! logs or which server it is.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll, ready};

use super::errors::Failure;
use super::h2::{Call, CallError};
use super::input::Input;
use super::relay::{End, Relay, RelayError};
use crate::clock::{self, Moment};
use crate::model::BodyRate;
use crate::net::Stream;
use crate::proto::http::Head;
use crate::proto::http::http1::{Exchange, Limits, Response, ResponseDecoder};
use crate::session::timer::Timer;
use crate::state::CutReason;
use crate::types::Millis;

/// The two connections of an exchange and what moves between them.
pub(crate) struct Wire<'w> {
    pub(crate) client: &'w mut Stream,
    pub(crate) client_input: &'w mut Input,
    pub(crate) server: &'w mut Stream,
    pub(crate) server_input: &'w mut Input,
    /// The request on a connection to the server that carries several.
    pub(crate) call: Option<&'w Call>,
    pub(crate) upload: &'w mut Relay,
    pub(crate) download: &'w mut Relay,
    pub(crate) timer: &'w mut Timer,
    /// `timeout client` and `timeout server` in force.
    pub(crate) client_timeout: Option<Millis>,
    pub(crate) server_timeout: Option<Millis>,
    /// `min-request-body-rate`.
    pub(crate) body_rate: Option<BodyRate>,
    /// Set when somebody cut the session.
    pub(crate) cut: &'w Cell<Option<CutReason>>,
    pub(crate) progress: Progress,
}

/// How far an exchange is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// What became of the request's body.
    pub(crate) upload: Upload,
    /// The client closed its half; it is not looked at any more.
    pub(crate) client_closed: bool,
    /// Whether anything of a response has come.
    pub(crate) answered: bool,
    /// Since when the response is waited for.
    began: Moment,
    /// Since when each side was last heard of.
    client_moved: Moment,
    server_moved: Moment,
    /// Since when nothing but the client holds its body up, and how much of it had come by then.
    client_alone: Option<(Moment, u64)>,
}

/// What became of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    Running,
    Done,
    /// The server takes no more of it; its response may still come.
    Refused,
}

/// What a client that closes its half while it waits for the response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfClose {
    /// Nothing: it still reads.
    Waits,
    /// It gives up (`option abortonclose`).
    GivesUp,
}

impl Progress {
    pub(crate) fn begin(now: Moment) -> Self {
        Self {
            upload: Upload::Running,
            client_closed: false,
            answered: false,
            began: now,
            client_moved: now,
            server_moved: now,
            client_alone: None,
        }
    }
}

impl Wire<'_> {
    /// Sends the request and waits for a response head, interim or final.
    pub(crate) async fn head(
        &mut self,
        decoder: &mut ResponseDecoder,
        head: &mut Head,
        exchange: Exchange,
        limits: &Limits,
        half_close: HalfClose,
    ) -> Result<Response, Failure> {
        std::future::poll_fn(|context| {
            if let Some(reason) = self.cut.get() {
                return Poll::Ready(Err(Failure::Cut(reason)));
            }
            if let Poll::Ready(failure) = self.poll_upload(context) {
                return Poll::Ready(Err(failure));
            }
            match self.poll_head(context, decoder, head, exchange, limits) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => {}
            }
            let sending = self.progress.upload == Upload::Running;
            if !sending {
                ready!(self.poll_patience(context));
                if let Poll::Ready(failure) = self.poll_client(context, half_close) {
                    return Poll::Ready(Err(failure));
                }
            }
            let (client, server) = match self.upload.waits_for() {
                End::Source if sending => (true, false),
                End::Neither if sending => (false, false),
                _ => (false, true),
            };
            self.poll_deadlines(context, client, server).map(Err)
        })
        .await
    }

    /// Moves what is left of both bodies; the response's head waits in the download's writer.
    pub(crate) async fn body(&mut self) -> Result<(), Failure> {
        std::future::poll_fn(|context| {
            if let Some(reason) = self.cut.get() {
                return Poll::Ready(Err(Failure::Cut(reason)));
            }
            if !self.download.is_done() {
                let before = self.download.moved();
                let step = self
                    .download
                    .poll(context, self.server, self.server_input, self.client);
                if self.download.moved() != before {
                    let now = clock::now();
                    self.progress.client_moved = now;
                    self.progress.server_moved = now;
                }
                if let Poll::Ready(Err(error)) = step {
                    return Poll::Ready(Err(download_failure(&error)));
                }
            }
            if let Poll::Ready(failure) = self.poll_upload(context) {
                return Poll::Ready(Err(failure));
            }
            if self.client.is_carried()
                && let Poll::Ready(error) = self.client.poll_abandoned(context)
            {
                return Poll::Ready(Err(client_error(&error)));
            }
            let downloading = !self.download.is_done();
            let uploading = self.progress.upload == Upload::Running;
            if !downloading && !uploading {
                return Poll::Ready(Ok(()));
            }
            let waits = |relay: &Relay, end| relay.waits_for() == end;
            let client = (downloading && waits(self.download, End::Sink))
                || (uploading && waits(self.upload, End::Source));
            let server = (downloading && waits(self.download, End::Source))
                || (uploading && waits(self.upload, End::Sink));
            self.poll_deadlines(context, client, server).map(Err)
        })
        .await
    }

    /// Moves the request's body. Ready only with a failure: a refusal by the server is none yet.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        if self.progress.upload != Upload::Running {
            return Poll::Pending;
        }
        let before = self.upload.moved();
        let step = self
            .upload
            .poll(context, self.client, self.client_input, self.server);
        if self.upload.moved() != before {
            let now = clock::now();
            self.progress.client_moved = now;
            self.progress.server_moved = now;
        }
        match step {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.progress.upload = Upload::Done,
            Poll::Ready(Err(RelayError::Sink(_))) => self.progress.upload = Upload::Refused,
            Poll::Ready(Err(RelayError::Truncated | RelayError::Source(_))) => {
                return Poll::Ready(Failure::UploadAborted);
            }
            Poll::Ready(Err(RelayError::Malformed(_))) => {
                return Poll::Ready(Failure::BadRequestBody);
            }
            Poll::Ready(Err(RelayError::Filter(_))) => return Poll::Ready(Failure::Internal),
        }
        Poll::Pending
    }

    /// Reads the response until its head is complete.
    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        decoder: &mut ResponseDecoder,
        head: &mut Head,
        exchange: Exchange,
        limits: &Limits,
    ) -> Poll<Result<Response, Failure>> {
        if let Some(call) = self.call {
            return call
                .poll_head(context, head, exchange, limits)
                .map(|result| {
                    self.progress.answered |= result != Err(CallError::Closed);
                    self.progress.server_moved = clock::now();
                    self.download.received += head.text_len() as u64;
                    result.map_err(|error| match error {
                        CallError::Closed => Failure::ServerClosed,
                        CallError::Malformed | CallError::Impossible => Failure::BadResponse,
                    })
                });
        }
        loop {
            if !self.server_input.is_empty() {
                self.progress.answered = true;
                match decoder.decode(self.server_input.bytes(), head, exchange, limits) {
                    Ok(Some(response)) => {
                        self.server_input.consume(response.consumed);
                        self.download.received += response.consumed as u64;
                        return Poll::Ready(Ok(response));
                    }
                    Ok(None) if self.server_input.is_full() => {
                        return Poll::Ready(Err(Failure::BadResponse));
                    }
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Err(Failure::BadResponse)),
                }
            }
            match self.server_input.poll_fill(context, self.server) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Failure::ServerClosed)),
                Poll::Ready(Ok(_)) => self.progress.server_moved = clock::now(),
            }
        }
    }

    /// Ready once the client is to be watched. One that the runtime does not watch yet is left alone for a moment: most
    /// responses come sooner, and such a client then costs no system calls for it. Nothing times out meanwhile.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.client.is_watched() {
            return Poll::Ready(());
        }
        let until = self.progress.began.after(PATIENCE.0);
        self.timer.poll(context, Some(until))
    }

    /// Watches a client that has nothing more to send: it may pipeline, or leave.
    fn poll_client(&mut self, context: &mut Context<'_>, half_close: HalfClose) -> Poll<Failure> {
        if self.client.is_carried() {
            // Such a client leaves by saying so.
            return self
                .client
                .poll_abandoned(context)
                .map(|error| client_error(&error));
        }
        while !self.progress.client_closed && !self.client_input.is_full() {
            match self.client_input.poll_fill(context, self.client) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    self.progress.client_closed = true;
                    if half_close == HalfClose::GivesUp {
                        // Its connection ends with the request: that tells the server.
                        if let Some(call) = self.call {
                            call.give_up();
                        }
                        return Poll::Ready(Failure::ClientClosed);
                    }
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(client_error(&error)),
            }
        }
        Poll::Pending
    }

    /// When more of the request's body must have come (`min-request-body-rate`). Time in which the server takes nothing
    /// does not count.
    fn body_deadline(&mut self) -> Option<Moment> {
        let rate = self.body_rate?;
        let progress = &mut self.progress;
        if progress.upload != Upload::Running || self.upload.waits_for() != End::Source {
            progress.client_alone = None;
            return None;
        }
        let received = self.upload.received;
        let (since, before) = *progress
            .client_alone
            .get_or_insert_with(|| (clock::now(), received));
        Some(since.after(rate.allows(received - before)))
    }

    /// Ready with a failure once a side that is waited for has been silent for too long.
    fn poll_deadlines(
        &mut self,
        context: &mut Context<'_>,
        client: bool,
        server: bool,
    ) -> Poll<Failure> {
        let after = |moved: Moment, timeout: Option<Millis>| timeout.map(|t| moved.after(t.0));
        let slow = self.body_deadline();
        let client = after(self.progress.client_moved, self.client_timeout).filter(|_| client);
        let client = client.into_iter().chain(slow).min();
        let server = after(self.progress.server_moved, self.server_timeout).filter(|_| server);
        let first = match (client, server) {
            (Some(client), Some(server)) => Some(client.min(server)),
            (one, other) => one.or(other),
        };
        self.timer.poll(context, first).map(|()| {
            if client.is_some() && client == first {
                Failure::ClientTimeout
            } else {
                Failure::ServerTimeout
            }
        })
    }
}

/// How long a client that is not watched yet is left alone while its response is waited for.
const PATIENCE: Millis = Millis(10);

fn download_failure(error: &RelayError) -> Failure {
    match error {
        RelayError::Truncated | RelayError::Source(_) => Failure::ServerClosed,
        RelayError::Malformed(_) => Failure::BadResponse,
        RelayError::Filter(_) => Failure::Internal,
        RelayError::Sink(error) => client_error(error),
    }
}

fn client_error(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::ClientReset,
        _ => Failure::ClientClosed,
    }
}
