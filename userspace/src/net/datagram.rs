//! Sockets that receive datagrams: `dgram-bind`.

use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::BindError;
use super::listen::{locate, step};
use crate::model::SocketOptions;

/// Binds a UDP socket. A process that takes over may bind the same address beside it.
///
/// # Errors
/// The kernel's refusal.
pub fn bind_datagram(address: SocketAddr, options: &SocketOptions) -> Result<UdpSocket, BindError> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )
    .map_err(step("create receiving socket"))?;
    locate(&socket, address, options)?;
    socket.bind(&address.into()).map_err(step("bind socket"))?;
    Ok(socket.into())
}
