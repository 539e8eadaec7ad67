use super::*;

/// An attribute: length, type, value, padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The kernel's answer about interface 7, `eth0.100` on interface 3, as `ip -d link` shows it; `protocol` is the EtherType
/// of its tag.
fn answer(id: u16, protocol: u16) -> Interface {
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_LINK: u16 = 5;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const IFLA_VLAN_ID: u16 = 1;
    const IFLA_VLAN_FLAGS: u16 = 2;
    const IFLA_VLAN_PROTOCOL: u16 = 5;
    let vlan = [
        attribute(IFLA_VLAN_PROTOCOL, &protocol.to_be_bytes()),
        attribute(IFLA_VLAN_ID, &id.to_ne_bytes()),
        attribute(IFLA_VLAN_FLAGS, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
    ]
    .concat();
    let info = [
        attribute(IFLA_INFO_KIND, b"vlan\0"),
        attribute(IFLA_INFO_DATA, &vlan),
    ]
    .concat();
    // Family, padding, hardware type Ethernet, index, flags up and running, mask.
    let mut link = vec![0, 0, 1, 0, 7, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0];
    link.extend(attribute(IFLA_IFNAME, b"eth0.100\0"));
    link.extend(attribute(IFLA_MTU, &1496_u32.to_ne_bytes()));
    link.extend(attribute(IFLA_LINK, &3_u32.to_ne_bytes()));
    link.extend(attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]));
    link.extend(attribute(IFLA_LINKINFO, &info));
    // RTM_NEWLINK, no flags, sequence 1.
    let length = u32::try_from(link.len() + 16).unwrap();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(link);
    let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&message).unwrap();
    match read.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => read_interface(&link),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_vlan_names_its_number_and_the_interface_below() {
    let interface = Interface {
        index: 7,
        name: "eth0.100".to_owned(),
        mac: Some([2, 0, 0, 0, 0, 9]),
        mtu: 1496,
        vlan: Some(Vlan { parent: 3, id: 100 }),
    };
    assert_eq!(answer(100, 0x8100), interface);
    assert_eq!(
        answer(4094, 0x8100).vlan,
        Some(Vlan {
            parent: 3,
            id: 4094
        })
    );
    assert_eq!(answer(100, 0x88a8).vlan, None, "a service tag");
    for reserved in [0, 4095] {
        assert_eq!(answer(reserved, 0x8100).vlan, None);
    }
}
