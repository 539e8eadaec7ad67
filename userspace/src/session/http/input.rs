//! What was read from one connection and not used yet.
//!
//! Holds a pooled buffer only while it holds bytes, so that an idle connection costs none. It
//! knows nothing of messages.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::net::{Buffer, RELAY_BUFFER, Stream};

/// The unused bytes of one connection, at most [`RELAY_BUFFER`].
#[derive(Default)]
pub(crate) struct Input {
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer
            .as_ref()
            .map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer
            .as_mut()
            .map_or(&mut [], |buffer| &mut buffer[self.start..self.end])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether nothing more can be read before some is used.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == RELAY_BUFFER
    }

    /// Forgets the first `count` bytes; the buffer goes back once the last one is used.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(
            count <= self.end - self.start,
            "more is used than was there"
        );
        self.start += count;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Puts bytes back in front; what does not fit is lost, so the caller keeps to a buffer.
    pub(crate) fn restore(&mut self, bytes: &[u8]) {
        let rest = self.take();
        let mut buffer = Buffer::take();
        let first = bytes.len().min(RELAY_BUFFER);
        let second = rest.len().min(RELAY_BUFFER - first);
        debug_assert!(
            first == bytes.len() && second == rest.len(),
            "more than a buffer is restored"
        );
        buffer[..first].copy_from_slice(&bytes[..first]);
        buffer[first..first + second].copy_from_slice(&rest[..second]);
        *self = Self {
            buffer: Some(buffer),
            start: 0,
            end: first + second,
        };
    }

    /// Takes the unused bytes out, for whoever goes on with the connection.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = self.bytes().to_vec();
        self.clear();
        bytes
    }

    /// Reads once: the bytes gained, 0 at the end of the stream. The input must not be full.
    pub(crate) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!self.is_full(), "the caller looks at is_full first");
        ready!(stream.poll_readable(context))?;
        let mut buffer = self.buffer.take().unwrap_or_else(Buffer::take);
        if self.end == RELAY_BUFFER {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut space = ReadBuf::new(&mut buffer[self.end..]);
        let read = Pin::new(stream).poll_read(context, &mut space);
        let gained = space.filled().len();
        self.end += gained;
        if self.end > self.start {
            self.buffer = Some(buffer);
        } else {
            self.start = 0;
            self.end = 0;
        }
        ready!(read)?;
        Poll::Ready(Ok(gained))
    }
}
