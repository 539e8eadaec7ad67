//! IP patterns (manual §7.1.6) and an index that finds the narrowest network around an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::expr::args::{mask4, mask6};
use crate::expr::sample::embedded_ipv4;

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

/// An index over networks of both families.
#[derive(Debug, Default)]
pub(super) struct Networks {
    v4: Intervals<u32>,
    v6: Intervals<u128>,
    /// IPv4 masks with holes.
    odd: Vec<(u32, u32, usize)>,
    prefixes: Vec<IpNet>,
}

impl Networks {
    /// Indexes networks; each is found by its place in the slice.
    pub(super) fn new(networks: &[Network]) -> Self {
        let mut built = Self::default();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (at, network) in networks.iter().enumerate() {
            match (network.prefix(), network) {
                (Some(IpNet::V4(net)), _) => {
                    v4.push((u32::from(net.network()), u32::from(net.broadcast()), at));
                }
                (Some(IpNet::V6(net)), _) => {
                    v6.push((u128::from(net.network()), u128::from(net.broadcast()), at));
                }
                (None, Network::V4(address, mask)) => {
                    let mask = u32::from(*mask);
                    built.odd.push((u32::from(*address) & mask, mask, at));
                }
                (None, Network::V6(..)) => {}
            }
            built.prefixes.extend(network.prefix());
        }
        built.v4 = Intervals::new(v4, |end| end.checked_add(1));
        built.v6 = Intervals::new(v6, |end| end.checked_add(1));
        built
    }

    /// The narrowest network around the address, its own family first (manual §7.1.6 for the crossings).
    pub(super) fn find(&self, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => self
                .find_v4(address)
                .or_else(|| self.v6.find(address.to_ipv6_mapped().into())),
            IpAddr::V6(address) => self
                .v6
                .find(address.into())
                .or_else(|| embedded_ipv4(address).and_then(|address| self.find_v4(address))),
        }
    }

    fn find_v4(&self, address: Ipv4Addr) -> Option<usize> {
        let address = u32::from(address);
        let odd = || {
            self.odd
                .iter()
                .find(|(network, mask, _)| address & mask == *network)
        };
        self.v4
            .find(address)
            .or_else(|| odd().map(|(_, _, at)| *at))
    }

    /// All networks; `None` where some mask has holes.
    pub(super) fn prefixes(&self) -> Option<Vec<IpNet>> {
        self.odd.is_empty().then(|| self.prefixes.clone())
    }
}

/// Nested networks flattened to disjoint intervals: a lookup is one binary search.
#[derive(Debug)]
struct Intervals<T> {
    starts: Vec<T>,
    /// What holds from the start of the same index on; `None` for gaps.
    owners: Vec<Option<u32>>,
}

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            owners: Vec::new(),
        }
    }
}

impl<T: Copy + Ord> Intervals<T> {
    /// `networks` are (first, last, owner); `after` is the address behind another, `None` behind the last one.
    fn new(mut networks: Vec<(T, T, usize)>, after: impl Fn(T) -> Option<T>) -> Self {
        // Wider networks before the ones inside them; the first of equal ones wins.
        networks.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        networks.dedup_by(|next, kept| (next.0, next.1) == (kept.0, kept.1));
        let mut built = Self::default();
        let mut open: Vec<(T, u32)> = Vec::new();
        for (first, last, owner) in networks {
            built.close(&mut open, Some(first), &after);
            let owner = u32::try_from(owner).unwrap_or(u32::MAX);
            built.start(first, Some(owner));
            open.push((last, owner));
        }
        built.close(&mut open, None, &after);
        built
    }

    /// Ends the networks that lie wholly before `next`.
    fn close(
        &mut self,
        open: &mut Vec<(T, u32)>,
        next: Option<T>,
        after: &impl Fn(T) -> Option<T>,
    ) {
        while let Some((last, _)) = open.last().copied() {
            if next.is_some_and(|next| last >= next) {
                return;
            }
            open.pop();
            if let Some(behind) = after(last) {
                self.start(behind, open.last().map(|(_, owner)| *owner));
            }
        }
    }

    fn start(&mut self, at: T, owner: Option<u32>) {
        if self.starts.last() == Some(&at) {
            self.starts.pop();
            self.owners.pop();
        }
        self.starts.push(at);
        self.owners.push(owner);
    }

    fn find(&self, address: T) -> Option<usize> {
        let at = self
            .starts
            .partition_point(|start| *start <= address)
            .checked_sub(1)?;
        self.owners[at].map(|owner| owner as usize)
    }
}
