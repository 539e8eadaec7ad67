//! Datagrams that name their server in a connection id, from wherever the client is at the moment.

use std::net::{SocketAddr, UdpSocket};

use super::lab::{Lab, PATIENCE, VIP, VIP6};
use super::modes::at;
use super::netns::eventually;
use super::process::Process;

/// A packet with a short header whose connection id names a server of configuration 1, by two bytes.
fn short(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    packet(&[0x45, 0x20 | 9, high, low])
}

/// A client's first packet: a long header of version 1, with a connection id of eight bytes that it made up.
fn initial(id: [u8; 8]) -> Vec<u8> {
    packet(&[&[0xc3, 0, 0, 0, 1, 8], &id[..]].concat())
}

fn packet(start: &[u8]) -> Vec<u8> {
    let mut packet = start.to_vec();
    packet.resize(1200, 0xaa);
    packet
}

/// Sends packets from one of the client's sockets, and tells who answered the last one.
fn answered(socket: &UdpSocket, packets: &[&[u8]]) -> String {
    let mut buffer = [0; 64];
    let mut server = String::new();
    for packet in packets {
        socket.send(packet).unwrap();
        let length = socket.recv(&mut buffer).expect("an answer");
        server = String::from_utf8_lossy(&buffer[..length]).into_owned();
    }
    server
}

/// A new socket of the client towards a service.
fn socket(lab: &Lab, target: &str) -> UdpSocket {
    let target: SocketAddr = target.parse().unwrap();
    let own = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    lab.client.inside(|| {
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(target).unwrap();
        socket
    })
}

#[test]
fn connections_follow_the_server_in_their_id_wherever_the_client_is() {
    let Some(lab) = Lab::new("quic") else { return };
    let mut servers = String::new();
    for (number, name) in [(1, "s1"), (2, "s2"), (3, "s3")] {
        lab.serve_udp(name, &format!("10.0.0.{number}:443"));
        lab.serve_udp(name, &format!("[2001:db8:2::{number}]:443"));
        servers.push_str(&format!(
            " server {name} 10.0.0.{number}:443 id {}\n server {name}-6 [2001:db8:2::{number}]:443 id {}\n",
            number * 257,
            number * 257 + 1
        ));
    }
    let process = Process::start(
        &lab,
        "",
        &format!(
            "listen quic\n mode l4\n bind udp@{VIP}:443\n bind udp@[{VIP6}]:443\n \
             quic-server-id length 2 configuration 1\n{servers}"
        ),
    );
    for (target, one) in [(at(VIP, 443), 0), (at(VIP6, 443), 1)] {
        let named = |number: u16| short(number * 257 + one);
        for round in 0..20 {
            let number = round % 3 + 1;
            let name = format!("s{number}");
            // From a port nobody knows, then from one that has talked to others meanwhile.
            let socket = socket(&lab, &target);
            assert_eq!(answered(&socket, &[&named(number)]), name, "{target}");
            let others = [named(1), named(2), named(3), named(number)];
            let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
            assert_eq!(answered(&socket, &others), name, "{target}");
        }
        // What names nobody follows the flow, and begins one by the ring: then all servers get some.
        let mut seen = Vec::new();
        for round in 0..40 {
            let socket = socket(&lab, &target);
            let first = answered(&socket, &[&initial([round; 8])]);
            let next = [initial([round; 8]), short(9), vec![0x40; 30], vec![0x40]];
            for packet in &next {
                assert_eq!(answered(&socket, &[packet]), first, "{target}: {packet:?}");
            }
            seen.push(first);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["s1", "s2", "s3"], "{target}");
    }

    // One that drains keeps its connections; one that is down has none any more.
    process.ask("set server quic/s2 state drain");
    let fresh = || answered(&socket(&lab, &at(VIP, 443)), &[&short(2 * 257)]);
    eventually("s2 drains", || {
        let shown = process.ask("show xdp");
        shown.contains("server s2 drain").then_some(())
    });
    assert_eq!(fresh(), "s2");
    process.ask("set server quic/s2 health down");
    process.ask("set server quic/s2 state maint");
    eventually("s2 is down", || (fresh() != "s2").then_some(()));
}
