//! The way to a server: what its record says of the next hop, of our own address and of the tunnel, or what is in the way.
//!
//! Input is what is known about neighbours and what the record said before; output is a [`Way`] or an [`Obstacle`]. Nothing
//! is written here.

use std::net::{IpAddr, SocketAddr};

use tidegate_common::server::Bounds;
use tidegate_common::tunnel;

use super::Hops;
use super::servers::Entry;
use crate::dataplane::neighbours::{Hop, NextHop, Obstacle};
use crate::dataplane::plan::{Family, Method};

/// How frames get to a server.
pub(super) struct Way {
    pub(super) interface: u32,
    pub(super) vlan: u16,
    pub(super) mac: [u8; 6],
    pub(super) source: Option<IpAddr>,
    pub(super) bounds: Bounds,
}

impl Way {
    /// With what the program needs to know besides about the tunnel, if the way is one.
    pub(super) fn bounded(
        self,
        method: Method,
        clients: Family,
        server: Option<SocketAddr>,
    ) -> Self {
        let port = match method {
            Method::Gue { port } => port,
            _ => 0,
        };
        let sum = match (self.source, server) {
            (Some(source), Some(server)) if method.tunnels() => tunnel::constant_sum(
                source.into(),
                server.ip().into(),
                port.to_be_bytes(),
                clients == Family::V4,
            ),
            _ => 0,
        };
        let bounds = Bounds { sum, ..self.bounds };
        Self { bounds, ..self }
    }
}

/// The way to a server, or what is in it. One that was known is good until the kernel says otherwise.
pub(super) fn way(
    method: Method,
    address: Option<SocketAddr>,
    known: Option<Entry>,
    hops: &dyn Hops,
) -> Result<Way, Obstacle> {
    let address = address.ok_or(Obstacle::NoAddress)?;
    match (hops.hop(address.ip()), method) {
        (
            Some(Hop::Reachable(NextHop {
                gateway: Some(gateway),
                ..
            })),
            Method::Dsr,
        ) => Err(Obstacle::BehindRouter(*gateway)),
        (Some(Hop::Reachable(NextHop { source: None, .. })), method) if method.needs_source() => {
            Err(Obstacle::NoSource)
        }
        (Some(Hop::Reachable(hop)), method) => Ok(Way {
            interface: hop.interface,
            vlan: hop.vlan,
            mac: hop.mac,
            source: hop.source.filter(|_| method.needs_source()),
            bounds: Bounds {
                sum: 0,
                // One that does not fit the field lets every packet pass.
                mtu: u16::try_from(hop.mtu).unwrap_or(0),
            },
        }),
        (Some(Hop::Unreachable(obstacle)), _) => Err(obstacle.clone()),
        (None, _) => Err(Obstacle::Asking(address.ip())),
    }
    .or_else(|obstacle| match (obstacle, known) {
        (Obstacle::Asking(_), Some(entry)) if entry.hop.is_known() && entry.address == address => {
            Ok(Way {
                interface: u32::from(entry.hop.interface),
                vlan: entry.vlan,
                mac: entry.hop.mac,
                source: entry.source,
                bounds: entry.bounds,
            })
        }
        (obstacle, _) => Err(obstacle),
    })
}
