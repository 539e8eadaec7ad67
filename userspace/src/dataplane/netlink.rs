//! Asks the kernel about routes, neighbours and interfaces over one blocking rtnetlink socket.
//!
//! Input are addresses and interface numbers, output is what the kernel answers now; a second socket joined to the
//! notification groups tells when an earlier answer may have become stale. Nothing is cached and nothing is decided
//! here: that is [`super::neighbours`]'s business.

mod condition;
mod vlan;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rtnetlink::constants::{
    RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, RTMGRP_LINK,
    RTMGRP_NEIGH,
};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily as SocketFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

pub(super) use condition::{Condition, Peer};
pub(super) use vlan::Vlan;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// One request socket and one socket that only listens to changes.
pub(super) struct Netlink {
    requests: OwnedFd,
    changes: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Where the kernel would send a packet for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Number of the interface the packet leaves through.
    pub interface: u32,
    /// The router, or none where the address is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The local address the kernel would send from.
    pub source: Option<IpAddr>,
    /// Whether the address is this machine's own.
    pub local: bool,
}

/// What the neighbour table says about one address on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Resolved and recently confirmed, or fixed by the administrator.
    Fresh(Mac),
    /// Resolved, but not confirmed for a while.
    Stale(Mac),
    /// Being asked for.
    Asking,
    /// Nobody answered.
    Failed,
    /// The table has no entry.
    Unknown,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name, as in `xdp interface <name>`.
    pub name: String,
    /// Its hardware address; none for devices without Ethernet framing.
    pub mac: Option<Mac>,
    /// Largest packet without the Ethernet header, in bytes.
    pub mtu: u32,
    /// What it stands for, where it is a VLAN on another interface (IEEE 802.1Q; not 802.1ad).
    pub vlan: Option<Vlan>,
}

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be made or used.
    #[error("netlink {doing} failed")]
    Socket {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel's answer was not understood.
    #[error("netlink answered with something unexpected to a question about {0}")]
    Unexpected(&'static str),
}

impl Netlink {
    /// Opens both sockets in the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        Ok(Self {
            requests: socket(0, SocketFlags::CLOEXEC)?,
            changes: socket(CHANGE_GROUPS, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Readable when routes, neighbours, links or addresses changed; then call [`Self::drain_changes`].
    pub(super) fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    /// Takes all pending notifications and tells whether there were any. One that was lost because the kernel's
    /// buffer was full counts as one.
    pub(super) fn drain_changes(&mut self) -> bool {
        let mut any = false;
        for _ in 0..MAX_NOTIFICATIONS {
            match rustix::net::recv(
                &self.changes,
                self.buffer.as_mut_slice(),
                RecvFlags::empty(),
            ) {
                Ok((_, 0)) => break,
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(_) => break,
            }
        }
        any
    }

    /// The kernel's route to `address`; `None` when there is none.
    pub(super) fn route(&mut self, address: IpAddr) -> Result<Option<Route>, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(address);
        message.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        message
            .attributes
            .push(RouteAttribute::Destination(address.into()));
        match self.ask(RouteNetlinkMessage::GetRoute(message), 0, "a route")? {
            Answer::Message(RouteNetlinkMessage::NewRoute(route)) => Ok(Some(read_route(&route))),
            Answer::Refused => Ok(None),
            _ => Err(NetlinkError::Unexpected("a route")),
        }
    }

    /// The neighbour table's entry for `address` on `interface`.
    pub(super) fn neighbour(
        &mut self,
        interface: u32,
        address: IpAddr,
    ) -> Result<Neighbour, NetlinkError> {
        let message = neighbour_message(interface, address);
        match self.ask(RouteNetlinkMessage::GetNeighbour(message), 0, "a neighbour")? {
            Answer::Message(RouteNetlinkMessage::NewNeighbour(entry)) => Ok(read_neighbour(&entry)),
            Answer::Refused => Ok(Neighbour::Unknown),
            _ => Err(NetlinkError::Unexpected("a neighbour")),
        }
    }

    /// Makes the kernel ask for (ARP, neighbour discovery) or confirm `address` on `interface`, as if a packet had
    /// been sent to it. A refusal is the kernel's last word and shows as a failed neighbour later.
    pub(super) fn probe(&mut self, interface: u32, address: IpAddr) -> Result<(), NetlinkError> {
        let mut message = neighbour_message(interface, address);
        message.header.flags = NeighbourFlags::Use;
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.ask(
            RouteNetlinkMessage::NewNeighbour(message),
            flags,
            "a neighbour probe",
        )
        .map(|_| ())
    }

    /// The interface with this number; `None` when there is none.
    pub(super) fn interface(&mut self, index: u32) -> Result<Option<Interface>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.interface_by(message)
    }

    /// The interface of this name; `None` when there is none.
    pub(super) fn interface_named(
        &mut self,
        name: &str,
    ) -> Result<Option<Interface>, NetlinkError> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        self.interface_by(message)
    }

    fn interface_by(&mut self, message: LinkMessage) -> Result<Option<Interface>, NetlinkError> {
        match self.ask(RouteNetlinkMessage::GetLink(message), 0, "an interface")? {
            Answer::Message(RouteNetlinkMessage::NewLink(link)) => Ok(Some(read_interface(&link))),
            Answer::Refused => Ok(None),
            _ => Err(NetlinkError::Unexpected("an interface")),
        }
    }

    /// Every address of this machine but those of the loopback device.
    pub(super) fn addresses(&mut self) -> Result<Vec<IpAddr>, NetlinkError> {
        let about = "this machine's addresses";
        let mut found = Vec::new();
        self.send(
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            NLM_F_DUMP,
            about,
        )?;
        loop {
            for message in self.receive(about)? {
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
                        found.extend(read_address(&message));
                    }
                    NetlinkPayload::Done(_) => return Ok(found),
                    _ => return Err(NetlinkError::Unexpected(about)),
                }
            }
        }
    }

    /// Sends one request and waits for the answer that carries its sequence number.
    fn ask(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        about: &'static str,
    ) -> Result<Answer, NetlinkError> {
        self.send(request, flags, about)?;
        let answers = self.receive(about)?;
        match answers.into_iter().next().map(|message| message.payload) {
            Some(NetlinkPayload::InnerMessage(message)) => Ok(Answer::Message(message)),
            Some(NetlinkPayload::Error(error)) if error.code.is_none() => Ok(Answer::Done),
            Some(NetlinkPayload::Error(error))
                if error.raw_code() == -Errno::PERM.raw_os_error() =>
            {
                Err(NetlinkError::Socket {
                    doing: about,
                    source: Errno::PERM.into(),
                })
            }
            Some(NetlinkPayload::Error(_)) => Ok(Answer::Refused),
            _ => Err(NetlinkError::Unexpected(about)),
        }
    }

    fn send(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        about: &'static str,
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let sent = rustix::net::send(&self.requests, &bytes, SendFlags::empty());
        sent.map(|_| ()).map_err(|error| NetlinkError::Socket {
            doing: about,
            source: error.into(),
        })
    }

    /// The next datagram's messages that answer the last request; late answers to earlier ones are skipped.
    fn receive(
        &mut self,
        about: &'static str,
    ) -> Result<Vec<NetlinkMessage<RouteNetlinkMessage>>, NetlinkError> {
        let failed = |error: Errno| NetlinkError::Socket {
            doing: about,
            source: error.into(),
        };
        for _ in 0..MAX_NOTIFICATIONS {
            let (length, _) = rustix::net::recv(
                &self.requests,
                self.buffer.as_mut_slice(),
                RecvFlags::empty(),
            )
            .map_err(failed)?;
            let mut rest = &self.buffer[..length];
            let mut messages = Vec::new();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|_| NetlinkError::Unexpected(about))?;
                let length = (message.header.length as usize).next_multiple_of(4);
                rest = rest.get(length.max(4)..).unwrap_or_default();
                if message.header.sequence_number == self.sequence {
                    messages.push(message);
                }
            }
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
        Err(NetlinkError::Unexpected(about))
    }
}

