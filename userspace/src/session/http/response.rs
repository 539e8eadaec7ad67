//! A server's response on its way to the client: rules, cookies, framing, and what is kept of both
//! connections afterwards.
//!
//! [`super::forward`] brought the head; the wire work is [`super::exchange`]'s.

use super::cookie::{self, Told};
use super::errors::{Failure, Stage};
use super::exchange::{Progress, Upload};
use super::forward::{Link, keeps_nothing};
use super::relay::Encoding;
use super::stream::{HttpStream, Response};
use super::tunnel;
use crate::clock;
use crate::model::{BandwidthDirection, HttpReuse, Proxy};
use crate::proto::http::http1::{self, Framing, Limits, Persistence};
use crate::proto::http::{Method, Version};
use crate::session::connection::LastServer;
use crate::session::persistence::Stores;
use crate::state::{Timing, cookie_value};

impl HttpStream<'_, '_> {
    /// Passes an interim response on, to clients that know of such.
    pub(super) async fn interim(&mut self) -> Result<(), Failure> {
        if self.version == Version::Http10 {
            return Ok(());
        }
        let mut head = std::mem::take(&mut self.messages.response);
        head.remove(b"connection");
        let said = self.say_interim(&head).await;
        self.messages.response = head;
        said
    }

    /// The final response: rules, cookies, head and body to the client, and what becomes of the
    /// server's connection.
    pub(super) async fn relay_response(
        &mut self,
        link: &Link<'_>,
        mut response: http1::Response,
        progress: Progress,
        limits: &Limits,
    ) -> Result<(), Failure> {
        self.note_response(link);
        if response.tunnel {
            if progress.upload != Upload::Done {
                // What is still to come of the request would be taken for the other protocol.
                return Err(Failure::BadResponse);
            }
            self.settle_upgrade()?;
        } else {
            // What the server said of its own connection is known; the rest is for the client's.
            self.messages.response.remove(b"connection");
        }
        self.responding = true;
        self.response_framing = response.framing;
        self.check_cacheability(link)?;
        self.apply_response_rules().await?;
        self.tell_cookie(link);
        if !link.proxy.stick_rules.is_empty() {
            Stores::of_response(link.proxy.id, &self.message_view())
                .store(link.server, &self.message_view());
        }
        self.apply_after_response_rules();
        self.invalidate_cache();
        if response.tunnel && self.messages.response.status() != 101 && self.request.upgrade {
            // A rule turned the upgrade into something else: there is no tunnel to speak of.
            response.tunnel = false;
        }
        let (mut framing, mut encoding) = self.client_framing(&response);
        let compressor = self.compress_response(response.framing);
        if compressor.is_some() {
            (framing, encoding) = match self.front.reply {
                Some(_) => (Framing::UntilClose, Encoding::Framed),
                None => (Framing::Chunked, Encoding::Chunked),
            };
        }
        let persistence = self.client_persistence(&response, framing, progress);
        self.transaction.status.set(self.messages.response.status());
        let ends = !response.tunnel && matches!(framing, Framing::None | Framing::Length(0));
        self.say_head(framing, persistence, ends)?;
        self.messages
            .download
            .start(response.framing, encoding, limits);
        let messages = &mut *self.messages;
        let bandwidth = &self.transaction.bandwidth;
        let throttle = bandwidth.take(BandwidthDirection::Download);
        messages.download.slow_down(throttle);
        messages
            .upload
            .slow_down(bandwidth.take(BandwidthDirection::Upload));
        if let Some(storing) = messages.storing.take() {
            messages.download.filter(storing);
        }
        if let Some(compressor) = compressor {
            messages.download.filter(Box::new(compressor));
        }
        self.response = Response::Begun;
        self.stage = Stage::Data;
        self.log_early();
        if response.tunnel {
            return Box::pin(self.tunnel(link.proxy)).await;
        }
        let before = self.messages.download.sent;
        let mut wire = self.wire(link.proxy, progress);
        if let Err(failure) = wire.body().await {
            let unseen = self.messages.download.sent == before && self.front.reply.is_none();
            if failure == Failure::BadResponse && unseen {
                // Nothing of it was shown yet: the client can still be told.
                self.stage = Stage::Headers;
                self.response = Response::Unsent;
                self.messages.download.rewind();
            }
            return Err(failure);
        }
        let wire = wire;
        let upload = wire.progress.upload;
        if persistence == Persistence::Close || upload != Upload::Done {
            self.request.keep_alive = false;
        }
        if response.keep_alive && upload == Upload::Done && !keeps_nothing(link.proxy) {
            self.keep(link);
        }
        Ok(())
    }

