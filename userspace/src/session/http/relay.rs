//! One direction of an exchange: a message's body from one connection to the other.
//!
//! The body is decoded by its sender's framing and written in the receiver's; a head that waits in
//! the [`Writer`] goes out with the first piece. Large plain bodies are spliced inside the kernel.
//! Deadlines are the exchange's business: it looks at [`Relay::waits_for`] and at the counts.

use std::io;
use std::task::{Context, Poll, ready};

use super::filter::{BodyFilter, Filters};
use super::input::Input;
use super::writer::Writer;
use crate::net::{PumpError, Splice, Stream};
use crate::proto::http::Head;
use crate::proto::http::http1::{
    BodyDecoder, BodyError, Framing, Limits, chunk_size, encode_last_chunk,
};
use crate::session::bandwidth::Throttle;

/// One direction of an exchange.
pub(crate) struct Relay {
    pub(crate) writer: Writer,
    decoder: BodyDecoder,
    encoding: Encoding,
    filters: Filters,
    /// The part of the source's input that is going out, to be consumed afterwards.
    piece: Piece,
    splice: Option<Splice>,
    waits_for: End,
    /// Trailers that came in a frame of their own.
    trailers: Option<Head>,
    /// The sink was told that the message ends.
    ended: bool,
    /// Bytes read from the source, framing included; a head is counted by whoever decoded it.
    pub(crate) received: u64,
    /// Bytes written to the sink, heads and framing included.
    pub(crate) sent: u64,
    /// Of those, how many went through the kernel only.
    pub(crate) spliced: u64,
    /// Reads that filled a buffer, in a row.
    heat: u8,
    started: bool,
    /// What holds the body up.
    throttle: Option<Box<Throttle>>,
}

/// How the sink is shown where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// By a length it knows, or by the end of the connection.
    Plain,
    Chunked,
    /// By the frames of the stream that carries it.
    Framed,
    /// It is not shown a body at all.
    Discard,
}

/// One end of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Sink,
    /// Neither: bandwidth is limited.
    Neither,
}

