//! Ports of loopback that nobody else is given.
//!
//! A socket that is bound and does not listen keeps a port: the kernel gives it to no other test, and refuses connections to
//! it until a program listens there that shares ports (`SO_REUSEPORT`), as the one under test does.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A TCP port, kept until this is dropped.
pub(crate) struct Port {
    socket: Socket,
}

impl Port {
    /// One that the kernel chooses.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("Linux shares ports");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).expect("a port");
        Self { socket }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.socket.local_addr().expect("bound");
        address.as_socket().expect("IPv4")
    }
}