    /// Makes the grant of another protocol look as its receiver expects it: over HTTP/2 there are no
    /// keys and no `Upgrade` (RFC 8441 §5).
    fn settle_upgrade(&mut self) -> Result<(), Failure> {
        let carried = self
            .upstream
            .as_ref()
            .is_some_and(|upstream| upstream.call.is_some());
        let messages = &mut *self.messages;
        if carried && self.request.upgrade {
            let protocol = messages.request.first(b"upgrade").unwrap_or_default();
            messages.response.set(b"upgrade", protocol);
            messages.response.set(b"connection", b"upgrade");
            if let (Some(key), None) = (&self.websocket, &self.front.reply) {
                let answer = key.answer();
                messages
                    .response
                    .set(b"sec-websocket-accept", answer.as_bytes());
            }
        } else if let (Some(key), Some(_)) = (&self.websocket, &self.front.reply) {
            let shown = messages.response.first(b"sec-websocket-accept");
            if shown != Some(key.answer().as_bytes()) {
                return Err(Failure::BadResponse);
            }
            messages.response.remove(b"sec-websocket-accept");
        }
        Ok(())
    }

    /// `option checkcache`: a cookie that caches would hand to everybody is not let through.
    fn check_cacheability(&self, link: &Link<'_>) -> Result<(), Failure> {
        let response = &self.messages.response;
        let risky = link.proxy.check_cache
            && response.contains(b"set-cookie")
            && cookie::is_cacheable(response, self.method);
        if risky {
            Err(Failure::Denied(502))
        } else {
            Ok(())
        }
    }

    /// Counts and times a response's head.
    fn note_response(&mut self, link: &Link<'_>) {
        let now = clock::now();
        self.transaction.mark(|line| line.response = Some(now));
        self.transaction
            .server_status
            .set(self.messages.response.status());
        self.count_status(self.messages.response.status(), now);
        let taken = self.transaction.timeline.get().response().unwrap_or(0);
        let state = self.connection.generation.state();
        state
            .server(link.server)
            .counters
            .time(Timing::Response, taken);
        state
            .proxy(link.proxy.id)
            .backend
            .counters
            .time(Timing::Response, taken);
        self.capture_response();
    }

    /// Makes the response tell the client its server.
    fn tell_cookie(&mut self, link: &Link<'_>) {
        let Some(cookie) = &link.proxy.cookie else {
            return;
        };
        let generation = &self.connection.generation;
        let server = cookie_value(Some(cookie), generation.model().server(link.server), || {
            generation.state().server(link.server).address()
        });
        let server = server.as_deref();
        let shown = link.presented.value.as_deref();
        let same_server = link.persistent.is_some()
            && shown.is_some()
            && shown == server.map(str::as_bytes)
            && link.presented.age == cookie::Age::Valid;
        let told = Told {
            method: self.method,
            server,
            presented: link.presented,
            same_server,
            wall: clock::wall().as_secs(),
        };
        let flag = cookie::write(cookie, &mut self.messages.response, told);
        if self.transaction.redispatched.get() {
            self.note_lost_server();
        }
        if cookie.mode != crate::model::CookieMode::Passive {
            self.note_set_cookie(flag);
        }
    }

