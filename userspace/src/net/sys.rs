//! The system calls no crate wraps: raw descriptors inherited from a parent, a few socket options, user names.
//!
//! Numbers and borrowed descriptors come in, owned values and errors go out. This is the room's only unsafe code; nothing
//! here decides anything.
#![expect(
    unsafe_code,
    reason = "calls into libc; each block says why it is sound"
)]

use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::TcpInfo;
use crate::model::MD5_PASSWORD_MAX;

/// A duplicate of an inherited descriptor (`fd@N`), close-on-exec. Fails when `number` is not open.
pub fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the borrowed descriptor lives for this call only; if the number is not open, F_DUPFD_CLOEXEC fails with
    // EBADF and nothing was touched.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned()
}

/// Has this thread's runtime watch a listening socket for connections.
pub(super) fn watch_listener(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is open, and stays the same open one for as long as it is watched: the result owns it and is
    // only ever borrowed.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    Ok(watched?)
}

/// Sets an integer socket option.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: i32,
) -> io::Result<()> {
    // SAFETY: the pointer is to a live c_int of exactly the length given, and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whose segments are signed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signed {
    /// Those exchanged with one peer.
    With(SocketAddr),
    /// Those of every peer of a listener, of the family it listens on.
    Every(Family),
}

/// An address family.
#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

/// TCP_MD5SIG_EXT: signs the segments of a TCP connection (RFC 2385). `key` has at most [`MD5_PASSWORD_MAX`] bytes.
pub(super) fn sign(socket: BorrowedFd<'_>, whose: Signed, key: &[u8]) -> io::Result<()> {
    let (address, everyone) = match whose {
        Signed::With(address) => (address, false),
        Signed::Every(Family::V4) => (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), true),
        Signed::Every(Family::V6) => (SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), true),
    };
    // `struct tcp_md5sig` of the kernel: address, flags, prefix length, key length, interface, key.
    let mut signature = [0_u8; 216];
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    signature[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    signature[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => signature[4..8].copy_from_slice(&address.ip().octets()),
        SocketAddr::V6(address) => signature[8..24].copy_from_slice(&address.ip().octets()),
    }
    if everyone {
        // TCP_MD5SIG_FLAG_PREFIX, with a prefix of no bits.
        signature[128] = 1;
    }
    let length = key.len().min(MD5_PASSWORD_MAX);
    signature[130..132].copy_from_slice(&(length as u16).to_ne_bytes());
    signature[136..136 + length].copy_from_slice(&key[..length]);
    // SAFETY: the pointer is to a live array of exactly the length given, and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            if everyone {
                TCP_MD5SIG_EXT
            } else {
                libc::TCP_MD5SIG
            },
            signature.as_ptr().cast(),
            signature.len() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether a socket listens already (SO_ACCEPTCONN).
pub(super) fn is_listening(socket: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// TCP_REPAIR: the kernel will forget the connection without a packet. Needs CAP_NET_ADMIN.
pub(super) fn set_repair(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)
}

/// TCP_INFO.
pub(super) fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of the value behind the pointer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all fields are integers, for which the zeroes written first are valid where the kernel wrote less.
    let info = unsafe { info.assume_init() };
    Ok(TcpInfo {
        rtt: info.tcpi_rtt,
        rtt_variance: info.tcpi_rttvar,
        unacked: info.tcpi_unacked,
        sacked: info.tcpi_sacked,
        lost: info.tcpi_lost,
        retransmits: info.tcpi_retrans,
        fackets: info.tcpi_fackets,
        reordering: info.tcpi_reordering,
    })
}

/// The uid of a user name; `None` if there is no such user.
pub fn user_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0_u8; NAME_BUFFER];
    let mut found = std::ptr::null_mut();
    // SAFETY: every pointer is to a live value of the length given; `found` is set to `entry` or null.
    let result = unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            entry.as_mut_ptr(),
            strings.as_mut_ptr().cast(),
            strings.len(),
            &raw mut found,
        )
    };
    // SAFETY: a non-null `found` means the call filled `entry`.
    (result == 0 && !found.is_null()).then(|| unsafe { entry.assume_init() }.pw_uid)
}

/// The gid of a group name; `None` if there is no such group.
pub fn group_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut strings = vec![0_u8; NAME_BUFFER];
    let mut found = std::ptr::null_mut();
    // SAFETY: every pointer is to a live value of the length given; `found` is set to `entry` or null.
    let result = unsafe {
        libc::getgrnam_r(
            name.as_ptr(),
            entry.as_mut_ptr(),
            strings.as_mut_ptr().cast(),
            strings.len(),
            &raw mut found,
        )
    };
    // SAFETY: a non-null `found` means the call filled `entry`.
    (result == 0 && !found.is_null()).then(|| unsafe { entry.assume_init() }.gr_gid)
}

/// The option that takes a prefix of addresses; since Linux 4.13.
const TCP_MD5SIG_EXT: i32 = 32;

/// Room for a passwd or group entry's strings; a group with thousands of members needs much of it.
const NAME_BUFFER: usize = 64 * 1024;
