//! A response from the cache on its way to a client.

use std::sync::Arc;

use super::super::errors::{Failure, Stage};
use super::super::filter::BodyFilter as _;
use super::super::filter::Flow;
use super::super::front::Front;
use super::super::stream::{HttpStream, Response};
use super::policy;
use crate::clock;
use crate::proto::http::Head;
use crate::proto::http::http1::{Framing, Persistence, chunk_size, encode_last_chunk};
use crate::state::Entry;

impl HttpStream<'_, '_> {
    /// The response that was found for this request.
    pub(in crate::session::http) fn cached(&self) -> Option<Arc<Entry>> {
        self.messages.ticket.as_ref()?.hit.clone()
    }

    /// Gives the client a response from the cache, as if a server had sent it.
    pub(in crate::session::http) async fn deliver(&mut self, entry: &Entry) -> Result<(), Failure> {
        let now = clock::now();
        self.stage = Stage::Headers;
        self.transaction.mark(|line| line.response = Some(now));
        if let Some(ticket) = &self.messages.ticket {
            self.messages.facts.cache = Some(Arc::clone(ticket.cache.settings()));
        }
        self.messages.facts.service = Some("<CACHE>");
        self.prepare_compression();
        let unchanged = self.cached_head(entry);
        self.responding = true;
        self.response_framing = Framing::Length(entry.body.len() as u64);
        self.apply_response_rules().await?;
        self.apply_after_response_rules();
        let status = self.messages.response.status();
        let bodyless = unchanged || matches!(status, 204 | 304);
        let length = Framing::Length(entry.body.len() as u64);
        let compressor = if bodyless {
            None
        } else {
            self.compress_response(length)
        };
        let framing = match (&compressor, bodyless) {
            (_, true) => Framing::None,
            (Some(_), false) => Framing::Chunked,
            (None, false) => length,
        };
        let keep = self.request.keep_alive && self.skip_request_body() && !self.closes_client();
        self.request.keep_alive = keep;
        let persistence = match keep {
            true => Persistence::KeepAlive,
            false => Persistence::Close,
        };
        self.transaction.status.set(status);
        let ends = bodyless || framing == Framing::Length(0);
        self.say_head(framing, persistence, ends)?;
        if let (Framing::Length(length), false) = (framing, ends) {
            self.front.stream.ends_after(length);
        }
        self.response = Response::Begun;
        self.stage = Stage::Data;
        self.log_early();
        let before = self.messages.download.sent;
        let written = match (compressor, bodyless) {
            (_, true) => self.write_out().await,
            (None, false) => self.write_body(&entry.body).await,
            (Some(mut compressor), false) => {
                let mut sent = Ok(());
                for piece in entry.body.chunks(PIECE) {
                    let mut out = Vec::new();
                    let flow = compressor
                        .piece(piece, &mut out)
                        .map_err(|_| Failure::Internal)?;
                    let piece = if flow == Flow::Unchanged { piece } else { &out };
                    sent = self.write_chunk(piece).await;
                    if sent.is_err() {
                        break;
                    }
                }
                let mut out = Vec::new();
                compressor.end(&mut out).map_err(|_| Failure::Internal)?;
                if sent.is_ok() {
                    sent = self.write_chunk(&out).await;
                }
                if sent.is_ok() {
                    sent = self.write_last_chunk().await;
                }
                sent
            }
        };
        let given = self.messages.download.sent - before;
        self.messages.download.count((given, 0));
        written
    }

    /// Puts the stored head in place of a server's; true when the client's copy is still good.
    fn cached_head(&mut self, entry: &Entry) -> bool {
        let now = clock::now();
        let stored_at =
            clock::wall().saturating_sub(std::time::Duration::from_millis(now.since(entry.stored)));
        let messages = &mut *self.messages;
        let unchanged = policy::is_not_modified(&messages.request, &entry.head, stored_at);
        let head = &mut messages.response;
        head.clone_from(&entry.head);
        if unchanged {
            head.set_status(304, super::super::pages::reason(304).as_bytes());
        }
        head.set(b"age", entry.age(now).to_string().as_bytes());
        unchanged
    }

    /// Writes a body behind what waits in the writer, a piece at a time: the client's timeout is
    /// for each piece.
    async fn write_body(&mut self, body: &[u8]) -> Result<(), Failure> {
        for piece in body.chunks(PIECE) {
            self.write_with(piece).await?;
        }
        if body.is_empty() {
            self.write_out().await?;
        }
        Ok(())
    }

    async fn write_chunk(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if piece.is_empty() {
            return Ok(());
        }
        let prefix = self.messages.download.writer.prefix();
        if self.front.reply.is_some() {
            prefix.extend_from_slice(piece);
        } else {
            prefix.extend_from_slice(chunk_size(piece.len()).as_bytes());
            prefix.extend_from_slice(piece);
            prefix.extend_from_slice(b"\r\n");
        }
        self.write_out().await
    }

    async fn write_last_chunk(&mut self) -> Result<(), Failure> {
        let nothing = Head::default();
        if self.front.reply.is_some() {
            let ended = self.front.stream.end_with(&nothing);
            return ended.map_err(|error| Front::write_error(&error));
        }
        encode_last_chunk(&nothing, self.messages.download.writer.prefix());
        self.write_out().await
    }
}

/// So much of a body is handed to the kernel at once.
const PIECE: usize = 64 * 1024;
