//! Sans-io codecs and state machines: bytes in, events out; time is an argument.
//!
//! Nothing here owns a socket, reads a clock, spawns or logs.

pub mod checks;
pub mod deflate;
pub mod dns;
pub mod ends;
pub mod http;
pub mod netscaler;
pub mod pcapng;
pub mod proxy_protocol;
pub mod socks4;
pub mod syslog;
