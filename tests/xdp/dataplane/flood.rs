//! Floods with somebody else's address, and clients that really do connect too often.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::lab::{Lab, VIP};
use super::netns::eventually;
use super::process::Process;

const INNOCENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
const ABUSER: &str = "192.0.2.10";
const SPOOFED: u32 = 100_000;

/// Two services with a limit: one that the kernel forwards, one that userspace terminates.
fn sections(limit: &str, period: &str) -> String {
    let guard = format!(
        "stick-table type ip size 10k expire 30m store conn_cnt,conn_rate({period})\n \
         tcp-request connection track-sc0 src\n \
         tcp-request connection reject if {{ sc0_conn_rate gt {limit} }}"
    );
    format!(
        "listen web\n mode l4\n bind {VIP}:80\n timeout client-fin 1s\n timeout server-fin 1s\n server s1 10.0.0.1:80\n {guard}\n\
         listen local\n mode tcp\n bind 192.0.2.1:8080\n server s1 10.0.0.1:80\n {guard}"
    )
}

#[test]
fn hundred_thousand_spoofed_syns_do_not_get_an_innocent_client_blocked() {
    let Some(lab) = Lab::new("spoof") else { return };
    lab.serve("s1", "10.0.0.1:80");
    let process = Process::start(&lab, "", &sections("20", "10m"));
    let targets = [format!("{VIP}:80"), "192.0.2.1:8080".to_owned()];
    for (refused, (table, target)) in ["web", "local"].into_iter().zip(&targets).enumerate() {
        spoof(&lab, target.parse().unwrap());
        let answer = process.ask(&format!("show table {table} key {INNOCENT}"));
        assert!(
            !answer.contains("key="),
            "a SYN is no connection, whoever sent it: {answer}"
        );
        let connect = || lab.connect_from(Some(INNOCENT.into()), target);
        // Connections that the innocent's own stack resets hold ports towards the server for `timeout client-fin`.
        eventually("the flood's own flows end", || connect().ok().map(drop));
        for number in 2..=20 {
            let connected = connect();
            assert!(
                connected.is_ok(),
                "connection {number} to {target}: {:?}",
                connected.err()
            );
        }
        let limited = process.ask("show xdp");
        assert_eq!(
            limited.matches("rate-exceeded").count(),
            refused,
            "{limited}"
        );
        assert!(
            connect().is_err(),
            "its own connections are counted, and the limit is there"
        );
    }
}

#[test]
fn abuser_stays_blocked_while_it_hammers_and_is_forgiven_when_it_stops() {
    let Some(lab) = Lab::new("hammer") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let process = Process::start(&lab, "", &sections("8", "2s"));
    let source: IpAddr = ABUSER.parse().unwrap();
    for (table, target) in [
        ("web", format!("{VIP}:80")),
        ("local", "192.0.2.1:8080".to_owned()),
    ] {
        eventually("it connects too often", || {
            (!knock(&lab, source, &target)).then_some(())
        });
        // Many periods long: what is refused counts, so it never gets below its limit.
        for attempt in 0..150 {
            assert!(
                !knock(&lab, source, &target),
                "attempt {attempt} at {target}"
            );
        }
        let answer = process.ask(&format!("show table {table} data.conn_rate gt 8"));
        assert!(answer.contains(&format!("key={ABUSER} ")), "{answer}");
        assert!(
            lab.connect_from(Some(INNOCENT.into()), &target).is_ok(),
            "nobody else is blocked"
        );
        eventually("it stops, and its rate falls", || {
            let over = process.ask(&format!("show table {table} data.conn_rate gt 7"));
            (!over.contains(&format!("key={ABUSER} "))).then_some(())
        });
        assert!(knock(&lab, source, &target), "it is forgiven");
    }
}

/// A connection attempt of little patience.
fn knock(lab: &Lab, source: IpAddr, target: &str) -> bool {
    let target: SocketAddr = target.parse().unwrap();
    lab.client.inside(move || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket
            .connect_timeout(&target.into(), Duration::from_millis(20))
            .is_ok()
    })
}

/// Sends SYNs from many ports of an address that did not ask for it.
fn spoof(lab: &Lab, target: SocketAddrV4) {
    lab.client.inside(move || {
        let raw = raw();
        let mut sent = 0;
        while sent < SPOOFED {
            let port = 1024 + (sent % 60_000) as u16;
            let packet = syn(INNOCENT, port, target, sent);
            // A full queue is waited for by trying again.
            if raw.send_to(&packet, &SocketAddr::V4(target).into()).is_ok() {
                sent += 1;
            }
        }
    });
}

/// A socket for packets with any header.
pub(crate) fn raw() -> socket2::Socket {
    socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::RAW,
        Some(socket2::Protocol::from(IP_RAW)),
    )
    .expect("root may send anything")
}

/// A SYN with its IPv4 header.
pub(crate) fn syn(source: Ipv4Addr, port: u16, target: SocketAddrV4, sequence: u32) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(port.to_be_bytes());
    tcp.extend(target.port().to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let mut summed = [source.octets(), target.ip().octets()].concat();
    summed.extend([0, 6, 0, tcp.len() as u8]);
    summed.extend(&tcp);
    let checksum = !folded(&summed);
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    // The stack fills in the length, the identification and the header's checksum.
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend(source.octets());
    packet.extend(target.ip().octets());
    packet.extend(tcp);
    packet
}

fn folded(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// `IPPROTO_RAW`: the header is in the packet.
const IP_RAW: i32 = 255;
