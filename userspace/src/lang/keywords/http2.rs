//! `tune.h2.*`, and what `bind` and `server` lines share about versions of HTTP.

use super::args::{Args, Parsed, size};
use super::context::Context;
use super::registry::Keyword;
use crate::model::{Http2Tune, HttpProtocol};

/// The names of `proto`.
pub(super) const PROTOCOLS: &[(&str, HttpProtocol)] =
    &[("h1", HttpProtocol::Http1), ("h2", HttpProtocol::Http2)];

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::global(
        "tune.h2.initial-window-size",
        "<number>",
        "Sets the window a new HTTP/2 stream begins with.",
        |args, context| window(args, context, |h2, window| h2.window = window),
    ),
    Keyword::global(
        "tune.h2.fe.initial-window-size",
        "<number>",
        "The same for clients.",
        |args, context| window(args, context, |h2, window| h2.front.window = Some(window)),
    ),
    Keyword::global(
        "tune.h2.be.initial-window-size",
        "<number>",
        "The same for servers.",
        |args, context| window(args, context, |h2, window| h2.back.window = Some(window)),
    ),
    Keyword::global(
        "tune.h2.max-concurrent-streams",
        "<number>",
        "Limits the requests that share an HTTP/2 connection.",
        |args, context| {
            let streams = streams(args)?;
            context.global.tune.h2.streams = streams;
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.fe.max-concurrent-streams",
        "<number> [rq-load { <number> | auto | ignore }] [min <number>]",
        "The same for clients; the load is not looked at.",
        |args, context| {
            let streams = streams(args)?;
            context.global.tune.h2.front.streams = Some(streams);
            for option in ["rq-load", "min"] {
                if args.take_if(option) {
                    args.need("a value")?;
                }
            }
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.be.max-concurrent-streams",
        "<number>",
        "The same for servers.",
        |args, context| {
            let streams = streams(args)?;
            context.global.tune.h2.back.streams = Some(streams);
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.fe.max-total-streams",
        "<number>",
        "Limits the requests of a client's HTTP/2 connection.",
        |args, context| {
            context.global.tune.h2.total_streams = args.number(0..=i32::MAX as u32)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.fe.glitches-threshold",
        "<number>",
        "Sets after how many abnormal events a client's connection is closed.",
        |args, context| {
            context.global.tune.h2.front.glitches = args.number(0..=i32::MAX as u32)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.be.glitches-threshold",
        "<number>",
        "Sets after how many abnormal events a server's connection takes no more requests.",
        |args, context| {
            context.global.tune.h2.back.glitches = args.number(0..=i32::MAX as u32)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.header-table-size",
        "<number>",
        "Sets the size of the HPACK table clients may use.",
        |args, context| {
            context.global.tune.h2.header_table = args.number(0..=65_536)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.h2.max-frame-size",
        "<number>",
        "Sets the largest frame clients may send.",
        |args, context| {
            let size = size(args.need("a size")?, (1 << 24) - 1)?;
            context.global.tune.h2.frame_size = size.clamp(16_384, 16_777_215) as u32;
            args.end()
        },
    ),
];

fn window(args: &mut Args<'_>, context: &mut Context<'_>, set: fn(&mut Http2Tune, u32)) -> Parsed {
    let bytes = size(args.need("a size")?, i32::MAX as u64)?;
    set(&mut context.global.tune.h2, bytes as u32);
    args.end()
}

fn streams(args: &mut Args<'_>) -> Parsed<u32> {
    args.number(1..=1_000_000)
}