/// Why a body cannot be relayed any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("reading: {0}")]
    Source(#[source] io::Error),
    #[error("the sender closed in the middle of the message")]
    Truncated,
    #[error(transparent)]
    Malformed(#[from] BodyError),
    #[error("filtering: {0}")]
    Filter(#[source] io::Error),
    #[error("writing: {0}")]
    Sink(#[source] io::Error),
}

#[derive(Default)]
struct Piece {
    data: std::ops::Range<usize>,
    consumed: usize,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            writer: Writer::default(),
            decoder: BodyDecoder::new(Framing::None, &Limits::default()),
            encoding: Encoding::Plain,
            filters: Filters::default(),
            piece: Piece::default(),
            splice: None,
            waits_for: End::Source,
            trailers: None,
            ended: false,
            received: 0,
            sent: 0,
            spliced: 0,
            heat: 0,
            started: false,
            throttle: None,
        }
    }
}

impl Relay {
    /// Gets ready for another message. The writer must be idle, or hold that message's head.
    pub(crate) fn start(&mut self, framing: Framing, encoding: Encoding, limits: &Limits) {
        self.decoder.restart(framing, limits);
        self.encoding = encoding;
        self.filters.clear();
        self.piece = Piece::default();
        self.splice = None;
        self.waits_for = End::Source;
        self.trailers = None;
        self.ended = false;
        self.heat = 0;
        self.started = true;
    }

    /// Lets a filter see, and change, the body of the message that was started. One that changes it
    /// needs a sink that is not told the length.
    pub(crate) fn filter(&mut self, filter: Box<dyn BodyFilter>) {
        if self.encoding != Encoding::Discard {
            self.filters.add(filter);
        }
    }

    /// Holds the body up as limits want it, beside those that do already.
    pub(crate) fn slow_down(&mut self, throttle: Option<Box<Throttle>>) {
        match (&mut self.throttle, throttle) {
            (Some(own), Some(more)) => own.join(*more),
            (own @ None, more) => *own = more,
            (Some(_), None) => {}
        }
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.throttle = None;
        self.writer.clear();
        self.start(Framing::None, Encoding::Plain, &Limits::default());
        (self.received, self.sent, self.spliced) = (0, 0, 0);
        self.started = false;
    }

    /// Forgets the message, so that it can be sent again; what was counted stays counted.
    pub(crate) fn rewind(&mut self) {
        let (received, sent, spliced) = (self.received, self.sent, self.spliced);
        let throttle = self.throttle.take();
        self.clear();
        self.throttle = throttle;
        (self.received, self.sent, self.spliced) = (received, sent, spliced);
    }

    /// Whether a message was given to it.
    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    /// Counts bytes that went another way: received from the source, sent to the sink.
    pub(crate) fn count(&mut self, (received, sent): (u64, u64)) {
        self.received += received;
        self.sent += sent;
    }

    /// Which end the direction was waiting for when it was last pending.
    pub(crate) fn waits_for(&self) -> End {
        self.waits_for
    }

    /// Bytes moved on either end: changes with every progress.
    pub(crate) fn moved(&self) -> u64 {
        self.received + self.sent
    }

    /// Whether the whole message was read from the source.
    pub(crate) fn is_received(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether everything is written, too.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done()
            && self.writer.is_empty()
            && self.splice.is_none()
            && (self.ended || self.encoding != Encoding::Framed)
    }

    /// Moves what can be moved now; ready once the message is through.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
        sink: &mut Stream,
    ) -> Poll<Result<(), RelayError>> {
        for _ in 0..ROUNDS {
            if self.splice.is_some() {
                ready!(self.poll_splice(context, source, sink))?;
                continue;
            }
            let mut held = false;
            if self.piece.consumed == 0 && !input.is_empty() && !self.decoder.is_done() {
                let room = self
                    .throttle
                    .as_mut()
                    .map(|throttle| throttle.poll_room(context));
                match room.unwrap_or(Poll::Ready(usize::MAX)) {
                    Poll::Ready(most) => {
                        self.take_piece(input, most)?;
                        self.announce_end(sink);
                    }
                    Poll::Pending => held = true,
                }
            }
            if self.decoder.is_done() && !self.filters.has_ended() {
                self.end_filters()?;
            }
            self.waits_for = End::Sink;
            let data = &input.bytes()[self.piece.data.clone()];
            ready!(self.writer.poll(context, sink, data, &mut self.sent))
                .map_err(RelayError::Sink)?;
            input.consume(self.piece.consumed);
            self.piece = Piece::default();
            if self.decoder.is_done() {
                return Poll::Ready(self.end(sink));
            }
            if held {
                self.waits_for = End::Neither;
                return Poll::Pending;
            }
            if input.is_empty() && !self.start_splice(source, sink) {
                match self.poll_read(context, source, input) {
                    Poll::Ready(result) => result?,
                    // What filters hold back goes out before the wait.
                    Poll::Pending if self.let_go()? => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Decodes the next piece of input, of at most `most` bytes, and prepares its writing.
    fn take_piece(&mut self, input: &mut Input, most: usize) -> Result<(), RelayError> {
        let bytes = input.bytes_mut();
        let end = bytes.len().min(most);
        let progress = self.decoder.decode(&mut bytes[..end])?;
        if let Some(throttle) = &mut self.throttle {
            throttle.count(progress.data.len());
        }
        self.received += progress.consumed as u64;
        self.piece.consumed = progress.consumed;
        if !self.filters.is_empty() {
            let piece = &input.bytes()[progress.data.clone()];
            let changed = self.filters.piece(piece, progress.done);
            if let Some(changed) = changed.map_err(RelayError::Filter)? {
                put(self.encoding, changed, self.writer.prefix());
                if progress.done && self.encoding == Encoding::Chunked {
                    encode_last_chunk(self.decoder.trailers(), self.writer.prefix());
                }
                return Ok(());
            }
        }
        let length = progress.data.len();
        match self.encoding {
            Encoding::Discard => return Ok(()),
            Encoding::Plain | Encoding::Framed => {
                self.writer.with_data(length);
            }
            Encoding::Chunked => {
                if length > 0 {
                    let size = chunk_size(length);
                    self.writer.prefix().extend_from_slice(size.as_bytes());
                }
                let suffix = self.writer.with_data(length);
                if length > 0 {
                    suffix.extend_from_slice(b"\r\n");
                }
                if progress.done {
                    encode_last_chunk(self.decoder.trailers(), suffix);
                }
            }
        }
        self.piece.data = progress.data;
        Ok(())
    }

    /// Tells a sink that frames messages which piece is the last, if nothing follows it.
    fn announce_end(&self, sink: &mut Stream) {
        if self.encoding == Encoding::Framed
            && self.filters.is_empty()
            && self.decoder.is_done()
            && self.decoder.trailers().is_empty()
        {
            sink.ends_after(self.piece.data.len() as u64);
        }
    }

    /// Ends the message at a sink that frames messages.
    fn end(&mut self, sink: &mut Stream) -> Result<(), RelayError> {
        if self.encoding != Encoding::Framed || self.ended {
            return Ok(());
        }
        self.ended = true;
        let trailers = self
            .trailers
            .as_ref()
            .unwrap_or_else(|| self.decoder.trailers());
        sink.end_with(trailers).map_err(RelayError::Sink)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
    ) -> Poll<Result<(), RelayError>> {
        self.waits_for = End::Source;
        let gained = ready!(input.poll_fill(context, source)).map_err(RelayError::Source)?;
        if gained == 0 {
            if !self.decoder.close() {
                return Poll::Ready(Err(RelayError::Truncated));
            }
            if !self.filters.has_ended() {
                self.end_filters()?;
            }
            self.trailers = source.take_trailers();
            if self.encoding == Encoding::Chunked {
                let trailers = self
                    .trailers
                    .as_ref()
                    .unwrap_or_else(|| self.decoder.trailers());
                encode_last_chunk(trailers, self.writer.prefix());
            }
        }
        self.heat = if input.is_full() {
            self.heat.saturating_add(1)
        } else {
            0
        };
        Poll::Ready(Ok(()))
    }

    /// Prepares the writing of what filters held back until now; false when they held nothing.
    fn let_go(&mut self) -> Result<bool, RelayError> {
        let held = self.filters.pause().map_err(RelayError::Filter)?;
        put(self.encoding, held, self.writer.prefix());
        Ok(!held.is_empty())
    }

    /// The same at the end of a body whose last piece was not known to be the last.
    fn end_filters(&mut self) -> Result<(), RelayError> {
        let rest = self.filters.piece(&[], true).map_err(RelayError::Filter)?;
        put(
            self.encoding,
            rest.unwrap_or_default(),
            self.writer.prefix(),
        );
        Ok(())
    }

    /// Begins to splice when much is known, or likely, to follow in one piece.
    fn start_splice(&mut self, source: &Stream, sink: &Stream) -> bool {
        let is_watched = !self.filters.is_empty() || self.throttle.is_some();
        if self.encoding != Encoding::Plain || is_watched {
            return false;
        }
        let worth_it = match self.decoder.plain() {
            Some(u64::MAX) => self.heat >= SPLICE_HEAT,
            Some(length) => length >= SPLICE_LENGTH,
            None => false,
        };
        if worth_it {
            self.splice = Splice::new(source, sink);
        }
        self.splice.is_some()
    }

    fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        source: &Stream,
        sink: &Stream,
    ) -> Poll<Result<(), RelayError>> {
        let Some(splice) = &mut self.splice else {
            return Poll::Ready(Ok(()));
        };
        let limit = self.decoder.plain().unwrap_or(0);
        let before = (splice.received(), splice.delivered());
        let step = splice.poll(context, source, sink, limit);
        let received = splice.received() - before.0;
        let delivered = splice.delivered() - before.1;
        self.waits_for = if splice.held() > 0 {
            End::Sink
        } else {
            End::Source
        };
        if limit != u64::MAX {
            self.decoder.advance(received);
        }
        self.received += received;
        self.sent += delivered;
        self.spliced += delivered;
        match ready!(step) {
            // The last bytes may still be in the pipe: the splice ends when it is empty.
            Ok(0) if limit > 0 => {
                self.splice = None;
                if self.decoder.close() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Ready(Err(RelayError::Truncated))
                }
            }
            Ok(_) => {
                if self.decoder.plain().is_none() {
                    self.splice = None;
                }
                Poll::Ready(Ok(()))
            }
            Err(PumpError::Read(error)) => Poll::Ready(Err(RelayError::Source(error))),
            Err(PumpError::Write(error)) => Poll::Ready(Err(RelayError::Sink(error))),
        }
    }
}

/// Appends a piece of a body as the sink is to see it.
fn put(encoding: Encoding, piece: &[u8], out: &mut Vec<u8>) {
    if piece.is_empty() || encoding == Encoding::Discard {
        return;
    }
    if encoding == Encoding::Chunked {
        out.extend_from_slice(chunk_size(piece.len()).as_bytes());
    }
    out.extend_from_slice(piece);
    if encoding == Encoding::Chunked {
        out.extend_from_slice(b"\r\n");
    }
}

/// Rounds of reading and writing before the other tasks of the thread get their turn.
const ROUNDS: usize = 16;

/// A body with this many bytes left is spliced: below, splicing gains nothing.
const SPLICE_LENGTH: u64 = 256 * 1024;

/// So many full reads in a row make a body of unknown length worth splicing.
const SPLICE_HEAT: u8 = 4;

#[cfg(test)]
mod tests;