    /// How the client is shown the body, given how the server delimits it.
    fn client_framing(&self, response: &http1::Response) -> (Framing, Encoding) {
        let status = self.messages.response.status();
        if self.method == Method::Head || matches!(status, 204 | 304) {
            return (Framing::None, Encoding::Discard);
        }
        let carried = self
            .upstream
            .as_ref()
            .is_some_and(|upstream| upstream.call.is_some());
        if self.front.reply.is_some() {
            return match response.framing {
                Framing::None | Framing::Length(0) => (response.framing, Encoding::Discard),
                Framing::Length(length) => (Framing::Length(length), Encoding::Framed),
                Framing::Chunked | Framing::UntilClose => (Framing::UntilClose, Encoding::Framed),
            };
        }
        match response.framing {
            framing if response.tunnel => (framing, Encoding::Plain),
            Framing::UntilClose if carried && self.version != Version::Http10 => {
                (Framing::Chunked, Encoding::Chunked)
            }
            Framing::Chunked if self.version == Version::Http10 => {
                (Framing::UntilClose, Encoding::Plain)
            }
            Framing::Chunked => (Framing::Chunked, Encoding::Chunked),
            framing => (framing, Encoding::Plain),
        }
    }

    fn client_persistence(
        &self,
        response: &http1::Response,
        framing: Framing,
        progress: Progress,
    ) -> Persistence {
        if response.tunnel {
            return if self.messages.response.status() == 101 {
                Persistence::Upgrade
            } else {
                Persistence::KeepAlive
            };
        }
        let asked = self.messages.response.has_token(b"connection", b"close");
        let keeps = self.request.keep_alive
            && framing != Framing::UntilClose
            && progress.upload != Upload::Refused
            && !asked
            && !self.closes_client();
        if keeps {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        }
    }

    /// Keeps the server's connection for another request.
    fn keep(&mut self, link: &Link<'_>) {
        let Some(mut upstream) = self.upstream.take() else {
            return;
        };
        if upstream.call.is_some() {
            // Its connection stays where requests find it.
            return;
        }
        let server = self.connection.generation.model().server(link.server);
        let asks_who = matches!(self.messages.response.status(), 401 | 407);
        // Such a server believes the connection is one client's.
        let personal = asks_who && self.speaks_ntlm()
            || upstream.is_private() && link.proxy.http_reuse != HttpReuse::Never;
        self.connection.last_server.set(Some(LastServer {
            server: link.server,
            asked_who: asks_who || personal,
        }));
        if link.proxy.http_reuse == HttpReuse::Never || personal {
            upstream.make_private();
            self.front.keep_private(upstream);
        } else {
            self.connection
                .worker
                .pool
                .put(upstream, server, clock::now());
        }
    }

    /// Whether the server authenticates connections instead of requests.
    fn speaks_ntlm(&self) -> bool {
        let schemes = [&b"www-authenticate"[..], b"proxy-authenticate"];
        schemes.iter().any(|name| {
            self.messages.response.values(name).any(|value| {
                [&b"NTLM"[..], b"Negotiate", b"Nego2"].iter().any(|scheme| {
                    value
                        .get(..scheme.len())
                        .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
                })
            })
        })
    }

    /// Hands both connections over to whatever they agreed to speak.
    async fn tunnel(&mut self, proxy: &Proxy) -> Result<(), Failure> {
        self.write_out().await?;
        let Some(mut upstream) = self.upstream.take() else {
            return Err(Failure::Internal);
        };
        self.request.keep_alive = false;
        let timeouts = tunnel::Timeouts {
            client: self.client_timeout(),
            server: self.server_timeout(proxy),
            server_fin: proxy.timeouts.server_fin,
            tunnel: self
                .transaction
                .timeouts
                .get()
                .tunnel
                .or(proxy.timeouts.tunnel)
                .or_else(|| self.proxy().timeouts.tunnel),
        };
        let from_client = self.front.input.take();
        self.front.stream.unread(from_client);
        let from_server = upstream.input.take();
        upstream.stream.unread(from_server);
        let messages = &mut *self.messages;
        let front = &mut *self.front;
        let mut tunnel =
            tunnel::Tunnel::new(&mut front.stream, &mut upstream.stream, &mut front.timer);
        let result = tunnel.run(timeouts, front.cut).await;
        messages.upload.count(tunnel.uploaded());
        messages.download.count(tunnel.downloaded());
        result
    }
}
