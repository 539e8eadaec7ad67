//! One type for every byte stream: TCP, Unix, what a [`Layer`] such as TLS makes of them, and one of the many streams
//! that another connection carries ([`Carried`]).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::SocketHandle;
use super::bare::{Bare, Unread};
use super::carried::Carried;
use crate::expr::Tls;
use crate::proto::http::Head;

/// A connection, ours to read and write.
pub struct Stream {
    transport: Transport,
    /// Bytes that were read ahead from a layer or a carried stream, and come first.
    unread: Option<Box<Unread>>,
}

enum Transport {
    Bare(Bare),
    Layered(Box<dyn Layer>),
    Carried(Box<dyn Carried>),
}

/// A stream inside a stream: an established TLS connection.
pub trait Layer: AsyncBufRead + AsyncWrite + Unpin + Send {
    /// The connection underneath.
    fn inner(&self) -> &Bare;

    /// The same, to change threads.
    fn inner_mut(&mut self) -> &mut Bare;

    /// What is known about the TLS connection.
    fn tls(&self) -> Arc<dyn Tls>;

    /// Ends the layer without telling the peer: the next close is a bare one.
    fn abandon(&mut self) {}
}

/// A stream at rest: nothing is read or written, so that another thread may take it over.
pub struct Parked(ParkedTransport);

enum ParkedTransport {
    Bare(Bare),
    Layered(Box<dyn Layer>),
}

impl Stream {
    /// A clear TCP connection.
    pub const fn tcp(socket: TcpStream) -> Self {
        Self::bare(Bare::tcp(socket))
    }

    /// A clear TCP connection just accepted: the runtime watches it from the first wait on.
    pub const fn accepted(socket: std::net::TcpStream) -> Self {
        Self::bare(Bare::accepted(socket))
    }

    /// A Unix connection.
    pub const fn unix(socket: UnixStream) -> Self {
        Self::bare(Bare::unix(socket))
    }

    const fn bare(bare: Bare) -> Self {
        Self {
            transport: Transport::Bare(bare),
            unread: None,
        }
    }

    /// A connection through a layer.
    pub fn layered(layer: Box<dyn Layer>) -> Self {
        Self {
            transport: Transport::Layered(layer),
            unread: None,
        }
    }

    /// One of the streams of another connection.
    pub fn carried(stream: Box<dyn Carried>) -> Self {
        Self {
            transport: Transport::Carried(stream),
            unread: None,
        }
    }

    /// The connection itself, to lay something on it.
    ///
    /// # Errors
    /// There is a layer already, or it is one of the streams of another connection.
    pub fn into_bare(self) -> io::Result<Bare> {
        match self.transport {
            Transport::Bare(bare) => Ok(bare),
            Transport::Layered(_) | Transport::Carried(_) => {
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    /// Lays it by; `None` if it is a part of another connection, or bytes wait to be read.
    pub fn park(self) -> Option<Parked> {
        if self.unread.is_some() {
            return None;
        }
        match self.transport {
            Transport::Bare(bare) => Some(Parked(ParkedTransport::Bare(bare))),
            Transport::Layered(layer) => Some(Parked(ParkedTransport::Layered(layer))),
            Transport::Carried(_) => None,
        }
    }

    /// Puts bytes back in front of those still to be read.
    pub fn unread(&mut self, bytes: Vec<u8>) {
        match &mut self.transport {
            Transport::Bare(bare) => bare.unread(bytes),
            _ => Unread::put_back(&mut self.unread, bytes),
        }
    }

    /// What TLS knows; `None` on a clear connection.
    pub fn tls(&self) -> Option<Arc<dyn Tls>> {
        match &self.transport {
            Transport::Bare(_) => None,
            Transport::Layered(layer) => Some(layer.tls()),
            Transport::Carried(carried) => carried.tls(),
        }
    }

    /// Whether it is one of many streams of another connection, whose messages have ends of their own.
    pub fn is_carried(&self) -> bool {
        matches!(self.transport, Transport::Carried(_))
    }

    /// Says that the message being written ends after this many more bytes. Means nothing to a stream whose end is
    /// that of its connection.
    pub fn ends_after(&mut self, bytes: u64) {
        if let Transport::Carried(carried) = &mut self.transport {
            carried.ends_after(bytes);
        }
    }

    /// Ends the message being written with trailers, if there are any.
    pub fn end_with(&mut self, trailers: &Head) -> io::Result<()> {
        match &mut self.transport {
            Transport::Carried(carried) => carried.end_with(trailers),
            _ => Ok(()),
        }
    }

    /// The trailers that ended the message read.
    pub fn take_trailers(&mut self) -> Option<Head> {
        match &mut self.transport {
            Transport::Carried(carried) => carried.take_trailers(),
            _ => None,
        }
    }

    /// Ready once the peer of a carried stream has given it up; never on others.
    pub fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.transport {
            Transport::Carried(carried) => carried.poll_abandoned(context),
            _ => Poll::Pending,
        }
    }

    /// The connection of the system's own underneath; a carried stream shares one and does not show it.
    fn base(&self) -> Option<&Bare> {
        match &self.transport {
            Transport::Bare(bare) => Some(bare),
            Transport::Layered(layer) => Some(layer.inner()),
            Transport::Carried(_) => None,
        }
    }

    /// The other end's address; `None` on Unix sockets and on connections that are already gone.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.base()?.peer_address()
    }

    /// This end's address; `None` likewise. Costs a system call.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.base()?.local_address()
    }

