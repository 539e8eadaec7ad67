//! What is to be written to one connection next: own bytes, a piece of the other side's input,
//! own bytes again; all of it in one `writev` where possible.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::net::Stream;

/// Bytes on their way out. Its memory is kept for the next message.
#[derive(Default)]
pub(crate) struct Writer {
    /// Heads and chunk sizes.
    prefix: Vec<u8>,
    /// How many bytes of the piece in between there are.
    data: usize,
    /// Chunk ends and trailers.
    suffix: Vec<u8>,
    /// How much of the three together is out.
    written: usize,
}

impl Writer {
    /// Own bytes that go first. Nothing must be in flight yet but other own bytes.
    pub(crate) fn prefix(&mut self) -> &mut Vec<u8> {
        debug_assert!(
            self.data == 0 && self.written == 0,
            "the piece before is still going out"
        );
        &mut self.prefix
    }

    /// Says that a piece of this many bytes follows, and gives the own bytes that follow it.
    pub(crate) fn with_data(&mut self, length: usize) -> &mut Vec<u8> {
        debug_assert!(
            self.data == 0 && self.suffix.is_empty(),
            "one piece at a time"
        );
        self.data = length;
        &mut self.suffix
    }

    /// Whether nothing is left to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.prefix.len() + self.data + self.suffix.len()
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.prefix.clear();
        self.data = 0;
        self.suffix.clear();
        self.written = 0;
    }

    /// Writes until nothing is left, then forgets what was written. `data` is the piece in
    /// between, the same at every call. Adds to `sent` what went out.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        data: &[u8],
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        debug_assert_eq!(data.len(), self.data);
        let data = self.join(data);
        while !self.is_empty() {
            let written = ready!(self.poll_once(context, stream, data))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            *sent += written as u64;
        }
        ready!(Pin::new(stream).poll_flush(context))?;
        self.clear();
        Poll::Ready(Ok(()))
    }

    /// Puts a small piece between the own bytes: one short `send` costs less than a `writev`.
    fn join<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let own = self.prefix.len() + self.suffix.len();
        if self.data == 0 || self.data > COPIED || own == 0 || self.written > 0 {
            return data;
        }
        self.prefix.extend_from_slice(data);
        self.prefix.append(&mut self.suffix);
        self.data = 0;
        &[]
    }

    fn poll_once(
        &self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut skip = self.written;
        let mut slices = [IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[])];
        let mut count = 0;
        for part in [self.prefix.as_slice(), data, self.suffix.as_slice()] {
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            if !rest.is_empty() {
                slices[count] = IoSlice::new(rest);
                count += 1;
            }
        }
        match &slices[..count] {
            [only] => Pin::new(stream).poll_write(context, only),
            several => Pin::new(stream).poll_write_vectored(context, several),
        }
    }
}

/// Longest piece that is copied, in bytes.
const COPIED: usize = 4096;
