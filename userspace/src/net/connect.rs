//! Outgoing connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpSocket, UnixStream};

use super::listen::{abstract_address, padded, stream_protocol};
use super::sys::Signed;
use super::{Keepalive, Stream, sys};
use crate::model::{ServerAddress, ServerSocket, Source};

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// An abstract socket, by its exact name.
    Abstract(Vec<u8>),
}

impl Destination {
    /// The place of a server. `client_to` is where the client connected to: it stands in for a server's address 0.0.0.0
    /// and port 0, and its port is what `+N` shifts (manual §4.2 `server`). `None` while the server has no address, or the
    /// port leaves its range.
    pub fn of(address: &ServerAddress, client_to: Option<SocketAddr>) -> Option<Self> {
        match address {
            ServerAddress::Inet {
                address,
                port_offset,
            } => {
                let number = match port_offset {
                    Some(offset) => i32::from(client_to?.port()) + offset,
                    None if address.port() == 0 => i32::from(client_to?.port()),
                    None => i32::from(address.port()),
                };
                Some(Self::Tcp(SocketAddr::new(
                    if address.ip().is_unspecified() {
                        client_to?.ip()
                    } else {
                        address.ip()
                    },
                    u16::try_from(number).ok()?,
                )))
            }
            ServerAddress::Unix(path) => Some(Self::Unix(path.clone())),
            ServerAddress::Abstract(name) => Some(Self::Abstract(padded(name))),
            ServerAddress::AbstractUnpadded(name) => Some(Self::Abstract(name.clone())),
            ServerAddress::Reverse | ServerAddress::Unresolved { .. } => None,
        }
    }
}

/// Options of an outgoing connection, beyond where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// `source`: the local end.
    pub source: Option<&'a Source>,
    /// The address to show instead of that (`usesrc`); of another family than the destination it means nothing.
    pub shown: Option<SocketAddr>,
    /// `option srvtcpka` and its parameters.
    pub keepalive: Option<Keepalive>,
    /// The server's own.
    pub socket: Option<&'a ServerSocket>,
    /// SO_MARK.
    pub mark: Option<u32>,
    /// IP_TOS or IPV6_TCLASS.
    pub tos: Option<u8>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The time given was not enough.
    #[error("connection timed out")]
    TimedOut,
    /// The other side, or the network on the way, refused.
    #[error("connection failed: {0}")]
    Refused(#[source] io::Error),
    /// This side has no socket, port or memory left, or may not use the address it should.
    #[error("local resource exhausted: {0}")]
    Resource(#[source] io::Error),
}

/// Connects, within `limit` if there is one.
pub async fn connect(
    destination: &Destination,
    options: Outgoing<'_>,
    limit: Option<Duration>,
) -> Result<Stream, ConnectError> {
    let attempt = async {
        match destination {
            Destination::Tcp(address) => connect_tcp(*address, options).await,
            Destination::Unix(path) => Ok(Stream::unix(UnixStream::connect(path).await?)),
            Destination::Abstract(name) => connect_abstract(name),
        }
    };
    let result = match limit {
        Some(limit) => tokio::time::timeout(limit, attempt)
            .await
            .map_err(|_| ConnectError::TimedOut)?,
        None => attempt.await,
    };
    result.map_err(classify)
}

async fn connect_tcp(address: SocketAddr, options: Outgoing<'_>) -> io::Result<Stream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(stream_protocol(
            options.socket.is_some_and(|socket| socket.multipath),
        )),
    )?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = options.source {
        if let Some(interface) = &source.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        let shown = options
            .shown
            .filter(|shown| shown.is_ipv4() == address.is_ipv4());
        if shown.is_some() {
            if address.is_ipv4() {
                socket.set_ip_transparent_v4(true)?;
            } else {
                socket.set_ip_transparent_v6(true)?;
            }
        }
        if let Some(local) = shown.or(source.address) {
            if local.port() == 0 {
                // The port is then chosen at connect, so that one local port can serve several servers.
                let _ = sys::set_option(
                    socket.as_fd(),
                    libc::IPPROTO_IP,
                    libc::IP_BIND_ADDRESS_NO_PORT,
                    1,
                );
            } else {
                socket.set_reuse_address(true)?;
            }
            socket.bind(&local.into())?;
        }
    }
    if let Some(mark) = options.mark {
        socket.set_mark(mark)?;
    }
    if let Some(own) = options.socket {
        prepare(&socket, own, address)?;
    }
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(address)
        .await?;
    let stream = Stream::tcp(stream);
    let handle = stream.socket();
    if let Some(keepalive) = options.keepalive {
        handle.set_keepalive(keepalive)?;
    }
    if let Some(timeout) = options.socket.and_then(|socket| socket.user_timeout) {
        handle.set_user_timeout(timeout)?;
    }
    if let Some(tos) = options.tos {
        handle.set_tos(tos)?;
    }
    Ok(stream)
}

/// What a server wants of its sockets before they are connected.
fn prepare(socket: &Socket, wanted: &ServerSocket, address: SocketAddr) -> io::Result<()> {
    if let Some(password) = &wanted.md5 {
        sys::sign(socket.as_fd(), Signed::With(address), password.as_bytes())?;
    }
    if let Some(algorithm) = &wanted.congestion {
        // The system's own remains where this one is not to be had (manual §5.2 `cc`).
        let _ = socket.set_tcp_congestion(algorithm.as_bytes());
    }
    if wanted.fast_open {
        // Without it the connection is opened as others are.
        let _ = sys::set_option(
            socket.as_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN_CONNECT,
            1,
        );
    }
    Ok(())
}

/// Connecting to a local socket never waits: the listener's backlog has room or it has not.
fn connect_abstract(name: &[u8]) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&abstract_address(name)?)?;
    Ok(Stream::unix(UnixStream::from_std(socket.into())?))
}

fn classify(error: io::Error) -> ConnectError {
    match error.raw_os_error() {
        Some(
            libc::EMFILE
            | libc::ENFILE
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EADDRNOTAVAIL
            | libc::EADDRINUSE
            | libc::EPERM
            | libc::EACCES
            | libc::EAGAIN
            | libc::ENODEV,
        ) => ConnectError::Resource(error),
        Some(libc::ETIMEDOUT) => ConnectError::TimedOut,
        _ => ConnectError::Refused(error),
    }
}
