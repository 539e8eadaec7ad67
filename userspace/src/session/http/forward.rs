//! A request on its way to a server: server, connection, attempts and retries.
//!
//! The wire work is [`super::exchange`]'s, the search for a server [`crate::session::server`]'s, and
//! what becomes of the response [`super::response`]'s.

use super::answer::Said;
use super::cookie::Presented;
use super::errors::{Failure, Stage};
use super::exchange::{HalfClose, Progress, Wire};
use super::front::Stays;
use super::h2::Call;
use super::pool::Upstream;
use super::relay::Encoding;
use super::reuse::Fresh;
use super::stream::{HttpStream, view_of};
use crate::clock;
use crate::model::{BandwidthDirection, LogStep, Proxy, TrailingClose};
use crate::proto::http::http1::{Exchange, Framing, Persistence, ResponseDecoder, encode_request};
use crate::proto::http::{Method, uri};
use crate::queue::Slot;
use crate::session::logging;
use crate::session::persistence::Stores;
use crate::session::server::{Persistent, SearchError, ServerSearch};
use crate::types::{Millis, ProxyId, ServerId};

/// What one attempt is about.
pub(super) struct Link<'l> {
    pub(super) proxy: &'l Proxy,
    pub(super) server: ServerId,
    pub(super) presented: &'l Presented,
    /// Whether persistence chose the server.
    pub(super) persistent: Option<Persistent>,
}

