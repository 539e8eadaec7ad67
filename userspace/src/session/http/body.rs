//! A request's body held back until rules have looked at it (`option http-buffer-request`,
//! `wait-for-body`).
//!
//! The bytes stay in the client's input, still encoded, and are forwarded from there; what rules
//! look at is a decoded copy, at most a buffer's worth.

use super::errors::Failure;
use super::stream::HttpStream;
use crate::clock::{self, Moment};
use crate::expr::Body;
use crate::proto::http::http1::{BodyDecoder, Framing, Limits};

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
        self.wait_for_body(limit.map(|limit| clock::now().after(limit.0)), 0)
            .await
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
        loop {
            let done = self.copy_body()?;
            let enough = at_least > 0 && self.messages.body.len() as u64 >= at_least;
            let full = self.front.input.bytes().len() >= most || self.front.input.is_full();
            if done || enough || full {
                return Ok(());
            }
            if self.front.read(deadline).await? == 0 {
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

    /// Decodes a copy of what is here; true when it is all of the body.
    fn copy_body(&mut self) -> Result<bool, Failure> {
        if let Framing::Length(length) = self.request.framing {
            let there = self.front.input.bytes();
            if there.len() as u64 >= length {
                self.body_complete = true;
            }
            self.messages.body.clear();
            let there = &there[..there
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX))];
            self.messages.body.extend_from_slice(there);
            return Ok(self.body_complete);
        }
        let mut copy = std::mem::take(&mut self.messages.body);
        copy.clear();
        copy.extend_from_slice(self.front.input.bytes());
        let mut decoder = BodyDecoder::new(self.request.framing, &Limits::default());
        let decoded = decoder.decode(&mut copy);
        let progress = decoded.map_err(|_| Failure::BadRequestBody)?;
        copy.truncate(progress.data.end);
        copy.drain(..progress.data.start);
        self.messages.body = copy;
        self.body_complete = progress.done;
        Ok(progress.done)
    }

    async fn say_continue(&mut self) -> Result<(), Failure> {
        if self.version == crate::proto::http::Version::Http10 {
            return Ok(());
        }
        let prefix = self.messages.download.writer.prefix();
        prefix.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        // The server must not say it again.
        self.messages.request.remove(b"expect");
        self.write_out().await
    }
}
