//! Keeps the next hop of every kernel-forwarded server known: interface, both hardware addresses, local address.
//!
//! Input is the set of server addresses; [`Neighbours::refresh`] asks the kernel and returns what changed. XDP sends
//! frames past the kernel's own neighbour code, so nothing there would ever notice that an entry is in use: an entry
//! that is missing or unconfirmed is probed here (`NTF_USE`), which makes the kernel send ARP or neighbour discovery.
//! An address without an answer is reported as [`Hop::Unreachable`]; the writer keeps such a server out of the rings,
//! as if it were down, until it answers. It never invents an address and never waits.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use super::netlink::{Interface, Mac, Neighbour, Netlink, NetlinkError, Route};

/// The next hops of a set of addresses, as of the last refresh.
pub(super) struct Neighbours {
    netlink: Netlink,
    /// Interfaces the program is attached to, by number: only through these can frames leave and answers come back.
    attached: Vec<u32>,
    hops: BTreeMap<IpAddr, Hop>,
}

/// What is known about the way to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// Frames can be sent.
    Reachable(NextHop),
    /// They cannot, for this reason.
    Unreachable(Obstacle),
}

/// All that a frame to one address needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NextHop {
    /// Number of the interface to send through.
    pub interface: u32,
    /// The VLAN to send in there; 0 is none.
    pub vlan: u16,
    /// Largest packet that fits there, in bytes.
    pub mtu: u32,
    /// That interface's hardware address.
    pub source_mac: Mac,
    /// The server's, or its router's.
    pub mac: Mac,
    /// The local address the kernel would use, for source NAT; none when the interface has no address of that family.
    pub source: Option<IpAddr>,
    /// The router in between, or none when the server is on the link.
    pub gateway: Option<IpAddr>,
}

/// Why frames cannot be sent to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The routing table has no way.
    NoRoute,
    /// The address belongs to this machine.
    Local,
    /// The route leaves through an interface that has no `xdp interface` line.
    NotAttached(String),
    /// The route's interface is a VLAN with a hardware address of its own, which frames through the interface below it would
    /// not carry.
    ForeignMac(String),
    /// The route's interface has no Ethernet address.
    NoEthernet(String),
    /// ARP or neighbour discovery was asked and has not answered yet.
    Asking(IpAddr),
    /// ARP or neighbour discovery got no answer.
    NoAnswer(IpAddr),
    /// A router is in between, and `forward dsr` needs the server on the link.
    BehindRouter(IpAddr),
    /// This machine has no address of that family on the way to it, which `forward nat` and tunnels need.
    NoSource,
    /// Its name does not resolve.
    NoAddress,
    /// It is at a port of its own, and packets go on to the port that clients used.
    OwnPort(u16),
}

impl Neighbours {
    /// Starts with no addresses, in the calling thread's network namespace.
    pub(super) fn open(attached: Vec<u32>) -> Result<Self, NetlinkError> {
        Ok(Self {
            netlink: Netlink::open()?,
            attached,
            hops: BTreeMap::new(),
        })
    }

    /// Readable when the kernel's tables changed, and so [`Self::refresh`] is due.
    pub(super) fn changes(&self) -> BorrowedFd<'_> {
        self.netlink.changes()
    }

    /// Takes the pending notifications.
    pub(super) fn drain_changes(&mut self) -> bool {
        self.netlink.drain_changes()
    }

    /// What the last refresh found for `address`.
    pub(super) fn hop(&self, address: IpAddr) -> Option<&Hop> {
        self.hops.get(&address)
    }

    /// Whether any address still lacks its next hop, so that another refresh should follow soon.
    pub(super) fn incomplete(&self) -> bool {
        self.hops.values().any(|hop| {
            matches!(
                hop,
                Hop::Unreachable(Obstacle::Asking(_) | Obstacle::NoAnswer(_))
            )
        })
    }

    /// Whether any address's next hop has been asked for and not been answered yet.
    pub(super) fn asking(&self) -> bool {
        self.hops
            .values()
            .any(|hop| matches!(hop, Hop::Unreachable(Obstacle::Asking(_))))
    }

    /// Replaces the set of addresses to follow. Known ones keep what is known.
    pub(super) fn follow(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        let mut known = std::mem::take(&mut self.hops);
        self.hops = addresses
            .into_iter()
            .map(|address| {
                let hop = known
                    .remove(&address)
                    .unwrap_or(Hop::Unreachable(Obstacle::Asking(address)));
                (address, hop)
            })
            .collect();
    }

    /// Asks the kernel about every address, probes what is missing or stale, and returns the addresses whose hop is
    /// not what it was.
    pub(super) fn refresh(&mut self) -> Result<Vec<IpAddr>, NetlinkError> {
        let mut interfaces = BTreeMap::new();
        let mut changed = Vec::new();
        for (address, known) in &mut self.hops {
            let hop = resolve(&mut self.netlink, &self.attached, &mut interfaces, *address)?;
            if *known != hop {
                *known = hop;
                changed.push(*address);
            }
        }
        Ok(changed)
    }
}

