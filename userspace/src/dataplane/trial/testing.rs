//! Frames for tests that are about their sources.

use std::net::{IpAddr, SocketAddr};

/// A SYN as it comes from the wire, checksums left out: nobody here looks at them.
pub(crate) fn syn(source: IpAddr, target: SocketAddr) -> Vec<u8> {
    let mut frame = MAC.to_vec();
    frame.extend([2, 0, 0, 0, 9, 9]);
    match (source, target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => panic!("one family"),
    }
    frame.extend(4000_u16.to_be_bytes());
    frame.extend(target.port().to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// Number of an interface that need not exist.
pub(crate) const INTERFACE: u32 = 7;

/// Its hardware address.
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0];
