use core::net::IpAddr;

use etherparse::{NetHeaders, PacketBuilder, PacketHeaders, TransportHeader};

use super::*;
use crate::memory::Bytes;
use crate::tunnel::{Inner, Tunnel, constant_sum};

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

/// A UDP datagram from a client to a service, in a frame with `tags` VLAN tags.
fn datagram(v4: bool, tags: usize, class: u8, payload: &[u8]) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let network = if v4 {
        link.ipv4([192, 0, 2, 10], [198, 51, 100, 80], 64)
    } else {
        let own = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10];
        link.ipv6(own, [0xfd; 16], 64)
    };
    let builder = network.udp(40_000, 53);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    if v4 {
        frame[15] = class;
        frame[24..26].copy_from_slice(&[0, 0]);
        let sum = frame[14..34]
            .chunks(2)
            .fold(crate::checksum::Sum::ZERO, |sum, pair| {
                sum.word([pair[0], pair[1]])
            });
        frame[24..26].copy_from_slice(&sum.checksum());
    } else {
        frame[14] |= class >> 4;
        frame[15] |= class << 4;
    }
    for tag in 0..tags {
        frame.splice(12..12, [0x81, 0, 0, 100 + tag as u8]);
    }
    frame
}

/// The frame on its way through a tunnel; port 0 is IP in IP.
fn wrapped(inner: &[u8], own: &str, server: &str, port: u16) -> Bytes {
    let mut frame = Bytes::new(inner, 1);
    let mut packet = Packet::default();
    assert_eq!(parse::parse(&frame, &mut packet), Parsed::Packet);
    let (near, far) = (address(own), address(server));
    let port_be = port.to_be_bytes();
    let tunnel = Tunnel {
        source: near,
        destination: far,
        port_be,
        sum: constant_sum(near, far, port_be, packet.network.is_v4),
    };
    let inner = Inner::of(&frame, &packet).unwrap();
    let outgoing = Outgoing {
        destination: destination(&frame),
        source: packet.link.source(&frame),
        tags: packet.link.tags(&frame).unwrap(),
    };
    let room = i32::from(tunnel.overhead());
    let at = rewrite::link(&mut frame, &packet, &outgoing, room, far.is_v4()).unwrap();
    tunnel.write(&mut frame, at, &inner, 0x1234_5678).unwrap();
    frame
}

fn endings(addresses: &[&str]) -> Endings {
    let endings = Endings::default();
    let addresses: Vec<_> = addresses.iter().map(|text| address(text)).collect();
    endings.publish(6080, &addresses);
    endings
}

const ENDS: [(&str, &str); 2] = [
    ("10.0.0.254", "10.0.0.1"),
    ("2001:db8:2::fe", "2001:db8:2::1"),
];

#[test]
fn whatever_was_wrapped_comes_out_as_it_was() {
    for (own, server) in ENDS {
        for port in [0, 6080] {
            for v4 in [true, false] {
                for tags in 0..3 {
                    let before = datagram(v4, tags, 0x8c, b"an odd payload!");
                    let mut frame = wrapped(&before, own, server, port);
                    assert!(frame.bytes.len() > before.len());
                    let outcome = decapsulate(&mut frame, &endings(&["10.0.0.9", server]));
                    let length = (before.len() - 14 - 4 * tags) as u16;
                    let gue = port != 0;
                    assert_eq!(outcome, Outcome::Taken { gue, length });
                    assert_eq!(frame.bytes, before, "{v4} in {server}:{port}, {tags} tags");
                }
            }
        }
    }
}

#[test]
fn outer_headers_have_the_checksums_a_receiver_computes() {
    for (own, server) in ENDS {
        for v4 in [true, false] {
            for payload in [&b"even"[..], b"odd", b""] {
                let frame = wrapped(&datagram(v4, 0, 3, payload), own, server, 6080);
                let headers = PacketHeaders::from_ethernet_slice(&frame.bytes).unwrap();
                let Some(TransportHeader::Udp(udp)) = &headers.transport else {
                    panic!("there is a UDP header");
                };
                match &headers.net {
                    Some(NetHeaders::Ipv4(ip, _)) => {
                        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                        assert_eq!((ip.time_to_live, ip.ecn.value()), (64, 3));
                        assert_eq!(udp.checksum, 0);
                    }
                    Some(NetHeaders::Ipv6(ip, _)) => {
                        let right = udp.calc_checksum_ipv6(ip, headers.payload.slice());
                        assert_eq!(udp.checksum, right.unwrap(), "{v4} {payload:?}");
                        assert_eq!((ip.hop_limit, ip.traffic_class), (64, 3));
                    }
                    _ => panic!("there is an IP header"),
                }
                assert!(udp.source_port >= 0xc000);
                assert_eq!(udp.destination_port, 6080);
            }
        }
    }
}

#[test]
fn what_is_not_for_us_is_left_alone() {
    let (own, server) = ENDS[0];
    let plain = datagram(true, 0, 0, b"plain");
    let for_others = wrapped(&plain, own, server, 0);
    let other_port = wrapped(&plain, own, server, 6081);
    let not_wrapped = Bytes::new(&plain, 1);
    for (before, ends) in [
        (for_others, "10.0.0.2"),
        (other_port, server),
        (not_wrapped, server),
    ] {
        let mut frame = before.clone();
        assert_eq!(
            decapsulate(&mut frame, &endings(&[ends, "2001:db8:2::1"])),
            Outcome::Passed
        );
        assert_eq!(frame, before);
    }
}

#[test]
fn broken_inside_is_refused() {
    let (own, server) = ENDS[0];
    let whole = wrapped(&datagram(true, 0, 0, b"payload"), own, server, 0);
    // The inner packet claims to be longer than what is there, of another family, or no IP at all.
    for (at, byte) in [(14 + 20 + 3, 0xff), (14 + 20, 0x65), (14 + 20, 0x15)] {
        let mut frame = whole.clone();
        frame.bytes[at] = byte;
        assert_eq!(
            decapsulate(&mut frame, &endings(&[server])),
            Outcome::Refused
        );
    }
}

#[test]
fn congestion_met_on_the_way_is_told_to_the_receiver() {
    for (own, server) in ENDS {
        for v4 in [true, false] {
            let met = |class| {
                let mut frame = wrapped(&datagram(v4, 0, class, b"payload"), own, server, 0);
                frame.bytes[15] |= if server.contains(':') { 0x30 } else { 3 };
                let outcome = decapsulate(&mut frame, &endings(&[server]));
                (outcome, frame.bytes)
            };
            let (outcome, frame) = met(2);
            assert!(matches!(outcome, Outcome::Taken { .. }));
            assert_eq!(frame, datagram(v4, 0, 3, b"payload"));
            let (outcome, _) = met(0);
            assert_eq!(outcome, Outcome::Refused);
        }
    }
}
