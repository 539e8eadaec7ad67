//! Listening sockets: bound once for the process, then one listener per thread.
//!
//! A TCP address gets one SO_REUSEPORT socket per thread, so that the kernel spreads new connections; Unix, abstract and
//! inherited sockets are shared by all threads. Binding happens before privileges are dropped; accepting happens on the
//! worker threads.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::stream::plain;
use super::sys::{Family, Signed};
use super::{Stream, group_id, sys, user_id};
use crate::model::{AddressFamily, BindAddress, Principal, SocketOptions};

/// The sockets of one bind address, listening.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<OwnedFd>,
    kind: Kind,
    /// Where it really listens: differs from the configuration when the port was 0.
    address: Option<SocketAddr>,
    /// The path to unlink when the listener is gone for good.
    path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Unix,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A step of making the socket failed.
    #[error("cannot {step} ({})", system_text(source))]
    System {
        /// What was being done: `bind socket`, `listen`, …
        step: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The owner of a Unix socket does not exist.
    #[error("unknown user or group '{0}'")]
    Owner(String),
    /// A Unix socket's path is too long for the system.
    #[error("path too long for a unix socket")]
    Path,
    /// The address is not one a stream socket can have.
    #[error("not a stream address")]
    NotStream,
}

/// A connection just accepted.
pub struct Incoming {
    /// The connection.
    pub stream: Stream,
    /// Who connected; `None` on Unix sockets.
    pub peer: Option<SocketAddr>,
}

/// One thread's listener.
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
    kind: Kind,
}

impl Bound {
    /// Binds and listens: `threads` sockets for TCP, one otherwise.
    pub fn new(
        address: &BindAddress,
        options: &SocketOptions,
        backlog: u32,
        threads: usize,
    ) -> Result<Self, BindError> {
        let backlog = i32::try_from(options.backlog.unwrap_or(backlog)).unwrap_or(i32::MAX);
        match address {
            BindAddress::Tcp(address) => bind_tcp(*address, options, backlog, threads),
            BindAddress::Unix(path) => bind_unix(path, options, backlog),
            BindAddress::Abstract(name) => bind_abstract(&padded(name), backlog),
            BindAddress::AbstractUnpadded(name) => bind_abstract(name, backlog),
            BindAddress::Inherited(number) => adopt(*number, options, backlog),
            BindAddress::Udp(_)
            | BindAddress::PortRange { .. }
            | BindAddress::Network { .. }
            | BindAddress::Reverse { .. } => Err(BindError::NotStream),
        }
    }

    /// Takes over listening sockets handed down by another process or generation.
    pub fn from_sockets(sockets: Vec<OwnedFd>) -> Result<Self, BindError> {
        let first = sockets.first().ok_or(BindError::NotStream)?;
        let local = SockRef::from(first)
            .local_addr()
            .map_err(step("read the address of the socket"))?;
        let kind = if local.as_socket().is_some() {
            Kind::Tcp
        } else {
            Kind::Unix
        };
        Ok(Self {
            sockets,
            kind,
            address: local.as_socket(),
            path: None,
        })
    }

    /// The address in force; `None` for Unix sockets.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The sockets, for handing them to another process.
    pub fn sockets(&self) -> &[OwnedFd] {
        &self.sockets
    }

    /// The listener of thread number `thread`. Must be called on that thread, inside its runtime.
    pub fn listener(&self, thread: usize) -> io::Result<Listener> {
        let socket = self.sockets[thread % self.sockets.len()].try_clone()?;
        Ok(Listener {
            socket: sys::watch_listener(socket)?,
            kind: self.kind,
        })
    }

    /// Stops or resumes listening without giving the sockets up: connection attempts are refused meanwhile.
    pub fn set_paused(&self, paused: bool, backlog: u32) -> io::Result<()> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        for socket in &self.sockets {
            let socket = SockRef::from(socket);
            match (paused, self.kind) {
                // Shutting the receiving side of a listener takes it out of the listening state; `listen` brings it back.
                (true, Kind::Tcp) => socket.shutdown(std::net::Shutdown::Read)?,
                (false, Kind::Tcp) => socket.listen(backlog)?,
                // A Unix listener cannot be brought back: its clients wait in the backlog.
                (_, Kind::Unix) => {}
            }
        }
        Ok(())
    }

    /// Removes the file of a Unix socket, when the listener is not handed on.
    pub fn unlink(&self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    /// Accepts one connection.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            // Anything but a result means that there was none to accept after all.
            if let Ok(result) = ready.try_io(|socket| accept(socket.get_ref(), self.kind)) {
                return Poll::Ready(result);
            }
        }
    }

    /// Waits for one connection.
    pub async fn accept(&self) -> io::Result<Incoming> {
        std::future::poll_fn(|context| self.poll_accept(context)).await
    }
}

