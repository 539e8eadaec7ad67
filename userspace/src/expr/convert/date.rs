//! Dates: to text and back.

use super::{Arg, Arguments, Converter, Output, Run, data, int};
use crate::expr::args::ArgKind;
use crate::expr::time::{Civil, Unit, http_date, local_offset, parse_http_date};
use crate::expr::{Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "http_date",
        args: Arguments::some(0, &[ArgKind::Int, ArgKind::Text]),
        input: SampleType::Int,
        doc: "A date as HTTP headers have it.",
        run: Run::Sample(|sample, args, _| {
            let offset = args.first().and_then(Arg::int).unwrap_or(0);
            let unit = args
                .get(1)
                .and_then(Arg::text)
                .and_then(Unit::parse)
                .unwrap_or(Unit::Seconds);
            Some(Sample::str(dated(
                int(&sample)?.saturating_add(offset),
                unit,
            )))
        }),
        compile: Some(|args, _| match args.get(1).and_then(Arg::text) {
            Some(word) if Unit::parse(word).is_none() => Err(Unit::unknown(word)),
            _ => Ok(args),
        }),
        ..Converter::BASE
    },
    Converter {
        name: "date",
        output: Output::Type(SampleType::Int),
        doc: "The seconds since 1970 of a date in an HTTP header.",
        run: Run::Sample(|sample, _, _| parse_http_date(&data(sample)?).map(Sample::Int)),
        ..Converter::BASE
    },
    time(
        "utime",
        "A date in UTC, in a format of strftime(3).",
        |sample, args, _| formatted(&sample, args, Unit::Seconds, utc),
    ),
    time(
        "ltime",
        "A date in local time, in a format of strftime(3).",
        |sample, args, _| formatted(&sample, args, Unit::Seconds, local_offset),
    ),
    time(
        "ms_utime",
        "A date in milliseconds, in UTC.",
        |sample, args, _| formatted(&sample, args, Unit::Millis, utc),
    ),
    time(
        "ms_ltime",
        "A date in milliseconds, in local time.",
        |sample, args, _| formatted(&sample, args, Unit::Millis, local_offset),
    ),
    time(
        "us_utime",
        "A date in microseconds, in UTC.",
        |sample, args, _| formatted(&sample, args, Unit::Micros, utc),
    ),
    time(
        "us_ltime",
        "A date in microseconds, in local time.",
        |sample, args, _| formatted(&sample, args, Unit::Micros, local_offset),
    ),
];

const fn time(name: &'static str, doc: &'static str, run: super::RunSample) -> Converter {
    Converter {
        name,
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::Int]),
        input: SampleType::Int,
        doc,
        run: Run::Sample(run),
        ..Converter::BASE
    }
}

fn utc(_: i64) -> i32 {
    0
}

fn formatted<'a>(
    sample: &Sample<'_>,
    args: &[Arg],
    unit: Unit,
    zone: fn(i64) -> i32,
) -> Option<Sample<'a>> {
    let offset = args.get(1).and_then(Arg::int).unwrap_or(0);
    let value = int(sample)?.saturating_add(offset);
    let seconds = value.div_euclid(unit.per_second());
    let micros = value.rem_euclid(unit.per_second()) * (1_000_000 / unit.per_second());
    let mut out = Vec::new();
    Civil::new(seconds, micros as u32, zone(seconds))
        .strftime(args.first().and_then(Arg::text)?, &mut out);
    Some(Sample::str(out))
}

/// With the fraction of the second that the unit has.
fn dated(value: i64, unit: Unit) -> String {
    let per_second = unit.per_second();
    let fraction = value.rem_euclid(per_second);
    let date = http_date(value.div_euclid(per_second));
    let (before, zone) = date.split_at(date.len() - " GMT".len());
    match unit {
        Unit::Seconds => date,
        Unit::Millis => format!("{before}.{fraction:03}{zone}"),
        Unit::Micros => format!("{before}.{fraction:06}{zone}"),
    }
}
