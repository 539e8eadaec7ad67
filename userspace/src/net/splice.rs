//! Bytes from one bare TCP connection to another inside the kernel, as many as the caller allows.
//!
//! For message bodies, where the caller knows how many bytes may move; [`super::Pump`] is for whole connections. It reads
//! no clock and passes no end of stream on.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

use super::pipe::Pipe;
use super::{PumpError, Stream};

/// A pipe between two connections.
pub struct Splice {
    pipe: Pipe,
    received: u64,
    delivered: u64,
}

impl Splice {
    /// A pipe from `source` to `sink`; `None` when one of them is not bare TCP, or no descriptor is left.
    pub fn new(source: &Stream, sink: &Stream) -> Option<Self> {
        if source.bare_socket().is_none() || sink.bare_socket().is_none() {
            return None;
        }
        Some(Self {
            pipe: Pipe::take().ok()?,
            received: 0,
            delivered: 0,
        })
    }

    /// Bytes taken from the source.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Bytes given to the sink.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes on their way, inside the kernel.
    pub const fn held(&self) -> usize {
        self.pipe.held()
    }

    /// Delivers what is on its way, then takes up to `limit` more bytes and delivers those. Gives the bytes taken: 0 at
    /// the end of the source, or when `limit` is 0 and nothing is left inside.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &Stream,
        sink: &Stream,
        limit: u64,
    ) -> Poll<Result<usize, PumpError>> {
        ready!(self.poll_drain(context, sink))?;
        if limit == 0 {
            return Poll::Ready(Ok(0));
        }
        let taken = ready!(self.poll_fill(context, source, limit))?;
        ready!(self.poll_drain(context, sink))?;
        Poll::Ready(Ok(taken))
    }

    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        source: &Stream,
        limit: u64,
    ) -> Poll<Result<usize, PumpError>> {
        let Some(socket) = source.bare_socket() else {
            return Poll::Ready(Err(PumpError::Read(io::ErrorKind::Unsupported.into())));
        };
        loop {
            ready!(socket.poll_read_ready(context)).map_err(PumpError::Read)?;
            match socket.try_io(Interest::READABLE, || self.pipe.fill(socket, limit)) {
                Ok(moved) => {
                    self.received += moved as u64;
                    return Poll::Ready(Ok(moved));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(PumpError::Read(error))),
            }
        }
    }

    fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        sink: &Stream,
    ) -> Poll<Result<(), PumpError>> {
        while self.pipe.held() > 0 {
            let Some(socket) = sink.bare_socket() else {
                return Poll::Ready(Err(PumpError::Write(io::ErrorKind::Unsupported.into())));
            };
            ready!(socket.poll_write_ready(context)).map_err(PumpError::Write)?;
            match socket.try_io(Interest::WRITABLE, || self.pipe.drain(socket)) {
                Ok(moved) => self.delivered += moved as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(PumpError::Write(error))),
            }
        }
        Poll::Ready(Ok(()))
    }
}
