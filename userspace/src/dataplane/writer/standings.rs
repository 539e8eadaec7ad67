//! What the writer is told of servers: how they stand, and how frames get to them.
//!
//! Health checks and operators change the one, the network the other; neither is asked here how it came to be so.

use std::net::{IpAddr, SocketAddr};

use crate::dataplane::neighbours::{Hop, Neighbours};
use crate::types::ServerId;

/// How a server stands now, as health checks and operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataplane) struct Standing {
    /// May be given new flows.
    pub usable: bool,
    /// Is down or in maintenance, not merely draining.
    pub stopped: bool,
    /// Its share relative to the others.
    pub weight: u32,
    /// Where it is now, if that was changed or resolved at run time.
    pub address: Option<SocketAddr>,
    /// The most flows it may have; 0 is no limit.
    pub limit: u32,
}

/// Where the writer learns how servers stand.
pub(in crate::dataplane) trait Standings {
    /// How a server stands now.
    fn standing(&self, server: ServerId) -> Standing;
}

/// Where the writer learns how frames get to servers.
pub(in crate::dataplane) trait Hops {
    /// What is known of the way to an address.
    fn hop(&self, address: IpAddr) -> Option<&Hop>;
}

impl Hops for Neighbours {
    fn hop(&self, address: IpAddr) -> Option<&Hop> {
        self.hop(address)
    }
}
