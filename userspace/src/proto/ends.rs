//! The two addresses of a captured frame, which may be cut off anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination of an IP packet in an Ethernet frame with up to two VLAN tags.
#[must_use]
pub fn addresses(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let mut at = 12;
    let mut kind = word(frame, at)?;
    for _ in 0..2 {
        if matches!(kind, 0x8100 | 0x88a8) {
            at += 4;
            kind = word(frame, at)?;
        }
    }
    let packet = frame.get(at + 2..)?;
    match kind {
        0x0800 => Some((
            Ipv4Addr::from(array::<4>(packet, 12)?).into(),
            Ipv4Addr::from(array::<4>(packet, 16)?).into(),
        )),
        0x86dd => Some((
            Ipv6Addr::from(array::<16>(packet, 8)?).into(),
            Ipv6Addr::from(array::<16>(packet, 24)?).into(),
        )),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    array::<2>(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_behind_tags_and_in_what_is_left() {
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0, 0, 7, 8, 0, 0x45]);
        frame.extend([0; 11]);
        frame.extend([192, 0, 2, 7, 198, 51, 100, 9]);
        let wanted = (
            "192.0.2.7".parse().unwrap(),
            "198.51.100.9".parse().unwrap(),
        );
        assert_eq!(addresses(&frame), Some(wanted));
        for end in 0..frame.len() {
            assert_eq!(addresses(&frame[..end]), None);
        }
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd]);
        frame.extend([0x60; 8]);
        frame.extend(Ipv6Addr::LOCALHOST.octets());
        frame.extend(Ipv6Addr::UNSPECIFIED.octets());
        let wanted = (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into());
        assert_eq!(addresses(&frame), Some(wanted));
    }
}