    /// The socket's options, whatever is layered on it.
    pub fn socket(&self) -> SocketHandle<'_> {
        SocketHandle::new(self.descriptor(), self.is_tcp())
    }

    /// Another descriptor of its socket; `None` when there is none, or no room for one.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        self.descriptor()?.try_clone_to_owned().ok()
    }

    /// Its socket, whatever is layered on it; `None` when there is none.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.transport {
            Transport::Carried(carried) => carried.descriptor(),
            _ => self.base()?.descriptor(),
        }
    }

    /// Whether the connection is TCP, possibly under a layer.
    pub fn is_tcp(&self) -> bool {
        match &self.transport {
            Transport::Carried(carried) => carried.descriptor().is_some(),
            _ => self.base().is_some_and(Bare::is_tcp),
        }
    }

    /// The bare TCP socket, if reading and writing it directly means the same as reading and writing this stream.
    pub(super) fn bare_socket(&self) -> Option<&TcpStream> {
        match &self.transport {
            Transport::Bare(bare) => bare.socket(),
            _ => None,
        }
    }

    /// Ready once a read would give bytes, the end of the stream or an error. On an encrypted stream the bytes are
    /// already decrypted by then. Lets a task wait without holding a buffer.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_some() {
            return Poll::Ready(Ok(()));
        }
        match &mut self.transport {
            Transport::Bare(bare) => bare.poll_readable(context),
            Transport::Layered(layer) => Pin::new(layer).poll_fill_buf(context).map_ok(|_| ()),
            Transport::Carried(carried) => carried.poll_readable(context),
        }
    }

    /// Whether the runtime watches it already. If not, waiting on it costs two system calls more than reading and
    /// writing do.
    pub fn is_watched(&self) -> bool {
        self.base().is_none_or(Bare::is_watched)
    }

    /// Waits for [`Stream::poll_readable`].
    pub async fn readable(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_readable(context)).await
    }

    /// Makes the coming close a reset: pending data is thrown away and nothing more is said (SO_LINGER 0).
    pub fn reset_on_close(&mut self) {
        match &mut self.transport {
            // The connection is not this stream's alone.
            Transport::Carried(_) => return,
            Transport::Layered(layer) => layer.abandon(),
            Transport::Bare(_) => {}
        }
        self.socket().linger_nothing();
    }
}

impl Parked {
    /// Goes on with it.
    pub fn resume(self) -> Stream {
        match self.0 {
            ParkedTransport::Bare(bare) => Stream::bare(bare),
            ParkedTransport::Layered(layer) => Stream::layered(layer),
        }
    }

    /// Makes this thread's runtime the one that watches it.
    ///
    /// # Errors
    /// Those of [`Bare::rehome`].
    pub fn rehome(&mut self) -> io::Result<()> {
        match &mut self.0 {
            ParkedTransport::Bare(bare) => bare.rehome(),
            ParkedTransport::Layered(layer) => layer.inner_mut().rehome(),
        }
    }

    /// Whether the peer has sent nothing since, not even its end, as far as the runtime that watches it has heard.
    pub fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match &mut self.0 {
            ParkedTransport::Bare(bare) => bare.poll_readable(&mut context).is_pending(),
            ParkedTransport::Layered(layer) => {
                Pin::new(layer).poll_fill_buf(&mut context).is_pending()
            }
        }
    }

    /// The same, as the system knows it: for threads that do not watch it.
    pub fn is_silent(&self) -> bool {
        match &self.0 {
            ParkedTransport::Bare(bare) => bare.is_silent(),
            ParkedTransport::Layered(layer) => layer.inner().is_silent(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if Unread::read(&mut this.unread, buffer) {
            return Poll::Ready(Ok(()));
        }
        match &mut this.transport {
            Transport::Bare(bare) => Pin::new(bare).poll_read(context, buffer),
            Transport::Layered(layer) => Pin::new(layer).poll_read(context, buffer),
            Transport::Carried(carried) => carried.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Bare(bare) => Pin::new(bare).poll_write(context, bytes),
            Transport::Layered(layer) => Pin::new(layer).poll_write(context, bytes),
            Transport::Carried(carried) => carried.poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Bare(bare) => Pin::new(bare).poll_write_vectored(context, slices),
            Transport::Layered(layer) => Pin::new(layer).poll_write_vectored(context, slices),
            Transport::Carried(carried) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                carried.poll_write(context, first.map_or(&[], |slice| &**slice))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Bare(_) => true,
            Transport::Layered(layer) => layer.is_write_vectored(),
            Transport::Carried(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Layered(layer) => Pin::new(layer).poll_flush(context),
            Transport::Bare(_) | Transport::Carried(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Bare(bare) => Pin::new(bare).poll_shutdown(context),
            Transport::Layered(layer) => Pin::new(layer).poll_shutdown(context),
            Transport::Carried(carried) => carried.poll_shutdown(context),
        }
    }
}

/// An address as rules and logs see it: an IPv4 client of an IPv6 socket is an IPv4 client.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
