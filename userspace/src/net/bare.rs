//! A connection of the system's own, with nothing laid on it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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
    Unwatched(Unwatched),
    /// The runtime could not watch it, and it was closed.
    Lost,
}

/// A TCP connection that the runtime does not watch yet. A client that sends its request at once, gets its response and
/// is closed has nothing to wait for.
struct Unwatched {
    socket: std::net::TcpStream,
    /// The last read took all there was.
    drained: bool,
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

    pub(super) const fn accepted(socket: std::net::TcpStream) -> Self {
        Self {
            socket: Socket::Unwatched(Unwatched {
                socket,
                drained: false,
            }),
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
        let same = || -> io::Result<OwnedFd> {
            let descriptor = self.descriptor().ok_or(io::ErrorKind::NotConnected)?;
            descriptor.try_clone_to_owned()
        };
        match self.socket {
            Socket::Tcp(_) => self.socket = Socket::Tcp(TcpStream::from_std(same()?.into())?),
            Socket::Unix(_) => self.socket = Socket::Unix(UnixStream::from_std(same()?.into())?),
            Socket::Unwatched(_) | Socket::Lost => {}
        }
        Ok(())
    }

    /// Whether the peer has sent nothing that was not read, not even its end. Asks the system.
    pub fn is_silent(&self) -> bool {
        let Some(descriptor) = self.descriptor() else {
            return false;
        };
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = SockRef::from(&descriptor).peek(&mut byte);
        self.unread.is_none()
            && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The other end's address; `None` on Unix sockets and on connections that are already gone.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.peer_addr().ok().map(plain),
            Socket::Unwatched(this) => this.socket.peer_addr().ok().map(plain),
            Socket::Unix(_) | Socket::Lost => None,
        }
    }

    /// This end's address; `None` likewise. Costs a system call.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok().map(plain),
            Socket::Unwatched(this) => this.socket.local_addr().ok().map(plain),
            Socket::Unix(_) | Socket::Lost => None,
        }
    }

    /// The socket; `None` once it is lost.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            Socket::Tcp(socket) => Some(socket.as_fd()),
            Socket::Unix(socket) => Some(socket.as_fd()),
            Socket::Unwatched(this) => Some(this.socket.as_fd()),
            Socket::Lost => None,
        }
    }

    /// Whether it is a TCP connection.
    pub const fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_) | Socket::Unwatched(_))
    }

    /// Whether the runtime watches it.
    pub const fn is_watched(&self) -> bool {
        !matches!(self.socket, Socket::Unwatched(_))
    }

    /// Has the runtime watch it from now on.
    fn watch(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.socket, Socket::Lost) {
            Socket::Unwatched(this) => self.socket = Socket::Tcp(TcpStream::from_std(this.socket)?),
            watched => self.socket = watched,
        }
        Ok(())
    }

    /// Does something to an unwatched socket; `None` if that takes waiting, for which the runtime now watches it.
    fn at_once<T>(
        &mut self,
        work: impl FnOnce(&mut Unwatched) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let Socket::Unwatched(unwatched) = &mut self.socket else {
            return Ok(None);
        };
        match work(unwatched) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.watch()?;
                Ok(None)
            }
            result => result.map(Some),
        }
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

    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_some() {
            return Poll::Ready(Ok(()));
        }
        let ready = self.at_once(|socket| match socket.drained {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(()),
        });
        if ready?.is_some() {
            return Poll::Ready(Ok(()));
        }
        match &self.socket {
            Socket::Tcp(socket) => socket.poll_read_ready(context),
            Socket::Unix(socket) => socket.poll_read_ready(context),
            Socket::Unwatched(_) | Socket::Lost => Poll::Ready(lost()),
        }
    }
}

impl Unwatched {
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        if self.drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = buffer.initialize_unfilled();
        let read = self.socket.read(room)?;
        self.drained = read < room.len();
        buffer.advance(read);
        Ok(())
    }
}

fn lost<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
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
        if this.at_once(|socket| socket.read(buffer))?.is_some() {
            return Poll::Ready(Ok(()));
        }
        match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Unwatched(_) | Socket::Lost => Poll::Ready(lost()),
        }
    }
}

impl AsyncWrite for Bare {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(written) = this.at_once(|socket| socket.socket.write(bytes))? {
            return Poll::Ready(Ok(written));
        }
        match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Unwatched(_) | Socket::Lost => Poll::Ready(lost()),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(written) = this.at_once(|socket| socket.socket.write_vectored(slices))? {
            return Poll::Ready(Ok(written));
        }
        match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Socket::Unwatched(_) | Socket::Lost => Poll::Ready(lost()),
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
            Socket::Unwatched(this) => Poll::Ready(this.socket.shutdown(Shutdown::Write)),
            Socket::Lost => Poll::Ready(lost()),
        }
    }
}
