//! A connection of the system's own, with nothing laid on it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::stream::plain;

/// A clear TCP or Unix connection. Unlike other streams it may change threads ([`Bare::rehome`]).
pub struct Bare {
    socket: Socket,
    /// Bytes that were read ahead (a PROXY header's neighbours, inspected contents) and come first.
    unread: Option<Box<Unread>>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Bytes put back.
pub(super) struct Unread {
    bytes: Vec<u8>,
    at: usize,
}

impl Bare {
    pub(super) const fn tcp(socket: TcpStream) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            unread: None,
        }
    }

    pub(super) const fn unix(socket: UnixStream) -> Self {
        Self {
            socket: Socket::Unix(socket),
            unread: None,
        }
    }

    /// Makes this thread's runtime the one that watches the socket.
    ///
    /// # Errors
    /// There is no descriptor left, or the runtime cannot watch it.
    pub fn rehome(&mut self) -> io::Result<()> {
        let same = self.descriptor().try_clone_to_owned()?;
        self.socket = match self.socket {
            Socket::Tcp(_) => Socket::Tcp(TcpStream::from_std(same.into())?),
            Socket::Unix(_) => Socket::Unix(UnixStream::from_std(same.into())?),
        };
        Ok(())
    }

    /// Whether the peer has sent nothing that was not read, not even its end. Asks the system.
    pub fn is_silent(&self) -> bool {
        let descriptor = self.descriptor();
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = SockRef::from(&descriptor).peek(&mut byte);
        self.unread.is_none()
            && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The other end's address; `None` on Unix sockets and on connections that are already gone.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.peer_addr().ok().map(plain),
            Socket::Unix(_) => None,
        }
    }

    /// This end's address; `None` likewise. Costs a system call.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok().map(plain),
            Socket::Unix(_) => None,
        }
    }

    /// The socket.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }

    /// Whether it is a TCP connection.
    pub const fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    /// The TCP socket, if reading and writing it directly means the same as reading and writing this.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(socket) if self.unread.is_none() => Some(socket),
            _ => None,
        }
    }

    pub(super) fn unread(&mut self, bytes: Vec<u8>) {
        Unread::put_back(&mut self.unread, bytes);
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_some() {
            return Poll::Ready(Ok(()));
        }
        match &self.socket {
            Socket::Tcp(socket) => socket.poll_read_ready(context),
            Socket::Unix(socket) => socket.poll_read_ready(context),
        }
    }
}

impl Unread {
    /// Puts bytes in front of those that wait already.
    pub(super) fn put_back(unread: &mut Option<Box<Self>>, mut bytes: Vec<u8>) {
        if let Some(waiting) = unread.take() {
            bytes.extend_from_slice(&waiting.bytes[waiting.at..]);
        }
        *unread = (!bytes.is_empty()).then(|| Box::new(Self { bytes, at: 0 }));
    }

    /// Reads from what waits; false when nothing does.
    pub(super) fn read(unread: &mut Option<Box<Self>>, buffer: &mut ReadBuf<'_>) -> bool {
        let Some(waiting) = unread else {
            return false;
        };
        let left = &waiting.bytes[waiting.at..];
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        waiting.at += taken;
        if waiting.at == waiting.bytes.len() {
            *unread = None;
        }
        true
    }
}

impl AsyncRead for Bare {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if Unread::read(&mut this.unread, buffer) {
            return Poll::Ready(Ok(()));
        }
        match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Bare {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Sockets keep nothing back.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}
