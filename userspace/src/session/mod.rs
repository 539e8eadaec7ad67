//! One connection's life: from `accept` to the line in the log.
//!
//! A [`Worker`](worker::Worker) thread accepts, the connection's own task runs its rules, its PROXY header and its TLS
//! handshake, then hands it, as a [`Connection`](connection::Connection) and a [`Stream`](crate::net::Stream), to the TCP
//! relay or to [`http`]. Servers are found by [`server`], expressions look at a session
//! through [`view`]. Nothing here changes a server's state: that is [`crate::health`]'s and [`crate::admin`]'s.

mod accept;
pub mod actions;
pub mod backend;
mod bandwidth;
mod client;
pub mod connection;
pub mod generation;
pub mod http;
mod keeper;
mod limits;
pub mod logging;
mod mirror;
mod password;
pub mod persistence;
mod proxy_header;
mod resolve;
mod reverse;
mod rules;
pub mod server;
mod switching;
mod tcp;
pub mod timeline;
mod timer;
pub mod transaction;
mod transport;
pub mod view;
pub mod worker;
pub mod workers;
