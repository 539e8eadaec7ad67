//! Sockets: listening, accepting, connecting, and moving bytes between two connections.
//!
//! Addresses and options come in from the model, [`Stream`]s go out: one type for TCP, Unix and encrypted connections, so
//! that no other room cares which it holds. Nothing here knows rules, servers or log lines, and TLS itself lives in
//! [`crate::tls`], which wraps a stream by way of [`Layer`].

mod bare;
mod buffer;
mod carried;
mod connect;
mod datagram;
pub mod handover;
mod listen;
mod options;
mod pipe;
mod pump;
pub mod resolver;
mod socks;
mod splice;
mod stream;
mod sys;
#[cfg(test)]
mod tests;

pub use bare::Bare;
pub use buffer::{Buffer, RELAY_BUFFER};
pub use carried::Carried;
pub use connect::{ConnectError, Destination, Outgoing, connect};
pub use datagram::bind_datagram;
pub use listen::{BindError, Bound, Incoming, Listener, connection_is_gone};
pub use options::{Keepalive, SocketHandle, TcpInfo};
pub use pump::{Pump, PumpError};
pub use socks::through_socks4;
pub use splice::Splice;
pub use stream::{Layer, Parked, Stream};
pub use sys::{duplicate as inherited, group_id, user_id};
