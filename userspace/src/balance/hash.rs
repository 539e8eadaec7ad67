//! The hash functions of `hash-type` (manual §4.2): from the bytes of a key to the number that chooses a server.
//!
//! Two balancers in front of the same farm must choose alike, so every value equals HAProxy's: the functions were
//! compared with a running HAProxy, bit for bit. No function here resists an attacker who picks the keys; that is a
//! property of the configuration language, not of this file.

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

/// The `sdbm` function: `hash × 65599 + byte`.
pub fn sdbm(key: &[u8]) -> u32 {
    key.iter().fold(0, |hash: u32, byte| {
        hash.wrapping_mul(65599).wrapping_add(u32::from(*byte))
    })
}

/// The `djb2` function: `hash × 33 + byte`, from 5381.
pub fn djb2(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
    })
}

/// The `wt6` function: two words stirred by data-dependent rotations.
pub fn wt6(key: &[u8]) -> u32 {
    let (mut left, mut right) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut first_turn, mut second_turn) = (6_u32, 18_u32);
    for &byte in key {
        let byte = u32::from(byte);
        let (stirred_left, stirred_right) = (!(left ^ byte), !byte.wrapping_add(right));
        left = stirred_right.rotate_left(first_turn);
        right = stirred_left.rotate_left(second_turn);
        let turns = ((left >> 16) ^ right) & 0xffff;
        (first_turn, second_turn) = (turns & 0x1f, turns >> 11);
    }
    left ^ right
}

/// The `crc32` function: reflected polynomial 0xedb88320, as in Ethernet, gzip and PNG.
pub fn crc32(key: &[u8]) -> u32 {
    !key.iter().fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ CRC32[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// The `avalanche` modifier: one of Bob Jenkins' public-domain integer hashes, spread over the whole range by a prime.
/// Also places the nodes of a consistent-hash ring.
pub fn avalanche(hash: u32) -> u32 {
    let mut a = hash;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = a ^ 0xc761_c23c ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = a ^ 0xb55a_4f09 ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
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

const CRC32: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_equal_those_of_a_running_haproxy() {
        for (key, of_sdbm, of_djb2, of_wt6, of_crc32, mixed) in HAPROXY_SAID {
            let key = key.as_bytes();
            assert_eq!(sdbm(key), *of_sdbm, "sdbm of {key:?}");
            assert_eq!(djb2(key), *of_djb2, "djb2 of {key:?}");
            assert_eq!(wt6(key), *of_wt6, "wt6 of {key:?}");
            assert_eq!(crc32(key), *of_crc32, "crc32 of {key:?}");
            assert_eq!(avalanche(sdbm(key)), *mixed, "avalanche of {key:?}");
        }
    }

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

    /// Key, then what HAProxy's converters `sdbm`, `djb2`, `wt6`, `crc32` and `sdbm(1)` printed for it.
    const HAPROXY_SAID: &[(&str, u32, u32, u32, u32, u32)] = &[
        ("a", 97, 177670, 1900802597, 3904355907, 1830748055),
        ("/", 47, 177620, 1886637733, 2043925204, 2118074832),
        (
            "/index.html",
            858007926,
            3776231887,
            822151038,
            3928116034,
            4217574924,
        ),
        (
            "www.example.com",
            2718216582,
            2843247409,
            612436471,
            785793723,
            1242975261,
        ),
        (
            "0123456789abcdef0123456789abcdef",
            3123714704,
            552514569,
            1095674149,
            2002367758,
            338496399,
        ),
    ];
}
