//! Packets that are marked and then put into tunnels: both headers carry the mark, and all sums are right.

use etherparse::{NetHeaders, PacketHeaders};
use tidegate::dataplane::trial::{Fate, InMemory};

use super::fixtures::packet::{ACK, Packet, SYN};
use super::fixtures::{World, from_client, place};
use super::{CLIENT, SERVER, outer};

const TUNNELS: World = World {
    config: "
listen web
    mode l4
    forward ipip
    bind 198.51.100.80:80
    set-dscp ef
    server s1 10.0.0.1:80
listen web6
    mode l4
    forward gue
    bind [2001:db8:80::80]:80
    set-dscp af41
    server t1 [2001:db8:2::2]:80
",
    nat_ports: 0,
};

/// The type of service of the packet in a tunnel, whose checksum must be right.
fn inner_class(inner: &[u8]) -> u8 {
    let headers = PacketHeaders::from_ip_slice(inner).expect("a packet inside");
    match headers.net {
        Some(NetHeaders::Ipv4(ip, _)) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            ip.dscp.value() << 2 | ip.ecn.value()
        }
        Some(NetHeaders::Ipv6(ip, _)) => ip.traffic_class,
        _ => panic!("there is no IP header inside"),
    }
}

#[test]
fn what_is_inside_a_tunnel_is_marked_and_the_tunnel_with_it() {
    let (compiled, running) = TUNNELS.load("");
    let mut trial = InMemory::new(&compiled, &running, place(TUNNELS, CLIENT, SERVER)).unwrap();
    let ask4 = |flags| from_client("203.0.113.10:40000", "198.51.100.80:80", flags);
    let ask6 = |flags| from_client("[2001:db8:c::10]:40000", "[2001:db8:80::80]:80", flags);
    let cases: [(Packet, u8); 5] = [
        (ask4(SYN), 0xb8),
        (ask4(ACK).class(0x01), 0xb9),
        (ask4(ACK).options(&[1, 1, 1, 0]).class(0xff), 0xbb),
        (ask6(SYN), 0x88),
        (ask6(ACK).payload(b"hello").class(0x02), 0x8a),
    ];
    for (number, (packet, class)) in cases.into_iter().enumerate() {
        let outcome = trial.run(&packet.bytes(), CLIENT).unwrap();
        assert_eq!(outcome.fate, Fate::Redirect, "packet {number}");
        let outside =
            outer::parse(&outcome.frame).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(inner_class(outside.inner), class, "packet {number}, inside");
        assert_eq!(outside.class, class, "packet {number}, outside");
    }
}
