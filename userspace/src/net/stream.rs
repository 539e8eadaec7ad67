//! One type for every byte stream: TCP, Unix, what a [`Layer`] such as TLS makes of them, and one of the many streams
//! that another connection carries ([`Carried`]).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::SocketHandle;
use super::carried::Carried;
use crate::expr::Tls;
use crate::proto::http::Head;

/// A connection, ours to read and write.
pub struct Stream {
    transport: Transport,
    /// Bytes that were read ahead (a PROXY header's neighbours, inspected contents) and come first.
    unread: Option<Box<Unread>>,
}

enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Layered(Box<dyn Layer>),
    Carried(Box<dyn Carried>),
}

struct Unread {
    bytes: Vec<u8>,
    at: usize,
}

/// A stream inside a stream: an established TLS connection.
pub trait Layer: AsyncBufRead + AsyncWrite + Unpin {
    /// The stream underneath.
    fn inner(&self) -> &Stream;

    /// What is known about the TLS connection.
    fn tls(&self) -> Rc<dyn Tls>;

    /// Ends the layer without telling the peer: the next close is a bare one.
    fn abandon(&mut self) {}
}

impl Stream {
    /// A clear TCP connection.
    pub const fn tcp(socket: TcpStream) -> Self {
        Self {
            transport: Transport::Tcp(socket),
            unread: None,
        }
    }

    /// A Unix connection.
    pub const fn unix(socket: UnixStream) -> Self {
        Self {
            transport: Transport::Unix(socket),
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

    /// Puts bytes back in front of those still to be read.
    pub fn unread(&mut self, mut bytes: Vec<u8>) {
        if let Some(waiting) = self.unread.take() {
            bytes.extend_from_slice(&waiting.bytes[waiting.at..]);
        }
        self.unread = (!bytes.is_empty()).then(|| Box::new(Unread { bytes, at: 0 }));
    }

    /// What TLS knows; `None` on a clear connection.
    pub fn tls(&self) -> Option<Rc<dyn Tls>> {
        match &self.transport {
            Transport::Tcp(_) | Transport::Unix(_) => None,
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

    /// The other end's address; `None` on Unix sockets and on connections that are already gone.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match &self.transport {
            Transport::Tcp(socket) => socket.peer_addr().ok().map(plain),
            Transport::Unix(_) | Transport::Carried(_) => None,
            Transport::Layered(layer) => layer.inner().peer_address(),
        }
    }

    /// This end's address; `None` likewise. Costs a system call.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.transport {
            Transport::Tcp(socket) => socket.local_addr().ok().map(plain),
            Transport::Unix(_) | Transport::Carried(_) => None,
            Transport::Layered(layer) => layer.inner().local_address(),
        }
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
            Transport::Tcp(socket) => Some(socket.as_fd()),
            Transport::Unix(socket) => Some(socket.as_fd()),
            Transport::Layered(layer) => layer.inner().descriptor(),
            Transport::Carried(carried) => carried.descriptor(),
        }
    }

    /// Whether the connection is TCP, possibly under a layer.
    pub fn is_tcp(&self) -> bool {
        match &self.transport {
            Transport::Tcp(_) => true,
            Transport::Unix(_) => false,
            Transport::Layered(layer) => layer.inner().is_tcp(),
            Transport::Carried(carried) => carried.descriptor().is_some(),
        }
    }

    /// The bare TCP socket, if reading and writing it directly means the same as reading and writing this stream.
    pub(super) fn bare(&self) -> Option<&TcpStream> {
        match &self.transport {
            Transport::Tcp(socket) if self.unread.is_none() => Some(socket),
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
            Transport::Tcp(socket) => socket.poll_read_ready(context),
            Transport::Unix(socket) => socket.poll_read_ready(context),
            Transport::Layered(layer) => Pin::new(layer).poll_fill_buf(context).map_ok(|_| ()),
            Transport::Carried(carried) => carried.poll_readable(context),
        }
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
            Transport::Tcp(_) | Transport::Unix(_) => {}
        }
        self.socket().linger_nothing();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(unread) = &mut this.unread {
            let waiting = &unread.bytes[unread.at..];
            let taken = waiting.len().min(buffer.remaining());
            buffer.put_slice(&waiting[..taken]);
            unread.at += taken;
            if unread.at == unread.bytes.len() {
                this.unread = None;
            }
            return Poll::Ready(Ok(()));
        }
        match &mut this.transport {
            Transport::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Transport::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
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
            Transport::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Transport::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
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
            Transport::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Transport::Unix(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Transport::Layered(layer) => Pin::new(layer).poll_write_vectored(context, slices),
            Transport::Carried(carried) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                carried.poll_write(context, first.map_or(&[], |slice| &**slice))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Tcp(_) | Transport::Unix(_) => true,
            Transport::Layered(layer) => layer.is_write_vectored(),
            Transport::Carried(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Transport::Unix(socket) => Pin::new(socket).poll_flush(context),
            Transport::Layered(layer) => Pin::new(layer).poll_flush(context),
            Transport::Carried(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Transport::Unix(socket) => Pin::new(socket).poll_shutdown(context),
            Transport::Layered(layer) => Pin::new(layer).poll_shutdown(context),
            Transport::Carried(carried) => carried.poll_shutdown(context),
        }
    }
}

/// An address as rules and logs see it: an IPv4 client of an IPv6 socket is an IPv4 client.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
