//! Options of connected sockets.

use std::io;
use std::os::fd::BorrowedFd;

use socket2::{SockRef, TcpKeepalive};

use super::sys;
use crate::types::Millis;

/// A connected socket's options. Setters that only matter for speed or are refused to unprivileged processes report
/// nothing; the others give the system's error.
pub struct SocketHandle<'a> {
    /// `None` where there is no socket to speak of: nothing can then be set or known.
    descriptor: Option<BorrowedFd<'a>>,
    is_tcp: bool,
}

/// Parameters of TCP keepalive; `None` leaves the system's (manual: `clitcpka-*`, `srvtcpka-*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub idle: Option<Millis>,
    /// Time between probes.
    pub interval: Option<Millis>,
    /// Probes before the connection is given up.
    pub count: Option<u32>,
}

/// What the kernel knows of a TCP connection, times in microseconds (`fc_rtt` and its kin).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Smoothed round-trip time.
    pub rtt: u32,
    /// Its mean deviation.
    pub rtt_variance: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Segments selectively acknowledged.
    pub sacked: u32,
    /// Segments lost.
    pub lost: u32,
    /// Segments retransmitted, in flight.
    pub retransmits: u32,
    /// Forward acknowledgements.
    pub fackets: u32,
    /// Reordering distance.
    pub reordering: u32,
}

impl<'a> SocketHandle<'a> {
    pub(super) const fn new(descriptor: Option<BorrowedFd<'a>>, is_tcp: bool) -> Self {
        Self { descriptor, is_tcp }
    }

    /// TCP_NODELAY.
    pub fn set_nodelay(&self) {
        if self.is_tcp {
            let _ = self.socket().map(|socket| socket.set_tcp_nodelay(true));
        }
    }

    /// TCP_QUICKACK off or on: whether the next ACK may wait for data to ride on.
    pub fn set_quickack(&self, quick: bool) {
        if self.is_tcp {
            let _ = self.socket().map(|socket| socket.set_tcp_quickack(quick));
        }
    }

    /// SO_KEEPALIVE and its parameters.
    pub fn set_keepalive(&self, keepalive: Keepalive) -> io::Result<()> {
        if !self.is_tcp {
            return Ok(());
        }
        let mut parameters = TcpKeepalive::new();
        if let Some(idle) = keepalive.idle {
            parameters = parameters.with_time(idle.duration());
        }
        if let Some(interval) = keepalive.interval {
            parameters = parameters.with_interval(interval.duration());
        }
        if let Some(count) = keepalive.count {
            parameters = parameters.with_retries(count);
        }
        self.socket()?.set_tcp_keepalive(&parameters)
    }

    /// TCP_USER_TIMEOUT.
    pub fn set_user_timeout(&self, timeout: Millis) -> io::Result<()> {
        if self.is_tcp {
            self.socket()?
                .set_tcp_user_timeout(Some(timeout.duration()))
        } else {
            Ok(())
        }
    }

    /// SO_MARK; needs CAP_NET_ADMIN.
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        self.socket()?.set_mark(mark)
    }

    /// IP_TOS, and IPV6_TCLASS on an IPv6 socket.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        if !self.is_tcp {
            return Ok(());
        }
        let socket = self.socket()?;
        let v4 = socket.set_tos_v4(u32::from(tos));
        if socket.domain()? == socket2::Domain::IPV6 {
            socket.set_tclass_v6(u32::from(tos))
        } else {
            v4
        }
    }

    /// SO_LINGER with a time of zero: the close becomes a reset.
    pub fn linger_nothing(&self) {
        if self.is_tcp {
            let _ = self
                .socket()
                .map(|socket| socket.set_linger(Some(std::time::Duration::ZERO)));
        }
    }

    /// Forgets the connection without a packet to the peer (`silent-drop`). Needs CAP_NET_ADMIN for TCP_REPAIR; without it
    /// the caller's close sends a reset that dies after `ttl 1`, as HAProxy does.
    pub fn vanish(&self) {
        if !self.is_tcp {
            return;
        }
        let (Ok(socket), Some(descriptor)) = (self.socket(), self.descriptor) else {
            return;
        };
        self.linger_nothing();
        if sys::set_repair(descriptor).is_err() {
            let _ = socket.set_ttl_v4(1);
            let _ = socket.set_unicast_hops_v6(1);
        }
    }

    /// TCP_INFO; `None` where it is no TCP connection.
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        sys::tcp_info(self.descriptor.filter(|_| self.is_tcp)?).ok()
    }

    fn socket(&self) -> io::Result<SockRef<'_>> {
        let descriptor = self.descriptor.as_ref();
        descriptor
            .map(SockRef::from)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
