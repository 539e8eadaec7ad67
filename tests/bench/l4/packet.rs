//! The packets of the bench: 100 bytes each, complete and consistent.

use std::net::{IpAddr, SocketAddr};

use etherparse::PacketBuilder;

/// Length of every frame, Ethernet header included.
pub(crate) const LENGTH: usize = 100;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// Where a frame comes from and goes to.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) to_mac: [u8; 6],
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// A TCP segment.
pub(crate) fn tcp(route: Route, flags: u8) -> Vec<u8> {
    let ip = headers(route);
    let mut segment = ip.tcp(route.from.port(), route.to.port(), 1, 65_000);
    if flags & SYN != 0 {
        segment = segment.syn();
    }
    if flags & ACK != 0 {
        segment = segment.ack(1);
    }
    let payload = vec![0x5a; LENGTH - segment.size(0)];
    let mut frame = Vec::with_capacity(LENGTH);
    segment.write(&mut frame, &payload).expect("it fits");
    frame
}

/// A UDP datagram.
pub(crate) fn udp(route: Route) -> Vec<u8> {
    let datagram = headers(route).udp(route.from.port(), route.to.port());
    let payload = vec![0x5a; LENGTH - datagram.size(0)];
    let mut frame = Vec::with_capacity(LENGTH);
    datagram.write(&mut frame, &payload).expect("it fits");
    frame
}

fn headers(route: Route) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let link = PacketBuilder::ethernet2(CLIENT, route.to_mac);
    match (route.from.ip(), route.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        _ => unreachable!("both ends are of one family"),
    }
}

/// The end a translated packet shows to the server: source address and port of an IPv4 frame.
pub(crate) fn source_of(frame: &[u8]) -> SocketAddr {
    let address: [u8; 4] = frame[26..30].try_into().expect("four bytes");
    let port = u16::from_be_bytes([frame[34], frame[35]]);
    SocketAddr::from((address, port))
}

/// Its destination.
pub(crate) fn destination_of(frame: &[u8]) -> SocketAddr {
    let address: [u8; 4] = frame[30..34].try_into().expect("four bytes");
    let port = u16::from_be_bytes([frame[36], frame[37]]);
    SocketAddr::from((address, port))
}

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 0x0c];
