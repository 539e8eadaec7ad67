//! A message's body held back until rules have looked at it (`option http-buffer-request`,
//! `wait-for-body`).
//!
//! The bytes stay in the connection's input, still encoded, and are forwarded from there; what rules
//! look at is a decoded copy, at most a buffer's worth.

use std::task::Poll;

use super::errors::Failure;
use super::stream::HttpStream;
use crate::clock::{self, Moment};
use crate::expr::Body;
use crate::proto::http::Head;
use crate::proto::http::http1::{BodyDecoder, BodyError, Framing, Limits};

impl HttpStream<'_, '_> {
    /// `option http-buffer-request` of either proxy, and what the balancing method needs.
    pub(super) async fn buffer_body(&mut self) -> Result<(), Failure> {
        use crate::model::BalanceKind;
        let backend = self.backend();
        let method_reads = matches!(
            backend.balance.kind,
            BalanceKind::UrlParameter {
                check_post: Some(_),
                ..
            }
        ) && self.method == crate::proto::http::Method::Post;
        if !self.proxy().buffer_request && !backend.buffer_request && !method_reads {
            return Ok(());
        }
        let timeouts = self.proxy().timeouts;
        let limit = timeouts.http_request.or(timeouts.client);
        let deadline = limit.map(|limit| clock::now().after(limit.0));
        Box::pin(self.wait_for_body(deadline, 0)).await
    }

    /// Waits until the whole body, `at_least` bytes of it (unless that is 0), or a buffer full is
    /// here.
    pub(super) async fn wait_for_body(
        &mut self,
        deadline: Option<Moment>,
        at_least: u64,
    ) -> Result<(), Failure> {
        if self.messages.upload.is_started() || self.has_no_body() {
            return Ok(());
        }
        let most = self.connection.generation.model().global.tune.bufsize;
        if self.request.expect_continue && self.front.input.is_empty() {
            // The client waits for a word, and the server has not been asked yet.
            self.say_continue().await?;
        }
        let began = clock::now();
        let rate = self.proxy().min_body_rate;
        loop {
            let done = self.copy_request_body()?;
            let enough = at_least > 0 && self.messages.body.len() as u64 >= at_least;
            let full = self.front.input.bytes().len() >= most || self.front.input.is_full();
            if done || enough || full {
                return Ok(());
            }
            let here = self.front.input.bytes().len() as u64;
            let slow = rate.map(|rate| began.after(rate.allows(here)));
            let deadline = deadline.into_iter().chain(slow).min();
            if self.front.read(deadline).await? == 0 {
                if self.request.framing == Framing::UntilClose {
                    // The stream that carries the request has ended, as such requests do.
                    self.body_complete = true;
                    return Ok(());
                }
                return Err(Failure::ClientClosed);
            }
        }
    }

    /// What rules see of the body.
    pub(super) fn body_view(&self) -> Option<Body<'_>> {
        if self.messages.upload.is_started() {
            return Some(Body {
                bytes: &self.messages.body,
                size: 0,
                complete: false,
            });
        }
        let raw = self.front.input.bytes();
        match self.request.framing {
            Framing::None => Some(Body {
                bytes: &[],
                size: 0,
                complete: true,
            }),
            Framing::Length(length) => {
                let there = usize::try_from(length).unwrap_or(usize::MAX).min(raw.len());
                Some(Body {
                    bytes: &raw[..there],
                    size: length,
                    complete: there as u64 == length,
                })
            }
            Framing::Chunked | Framing::UntilClose => Some(Body {
                bytes: &self.messages.body,
                size: self.messages.body.len() as u64,
                complete: self.body_complete,
            }),
        }
    }

    fn has_no_body(&self) -> bool {
        matches!(self.request.framing, Framing::None | Framing::Length(0))
    }

    /// Waits until the server's body, `at_least` bytes of it (unless that is 0), or a buffer full
    /// is here.
    pub(super) async fn wait_for_response_body(
        &mut self,
        deadline: Moment,
        at_least: u64,
    ) -> Result<(), Failure> {
        let most = self.connection.generation.model().global.tune.bufsize;
        loop {
            let Some(upstream) = &mut self.upstream else {
                return Ok(());
            };
            let copy = &mut self.messages.response_body;
            let done = copy_body(self.response_framing, upstream.input.bytes(), copy)
                .map_err(|_| Failure::BadResponse)?;
            let enough = at_least > 0 && copy.len() as u64 >= at_least;
            let full = upstream.input.bytes().len() >= most || upstream.input.is_full();
            if done || enough || full {
                return Ok(());
            }
            let (cut, timer) = (self.front.cut, &mut self.front.timer);
            let gained = std::future::poll_fn(|context| {
                if let Some(reason) = cut.get() {
                    return Poll::Ready(Err(Failure::Cut(reason)));
                }
                match upstream.input.poll_fill(context, &mut upstream.stream) {
                    Poll::Ready(Ok(gained)) => Poll::Ready(Ok(gained)),
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Failure::ServerClosed)),
                    Poll::Pending => timer
                        .poll(context, Some(deadline))
                        .map(|()| Err(Failure::ServerTimeout)),
                }
            })
            .await?;
            if gained == 0 {
                // Whether that was its end or too early is the relay's to say.
                return Ok(());
            }
        }
    }

    /// Decodes a copy of what is here; true when it is all of the body.
    fn copy_request_body(&mut self) -> Result<bool, Failure> {
        let there = self.front.input.bytes();
        let done = copy_body(self.request.framing, there, &mut self.messages.body)
            .map_err(|_| Failure::BadRequestBody)?;
        self.body_complete = done;
        Ok(done)
    }

    async fn say_continue(&mut self) -> Result<(), Failure> {
        if self.version == crate::proto::http::Version::Http10 {
            return Ok(());
        }
        if let Some(reply) = &self.front.reply {
            let mut head = Head::default();
            head.start_response(100, b"Continue", self.version);
            self.messages.request.remove(b"expect");
            return reply.interim(&head);
        }
        let prefix = self.messages.download.writer.prefix();
        prefix.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        // The server must not say it again.
        self.messages.request.remove(b"expect");
        self.write_out().await
    }
}

/// Decodes as much of a body as `raw` holds into `copy`; true when that is all of it.
fn copy_body(framing: Framing, raw: &[u8], copy: &mut Vec<u8>) -> Result<bool, BodyError> {
    copy.clear();
    copy.extend_from_slice(raw);
    let mut decoder = BodyDecoder::new(framing, &Limits::default());
    let progress = decoder.decode(copy)?;
    copy.truncate(progress.data.end);
    copy.drain(..progress.data.start);
    Ok(decoder.is_done())
}
