use super::*;
use crate::memory::Bytes;
use crate::parse::{Parsed, TcpFlags, parse};
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice, VlanId};

fn parsed(bytes: &[u8]) -> (Bytes, Packet) {
    let frame = Bytes::new(bytes, 1);
    let mut packet = Packet::default();
    assert_eq!(parse(&frame, &mut packet), Parsed::Packet);
    (frame, packet)
}

/// SYNs with any headers in front, bare and long.
fn syns() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for tagged in [false, true] {
        for v4 in [false, true] {
            for payload in [0, 600] {
                let link = PacketBuilder::ethernet2([4; 6], [2; 6]);
                let (source, destination) = (
                    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                    [0xfd; 16],
                );
                let builder = match (tagged, v4) {
                    (false, true) => link.ipv4([192, 0, 2, 10], [192, 0, 2, 1], 9),
                    (false, false) => link.ipv6(source, destination, 9),
                    (true, true) => link.single_vlan(VlanId::try_new(7).unwrap()).ipv4(
                        [192, 0, 2, 10],
                        [192, 0, 2, 1],
                        9,
                    ),
                    (true, false) => {
                        link.single_vlan(VlanId::try_new(7).unwrap())
                            .ipv6(source, destination, 9)
                    }
                };
                let mut bytes = Vec::new();
                let builder = builder.tcp(4000, 80, 77, 1000).syn();
                builder.write(&mut bytes, &vec![1; payload]).unwrap();
                all.push(bytes);
            }
        }
    }
    all
}

fn answers() -> [Segment; 3] {
    let granting = Segment {
        sequence_be: [9, 8, 7, 6],
        acknowledged_be: 78_u32.to_be_bytes(),
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window_be: 29_200_u16.to_be_bytes(),
        options: [
            [2, 4, 5, 0xb4],
            [4, 2, 8, 10],
            [1, 2, 3, 4],
            [5, 6, 7, 8],
            [1, 3, 3, 7],
        ],
        words: 5,
    };
    let refusing = Segment {
        acknowledged_be: 78_u32.to_be_bytes(),
        flags: TcpFlags::RST | TcpFlags::ACK,
        ..Segment::default()
    };
    [
        granting,
        Segment {
            words: 1,
            ..granting
        },
        refusing,
    ]
}

#[test]
fn segments_answer_between_the_same_ends_with_right_sums() {
    for bytes in syns() {
        for answer in answers() {
            let (mut frame, packet) = parsed(&bytes);
            segment(&mut frame, &packet, &answer).unwrap();
            assert_eq!(frame.bytes[..6], bytes[6..12], "to where it came from");
            assert_eq!(frame.bytes[6..12], bytes[..6]);
            let at = usize::from(packet.link.length);
            assert_eq!(frame.bytes[12..at], bytes[12..at], "in the same VLAN");
            let (back, answered) = parsed(&frame.bytes);
            assert_eq!(answered.network.source, packet.network.destination);
            assert_eq!(answered.network.destination, packet.network.source);
            assert_eq!(answered.network.hop_limit, HOPS);
            assert_eq!(answered.defect(false), None);
            assert_eq!(
                usize::from(answered.network.length) + at,
                back.bytes.len(),
                "nothing behind it"
            );
            let sliced = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else {
                panic!("a segment");
            };
            let header = tcp.to_header();
            let sum = match &sliced.net {
                Some(etherparse::NetSlice::Ipv4(ip)) => {
                    let ip = ip.header().to_header();
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                    header.calc_checksum_ipv4(&ip, &[])
                }
                Some(etherparse::NetSlice::Ipv6(ip)) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), &[])
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(header.checksum, sum.unwrap());
            assert_eq!((header.source_port, header.destination_port), (80, 4000));
            assert_eq!(header.acknowledgment_number, 78);
            assert_eq!(header.syn, answer.flags & TcpFlags::SYN != 0);
            assert_eq!(header.rst, answer.flags & TcpFlags::RST != 0);
            assert_eq!(header.options.len(), usize::from(answer.words) * 4);
        }
    }
}

#[test]
fn a_frame_that_cannot_grow_is_not_answered() {
    let [granting, ..] = answers();
    let (mut frame, packet) = parsed(&syns()[0]);
    frame.headroom = 0;
    assert_eq!(segment(&mut frame, &packet, &granting), None);
}
