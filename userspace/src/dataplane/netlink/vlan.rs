//! VLANs: which interface they are on, and under which number.

use rtnetlink::packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkInfo, LinkMessage, VlanProtocol,
};

/// A VLAN on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataplane) struct Vlan {
    /// Number of the interface its frames leave through.
    pub parent: u32,
    /// Its identifier, 1 to 4094.
    pub id: u16,
}

impl Vlan {
    /// What an interface says of itself; `None` for one that is no VLAN, or one with service tags.
    pub(super) fn of(message: &LinkMessage) -> Option<Self> {
        let (mut parent, mut id, mut is_customer) = (None, None, true);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Link(index) => parent = Some(*index),
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos.iter().flat_map(settings) {
                        match info {
                            InfoVlan::Id(number) => id = Some(*number),
                            InfoVlan::Protocol(protocol) => {
                                is_customer = *protocol == VlanProtocol::Ieee8021Q;
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let id = id.filter(|id| is_customer && (1..4095).contains(id));
        Some(Self {
            parent: parent?,
            id: id?,
        })
    }
}

fn settings(info: &LinkInfo) -> &[InfoVlan] {
    match info {
        LinkInfo::Data(InfoData::Vlan(settings)) => settings,
        _ => &[],
    }
}