fn accept(listener: &OwnedFd, kind: Kind) -> io::Result<Incoming> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
    Ok(match kind {
        Kind::Tcp => Incoming {
            stream: Stream::accepted(socket.into()),
            peer: peer
                .and_then(|peer| SocketAddr::try_from(peer).ok())
                .map(plain),
        },
        Kind::Unix => Incoming {
            stream: Stream::unix(UnixStream::from_std(socket.into())?),
            peer: None,
        },
    })
}

/// Whether an error of `accept` concerns that one connection only, so that the next one may work at once.
pub fn connection_is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn bind_tcp(
    address: SocketAddr,
    options: &SocketOptions,
    backlog: i32,
    threads: usize,
) -> Result<Bound, BindError> {
    let mut sockets = Vec::with_capacity(threads);
    let mut actual = address;
    for _ in 0..threads.max(1) {
        let socket = tcp_socket(actual, options)?;
        socket.bind(&actual.into()).map_err(step("bind socket"))?;
        socket.listen(backlog).map_err(step("listen to socket"))?;
        let local = socket
            .local_addr()
            .map_err(step("read the address of the socket"))?;
        actual = local.as_socket().unwrap_or(actual);
        sockets.push(socket.into());
    }
    Ok(Bound {
        sockets,
        kind: Kind::Tcp,
        address: Some(actual),
        path: None,
    })
}

fn tcp_socket(address: SocketAddr, options: &SocketOptions) -> Result<Socket, BindError> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(stream_protocol(options.multipath)),
    )
    .map_err(step("create listening socket"))?;
    locate(&socket, address, options)?;
    // Accepted sockets inherit it, which saves a system call for each.
    socket
        .set_tcp_nodelay(true)
        .map_err(step("set TCP_NODELAY"))?;
    if let Some(mss) = options.mss {
        socket
            .set_tcp_mss(u32::from(mss))
            .map_err(step("set MSS"))?;
    }
    if let Some(timeout) = options.user_timeout {
        socket
            .set_tcp_user_timeout(Some(timeout.duration()))
            .map_err(step("set TCP User Timeout"))?;
    }
    prepare(&socket, options, address)?;
    if options.defer_accept {
        sys::set_option(
            socket.as_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            DEFER_SECONDS,
        )
        .map_err(step("enable DEFER_ACCEPT"))?;
    }
    if options.fast_open {
        sys::set_option(
            socket.as_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            FAST_OPEN_QUEUE,
        )
        .map_err(step("enable TCP_FASTOPEN"))?;
    }
    Ok(socket)
}

/// TCP, or MPTCP, which speaks TCP with those who know no more.
pub(super) fn stream_protocol(multipath: bool) -> Protocol {
    if multipath {
        Protocol::from(libc::IPPROTO_MPTCP)
    } else {
        Protocol::TCP
    }
}

/// What also sockets that were made by somebody else get.
fn prepare(socket: &Socket, options: &SocketOptions, address: SocketAddr) -> Result<(), BindError> {
    if let Some(password) = &options.md5 {
        let family = if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        sys::sign(socket.as_fd(), Signed::Every(family), password.as_bytes())
            .map_err(step("set TCP_MD5SIG"))?;
    }
    if let Some(algorithm) = &options.congestion
        && let Err(error) = socket.set_tcp_congestion(algorithm.as_bytes())
    {
        crate::log::notice::warning(format_args!(
            "'cc {algorithm}' on {address}: {}; the default one remains",
            system_text(&error)
        ));
    }
    Ok(())
}

/// Sets what decides where a socket may be bound, and which traffic is its own.
pub(super) fn locate(
    socket: &Socket,
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<(), BindError> {
    socket
        .set_reuse_address(true)
        .map_err(step("set SO_REUSEADDR"))?;
    socket
        .set_reuse_port(true)
        .map_err(step("set SO_REUSEPORT"))?;
    if address.is_ipv6() {
        match options.family {
            AddressFamily::System => {}
            AddressFamily::V6Only => socket
                .set_only_v6(true)
                .map_err(step("make listening socket v6only"))?,
            AddressFamily::Both => socket
                .set_only_v6(false)
                .map_err(step("make listening socket v4v6"))?,
        }
    }
    if options.transparent {
        let set = if address.is_ipv6() {
            socket.set_ip_transparent_v6(true)
        } else {
            socket.set_ip_transparent_v4(true)
        };
        set.map_err(step("make listening socket transparent"))?;
    }
    if let Some(interface) = &options.interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(step("bind listener to device"))?;
    }
    Ok(())
}

