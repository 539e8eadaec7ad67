//! Interfaces the program is attached to.
//!
//! An interface has one index, its number modulo [`crate::config::Clock::interface_modulus`], in two places:
//! [`crate::config::Config::interfaces`] holds its hardware addresses and map `devices` (a devmap) sends through it. A service's packets are handled only if they
//! are addressed to one of these hardware addresses; frames that a promiscuous or bridged port shows us besides are passed.

use crate::word::{Word, low};

/// The record of an interface in map `config`.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct Interface {
    /// The interface number (low half); 0 is an unused record.
    pub number: Word,
    /// Hardware addresses it answers for, the first its own (frames leave with that one), then those of virtual routers.
    /// Six bytes and two zeros each; 0 is none.
    pub macs: [Word; MACS],
    /// The largest packet it takes; 0 is not known, and any is sent.
    pub mtu: Word,
    /// Zero.
    pub spare: [Word; 2],
}

impl Interface {
    /// Writes the record; the number comes last. Surplus addresses are left out.
    pub fn publish(&self, number: u32, macs: &[[u8; 6]], mtu: u32) {
        for (index, word) in self.macs.iter().enumerate() {
            word.store(macs.get(index).copied().map_or(0, mac_word));
        }
        self.mtu.store(u64::from(mtu));
        self.number.store(u64::from(number));
    }

    /// Whether this is the record of interface `number`.
    #[inline(always)]
    pub fn is(&self, number: u32) -> bool {
        low(self.number.load()) == number
    }

    /// Whether frames to this address ([`mac_word`]) are for us.
    #[inline(always)]
    pub fn answers_for(&self, wanted: u64) -> bool {
        let [first, second, third, fourth] = &self.macs;
        if wanted == 0 {
            return false;
        }
        first.load() == wanted
            || second.load() == wanted
            || third.load() == wanted
            || fourth.load() == wanted
    }

    /// The address frames leave with, as a word.
    #[inline(always)]
    pub fn mac(&self) -> u64 {
        self.macs[0].load()
    }
}

/// A hardware address as a word.
#[inline(always)]
pub const fn mac_word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0])
}

/// The smallest modulus that gives every interface an index of its own; `None` if there is none up to 256.
pub fn modulus(numbers: &[u32]) -> Option<u32> {
    (1..=LIMIT).find(|modulus| {
        numbers.iter().enumerate().all(|(at, number)| {
            numbers[..at]
                .iter()
                .all(|earlier| earlier == number || earlier % modulus != number % modulus)
        })
    })
}

/// Hardware addresses per interface.
pub const MACS: usize = 4;
/// Interfaces there can be, and entries of `devices`.
pub const LIMIT: u32 = 256;

const _: () = assert!(size_of::<Interface>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modulus_separates_the_interfaces() {
        assert_eq!(modulus(&[]), Some(1));
        assert_eq!(modulus(&[7]), Some(1));
        assert_eq!(modulus(&[2, 258]), Some(3));
        assert_eq!(modulus(&[2, 2, 3]), Some(2));
        let many: Vec<u32> = (1000..1256).collect();
        assert_eq!(modulus(&many), Some(256));
        let too_many: Vec<u32> = (1000..1257).collect();
        assert_eq!(modulus(&too_many), None);
    }

    #[test]
    fn an_unused_record_answers_for_nothing() {
        let interface = Interface::default();
        assert!(!interface.is(3));
        interface.publish(3, &[[2, 0, 0, 0, 0, 1], [0, 0, 0x5e, 0, 1, 1]], 1500);
        assert!(interface.is(3));
        assert!(interface.answers_for(mac_word([2, 0, 0, 0, 0, 1])));
        assert!(interface.answers_for(mac_word([0, 0, 0x5e, 0, 1, 1])));
        assert!(!interface.answers_for(mac_word([2, 0, 0, 0, 0, 2])));
        assert!(!interface.answers_for(mac_word([0xff; 6])));
    }
}
