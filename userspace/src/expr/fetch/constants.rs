//! Values that need no traffic: constants, the environment, dates and chance (manual §7.3.2).

use super::{Arg, Arguments, Fetch, Fetched, Read, Sample, SampleType, View, int};
use crate::expr::args::ArgKind;
use crate::expr::pattern::parse_hex;
use crate::expr::raw;
use crate::expr::time::Unit;

pub(super) const FETCHES: &[Fetch] = &[
    Fetch {
        name: "bin",
        output: SampleType::Bin,
        doc: "Bytes given in hexadecimal.",
        compile: Some(|args, _| constant(&args, |word| Ok(Sample::bin(parse_hex(word)?)))),
        ..CONSTANT
    },
    Fetch {
        name: "bool",
        output: SampleType::Bool,
        doc: "A truth value.",
        compile: Some(|args, _| {
            constant(&args, |word| match word {
                "true" | "1" => Ok(Sample::Bool(true)),
                "false" | "0" => Ok(Sample::Bool(false)),
                _ => Err("Expects 'true', 'false', '0' or '1'".into()),
            })
        }),
        ..CONSTANT
    },
    Fetch {
        name: "int",
        args: Arguments::all(&[ArgKind::Int]),
        doc: "A number.",
        read: Read::One(|_, args| int(args.first().and_then(Arg::int))),
        ..Fetch::BASE
    },
    Fetch {
        name: "ipv4",
        args: Arguments::all(&[ArgKind::Ipv4]),
        output: SampleType::Ipv4,
        doc: "An IPv4 address.",
        read: Read::One(address),
        ..Fetch::BASE
    },
    Fetch {
        name: "ipv6",
        args: Arguments::all(&[ArgKind::Ipv6]),
        output: SampleType::Ipv6,
        doc: "An IPv6 address.",
        read: Read::One(address),
        ..Fetch::BASE
    },
    Fetch {
        name: "meth",
        output: SampleType::Method,
        doc: "A method.",
        compile: Some(|args, _| {
            constant(&args, |word| {
                Ok(Sample::Method(word.as_bytes().to_vec().into()))
            })
        }),
        ..CONSTANT
    },
    Fetch {
        name: "str",
        args: Arguments::some(0, &[ArgKind::Text]),
        output: SampleType::Str,
        doc: "A string.",
        compile: Some(|args, _| {
            constant(&args, |word| Ok(Sample::str(raw::bytes(word).into_owned())))
        }),
        ..CONSTANT
    },
    // --- environment, time and chance ---
    Fetch {
        name: "env",
        args: Arguments::all(&[ArgKind::Text]),
        output: SampleType::Str,
        doc: "The value an environment variable had at start.",
        read: Read::One(constant_of),
        compile: Some(|args, _| {
            let name = args.first().and_then(Arg::text).unwrap_or_default();
            let value = std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec);
            Ok(value
                .map(|value| Arg::Constant(Sample::str(value)))
                .into_iter()
                .collect())
        }),
        ..Fetch::BASE
    },
    Fetch {
        name: "date",
        args: Arguments::some(0, &[ArgKind::Int, ArgKind::Text]),
        doc: "The time since 1970, in seconds or the given unit, plus an offset.",
        read: Read::One(date),
        compile: Some(|args, _| match args.get(1).and_then(Arg::text) {
            Some(word) if Unit::parse(word).is_none() => Err(Unit::unknown(word)),
            _ => Ok(args),
        }),
        ..Fetch::BASE
    },
    Fetch {
        name: "date_us",
        doc: "The microseconds of the current second.",
        read: Read::One(|view, _| Fetched::Value(Sample::Int(view.wall().subsec_micros().into()))),
        ..Fetch::BASE
    },
    Fetch {
        name: "rand",
        args: Arguments::some(0, &[ArgKind::Int]),
        doc: "A random number from 0 to below the range, 2^32 by default.",
        read: Read::One(random),
        ..Fetch::BASE
    },
    Fetch {
        name: "uuid",
        args: Arguments::some(0, &[ArgKind::Int]),
        output: SampleType::Str,
        doc: "A UUID of version 4 or 7 (RFC 9562).",
        read: Read::One(uuid),
        compile: Some(|args, _| match args.first().and_then(Arg::int) {
            None | Some(4 | 7) => Ok(args),
            Some(other) => Err(format!("Unsupported UUID version: '{other}'")),
        }),
        ..Fetch::BASE
    },
    Fetch {
        name: "hostname",
        output: SampleType::Str,
        doc: "The machine's name.",
        read: Read::One(constant_of),
        compile: Some(|_, _| Ok(vec![Arg::Constant(Sample::str(hostname()))])),
        ..Fetch::BASE
    },
];

/// A keyword whose value is its argument.
const CONSTANT: Fetch = Fetch {
    args: Arguments::all(&[ArgKind::Text]),
    read: Read::One(constant_of),
    ..Fetch::BASE
};

fn constant(
    args: &[Arg],
    make: impl FnOnce(&str) -> Result<Sample<'static>, String>,
) -> Result<Vec<Arg>, String> {
    let word = args.first().and_then(Arg::text).unwrap_or_default();
    Ok(vec![Arg::Constant(make(word)?)])
}

fn constant_of<'a>(_: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    match args.first() {
        Some(Arg::Constant(sample)) => Fetched::Value(sample.reborrow()),
        _ => Fetched::Absent,
    }
}

fn address<'a>(_: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    match args.first() {
        Some(Arg::Ipv4(address)) => Fetched::Value(Sample::Ip((*address).into())),
        Some(Arg::Ipv6(address)) => Fetched::Value(Sample::Ip((*address).into())),
        _ => Fetched::Absent,
    }
}

fn date<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let offset = args.first().and_then(Arg::int).unwrap_or(0);
    let unit = args
        .get(1)
        .and_then(Arg::text)
        .and_then(Unit::parse)
        .unwrap_or(Unit::Seconds);
    let micros = i64::try_from(view.wall().as_micros()).unwrap_or(i64::MAX);
    Fetched::Value(Sample::Int(unit.from_micros(micros).saturating_add(offset)))
}

fn random<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let value = view.random() >> 32;
    let value = match args.first().and_then(Arg::int) {
        Some(range) => ((u128::from(value) * u128::from(range.unsigned_abs())) >> 32) as i64,
        None => value as i64,
    };
    Fetched::Value(Sample::Int(value))
}

/// Version 4 is random; version 7 begins with the time in milliseconds.
fn uuid<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let version = args.first().and_then(Arg::int).unwrap_or(4) as u128;
    let mut bits = u128::from(view.random()) << 64 | u128::from(view.random());
    if version == 7 {
        let millis = view.wall().as_millis() & ((1 << 48) - 1);
        bits = bits & (u128::MAX >> 48) | millis << 80;
    }
    bits = bits & !(0xf << 76) | version << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let digits = format!("{bits:032x}");
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    Fetched::Value(Sample::str(parts.join("-")))
}

fn hostname() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}
