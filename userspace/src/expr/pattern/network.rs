//! IP patterns as they are written (manual §7.1.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::expr::args::{mask4, mask6};

/// An address with its mask; the mask may have holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// An address or network as ACLs take them, abbreviated IPv4 forms included; `None` also for masks with holes.
#[must_use]
pub fn parse_network(word: &str) -> Option<IpNet> {
    parse(word)?.prefix()
}

/// Whether a word is an address or network in any form.
pub(in crate::expr) fn is_network(word: &str) -> bool {
    parse(word).is_some()
}

/// Reads `192.168.1/22`, `127.1`, `10.0.0.0/255.0.0.0`, `2001:db8::/32` and the like.
pub(super) fn parse(word: &str) -> Option<Network> {
    let (address, mask) = match word.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (word, None),
    };
    if address.contains(':') {
        let mask = match mask {
            None => u128::MAX.into(),
            // Only bit counts for IPv6.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => mask6(bits)?,
            Some(_) => return None,
        };
        return Some(Network::V6(address.parse().ok()?, mask));
    }
    let mask = match mask {
        None => u32::MAX.into(),
        Some(mask) => mask4(mask)?,
    };
    Some(Network::V4(parse_short_ipv4(address)?, mask))
}

/// Dotted notation where the last number fills the octets left out: `127.1` is `127.0.0.1`.
fn parse_short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    let mut at = 0;
    let mut current = parts.next()?;
    for next in parts {
        *octets.get_mut(at)? = octet(current)?;
        at += 1;
        current = next;
    }
    if at > 3 {
        return None;
    }
    octets[3] = octet(current)?;
    Some(octets.into())
}

fn octet(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl Network {
    /// As a prefix; `None` where the mask has holes.
    pub(super) fn prefix(self) -> Option<IpNet> {
        match self {
            Self::V4(address, mask) => {
                let bits = u32::from(mask);
                (bits.leading_ones() == bits.count_ones())
                    .then(|| Ipv4Net::new(address, bits.count_ones() as u8).ok())
                    .flatten()
                    .map(|net| IpNet::V4(net.trunc()))
            }
            Self::V6(address, mask) => {
                let bits = u128::from(mask);
                (bits.leading_ones() == bits.count_ones())
                    .then(|| Ipv6Net::new(address, bits.count_ones() as u8).ok())
                    .flatten()
                    .map(|net| IpNet::V6(net.trunc()))
            }
        }
    }
}
