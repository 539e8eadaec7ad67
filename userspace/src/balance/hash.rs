//! `hash-type` (manual §4.2): from the bytes of a key to the number that chooses a server.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use crate::hash::{avalanche, crc32, djb2, sdbm, wt6};
use crate::model::{HashFunction, HashType};

/// The function named second on a `hash-type` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Function {
    /// The default.
    #[default]
    Sdbm,
    /// Dan Bernstein's; poor with numeric keys.
    Djb2,
    /// HAProxy's own, less sensitive to the key set.
    Wt6,
    /// The CRC of Ethernet, gzip and PNG.
    Crc32,
    /// The key, read as a decimal number, is the hash.
    None,
}

/// How a key's bytes become a hash: the function, and whether [`avalanche`] follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyHash {
    /// Applied to the key's bytes.
    pub function: Function,
    /// The `avalanche` modifier.
    pub avalanche: bool,
}

impl From<HashType> for KeyHash {
    fn from(hash: HashType) -> Self {
        let function = match hash.function {
            HashFunction::Sdbm => Function::Sdbm,
            HashFunction::Djb2 => Function::Djb2,
            HashFunction::Wt6 => Function::Wt6,
            HashFunction::Crc32 => Function::Crc32,
            HashFunction::None => Function::None,
        };
        Self {
            function,
            avalanche: hash.avalanche,
        }
    }
}

/// A random number, not for secrets: seeded per thread, then stirred.
pub fn random() -> u32 {
    thread_local! {
        static SEED: Cell<u32> = Cell::new(RandomState::new().hash_one(0_u8) as u32);
    }
    SEED.with(|seed| {
        seed.set(seed.get().wrapping_add(0x9e37_79b9));
        avalanche(seed.get())
    })
}

impl KeyHash {
    /// The hash of a key made of bytes (uri, parameter, header, cookie, sample).
    pub fn of(self, key: &[u8]) -> u32 {
        let hash = match self.function {
            Function::Sdbm => sdbm(key),
            Function::Djb2 => djb2(key),
            Function::Wt6 => wt6(key),
            Function::Crc32 => crc32(key),
            Function::None => decimal(key),
        };
        self.finish(hash)
    }

    /// The hash of `balance source`: the address' 32-bit words (network order) combined by exclusive or. The function
    /// of `hash-type` plays no part in it, only the modifier does.
    pub fn of_address(self, address: std::net::IpAddr) -> u32 {
        let hash = match address {
            std::net::IpAddr::V4(address) => u32::from(address),
            std::net::IpAddr::V6(address) => {
                let bits = u128::from(address);
                (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
            }
        };
        self.finish(hash)
    }

    fn finish(self, hash: u32) -> u32 {
        if self.avalanche {
            avalanche(hash)
        } else {
            hash
        }
    }
}

/// The `none` function: the leading decimal digits, after an optional sign; anything else is zero.
fn decimal(key: &[u8]) -> u32 {
    let (negative, digits) = match key {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, key),
    };
    let value = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_u32, |value, digit| {
            value.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))
        });
    if negative {
        value.wrapping_neg()
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_hash_combines_the_words_of_the_address() {
        let plain = KeyHash::default();
        assert_eq!(plain.of_address("127.0.0.1".parse().unwrap()), 0x7f00_0001);
        assert_eq!(
            plain.of_address("2001:db8::1".parse().unwrap()),
            0x2001_0db8 ^ 1
        );
    }

    #[test]
    fn function_none_reads_the_key_as_a_number() {
        assert_eq!(decimal(b"42"), 42);
        assert_eq!(decimal(b"-1"), u32::MAX);
        assert_eq!(decimal(b"17x"), 17);
        assert_eq!(decimal(b"abc"), 0);
    }
}
