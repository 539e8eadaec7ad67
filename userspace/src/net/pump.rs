//! One direction of a relay: bytes from one stream to another, in 64 KiB buffers, promoted to splice(2) for bulk.
//!
//! A session polls two pumps over the same two streams. A pump holds a buffer or a pipe only while bytes are in flight,
//! passes the end of the stream on as a half-close, and counts. Timeouts are the session's business: it looks at
//! [`Pump::received`] and [`Pump::delivered`] to see which side moved.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::Stream;
use super::buffer::{Buffer, RELAY_BUFFER};
use super::pipe::Pipe;

/// One direction of a relay.
#[derive(Default)]
pub struct Pump {
    phase: Phase,
    carrier: Carrier,
    received: u64,
    delivered: u64,
    /// Bytes that may still be given to the sink, where that is bounded.
    allowance: Option<u64>,
    /// Large reads in a row; enough of them promote the direction to splice, small ones demote it.
    heat: u8,
}

/// Which side of a direction failed.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// Reading from the source.
    #[error("reading: {0}")]
    Read(#[source] io::Error),
    /// Writing to the sink.
    #[error("writing: {0}")]
    Write(#[source] io::Error),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The source may still send.
    #[default]
    Open,
    /// The source is done; what is held must still be delivered, then the sink half-closed.
    Draining,
    /// The sink was half-closed.
    Done,
}

/// Where bytes in flight are.
#[derive(Default)]
enum Carrier {
    /// None are.
    #[default]
    Empty,
    /// In a buffer, from `start` to `end`.
    Buffer {
        buffer: Buffer,
        start: usize,
        end: usize,
    },
    /// In a pipe, in the kernel.
    Pipe(Pipe),
}

impl Pump {
    /// Bytes taken from the source.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Bytes given to the sink.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bounds what [`Self::poll`] gives to the sink; beyond that it waits for another allowance, which nobody announces.
    pub fn allow(&mut self, bytes: u64) {
        self.allowance = Some(bytes);
    }

    /// Whether only an allowance is missing for bytes to be delivered.
    pub fn is_held(&self) -> bool {
        self.allowance == Some(0) && self.is_delivering()
    }

    /// Whether the source has ended.
    pub fn source_ended(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether the end was passed on: nothing more will happen.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// What was read and not yet delivered; empty while bytes are inside a kernel pipe.
    pub fn pending(&self) -> &[u8] {
        match &self.carrier {
            Carrier::Buffer { buffer, start, end } => &buffer[*start..*end],
            Carrier::Empty | Carrier::Pipe(_) => &[],
        }
    }

    /// Whether bytes are on their way: the sink is waited for, not the source.
    pub fn is_delivering(&self) -> bool {
        match &self.carrier {
            Carrier::Empty => false,
            Carrier::Buffer { start, end, .. } => start < end,
            Carrier::Pipe(pipe) => pipe.held() > 0,
        }
    }

    /// Whether no more bytes fit before some are delivered.
    pub fn is_full(&self) -> bool {
        matches!(&self.carrier, Carrier::Buffer { end, .. } if *end == RELAY_BUFFER)
    }

    /// Reads once, appending to what is pending: the bytes gained, 0 at the end of the source. Used before the relay
    /// starts, to inspect contents and to notice a client that leaves. The pump must not be full.
    pub fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
    ) -> Poll<Result<usize, PumpError>> {
        if self.phase != Phase::Open {
            return Poll::Ready(Ok(0));
        }
        ready!(source.poll_readable(context)).map_err(PumpError::Read)?;
        let (mut buffer, start, end) = match std::mem::take(&mut self.carrier) {
            Carrier::Buffer { buffer, start, end } => (buffer, start, end),
            Carrier::Empty => (Buffer::take(), 0, 0),
            Carrier::Pipe(pipe) => {
                debug_assert_eq!(pipe.held(), 0, "inspection comes before splicing");
                (Buffer::take(), 0, 0)
            }
        };
        debug_assert!(end < buffer.len(), "the caller looks at is_full first");
        let mut space = ReadBuf::new(&mut buffer[end..]);
        let read = Pin::new(source).poll_read(context, &mut space);
        let gained = space.filled().len();
        if end + gained > 0 {
            self.carrier = Carrier::Buffer {
                buffer,
                start,
                end: end + gained,
            };
        }
        ready!(read).map_err(PumpError::Read)?;
        self.received += gained as u64;
        if gained == 0 {
            self.phase = Phase::Draining;
        }
        Poll::Ready(Ok(gained))
    }

    /// Moves bytes until the source has no more for now, the sink takes no more for now, or the end was passed on
    /// (`Ready(Ok)`).
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), PumpError>> {
        for _ in 0..ROUNDS {
            ready!(self.poll_deliver(context, sink))?;
            match self.phase {
                Phase::Open => ready!(self.poll_take(context, source, sink))?,
                Phase::Draining => {
                    // A sink that is gone already needs no farewell.
                    let _ = ready!(Pin::new(&mut *sink).poll_shutdown(context));
                    self.phase = Phase::Done;
                    return Poll::Ready(Ok(()));
                }
                Phase::Done => return Poll::Ready(Ok(())),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what the source has, into a pipe if the direction is hot and both ends are bare TCP.
    fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        source: &mut Stream,
        sink: &Stream,
    ) -> Poll<Result<(), PumpError>> {
        if self.heat >= SPLICE_HEAT
            && self.allowance.is_none()
            && sink.bare_socket().is_some()
            && let Some(bare) = source.bare_socket()
        {
            match std::mem::take(&mut self.carrier) {
                Carrier::Pipe(pipe) => return self.poll_splice_in(context, bare, pipe),
                _ => match Pipe::take() {
                    Ok(pipe) => return self.poll_splice_in(context, bare, pipe),
                    Err(_) => self.heat = 0,
                },
            }
        }
        self.carrier = Carrier::Empty;
        let gained = ready!(self.poll_fill(context, source))?;
        self.heat = if gained >= LARGE_READ {
            self.heat.saturating_add(1)
        } else {
            0
        };
        Poll::Ready(Ok(()))
    }

    fn poll_splice_in(
        &mut self,
        context: &mut Context<'_>,
        source: &TcpStream,
        mut pipe: Pipe,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            match source.poll_read_ready(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(ready) => ready.map_err(PumpError::Read)?,
            }
            match source.try_io(Interest::READABLE, || pipe.fill(source, u64::MAX)) {
                Ok(0) => {
                    self.phase = Phase::Draining;
                    return Poll::Ready(Ok(()));
                }
                Ok(moved) => {
                    self.received += moved as u64;
                    self.heat = if moved >= SMALL_SPLICE {
                        HOT
                    } else {
                        self.heat.saturating_sub(1)
                    };
                    self.carrier = Carrier::Pipe(pipe);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(PumpError::Read(error))),
            }
        }
    }

    /// Gives the sink all that is in flight.
    fn poll_deliver(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<Result<(), PumpError>> {
        match &mut self.carrier {
            Carrier::Empty => return Poll::Ready(Ok(())),
            Carrier::Buffer { buffer, start, end } => {
                while *start < *end {
                    let most = usize::try_from(self.allowance.unwrap_or(u64::MAX));
                    let until = start.saturating_add(most.unwrap_or(usize::MAX)).min(*end);
                    if until == *start {
                        break;
                    }
                    let written = Pin::new(&mut *sink).poll_write(context, &buffer[*start..until]);
                    let written = ready!(written).map_err(PumpError::Write)?;
                    if written == 0 {
                        return Poll::Ready(Err(PumpError::Write(io::ErrorKind::WriteZero.into())));
                    }
                    *start += written;
                    self.delivered += written as u64;
                    if let Some(allowance) = &mut self.allowance {
                        *allowance -= written as u64;
                    }
                }
                let held = *start < *end;
                // An encrypted sink may still hold the last record.
                ready!(Pin::new(sink).poll_flush(context)).map_err(PumpError::Write)?;
                if held {
                    return Poll::Pending;
                }
            }
            Carrier::Pipe(pipe) => {
                let Some(sink) = sink.bare_socket() else {
                    return Poll::Ready(Ok(()));
                };
                while pipe.held() > 0 {
                    ready!(sink.poll_write_ready(context)).map_err(PumpError::Write)?;
                    match sink.try_io(Interest::WRITABLE, || pipe.drain(sink)) {
                        Ok(moved) => self.delivered += moved as u64,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(PumpError::Write(error))),
                    }
                }
                return Poll::Ready(Ok(()));
            }
        }
        self.carrier = Carrier::Empty;
        Poll::Ready(Ok(()))
    }
}

/// Rounds of reading and writing before the other tasks of the thread get their turn.
const ROUNDS: usize = 8;

/// A read this large, in bytes, counts towards promotion.
const LARGE_READ: usize = RELAY_BUFFER / 2;

/// Large reads in a row that promote a direction to splice: below 256 KiB splicing gains nothing.
const SPLICE_HEAT: u8 = 4;

/// The heat of a direction that splices well; small pieces cool it by one each.
const HOT: u8 = 16;

/// A splice this small, in bytes, costs more than a copy.
const SMALL_SPLICE: usize = 16 * 1024;
