//! Hashes that spread keys: the exact functions of HAProxy's `hash-type`, so that results agree with its balancing.

use super::{Arg, Arguments, Converter, Output, Run};
use crate::expr::args::ArgKind;
use crate::expr::{Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    hash("crc32", "The CRC-32 of Ethernet, gzip and PNG.", crc32),
    hash("crc32c", "The CRC-32 of iSCSI and SCTP (RFC 4960).", crc32c),
    hash("djb2", "Bernstein's hash.", djb2),
    hash("sdbm", "The hash of the sdbm database.", sdbm),
    hash("wt6", "The hash WT6.", wt6),
    Converter {
        name: "xxh32",
        doc: "xxHash with 32 bits.",
        run: Run::Sample(|sample, args, _| {
            let seed = args.first().and_then(Arg::int).unwrap_or(0) as u32;
            let data = super::data(sample)?;
            Some(Sample::Int(xxhash_rust::xxh32::xxh32(&data, seed).into()))
        }),
        ..SEEDED
    },
    Converter {
        name: "xxh64",
        doc: "xxHash with 64 bits.",
        run: Run::Sample(|sample, args, _| {
            let seed = args.first().and_then(Arg::int).unwrap_or(0) as u64;
            let data = super::data(sample)?;
            Some(Sample::Int(xxhash_rust::xxh64::xxh64(&data, seed) as i64))
        }),
        ..SEEDED
    },
    Converter {
        name: "xxh3",
        doc: "XXH3 with 64 bits.",
        run: Run::Sample(|sample, args, _| {
            let seed = args.first().and_then(Arg::int).unwrap_or(0) as u64;
            let data = super::data(sample)?;
            Some(Sample::Int(
                xxhash_rust::xxh3::xxh3_64_with_seed(&data, seed) as i64,
            ))
        }),
        ..SEEDED
    },
];

const SEEDED: Converter = Converter {
    args: Arguments::some(0, &[ArgKind::Int]),
    input: SampleType::Bin,
    output: Output::Type(SampleType::Int),
    ..Converter::BASE
};

const fn hash(name: &'static str, doc: &'static str, run: fn(&[u8]) -> u32) -> Converter {
    Converter {
        name,
        doc,
        run: Run::Hash(run),
        ..SEEDED
    }
}

/// Applies a 32-bit hash, mixed further where the argument says so.
pub(super) fn run<'a>(run: fn(&[u8]) -> u32, data: &[u8], args: &[Arg]) -> Option<Sample<'a>> {
    let hash = run(data);
    let hash = match args.first().and_then(Arg::int) {
        Some(1) => avalanche(hash),
        _ => hash,
    };
    Some(Sample::Int(hash.into()))
}

/// Jenkins' full avalanche, spread over the whole ring by a last multiplication.
fn avalanche(hash: u32) -> u32 {
    let mut a = hash;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = (a ^ 0xc761_c23c) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

/// SDBM mixed once more: `base32`, `url32`, `hash-type … sdbm avalanche`.
pub(in crate::expr) fn sdbm_avalanche(data: impl IntoIterator<Item = u8>) -> u32 {
    avalanche(sdbm_of(data))
}

fn sdbm(data: &[u8]) -> u32 {
    sdbm_of(data.iter().copied())
}

fn sdbm_of(data: impl IntoIterator<Item = u8>) -> u32 {
    data.into_iter().fold(0, |hash: u32, byte| {
        u32::from(byte)
            .wrapping_add(hash << 6)
            .wrapping_add(hash << 16)
            .wrapping_sub(hash)
    })
}

fn djb2(data: &[u8]) -> u32 {
    data.iter().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add((*byte).into())
    })
}

/// Two registers that rotate each other by amounts taken from themselves.
fn wt6(data: &[u8]) -> u32 {
    let (mut left, mut right) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut left_turn, mut right_turn) = (6, 18);
    for &byte in data {
        let from_left = !(left ^ u32::from(byte));
        let from_right = !right.wrapping_add(byte.into());
        left = from_right.rotate_left(left_turn);
        right = from_left.rotate_left(right_turn);
        let turns = (left >> 16) ^ (right & 0xffff);
        left_turn = turns & 31;
        right_turn = turns >> 11;
    }
    left ^ right
}

fn crc32(data: &[u8]) -> u32 {
    crc(&CRC32, data)
}

fn crc32c(data: &[u8]) -> u32 {
    crc(&CRC32C, data)
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
