//! Log messages between machines: rings carried to servers, and what `log-forward` sections receive (manual §12.5, §12.6).
//!
//! [`carry`] empties the rings of [`crate::log`] into TCP or TLS connections; [`receive`] and [`Relay`] take messages from
//! sockets and connections and hand them to their section's logger. How a line looks and where it goes is the logger's
//! business; connections are accepted by [`crate::session`].

mod courier;
mod receive;
#[cfg(test)]
mod tests;

pub use courier::carry;
pub use receive::{Inlet, Relay, receive};