/// A Unix socket appears under its name only once it listens with the right mode and owner: it is made under a
/// temporary name and renamed.
fn bind_unix(path: &Path, options: &SocketOptions, backlog: i32) -> Result<Bound, BindError> {
    let temporary = PathBuf::from(format!("{}.{}.tmp", path.display(), std::process::id()));
    let address = SockAddr::unix(&temporary).map_err(|_| BindError::Path)?;
    let _ = std::fs::remove_file(&temporary);
    let socket = unix_socket()?;
    socket.bind(&address).map_err(step("bind UNIX socket"))?;
    let made = own(&temporary, options)
        .and_then(|()| {
            socket
                .listen(backlog)
                .map_err(step("listen to UNIX socket"))
        })
        .and_then(|()| std::fs::rename(&temporary, path).map_err(step("rename UNIX socket")));
    if let Err(error) = made {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(Bound {
        sockets: vec![socket.into()],
        kind: Kind::Unix,
        address: None,
        path: Some(path.to_owned()),
    })
}

fn own(path: &Path, options: &SocketOptions) -> Result<(), BindError> {
    if let Some(mode) = options.mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(step("change the mode of the UNIX socket"))?;
    }
    let user = options
        .user
        .as_ref()
        .map(|user| number_of(user, user_id))
        .transpose()?;
    let group = options
        .group
        .as_ref()
        .map(|group| number_of(group, group_id))
        .transpose()?;
    if user.is_some() || group.is_some() {
        chown(path, user, group).map_err(step("change the owner of the UNIX socket"))?;
    }
    Ok(())
}

fn number_of(principal: &Principal, find: fn(&str) -> Option<u32>) -> Result<u32, BindError> {
    match principal {
        Principal::Id(id) => Ok(*id),
        Principal::Name(name) => find(name).ok_or_else(|| BindError::Owner(name.clone())),
    }
}

fn bind_abstract(name: &[u8], backlog: i32) -> Result<Bound, BindError> {
    let socket = unix_socket()?;
    let address = abstract_address(name).map_err(|_| BindError::Path)?;
    socket.bind(&address).map_err(step("bind UNIX socket"))?;
    socket
        .listen(backlog)
        .map_err(step("listen to UNIX socket"))?;
    Ok(Bound {
        sockets: vec![socket.into()],
        kind: Kind::Unix,
        address: None,
        path: None,
    })
}

/// Takes over `fd@N`, which is bound and may be listening already.
fn adopt(number: i32, options: &SocketOptions, backlog: i32) -> Result<Bound, BindError> {
    let socket = Socket::from(sys::duplicate(number).map_err(step("use inherited socket"))?);
    if socket.r#type().map_err(step("use inherited socket"))? != Type::STREAM {
        return Err(BindError::NotStream);
    }
    let local = socket
        .local_addr()
        .map_err(step("read the address of the inherited socket"))?;
    let kind = match local.domain() {
        Domain::IPV4 | Domain::IPV6 => Kind::Tcp,
        Domain::UNIX => Kind::Unix,
        _ => return Err(BindError::NotStream),
    };
    socket
        .set_nonblocking(true)
        .map_err(step("make socket non-blocking"))?;
    if kind == Kind::Tcp {
        socket
            .set_tcp_nodelay(true)
            .map_err(step("set TCP_NODELAY"))?;
    }
    if let Some(address) = local.as_socket() {
        prepare(&socket, options, address)?;
    }
    if !sys::is_listening(socket.as_fd()) {
        socket
            .listen(backlog)
            .map_err(step("listen to inherited socket"))?;
    }
    Ok(Bound {
        sockets: vec![socket.into()],
        kind,
        address: local.as_socket(),
        path: None,
    })
}

fn unix_socket() -> Result<Socket, BindError> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(step("create UNIX socket"))
}

/// An `abns@` name padded with zeros to the full length of an address (manual §2.9.1).
pub(super) fn padded(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    name.resize(name.len().max(ABSTRACT_LENGTH), 0);
    name
}

/// The address of an abstract socket, of exactly the name's length.
pub(super) fn abstract_address(name: &[u8]) -> io::Result<SockAddr> {
    SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat()))
}

pub(super) fn step(step: &'static str) -> impl FnOnce(io::Error) -> BindError {
    move |source| BindError::System { step, source }
}

/// The system's message alone, without the number the standard library adds.
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Bytes of an abstract name: `sun_path` without the leading zero.
const ABSTRACT_LENGTH: usize = 107;

/// Longest wait of `defer-accept`; the kernel rounds it to retransmissions of its SYN-ACK.
const DEFER_SECONDS: i32 = 1;

/// Pending fast-open requests per listener.
const FAST_OPEN_QUEUE: i32 = 1024;
