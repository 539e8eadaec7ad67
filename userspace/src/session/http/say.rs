//! What a client is told: answers of the proxy's own, and heads and bytes on their way to it.
//!
//! Here, and where a head is read, is the only difference between the versions of HTTP: a head goes
//! in front of its body, or into a frame of its own ([`super::h2`]).

use std::task::Poll;

use super::answer::Said;
use super::errors::Failure;
use super::front::Front;
use super::stream::{HttpStream, Next, Response};
use crate::clock;
use crate::model::ErrorFile;
use crate::proto::http::http1::{self, BodyDecoder, Framing, Limits, Persistence};
use crate::proto::http::{Head, Method, Version};
use crate::session::connection::Connection;

impl<'c> HttpStream<'c, '_> {
    /// Puts the answer for an error status in place.
    pub(crate) fn prepare_error(&mut self, status: u16) -> Said {
        let mut answer = std::mem::take(&mut self.messages.answer);
        let said = answer.error(status, self.error_files(), &self.view());
        self.messages.answer = answer;
        said
    }

    /// The error files in force: the backend's before the frontend's.
    pub(crate) fn error_files(&self) -> impl Iterator<Item = &'c ErrorFile> + use<'c> {
        let frontend = self.proxy();
        let backend = Some(self.backend()).filter(|backend| backend.id != frontend.id);
        backend
            .into_iter()
            .flat_map(|proxy| &proxy.error_files)
            .chain(&frontend.error_files)
    }

    /// Sends the answer that was put in place, after the `http-after-response` rules.
    pub(crate) async fn answer(&mut self) -> Result<Next, Failure> {
        let messages = &mut *self.messages;
        std::mem::swap(&mut messages.response, &mut messages.answer.head);
        self.responding = true;
        // What cannot be read as a request is refused before there is one for rules to apply to.
        if self.transaction.timeline.get().head.is_some() {
            self.apply_after_response_rules();
        }
        let drained = self.skip_request_body();
        let keep = self.request.keep_alive && drained && !self.closes_client();
        let persistence = if keep {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        };
        let messages = &mut *self.messages;
        let status = messages.response.status();
        self.transaction.status.set(status);
        let body = messages.answer.body();
        let framing = match status {
            100..200 | 204 | 304 => Framing::None,
            _ => Framing::Length(body.len() as u64),
        };
        let bodyless = self.method == Method::Head || framing == Framing::None;
        let length = if bodyless { 0 } else { body.len() };
        messages.download.writer.clear();
        self.say_head(framing, persistence, length == 0)?;
        let messages = &mut *self.messages;
        if length > 0 {
            let prefix = messages.download.writer.prefix();
            prefix.extend_from_slice(messages.answer.body());
            self.front.stream.ends_after(length as u64);
        }
        self.response = Response::Begun;
        let before = self.messages.download.sent;
        let written = self.write_out().await;
        // `%B` counts what the client was given, whoever made it.
        let given = self.messages.download.sent - before;
        self.messages.download.count((given, 0));
        written?;
        Ok(if keep {
            Next::Request
        } else if drained && self.request.consumed > 0 {
            Next::Done
        } else {
            Next::Close
        })
    }

    /// Puts the head of the response where the body will follow: in front of it, or into a frame.
    pub(crate) fn say_head(
        &mut self,
        framing: Framing,
        persistence: Persistence,
        ends: bool,
    ) -> Result<(), Failure> {
        let messages = &mut *self.messages;
        if let Some(reply) = &self.front.reply {
            reply.head(&messages.response, framing, ends)?;
            messages.download.sent += messages.response.text_len() as u64;
            return Ok(());
        }
        let prefix = messages.download.writer.prefix();
        let shown = (framing, persistence, self.version);
        put_head(self.connection, &messages.response, shown, prefix);
        Ok(())
    }

    /// Sends an interim response.
    pub(super) async fn say_interim(&mut self, head: &Head) -> Result<(), Failure> {
        if let Some(reply) = &self.front.reply {
            return reply.interim(head);
        }
        let prefix = self.messages.download.writer.prefix();
        let shown = (Framing::None, Persistence::KeepAlive, self.version);
        put_head(self.connection, head, shown, prefix);
        self.write_out().await
    }

    /// Writes what waits in the download's writer.
    pub(crate) async fn write_out(&mut self) -> Result<(), Failure> {
        self.write_with(&[]).await
    }

    /// The same, and `data` behind it.
    pub(crate) async fn write_with(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.messages.download.writer.with_data(data.len());
        let deadline = self
            .client_timeout()
            .map(|limit| clock::now().after(limit.0));
        let download = &mut self.messages.download;
        let front = &mut *self.front;
        std::future::poll_fn(|context| {
            let step = download
                .writer
                .poll(context, &mut front.stream, data, &mut download.sent);
            match step {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(Front::write_error(&error))),
                Poll::Pending => front
                    .timer
                    .poll(context, deadline)
                    .map(|()| Err(Failure::ClientTimeout)),
            }
        })
        .await
    }

    /// Throws away the request's body if all of it has arrived; false when some is still to come.
    pub(crate) fn skip_request_body(&mut self) -> bool {
        if self.messages.upload.is_started() {
            return self.messages.upload.is_received();
        }
        let mut decoder = BodyDecoder::new(self.request.framing, &Limits::default());
        if decoder.is_done() {
            return true;
        }
        match decoder.decode(self.front.input.bytes_mut()) {
            Ok(progress) if progress.done => {
                self.front.input.consume(progress.consumed);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// Writes a head for a client that speaks HTTP/1.
fn put_head(
    connection: &Connection,
    head: &Head,
    (framing, persistence, version): (Framing, Persistence, Version),
    out: &mut Vec<u8>,
) {
    let start = out.len();
    http1::encode_response(head, framing, persistence, version, out);
    if connection.frontend().adjust_case_to_client {
        let tune = &connection.generation.model().global.tune;
        tune.field_cases.adjust(&mut out[start..]);
    }
}