fn resolve(
    netlink: &mut Netlink,
    attached: &[u32],
    interfaces: &mut BTreeMap<u32, Option<Interface>>,
    address: IpAddr,
) -> Result<Hop, NetlinkError> {
    let Some(route) = netlink.route(address)? else {
        return Ok(Hop::Unreachable(Obstacle::NoRoute));
    };
    if route.local {
        return Ok(Hop::Unreachable(Obstacle::Local));
    }
    if let Entry::Vacant(unknown) = interfaces.entry(route.interface) {
        unknown.insert(netlink.interface(route.interface)?);
    }
    let Some(Some(interface)) = interfaces.get(&route.interface) else {
        return Ok(Hop::Unreachable(Obstacle::NoRoute));
    };
    let unreachable =
        |why: fn(String) -> Obstacle| Ok(Hop::Unreachable(why(interface.name.clone())));
    // A VLAN without a program of its own is sent to with a tag, through the interface it is on.
    let below = interface
        .vlan
        .filter(|vlan| attached.contains(&vlan.parent));
    let (index, vlan) = match below {
        _ if attached.contains(&interface.index) => (interface.index, 0),
        Some(vlan) => (vlan.parent, vlan.id),
        None => return unreachable(Obstacle::NotAttached),
    };
    let Some(source_mac) = interface.mac else {
        return unreachable(Obstacle::NoEthernet);
    };
    if index != interface.index {
        let parent = netlink.interface(index)?;
        if parent.and_then(|parent| parent.mac) != interface.mac {
            return unreachable(Obstacle::ForeignMac);
        }
    }
    let via = route.gateway.unwrap_or(address);
    Ok(match ask(netlink, &route, via)? {
        Ok(mac) => Hop::Reachable(NextHop {
            interface: index,
            vlan,
            mtu: interface.mtu,
            source_mac,
            mac,
            source: route.source,
            gateway: route.gateway,
        }),
        Err(obstacle) => Hop::Unreachable(obstacle),
    })
}

/// The hardware address of `via`, probing where the kernel does not know or is not sure.
fn ask(
    netlink: &mut Netlink,
    route: &Route,
    via: IpAddr,
) -> Result<Result<Mac, Obstacle>, NetlinkError> {
    let found = netlink.neighbour(route.interface, via)?;
    if matches!(
        found,
        Neighbour::Stale(_) | Neighbour::Failed | Neighbour::Unknown
    ) {
        netlink.probe(route.interface, via)?;
    }
    Ok(match found {
        Neighbour::Fresh(mac) | Neighbour::Stale(mac) => Ok(mac),
        Neighbour::Asking | Neighbour::Unknown => Err(Obstacle::Asking(via)),
        Neighbour::Failed => Err(Obstacle::NoAnswer(via)),
    })
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => formatter.write_str("no route to it"),
            Self::Local => formatter.write_str("it is an address of this machine"),
            Self::NotAttached(name) => {
                write!(
                    formatter,
                    "its route leaves through '{name}'; add 'xdp interface {name}' to 'global'"
                )
            }
            Self::ForeignMac(name) => write!(
                formatter,
                "its route leaves through '{name}', whose hardware address is not that of the interface below it"
            ),
            Self::NoEthernet(name) => write!(
                formatter,
                "its route leaves through '{name}', which is not Ethernet"
            ),
            Self::Asking(via) => write!(formatter, "waiting for the hardware address of {via}"),
            Self::BehindRouter(via) => write!(
                formatter,
                "it is behind {via}, and 'forward dsr' needs it on the link"
            ),
            Self::NoSource => formatter.write_str("there is no local address to send from"),
            Self::OwnPort(port) => write!(
                formatter,
                "it is at port {port}, and packets that stay as they are cannot go there"
            ),
            Self::NoAddress => formatter.write_str("its name does not resolve"),
            Self::NoAnswer(via) => write!(
                formatter,
                "{via} does not answer ARP or neighbour discovery"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