/// Why an attempt with one connection brought no response.
pub(super) enum Attempt {
    /// The connection had served others before and was already closed: nothing was lost.
    Stale,
    /// This failure is to be retried (`retry-on`).
    Retry(Failure),
    Failed(Failure),
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl HttpStream<'_, '_> {
    /// Sends the request to a server of the backend, and its response to the client.
    pub(super) async fn forward(&mut self, backend: ProxyId) -> Result<(), Failure> {
        let proxy = self.connection.generation.proxy(backend);
        let (presented, persistent) = self.persist(proxy);
        self.add_forwarding_fields(proxy);
        self.prepare_compression();
        self.transaction
            .websocket
            .set(self.request.upgrade && self.messages.request.has_token(b"upgrade", b"websocket"));
        self.stage = Stage::Queue;
        let stays = if proxy.abort_on_close {
            Stays::No
        } else {
            Stays::Yes
        };
        let search = ServerSearch::new(
            self.connection,
            self.transaction,
            backend,
            persistent,
            &self.message_view(),
        );
        let mut search = search.ok_or(Failure::NoServer)?;
        let stores = (!proxy.stick_rules.is_empty())
            .then(|| Stores::of_request(backend, &self.message_view()));
        let assigned = self.front.attend(stays, None, search.assign()).await?;
        let mut slot = assigned.map_err(|error| self.not_assigned(&error))?;
        self.redirect_to_server(&slot)?;
        if let Some(stores) = stores {
            stores.store(slot.server(), &self.message_view());
        }
        let mut fresh = Fresh::No;
        loop {
            let upstream = match self.reusable(&slot, proxy, fresh) {
                Some(upstream) => upstream,
                None => {
                    let connected = Box::pin(self.connect(stays, &mut search, slot)).await?;
                    slot = connected.0;
                    connected.1
                }
            };
            let link = Link {
                proxy,
                server: slot.server(),
                presented: &presented,
                persistent,
            };
            match self.attempt(upstream, &link).await {
                Ok(()) => return Ok(()),
                Err(Attempt::Failed(failure)) => return Err(failure),
                Err(Attempt::Stale) => {}
                Err(Attempt::Retry(failure)) => {
                    let error =
                        SearchError::Refused(Box::new(std::io::Error::other("no response")));
                    let waiting = self.front.attend(stays, None, search.failed(slot, error));
                    slot = Box::pin(waiting).await?.map_err(|_| failure)?;
                }
            }
            fresh = Fresh::Yes;
            self.rewind();
        }
    }

    /// A server with `redir` is not connected to: the client is sent there (manual §5.2).
    fn redirect_to_server(&mut self, slot: &Slot) -> Result<(), Failure> {
        let server = self.connection.generation.model().server(slot.server());
        let Some(prefix) = &server.redirect_prefix else {
            return Ok(());
        };
        if !matches!(self.method, Method::Get | Method::Head) {
            return Ok(());
        }
        let path = uri::path_and_query(self.messages.request.target()).unwrap_or(b"/");
        let location = [prefix.as_bytes(), path].concat();
        let answer = &mut self.messages.answer;
        answer.start(302);
        answer.head.add(b"cache-control", b"no-cache");
        answer.head.add(b"location", &location);
        self.prepared = Some(Said::Something);
        self.stage = Stage::Connect;
        Err(Failure::Intercepted(302))
    }

    /// A request that never had a server to wait for did not wait.
    fn not_assigned(&self, error: &SearchError) -> Failure {
        if matches!(error, SearchError::NoServer) {
            self.transaction.mark(|line| line.held = None);
        }
        search_failure(error)
    }

    /// A new connection, after as many attempts as the backend allows.
    async fn connect(
        &mut self,
        stays: Stays,
        search: &mut ServerSearch<'_>,
        mut slot: Slot,
    ) -> Result<(Slot, Upstream), Failure> {
        self.stage = Stage::Connect;
        self.transaction.reused.set(false);
        loop {
            let (permit, made) = match self.permit(slot.server()) {
                Err(error) => (None, Err(error)),
                Ok(permit) => {
                    let view = view_of(self.connection, self.transaction, &self.messages, None);
                    let connecting = search.connect(&slot, &view);
                    (permit, self.front.attend(stays, None, connecting).await?)
                }
            };
            let error = match made {
                Ok(stream) if self.is_http2(slot.server(), &stream) => {
                    let begun = self.begin_carrier(stream, slot.server(), permit).await;
                    match begun {
                        Ok(upstream) => return Ok((slot, upstream)),
                        Err(error) => SearchError::Refused(Box::new(error)),
                    }
                }
                Ok(stream) => {
                    let key = self.key(slot.server());
                    let state = self
                        .connection
                        .generation
                        .state()
                        .server_handle(slot.server());
                    let ends = self.transaction.back_ends.get();
                    return Ok((slot, Upstream::new(stream, ends, key, state, permit)));
                }
                Err(error) => error,
            };
            let failure = search_failure(&error);
            let again = self
                .front
                .attend(stays, None, search.connect_failed(slot, error))
                .await?;
            slot = again.map_err(|_| failure)?;
        }
    }

    /// Sends the request over one connection and relays the response.
    async fn attempt(&mut self, mut upstream: Upstream, link: &Link<'_>) -> Result<(), Attempt> {
        self.stage = Stage::Headers;
        let reused = upstream.requests > 0;
        upstream.requests += 1;
        let carried = upstream.call.is_some();
        let major = if carried { 2 } else { 1 };
        self.transaction.back_http_major.set(major);
        self.upstream = Some(upstream);
        logging::step(self.connection, LogStep::Connect, || self.view());
        self.prepare_request(link);
        if carried {
            self.start_call(link, reused).await?;
        } else {
            self.start_upload(link);
        }
        let limits = self.limits(link.proxy.accept_invalid_response);
        let exchange = Exchange {
            method: self.messages.request.method(),
            upgrade: self.request.upgrade,
        };
        let half_close = if link.proxy.abort_on_close {
            HalfClose::GivesUp
        } else {
            HalfClose::Waits
        };
        let mut progress = Progress::begin(clock::now());
        let response = loop {
            let mut decoder = ResponseDecoder::default();
            let mut head = std::mem::take(&mut self.messages.response);
            head.clear();
            let mut wire = self.wire(link.proxy, progress);
            let result = wire
                .head(&mut decoder, &mut head, exchange, &limits, half_close)
                .await;
            progress = wire.progress;
            let glitches = wire.call.map_or(0, Call::glitches);
            self.transaction.back_glitches.set(glitches);
            self.messages.response = head;
            let response = result.map_err(|failure| {
                self.attempt_failed(failure, reused, !progress.answered, link.proxy)
            })?;
            let status = self.messages.response.status();
            if !(100..200).contains(&status) || status == 101 {
                break response;
            }
            Box::pin(self.interim()).await?;
        };
        if link
            .proxy
            .retry_on
            .statuses
            .contains(&self.messages.response.status())
            && self.is_replayable()
            && !self.no_retry
        {
            return Err(Attempt::Retry(Failure::BadResponse));
        }
        self.relay_response(link, response, progress, &limits)
            .await?;
        Ok(())
    }

    /// Judges a failure before the response's head: whether the request may go out again.
    fn attempt_failed(
        &self,
        failure: Failure,
        reused: bool,
        silent: bool,
        proxy: &Proxy,
    ) -> Attempt {
        let again = self.is_replayable();
        let harmless = self.messages.request.method().is_idempotent();
        if failure == Failure::ServerClosed && reused && silent && again && harmless {
            return Attempt::Stale;
        }
        let wanted = match failure {
            Failure::ServerClosed => proxy.retry_on.empty_response && silent,
            Failure::BadResponse => proxy.retry_on.junk_response,
            Failure::ServerTimeout => proxy.retry_on.response_timeout,
            _ => false,
        };
        if wanted && again && !self.no_retry {
            Attempt::Retry(failure)
        } else {
            Attempt::Failed(failure)
        }
    }

    /// Whether the request can be sent again from what is held of it.
    fn is_replayable(&self) -> bool {
        matches!(self.request.framing, Framing::None | Framing::Length(0))
            || !self.messages.replay.is_empty()
    }

    /// Gets the request ready to be sent again.
    fn rewind(&mut self) {
        self.upstream = None;
        let messages = &mut *self.messages;
        messages.upload.rewind();
        messages.download.rewind();
        if !messages.replay.is_empty() {
            self.front.input.restore(&messages.replay);
            messages.replay.clear();
        }
    }

    /// What the server alone decides of the request's head.
    fn prepare_request(&mut self, link: &Link<'_>) {
        if let Some(field) = &link.proxy.send_name_header {
            let server = self.connection.generation.model().server(link.server);
            self.messages
                .request
                .set(field.as_bytes(), server.name.as_bytes());
        }
        self.keep_for_replay(link.proxy);
        self.settle_websocket();
    }

    /// Puts the request's head in front of its body.
    fn start_upload(&mut self, link: &Link<'_>) {
        let framing = self.request.framing;
        let compressor = self.compress_request();
        let persistence = if self.request.upgrade {
            Persistence::Upgrade
        } else if keeps_nothing(link.proxy) || keeps_nothing(self.proxy()) {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        };
        // A body that came in frames may have no length, which HTTP/1 says with chunks.
        let (shown, encoding) = match framing {
            _ if compressor.is_some() => (Framing::Chunked, Encoding::Chunked),
            Framing::Chunked | Framing::UntilClose => (Framing::Chunked, Encoding::Chunked),
            framing => (framing, Encoding::Plain),
        };
        let limits = self.limits(false);
        let messages = &mut *self.messages;
        messages.upload.writer.clear();
        let prefix = messages.upload.writer.prefix();
        let start = prefix.len();
        encode_request(&messages.request, shown, persistence, prefix);
        if link.proxy.adjust_case_to_server {
            let tune = &self.connection.generation.model().global.tune;
            tune.field_cases.adjust(&mut prefix[start..]);
        }
        messages.upload.start(framing, encoding, &limits);
        let throttle = self.transaction.bandwidth.take(BandwidthDirection::Upload);
        messages.upload.slow_down(throttle);
        self.start_mirroring();
        let messages = &mut *self.messages;
        if let Some(compressor) = compressor {
            messages.upload.filter(Box::new(compressor));
        }
    }

    /// Copies a body that is all here, if the configuration may want to send it twice.
    fn keep_for_replay(&mut self, proxy: &Proxy) {
        let retry = &proxy.retry_on;
        let wanted = retry.empty_response
            || retry.junk_response
            || retry.response_timeout
            || !retry.statuses.is_empty();
        let Framing::Length(length) = self.request.framing else {
            return;
        };
        let body = usize::try_from(length)
            .ok()
            .and_then(|n| self.front.input.bytes().get(..n));
        let most = self.connection.generation.model().global.tune.bufsize;
        if let Some(body) = body.filter(|body| wanted && body.len() <= most) {
            self.messages.replay.clear();
            self.messages.replay.extend_from_slice(body);
        }
    }

    pub(super) fn wire(&mut self, proxy: &Proxy, progress: Progress) -> Wire<'_> {
        let client_timeout = self.client_timeout();
        let server_timeout = self.server_timeout(proxy);
        let body_rate = self.proxy().min_body_rate;
        let messages = &mut *self.messages;
        let upstream = self.upstream.as_mut().expect("an attempt has a connection");
        Wire {
            client: &mut self.front.stream,
            client_input: &mut self.front.input,
            server: &mut upstream.stream,
            server_input: &mut upstream.input,
            call: upstream.call.as_ref(),
            upload: &mut messages.upload,
            download: &mut messages.download,
            timer: &mut self.front.timer,
            client_timeout,
            server_timeout,
            body_rate,
            cut: self.front.cut,
            progress,
        }
    }

    pub(super) fn server_timeout(&self, proxy: &Proxy) -> Option<Millis> {
        self.transaction
            .timeouts
            .get()
            .server
            .or(proxy.timeouts.server)
    }
}

/// Whether the backend closes its servers' connections after each response.
pub(super) fn keeps_nothing(proxy: &Proxy) -> bool {
    proxy.trailing_close != TrailingClose::KeepAlive
}

fn search_failure(error: &SearchError) -> Failure {
    match error {
        SearchError::NoServer | SearchError::QueueFull => Failure::NoServer,
        SearchError::QueueTimeout => Failure::QueueTimeout,
        SearchError::Refused(_) | SearchError::NoAddress => Failure::ConnectRefused,
        SearchError::ConnectTimeout => Failure::ConnectTimeout,
        SearchError::Resource(_) => Failure::NoResource,
    }
}
