//! Hashes that spread keys: the exact functions of HAProxy's `hash-type`, so that results agree with its balancing.

use super::{Arg, Arguments, Converter, Output, Run};
use crate::expr::args::ArgKind;
use crate::expr::{Sample, SampleType};
use crate::hash::{avalanche, crc32, crc32c, djb2, sdbm, wt6};

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
