//! What is in front of a packet that left through a tunnel, and in a reply of the program itself; checksums included.

use std::net::IpAddr;

use etherparse::{IpNumber, NetHeaders, PacketHeaders, TransportHeader};

/// The headers of a tunnel.
pub(crate) struct Outer<'a> {
    pub(crate) hops: u8,
    pub(crate) class: u8,
    pub(crate) id: u16,
    pub(crate) destination: IpAddr,
    /// The UDP port, if there is one.
    pub(crate) gue_port: Option<u16>,
    pub(crate) inner: &'a [u8],
}

/// The flow of a frame, or of the packet an ICMP error in it is about, from the client on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    protocol: u8,
    ports: [u8; 4],
}

/// Reads the outer headers.
pub(crate) fn parse(frame: &[u8]) -> Result<Outer<'_>, String> {
    let headers = PacketHeaders::from_ethernet_slice(frame).map_err(|error| error.to_string())?;
    let inside = headers.payload.slice();
    let udp = match &headers.transport {
        Some(TransportHeader::Udp(udp)) => Some(udp),
        _ => None,
    };
    let inner = &frame[frame.len() - inside.len()..];
    let gue_port = udp.map(|udp| udp.destination_port);
    match &headers.net {
        Some(NetHeaders::Ipv4(ip, _)) => {
            if ip.header_checksum != ip.calc_header_checksum() {
                return Err("the IP checksum is wrong".to_owned());
            }
            Ok(Outer {
                hops: ip.time_to_live,
                class: ip.dscp.value() << 2 | ip.ecn.value(),
                id: ip.identification,
                destination: ip.destination.into(),
                gue_port,
                inner,
            })
        }
        Some(NetHeaders::Ipv6(ip, _)) => {
            if let Some(udp) = udp {
                let right = udp.calc_checksum_ipv6(ip, inside);
                if right.ok() != Some(udp.checksum) {
                    return Err("the UDP checksum is wrong".to_owned());
                }
            }
            Ok(Outer {
                hops: ip.hop_limit,
                class: ip.traffic_class,
                id: 0,
                destination: ip.destination.into(),
                gue_port,
                inner,
            })
        }
        _ => Err("there is no IP header".to_owned()),
    }
}

/// Type and code of an ICMP message that answers `input`.
pub(crate) fn reply(frame: &[u8], input: &[u8]) -> Result<(u8, u8), String> {
    if frame[..6] != input[6..12] || frame[6..12] != input[..6] {
        return Err("it does not go back to where the packet came from".to_owned());
    }
    let headers = PacketHeaders::from_ethernet_slice(frame).map_err(|error| error.to_string())?;
    let (at, right) = match &headers.net {
        Some(NetHeaders::Ipv4(ip, _)) => {
            let turned = ip.source[..] == input[30..34] && ip.destination[..] == input[26..30];
            let sound = ip.header_checksum == ip.calc_header_checksum();
            (34, turned && sound && ip.protocol == IpNumber::ICMP)
        }
        Some(NetHeaders::Ipv6(ip, _)) => {
            let turned = ip.source[..] == input[38..54] && ip.destination[..] == input[22..38];
            (54, turned && ip.next_header == IpNumber::IPV6_ICMP)
        }
        _ => return Err("there is no IP header".to_owned()),
    };
    if !right {
        return Err("its IP header is wrong".to_owned());
    }
    let message = &frame[at..];
    let mut sum: u32 = message.chunks(2).map(pair).sum();
    if at == 54 {
        sum += frame[22..54].chunks(2).map(pair).sum::<u32>();
        sum += 58 + message.len() as u32;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if sum != 0xffff {
        return Err("its checksum is wrong".to_owned());
    }
    Ok((message[0], message[1]))
}

/// The flow of a frame without VLAN tags and extension headers.
pub(crate) fn flow(frame: &[u8]) -> Option<Flow> {
    let (protocol, source, destination, at) = ends(frame, 14)?;
    if protocol == 1 || protocol == 58 {
        let (protocol, source, destination, at) = ends(frame, at + 8)?;
        let [a, b, c, d] = frame.get(at..at + 4)?.try_into().ok()?;
        return Some(Flow {
            source: destination,
            destination: source,
            protocol,
            ports: [c, d, a, b],
        });
    }
    Some(Flow {
        source,
        destination,
        protocol,
        ports: frame.get(at..at + 4)?.try_into().ok()?,
    })
}

fn ends(frame: &[u8], at: usize) -> Option<(u8, IpAddr, IpAddr, usize)> {
    let first = frame.get(at)?;
    if first >> 4 == 4 {
        let address = |at: usize| -> Option<IpAddr> {
            let bytes: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
            Some(bytes.into())
        };
        let header = usize::from(first & 15) * 4;
        return Some((
            *frame.get(at + 9)?,
            address(at + 12)?,
            address(at + 16)?,
            at + header,
        ));
    }
    let address = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = frame.get(at..at + 16)?.try_into().ok()?;
        Some(bytes.into())
    };
    Some((
        *frame.get(at + 6)?,
        address(at + 8)?,
        address(at + 24)?,
        at + 40,
    ))
}

fn pair(bytes: &[u8]) -> u32 {
    u32::from(bytes[0]) << 8 | u32::from(bytes.get(1).copied().unwrap_or(0))
}