/// The kernel's reply to one request.
enum Answer {
    Message(RouteNetlinkMessage),
    Done,
    Refused,
}

fn socket(groups: u32, flags: SocketFlags) -> Result<OwnedFd, NetlinkError> {
    let failed = |error: Errno| NetlinkError::Socket {
        doing: "socket",
        source: error.into(),
    };
    // Protocol 0 of this family is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(SocketFamily::NETLINK, SocketType::RAW, flags, None)
        .map_err(failed)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups)).map_err(failed)?;
    if groups == 0 {
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(failed)?;
    }
    Ok(socket)
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn neighbour_message(interface: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = interface;
    message
        .attributes
        .push(NeighbourAttribute::Destination(NeighbourAddress::from(
            address,
        )));
    message
}

fn read_route(message: &RouteMessage) -> Route {
    let mut route = Route {
        interface: 0,
        gateway: None,
        source: None,
        local: message.header.kind == RouteType::Local,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.interface = *index,
            RouteAttribute::Gateway(address) => route.gateway = route_address(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => {
                route.gateway = Some((*address).into())
            }
            RouteAttribute::PrefSource(address) => route.source = route_address(address),
            _ => {}
        }
    }
    route
}

fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn read_neighbour(message: &NeighbourMessage) -> Neighbour {
    let mac = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => Mac::try_from(bytes.as_slice()).ok(),
            _ => None,
        });
    match (message.header.state, mac) {
        (
            NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp,
            Some(mac),
        ) => Neighbour::Fresh(mac),
        (NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe, Some(mac)) => {
            Neighbour::Stale(mac)
        }
        (NeighbourState::Failed, _) => Neighbour::Failed,
        (NeighbourState::Incomplete, _) => Neighbour::Asking,
        _ => Neighbour::Unknown,
    }
}

fn read_address(message: &AddressMessage) -> Option<IpAddr> {
    // The local end of a point-to-point link is not the address the link is known by.
    let local = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
    let known = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        });
    local.or(known).filter(|address| !address.is_loopback())
}

fn read_interface(message: &LinkMessage) -> Interface {
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        vlan: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Address(bytes)
                if message.header.link_layer_type == LinkLayerType::Ether =>
            {
                interface.mac = Mac::try_from(bytes.as_slice()).ok();
            }
            _ => {}
        }
    }
    interface.vlan = Vlan::of(message);
    interface
}

const CHANGE_GROUPS: u32 = RTMGRP_LINK
    | RTMGRP_NEIGH
    | RTMGRP_IPV4_IFADDR
    | RTMGRP_IPV4_ROUTE
    | RTMGRP_IPV6_IFADDR
    | RTMGRP_IPV6_ROUTE;

/// Larger than any single answer the kernel gives to the questions above.
const BUFFER: usize = 64 * 1024;

/// Bound of every loop over messages; what is left is read the next time.
const MAX_NOTIFICATIONS: usize = 4096;

#[cfg(test)]
mod tests;
