//! A request to a server that speaks HTTP/2: which version is spoken, and how a request begins on a
//! connection that carries several.
//!
//! Everything after that is as with HTTP/1 ([`super::forward`]); frames and streams are [`super::h2`]'s.

use super::errors::Failure;
use super::forward::{Attempt, Link};
use super::front::Stays;
use super::h2::{CallError, Carrier, WebSocketKey};
use super::pool::{Permit, Upstream};
use super::relay::Encoding;
use super::stream::HttpStream;
use crate::clock;
use crate::expr::TlsText;
use crate::model::{BandwidthDirection, HttpProtocol, HttpReuse};
use crate::net::Stream;
use crate::proto::http::http1::Framing;
use crate::proto::http::http2::Asked;
use crate::proto::http::{Method, items};
use crate::session::transport;
use crate::types::ServerId;

impl HttpStream<'_, '_> {
    /// The version of HTTP this request must be sent in; `None` = what the connection speaks.
    pub(super) fn protocol(&self, server: ServerId) -> Option<HttpProtocol> {
        let server = self.connection.generation.model().server(server);
        transport::protocol(server, self.transaction.websocket.get())
    }

    pub(super) fn is_http2(&self, server: ServerId, stream: &Stream) -> bool {
        match self.protocol(server) {
            Some(protocol) => protocol == HttpProtocol::Http2,
            None => stream.tls().is_some_and(|tls| {
                tls.text(TlsText::Alpn)
                    .is_some_and(|name| *name == b"h2"[..])
            }),
        }
    }

    /// Speaks HTTP/2 on a new connection, which others may then share.
    pub(super) async fn begin_carrier(
        &self,
        stream: Stream,
        server: ServerId,
        permit: Option<Permit>,
    ) -> std::io::Result<Upstream> {
        let generation = &self.connection.generation;
        let tune = &generation.model().global.tune.h2;
        let limits = self.limits(false);
        let ends = self.transaction.back_ends.get();
        let carrier = Carrier::begin(stream, ends, tune, limits, permit).await?;
        let key = self.key(server);
        let model = generation.model().server(server);
        let state = generation.state().server_handle(server);
        let shared = generation.proxy(model.proxy).http_reuse != HttpReuse::Never;
        if shared {
            let pool = &self.connection.worker.pool;
            pool.share(&state, key.clone(), &carrier, model.pool_purge_delay);
        }
        Ok(Upstream::on(&carrier, key, state, limits))
    }

    /// Room on a connection that was attached to the server.
    pub(super) fn attached(&self, server: ServerId) -> Option<Upstream> {
        let key = self.key(server);
        let state = self.connection.generation.state().server_handle(server);
        let pool = &self.connection.worker.pool;
        let carrier = pool.attached().lend(&state, key.name())?;
        let found = Upstream::on(&carrier, key, state, self.limits(false));
        self.note_reuse(server, &found);
        Some(found)
    }

    /// Over HTTP/2 there are no WebSocket keys: one is made, or remembered for the answer.
    pub(super) fn settle_websocket(&mut self) {
        if !self.transaction.websocket.get() {
            return;
        }
        let head = &mut self.messages.request;
        match head.first(b"sec-websocket-key") {
            Some(key) => self.websocket = Some(WebSocketKey::of(key)),
            None => {
                self.websocket = WebSocketKey::make();
                if let Some(key) = &self.websocket {
                    head.add(b"sec-websocket-key", key.as_bytes());
                }
            }
        }
    }

    /// Sends the request's head on a connection that carries several.
    pub(super) async fn start_call(
        &mut self,
        link: &Link<'_>,
        reused: bool,
    ) -> Result<(), Attempt> {
        let limits = self.limits(false);
        let framing = self.request.framing;
        let switches = self.request.upgrade;
        let tunnel = switches || self.messages.request.method() == Method::Connect;
        let compressor = self.compress_request();
        let bodyless = matches!(framing, Framing::None | Framing::Length(0));
        let timeout = self.server_timeout(link.proxy);
        let upstream = self.upstream.as_ref().expect("an attempt has a connection");
        let Some(call) = &upstream.call else {
            return Err(Attempt::Failed(Failure::Internal));
        };
        if switches {
            // Whether the server can do that is in its first words.
            let deadline = timeout.map(|limit| clock::now().after(limit.0));
            let introduced = std::future::poll_fn(|context| call.poll_introduced(context));
            self.front.attend(Stays::Yes, deadline, introduced).await?;
        }
        if tunnel && !bodyless {
            call.decline();
            return Err(Attempt::Failed(Failure::BadResponse));
        }
        let messages = &mut *self.messages;
        let protocol = items(messages.request.first(b"upgrade").unwrap_or_default()).next();
        let asked = Asked {
            framing: match compressor {
                _ if tunnel => Framing::None,
                Some(_) => Framing::Chunked,
                None => framing,
            },
            protocol: protocol.filter(|_| switches),
        };
        let ends = bodyless && !tunnel;
        call.start(&messages.request, asked, ends)
            .map_err(|error| match error {
                CallError::Closed if reused => Attempt::Stale,
                CallError::Closed => Attempt::Failed(Failure::ServerClosed),
                CallError::Malformed | CallError::Impossible => {
                    Attempt::Failed(Failure::BadResponse)
                }
            })?;
        let encoding = if bodyless {
            Encoding::Discard
        } else {
            Encoding::Framed
        };
        messages.upload.writer.clear();
        messages.upload.sent += messages.request.text_len() as u64;
        messages.upload.start(framing, encoding, &limits);
        let throttle = self.transaction.bandwidth.take(BandwidthDirection::Upload);
        messages.upload.slow_down(throttle);
        self.start_mirroring();
        if let Some(compressor) = compressor {
            self.messages.upload.filter(Box::new(compressor));
        }
        Ok(())
    }
}
