//! HAProxy's hash functions: those of `hash-type` (manual §4.2) and of the converters of the same names.
//!
//! Every value equals HAProxy's: the functions were compared with a running HAProxy, bit for bit, so that two balancers
//! in front of the same farm choose alike. None resists an attacker who picks the keys; that is a property of the
//! configuration language, not of this file.

/// The `sdbm` function: `hash × 65599 + byte`.
pub fn sdbm(data: &[u8]) -> u32 {
    sdbm_of(data.iter().copied())
}

/// [`sdbm`] of bytes that do not lie side by side.
pub fn sdbm_of(data: impl IntoIterator<Item = u8>) -> u32 {
    data.into_iter().fold(0, |hash: u32, byte| {
        hash.wrapping_mul(65599).wrapping_add(u32::from(byte))
    })
}

/// The `djb2` function: `hash × 33 + byte`, from 5381.
pub fn djb2(data: &[u8]) -> u32 {
    data.iter().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
    })
}

/// The `wt6` function: two words stirred by data-dependent rotations.
pub fn wt6(data: &[u8]) -> u32 {
    let (mut left, mut right) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut first_turn, mut second_turn) = (6_u32, 18_u32);
    for &byte in data {
        let byte = u32::from(byte);
        let (stirred_left, stirred_right) = (!(left ^ byte), !byte.wrapping_add(right));
        left = stirred_right.rotate_left(first_turn);
        right = stirred_left.rotate_left(second_turn);
        let turns = ((left >> 16) ^ right) & 0xffff;
        (first_turn, second_turn) = (turns & 0x1f, turns >> 11);
    }
    left ^ right
}

/// The CRC-32 of Ethernet, gzip and PNG: reflected polynomial 0xedb88320.
pub fn crc32(data: &[u8]) -> u32 {
    crc(&CRC32, data)
}

/// The CRC-32 of iSCSI, SCTP (RFC 4960 appendix B) and of the PROXY protocol: reflected polynomial 0x82f63b78.
pub fn crc32c(data: &[u8]) -> u32 {
    crc(&CRC32C, data)
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

fn crc(table: &[u32; 256], data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc: u32, byte| {
        (crc >> 8) ^ table[(crc as u8 ^ byte) as usize]
    })
}

static CRC32: [u32; 256] = crc_table(0xedb8_8320);
static CRC32C: [u32; 256] = crc_table(0x82f6_3b78);

const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ polynomial
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

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
    fn the_check_value_of_the_castagnoli_polynomial() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
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
