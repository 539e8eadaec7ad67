//! What else an operator should know of an interface: whether it is up, and for a veth device what is at its other end.

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};

use super::{Answer, Netlink, NetlinkError};

/// How an interface is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataplane) struct Condition {
    /// Whether it has been switched on.
    pub up: bool,
    /// Whether something is at the other end of its wire.
    pub carrier: bool,
    /// The other end of a veth device, where that could be asked about.
    pub peer: Option<Peer>,
}

/// The other end of a veth device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataplane) struct Peer {
    /// Its number, where it is in this namespace.
    pub index: Option<u32>,
    /// Whether an XDP program is on it, in its driver.
    pub has_program: bool,
}

impl Netlink {
    /// How an interface is doing; `None` when there is none.
    pub(in crate::dataplane) fn condition(
        &mut self,
        index: u32,
    ) -> Result<Option<Condition>, NetlinkError> {
        let Some(link) = self.link(index, None)? else {
            return Ok(None);
        };
        let mut peer = None;
        if is_veth(&link) {
            let place = Place::of(&link);
            let found = match place.index {
                Some(other) => self.link(other, place.namespace)?,
                None => None,
            };
            peer = found.map(|found| Peer {
                index: place.index.filter(|_| place.namespace.is_none()),
                has_program: has_program(&found),
            });
        }
        let flags = link.header.flags;
        Ok(Some(Condition {
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            peer,
        }))
    }

    /// An interface of this namespace, or of the one that this one knows by a number.
    fn link(
        &mut self,
        index: u32,
        namespace: Option<i32>,
    ) -> Result<Option<LinkMessage>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message
            .attributes
            .extend(namespace.map(LinkAttribute::IfNetnsId));
        match self.ask(RouteNetlinkMessage::GetLink(message), 0, "a link") {
            Ok(Answer::Message(RouteNetlinkMessage::NewLink(link))) => Ok(Some(link)),
            Ok(Answer::Refused) => Ok(None),
            // Another namespace may belong to somebody else.
            Err(_) if namespace.is_some() => Ok(None),
            Ok(_) => Err(NetlinkError::Unexpected("a link")),
            Err(error) => Err(error),
        }
    }
}

/// Where the other end of a pair is.
#[derive(Default)]
struct Place {
    index: Option<u32>,
    namespace: Option<i32>,
}

impl Place {
    fn of(link: &LinkMessage) -> Self {
        let mut place = Self::default();
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Link(index) => place.index = Some(*index),
                LinkAttribute::LinkNetNsId(number) => place.namespace = Some(*number),
                _ => {}
            }
        }
        place
    }
}

fn is_veth(link: &LinkMessage) -> bool {
    let infos = link
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        });
    infos
        .flatten()
        .any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth)))
}

fn has_program(link: &LinkMessage) -> bool {
    let words = link
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkAttribute::Xdp(words) => Some(words),
            _ => None,
        });
    words.flatten().any(|word| {
        matches!(
            word,
            LinkXdp::Attached(XdpAttached::Driver | XdpAttached::Multiple)
        )
    })
}
