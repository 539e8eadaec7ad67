//! What the network around a program on trial is like: told, not asked for.
//!
//! Input is a [`Place`]; output is what the writer wants to know of interfaces and next hops. Addresses nobody told of do
//! not answer.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::dataplane::neighbours::{Hop, NextHop, Obstacle};
use crate::dataplane::netlink::{Interface, Mac};
use crate::dataplane::writer::Hops;

/// What the network around the program is like.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Number and hardware address of each interface the program is on.
    pub interfaces: Vec<(u32, [u8; 6])>,
    /// This machine's addresses.
    pub own: Vec<IpAddr>,
    /// How frames get to servers.
    pub hops: BTreeMap<IpAddr, PlaceHop>,
    /// Source ports for NAT: the first, and how many.
    pub nat_ports: (u16, u16),
}

/// The way to a server on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceHop {
    /// Number of the interface.
    pub interface: u32,
    /// The VLAN to send in there; 0 is none.
    pub vlan: u16,
    /// The server's hardware address.
    pub mac: [u8; 6],
    /// The local address it would see.
    pub source: IpAddr,
}

impl Place {
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let one = |&(index, mac): &(u32, Mac)| Interface {
            index,
            name: format!("interface {index}"),
            mac: Some(mac),
            mtu: MTU,
            vlan: None,
        };
        self.interfaces.iter().map(one).collect()
    }
}

/// A place as the writer sees it.
pub(super) struct Around {
    hops: BTreeMap<IpAddr, Hop>,
}

impl Around {
    pub(super) fn new(place: Place) -> Self {
        let interfaces: BTreeMap<u32, Mac> = place.interfaces.into_iter().collect();
        let one = |(address, hop): (IpAddr, PlaceHop)| {
            let reachable = Hop::Reachable(NextHop {
                interface: hop.interface,
                vlan: hop.vlan,
                mtu: MTU,
                source_mac: interfaces.get(&hop.interface).copied().unwrap_or_default(),
                mac: hop.mac,
                source: Some(hop.source),
                gateway: None,
            });
            (address, reachable)
        };
        Self {
            hops: place.hops.into_iter().map(one).collect(),
        }
    }

    /// The address stops answering.
    pub(super) fn lose(&mut self, address: IpAddr) {
        let silent = Hop::Unreachable(Obstacle::NoAnswer(address));
        self.hops.insert(address, silent);
    }
}

impl Hops for Around {
    fn hop(&self, address: IpAddr) -> Option<&Hop> {
        self.hops.get(&address)
    }
}

const MTU: u32 = 1500;
