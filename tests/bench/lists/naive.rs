//! Two lists of prefixes, one that is accepted and one that is refused, and the simplest way to ask them: a set of networks
//! for every length.
//!
//! It shares nothing with the product, neither code nor structure, and makes up its own lists: many single addresses and
//! networks of a usual size, some of every other length, and accepted ones within refused ones.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many prefixes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Refused ones of IPv4; one in a hundred more is accepted.
    pub(crate) v4: usize,
    /// The same of IPv6.
    pub(crate) v6: usize,
}

/// Numbers in no order (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// Networks of one family: the address in the upper bits of a number, whatever its width.
#[derive(Default)]
struct Networks {
    /// By length.
    by_length: Vec<HashSet<u128>>,
    /// One after the other.
    all: Vec<(u128, u8)>,
}

impl Networks {
    fn new() -> Self {
        Self {
            by_length: (0..=128).map(|_| HashSet::new()).collect(),
            all: Vec::new(),
        }
    }

    fn add(&mut self, address: u128, length: u8) {
        let network = masked(address, length);
        if self.by_length[usize::from(length)].insert(network) {
            self.all.push((network, length));
        }
    }

    fn have(&self, address: u128) -> bool {
        (0..=128_u8).any(|length| {
            let networks = &self.by_length[usize::from(length)];
            !networks.is_empty() && networks.contains(&masked(address, length))
        })
    }
}

/// Both lists, in both families.
pub(crate) struct Naive {
    accepted: [Networks; 2],
    refused: [Networks; 2],
}

impl Naive {
    /// Makes lists up.
    pub(crate) fn random(random: &mut Random, sizes: Sizes) -> Self {
        let mut this = Self {
            accepted: [Networks::new(), Networks::new()],
            refused: [Networks::new(), Networks::new()],
        };
        for (family, wanted) in [(V4, sizes.v4), (V6, sizes.v6)] {
            while this.refused[family].all.len() < wanted {
                let (address, length) = some_network(random, family);
                this.refused[family].add(address, length);
                if random.below(100) == 0 {
                    // Around it, the same, or within it.
                    let length = usize::from(length) + random.below(9);
                    let length = length.saturating_sub(2).clamp(4, WIDTHS[family]);
                    let address = address ^ (random.wide() >> 100 << 76);
                    this.accepted[family].add(address, length as u8);
                }
            }
        }
        this
    }

    /// Whether the rules refuse a source: what is accepted is asked first.
    pub(crate) fn refuses(&self, source: IpAddr) -> bool {
        let (family, address) = number(source);
        !self.accepted[family].have(address) && self.refused[family].have(address)
    }

    /// An address to ask for: any, or one at an edge of a network or in it.
    pub(crate) fn address(&self, random: &mut Random) -> IpAddr {
        loop {
            let family = random.below(2);
            let lists = [&self.refused[family], &self.accepted[family]];
            let list = lists[usize::from(random.below(4) == 0)];
            let step = 1_u128 << (128 - WIDTHS[family]);
            let any = random.wide();
            let address = if list.all.is_empty() || (family == V4 && random.below(3) == 0) {
                any
            } else {
                let (network, length) = list.all[random.below(list.all.len())];
                let last = network | !masked(u128::MAX, length);
                match random.below(5) {
                    0 => network,
                    1 => last,
                    2 => network.wrapping_sub(step),
                    3 => last.wrapping_add(step),
                    _ => network | (any & !masked(u128::MAX, length)),
                }
            };
            let address = address_of(family, address);
            if is_somebodys(address) {
                return address;
            }
        }
    }

    /// How many prefixes there are of each family, accepted and refused.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let count =
            |family: usize| self.accepted[family].all.len() + self.refused[family].all.len();
        (count(V4), count(V6))
    }

    pub(crate) fn accepted_text(&self) -> String {
        text(&self.accepted)
    }

    pub(crate) fn refused_text(&self) -> String {
        text(&self.refused)
    }
}

/// A network as lists have them. IPv6 stays within 2000::/4, where addresses are given out.
fn some_network(random: &mut Random, family: usize) -> (u128, u8) {
    let address = random.wide();
    if family == V4 {
        let length = match random.below(10) {
            0..=5 => 32,
            6..=7 => 24,
            // Not so many short ones that nothing is left between them.
            _ => 16 + random.below(16),
        };
        (address, length as u8)
    } else {
        let length = match random.below(10) {
            0..=3 => 64,
            4..=5 => 128,
            6..=7 => 48,
            _ => 24 + random.below(104),
        };
        ((address >> 4) | (2 << 124), length as u8)
    }
}

fn text(families: &[Networks; 2]) -> String {
    let mut text = String::from("# made up\n");
    for (family, networks) in families.iter().enumerate() {
        for (network, length) in &networks.all {
            let address = address_of(family, *network);
            // Writing to a String cannot fail.
            let _ = if usize::from(*length) == WIDTHS[family] {
                writeln!(text, "{address}")
            } else {
                writeln!(text, "{address}/{length}")
            };
        }
    }
    text
}

/// Not one of those that are dropped for what they are.
fn is_somebodys(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first != 0 && first != 127 && first < 224 && address != Ipv4Addr::new(192, 0, 2, 1)
        }
        // Neither are those that hold an address of the other family: they are under its lists.
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            first >> 12 == 2 && first != 0x2002 && (first, second) != (0x2001, 0xdb8)
        }
    }
}

fn number(address: IpAddr) -> (usize, u128) {
    match address {
        IpAddr::V4(address) => (V4, u128::from(u32::from(address)) << 96),
        IpAddr::V6(address) => (V6, u128::from(address)),
    }
}

fn address_of(family: usize, number: u128) -> IpAddr {
    if family == V4 {
        IpAddr::V4(Ipv4Addr::from((number >> 96) as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from(number))
    }
}

fn masked(address: u128, length: u8) -> u128 {
    match length {
        0 => 0,
        _ => address & (u128::MAX << (128 - u32::from(length))),
    }
}

const V4: usize = 0;
const V6: usize = 1;
/// Bits of an address, by family.
const WIDTHS: [usize; 2] = [32, 128];
