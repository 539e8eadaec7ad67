//! The client's side of an HTTP/1 connection, between and during requests.

use std::cell::Cell;
use std::io;
use std::task::Poll;

use super::errors::Failure;
use super::h2::Reply;
use super::input::Input;
use super::pool::{Key, Upstream};
use crate::clock::{self, Moment};
use crate::net::Stream;
use crate::proto::http::http2::PREFACE;
use crate::session::connection::Connection;
use crate::session::timer::Timer;
use crate::state::{CutReason, ServerState};
use crate::types::Millis;
use tokio::io::AsyncWriteExt;

/// One client's connection.
pub(crate) struct Front<'c> {
    pub(crate) stream: Stream,
    pub(crate) input: Input,
    pub(crate) timer: Timer,
    /// Set when somebody cut the session.
    pub(crate) cut: &'c Cell<Option<CutReason>>,
    /// Requests read so far, the current one included.
    pub(crate) requests: u32,
    /// Connections to servers that only this client may use, the latest last.
    pub(crate) private: Vec<Upstream>,
    /// The way a response's head goes, where the client's connection carries several requests.
    pub(crate) reply: Option<&'c mut Reply>,
}

/// How waiting for a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// There is something to read: bytes, or the end.
    Readable,
    TimedOut,
    Cut,
    /// The process is stopping.
    Stopping,
}

impl<'c> Front<'c> {
    pub(crate) fn new(stream: Stream, cut: &'c Cell<Option<CutReason>>) -> Self {
        Self {
            stream,
            input: Input::default(),
            timer: Timer::default(),
            cut,
            requests: 0,
            private: Vec::new(),
            reply: None,
        }
    }

    /// Whether the client begins with the preface of HTTP/2. What it sent stays to be read.
    pub(crate) async fn begins_http2(
        &mut self,
        connection: &Connection,
        deadline: Option<Moment>,
    ) -> bool {
        if self.idle(connection, deadline).await != Idle::Readable {
            return false;
        }
        loop {
            let here = self.input.bytes();
            let common = here.len().min(PREFACE.len());
            if here[..common] != PREFACE[..common] {
                return false;
            }
            if common == PREFACE.len() {
                return true;
            }
            if !matches!(self.read(deadline).await, Ok(1..)) {
                return false;
            }
        }
    }

    /// The stream, with what was read of it put back.
    pub(crate) fn into_stream(mut self) -> Stream {
        let read = self.input.take();
        if !read.is_empty() {
            self.stream.unread(read);
        }
        self.stream
    }

    /// Waits until there is something to read, holding no memory.
    pub(crate) async fn idle(&mut self, connection: &Connection, deadline: Option<Moment>) -> Idle {
        if !self.input.is_empty() {
            return Idle::Readable;
        }
        std::future::poll_fn(|context| {
            if self.cut.get().is_some() {
                return Poll::Ready(Idle::Cut);
            }
            // A connection that waits is woken when the process stops.
            if self.requests > 0 && connection.worker.is_stopping() {
                return Poll::Ready(Idle::Stopping);
            }
            if self.stream.poll_readable(context).is_ready() {
                return Poll::Ready(Idle::Readable);
            }
            self.timer.poll(context, deadline).map(|()| Idle::TimedOut)
        })
        .await
    }

    /// Reads once: the bytes gained, 0 at the end of the stream.
    pub(crate) async fn read(&mut self, deadline: Option<Moment>) -> Result<usize, Failure> {
        std::future::poll_fn(|context| {
            if let Some(reason) = self.cut.get() {
                return Poll::Ready(Err(Failure::Cut(reason)));
            }
            match self.input.poll_fill(context, &mut self.stream) {
                Poll::Ready(Ok(gained)) => Poll::Ready(Ok(gained)),
                Poll::Ready(Err(_)) => Poll::Ready(Err(Failure::ClientReset)),
                Poll::Pending => self
                    .timer
                    .poll(context, deadline)
                    .map(|()| Err(Failure::ClientTimeout)),
            }
        })
        .await
    }

    /// Runs `work`, which does not concern the client, until it is done or the client leaves; what
    /// the client sends meanwhile is kept. `stays` clients may leave without effect.
    pub(crate) async fn attend<T>(
        &mut self,
        stays: Stays,
        deadline: Option<Moment>,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        let mut watching = stays == Stays::No;
        std::future::poll_fn(|context| {
            if let Some(reason) = self.cut.get() {
                return Poll::Ready(Err(Failure::Cut(reason)));
            }
            if let Poll::Ready(value) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            if self.stream.is_carried() {
                if self.stream.poll_abandoned(context).is_ready() {
                    return Poll::Ready(Err(Failure::ClientReset));
                }
                watching = false;
            }
            while watching && !self.input.is_full() {
                match self.input.poll_fill(context, &mut self.stream) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::ClientClosed)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::ClientReset)),
                }
            }
            watching &= !self.input.is_full();
            self.timer
                .poll(context, deadline)
                .map(|()| Err(Failure::ClientTimeout))
        })
        .await
    }

    /// Closes a connection whose client has nothing more to say: a clear one needs no farewell.
    pub(crate) async fn finish(mut self) {
        if !self.input.is_empty() {
            return self.close().await;
        }
        if self.stream.tls().is_some() {
            // The notice that nothing follows; if the client takes it no more, that is that.
            let _ = tokio::time::timeout(LINGER.duration(), self.stream.shutdown()).await;
        }
    }

    /// Takes the connection to that server which was kept for this client, if it still serves.
    pub(crate) fn take_private(&mut self, state: &ServerState, key: &Key) -> Option<Upstream> {
        let at = self
            .private
            .iter()
            .rposition(|kept| kept.leads_to(state, key))?;
        let mut kept = self.private.remove(at);
        kept.is_alive().then_some(kept)
    }

    /// Keeps a connection to a server for this client.
    pub(crate) fn keep_private(&mut self, upstream: Upstream) {
        if self.private.len() == PRIVATE {
            self.private.remove(0);
        }
        self.private.push(upstream);
    }

    /// Closes politely: says so, and reads for a moment what the client still sends, lest its data
    /// meet a closed socket and the reset destroy our last words.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let deadline = clock::now().after(LINGER.0);
        let mut left = LINGER_BYTES;
        while left > 0 {
            self.input.clear();
            match self.read(Some(deadline)).await {
                Ok(0) | Err(_) => return,
                Ok(gained) => left = left.saturating_sub(gained),
            }
        }
    }

    /// Closes without the client hearing of it.
    pub(crate) fn vanish(self) {
        self.stream.socket().vanish();
    }

    /// What an error while writing to the client means.
    pub(crate) fn write_error(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::ClientReset,
            _ => Failure::ClientClosed,
        }
    }
}

/// Whether a client that closes its half still waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stays {
    Yes,
    No,
}

/// Most server connections kept for one client.
pub(super) const PRIVATE: usize = 8;

/// How long, and how many bytes, a client that is being closed is still read from.
const LINGER: Millis = Millis(1000);
const LINGER_BYTES: usize = 256 * 1024;
