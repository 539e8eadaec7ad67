//! Limits of the whole process: connections, and rates (manual §3.2).

use super::args::{Args, Parsed};
use super::context::Context;
use super::registry::{Effect, Keyword, Sections};

const fn keyword(
    name: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::GLOBAL,
        args: "<number>",
        doc,
        effect: Effect::Global(parse),
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "maxconn",
        "Limits the client connections of the whole process.",
        |args, context| {
            let limit: u32 = args.number(0..=u32::MAX)?;
            context.global.maxconn = (limit > 0).then_some(limit);
            args.end()
        },
    ),
    keyword(
        "maxconnrate",
        "Limits the connections the process takes per second.",
        |args, context| {
            context.global.maxconnrate = args.number(0..=u32::MAX)?;
            args.end()
        },
    ),
    keyword(
        "maxsessrate",
        "Limits the sessions the process takes per second.",
        |args, context| {
            context.global.maxsessrate = args.number(0..=u32::MAX)?;
            args.end()
        },
    ),
    keyword(
        "maxsslrate",
        "Limits the TLS handshakes begun with clients per second.",
        |args, context| {
            context.global.maxsslrate = args.number(0..=u32::MAX)?;
            args.end()
        },
    ),
    keyword(
        "maxcomprate",
        "Limits the bytes compressed per second, in kilobytes.",
        |args, context| {
            context.global.maxcomprate = args.number(0..=u32::MAX / 1024)?;
            args.end()
        },
    ),
];
