//! The two halves of an HTTP/2 stream as one byte stream, on either side.
//!
//! Data frames come out as bytes and bytes go in as data frames, under the crate's flow control; the
//! ends of both messages, trailers and resets are told through [`Carried`].

use std::cell::{OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncWrite, ReadBuf};

use crate::expr::Tls;
use crate::net::{Carried, Stream};
use crate::proto::http::Head;
use crate::proto::http::http1::Limits;
use crate::proto::http::http2::{decode_trailers, encode_trailers};

/// The connection below the streams.
pub(super) struct Base {
    pub(super) stream: RefCell<Stream>,
    tls: Option<Arc<dyn Tls>>,
    /// A second descriptor of the socket, made when a rule first asks for the socket.
    descriptor: OnceCell<Option<OwnedFd>>,
}

impl Base {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            tls: stream.tls(),
            stream: RefCell::new(stream),
            descriptor: OnceCell::new(),
        }
    }

    pub(super) fn tls(&self) -> Option<Arc<dyn Tls>> {
        self.tls.clone()
    }

    /// Writes a frame as far as there is room for it, on a connection that says nothing more.
    pub(super) fn write_last(&self, frame: &[u8]) {
        let mut context = Context::from_waker(Waker::noop());
        let mut stream = self.stream.borrow_mut();
        // The connection is given up: what cannot be said now is not said.
        let _ = Pin::new(&mut *stream).poll_write(&mut context, frame);
        let _ = Pin::new(&mut *stream).poll_flush(&mut context);
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream.into_inner()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        let copy = self
            .descriptor
            .get_or_init(|| self.stream.borrow().duplicate());
        copy.as_ref().map(OwnedFd::as_fd)
    }
}

/// One stream.
pub(super) struct Halves {
    /// What comes in; `None` before a server has answered.
    pub(super) receive: Option<h2::RecvStream>,
    /// What goes out; `None` before a client was answered.
    pub(super) send: Option<h2::SendStream<Bytes>>,
    /// For the answer to a client, until it is given.
    pub(super) respond: Option<h2::server::SendResponse<Bytes>>,
    /// A server's answer, until it is there.
    pub(super) response: Option<h2::client::ResponseFuture>,
    /// Received and not read yet.
    piece: Bytes,
    /// The message that comes in has ended.
    pub(super) over: bool,
    /// The message that goes out has ended.
    pub(super) ended: bool,
    /// After so many more bytes it does.
    left: Option<u64>,
    trailers: Option<Head>,
    limits: Limits,
}

impl Halves {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            receive: None,
            send: None,
            respond: None,
            response: None,
            piece: Bytes::new(),
            over: false,
            ended: false,
            left: None,
            trailers: None,
            limits,
        }
    }

    /// Gives the stream up.
    pub(super) fn reset(&mut self, reason: h2::Reason) {
        if let Some(send) = &mut self.send {
            send.send_reset(reason);
        } else if let Some(respond) = &mut self.respond {
            respond.send_reset(reason);
        }
        self.ended = true;
    }

    /// Ready once there is a piece, or the message is over.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() && !self.over {
            let Some(receive) = &mut self.receive else {
                return Poll::Pending;
            };
            match ready!(receive.poll_data(context)) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => {
                    let trailers = ready!(receive.poll_trailers(context)).map_err(broken)?;
                    self.trailers = trailers.map(|fields| decode_trailers(&fields, &self.limits));
                    self.over = true;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut gained = 0;
        loop {
            match self.poll_piece(context) {
                Poll::Ready(Ok(())) if !self.piece.is_empty() => {}
                // What was gained before is given first.
                Poll::Pending if gained == 0 => return Poll::Pending,
                Poll::Ready(Err(error)) if gained == 0 => return Poll::Ready(Err(error)),
                _ => break,
            }
            let taken = self.piece.len().min(buffer.remaining());
            buffer.put_slice(&self.piece.split_to(taken));
            gained += taken;
            if buffer.remaining() == 0 {
                break;
            }
        }
        if let (Some(receive), true) = (&mut self.receive, gained > 0) {
            // It fails only for bytes that were never received.
            let _ = receive.flow_control().release_capacity(gained);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(send) = self.send.as_mut().filter(|_| !self.ended) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = bytes.len().min(PIECE);
        while send.capacity() == 0 {
            send.reserve_capacity(wanted);
            if send.capacity() > 0 {
                break;
            }
            match ready!(send.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        let taken = wanted.min(send.capacity());
        let last = self.left == Some(taken as u64);
        send.send_data(Bytes::copy_from_slice(&bytes[..taken]), last)
            .map_err(broken)?;
        self.left = self.left.map(|left| left.saturating_sub(taken as u64));
        self.ended |= last;
        Poll::Ready(Ok(taken))
    }

    fn end_with(&mut self, trailers: &Head) -> io::Result<()> {
        let Some(send) = self.send.as_mut().filter(|_| !self.ended) else {
            return Ok(());
        };
        self.ended = true;
        if trailers.is_empty() {
            send.send_data(Bytes::new(), true).map_err(broken)
        } else {
            send.send_trailers(encode_trailers(trailers))
                .map_err(broken)
        }
    }

    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match (&mut self.send, &mut self.respond) {
            (Some(send), _) => send.poll_reset(context),
            (None, Some(respond)) => respond.poll_reset(context),
            (None, None) => Poll::Pending,
        };
        reset.map(|reason| match reason {
            Ok(_) => io::ErrorKind::ConnectionReset.into(),
            Err(error) => broken(error),
        })
    }
}

/// What the crate's error is to a byte stream.
pub(super) fn broken(error: h2::Error) -> io::Error {
    match error.into_io() {
        Some(error) => error,
        None => io::ErrorKind::ConnectionReset.into(),
    }
}

/// A stream that others hold too.
pub(super) struct Shared(pub(super) Rc<RefCell<Halves>>, pub(super) Rc<Base>);

impl Carried for Shared {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_piece(context)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(context, buffer)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(context, bytes)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.borrow_mut().end_with(&Head::default()))
    }

    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.0.borrow_mut().poll_abandoned(context)
    }

    fn ends_after(&mut self, bytes: u64) {
        let mut halves = self.0.borrow_mut();
        if bytes > 0 {
            halves.left = Some(bytes);
        } else {
            // If it fails, the next write does too.
            let _ = halves.end_with(&Head::default());
        }
    }

    fn end_with(&mut self, trailers: &Head) -> io::Result<()> {
        self.0.borrow_mut().end_with(trailers)
    }

    fn take_trailers(&mut self) -> Option<Head> {
        self.0.borrow_mut().trailers.take()
    }

    fn tls(&self) -> Option<Arc<dyn Tls>> {
        self.1.tls()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.1.descriptor()
    }
}

/// Most bytes given to the crate at once; it cuts them into frames.
const PIECE: usize = 64 * 1024;
