//! IP addresses as the packet path compares them: sixteen bytes in network order, IPv4 in its mapped form.
//!
//! One representation for both families keeps every table and key the same for IPv4 and IPv6. A mapped address
//! (`::ffff:a.b.c.d`) inside an IPv6 header is therefore never looked up; the parser refuses it first (RFC 4291 §2.5.5.2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::word::Word;

/// An address of either family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The first eight bytes, as they stand in memory.
    high: u64,
    /// The last eight.
    low: u64,
}

impl Address {
    /// From the sixteen bytes of an IPv6 header.
    #[inline(always)]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self {
            high: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            low: u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        }
    }

    /// From the four bytes of an IPv4 header.
    #[inline(always)]
    pub const fn from_v4([a, b, c, d]: [u8; 4]) -> Self {
        Self {
            high: 0,
            low: u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d]),
        }
    }

    /// From the two words it is in memory.
    #[inline(always)]
    pub const fn from_words([high, low]: [u64; 2]) -> Self {
        Self { high, low }
    }

    /// From two words of a shared record.
    #[inline(always)]
    pub fn load(words: &[Word; 2]) -> Self {
        let [high, low] = words;
        Self {
            high: high.load(),
            low: low.load(),
        }
    }

    /// Into two words of a shared record.
    #[inline(always)]
    pub fn store(self, words: &[Word; 2]) {
        let [high, low] = words;
        high.store(self.high);
        low.store(self.low);
    }

    /// The sixteen bytes, network order.
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.high.to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.low.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The two words, as they stand in memory.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        [self.high, self.low]
    }

    /// Whether it is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        let [a, b, c, d, ..] = self.low.to_ne_bytes();
        self.high == 0 && u32::from_ne_bytes([a, b, c, d]) == MAPPED
    }

    /// The last four bytes: all of an IPv4 address.
    #[inline(always)]
    pub const fn v4_bytes(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.low.to_ne_bytes();
        [a, b, c, d]
    }

    /// The IPv4 address within `2002:aabb:ccdd::` (6to4, RFC 3056) or `::a.b.c.d`, the forms besides the mapped one in
    /// which IPv4 patterns match IPv6 addresses (manual §7.1.6).
    #[inline(always)]
    pub const fn embedded_v4(self) -> Option<[u8; 4]> {
        let [first, second, a, b, c, d, ..] = self.high.to_ne_bytes();
        if first == 0x20 && second == 0x02 {
            return Some([a, b, c, d]);
        }
        let [e, f, g, h, ..] = self.low.to_ne_bytes();
        if self.high == 0 && u32::from_ne_bytes([e, f, g, h]) == 0 {
            return Some(self.v4_bytes());
        }
        None
    }

    /// A hash that anyone can compute; its upper half depends on all of the address.
    #[inline(always)]
    pub const fn scattered(self) -> u64 {
        let folded = self.high ^ self.low;
        (folded ^ (folded >> 32)).wrapping_mul(FACTOR)
    }

    /// The network it is in, in terms of all 128 bits: an IPv4 prefix of 24 has 120.
    #[inline(always)]
    pub const fn network(self, bits: u8) -> Self {
        let bits = bits as u32;
        Self {
            high: self.high & mask(bits),
            low: self.low & mask(bits.saturating_sub(64)),
        }
    }

    /// The network it is in: all bits after the first `length` cleared. Lengths count in the address's own family
    /// (0–32 or 0–128); longer ones mean the whole address.
    #[inline(always)]
    pub const fn masked(self, length: u8) -> Self {
        let length = if self.is_v4() {
            96 + length as u32
        } else {
            length as u32
        };
        Self {
            high: self.high & mask(length),
            low: self.low & mask(length.saturating_sub(64)),
        }
    }
}

/// A word whose first `length` bits in network order are set.
#[inline(always)]
const fn mask(length: u32) -> u64 {
    if length >= 64 {
        u64::MAX
    } else {
        !(u64::MAX >> length).to_be()
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4(address.octets())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_bytes(address.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            Self::V4(Ipv4Addr::from(address.v4_bytes()))
        } else {
            Self::V6(Ipv6Addr::from(address.bytes()))
        }
    }
}

/// An odd constant whose multiples differ in many bits.
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_way_through_words() {
        for text in [
            "0.0.0.0",
            "192.0.2.1",
            "255.255.255.255",
            "::",
            "::1",
            "2001:db8::ff:1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            let words = [Word::new(1), Word::new(2)];
            Address::from(address).store(&words);
            assert_eq!(IpAddr::from(Address::load(&words)), address);
            assert_eq!(
                Address::from_bytes(Address::from(address).bytes()),
                address.into()
            );
        }
    }

    #[test]
    fn masks_count_bits_in_the_family_of_the_address() {
        let masked = |text: &str, length| {
            IpAddr::from(Address::from(text.parse::<IpAddr>().unwrap()).masked(length)).to_string()
        };
        assert_eq!(masked("198.51.100.77", 24), "198.51.100.0");
        assert_eq!(masked("198.51.100.77", 27), "198.51.100.64");
        assert_eq!(masked("198.51.100.77", 32), "198.51.100.77");
        assert_eq!(masked("198.51.100.77", 0), "0.0.0.0");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", 33), "2001:db8::");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", 68), "2001:db8:1:2::");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", 128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(masked("2001:db8::1", 0), "::");
    }
}
