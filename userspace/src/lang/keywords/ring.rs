//! The `ring` section: log messages on their way to servers (manual §12.5).
//!
//! Its lines are read as those of a backend that no traffic reaches: `server`, `description` and timeouts are the same
//! keywords.

use super::args::{Args, Parsed, size};
use super::context::Context;
use super::draft::ProxyDraft;
use super::logging::{FORMATS, choose};
use super::registry::{Effect, Keyword, Sections};
use crate::model::{CheckSteps, LogFormatKind, Ring};
use crate::types::{ProxyId, ServerId};

/// What only `ring` sections have.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::lang) struct RingSettings {
    format: Option<LogFormatKind>,
    max_length: Option<usize>,
    size: Option<u64>,
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "format",
        "<format>",
        "Sets the format of the messages kept.",
        |args, draft, _| {
            draft.ring.format = Some(choose(args.only("a log format")?, "log format", FORMATS)?);
            Ok(())
        },
    ),
    keyword(
        "maxlen",
        "<length>",
        "Limits the length of one message.",
        |args, draft, _| {
            draft.ring.max_length = Some(args.number(1..=65_535)?);
            args.end()
        },
    ),
    keyword(
        "size",
        "<size>",
        "Limits the bytes of messages kept.",
        |args, draft, _| {
            draft.ring.size = Some(size(args.only("a size in bytes")?, MOST)?);
            Ok(())
        },
    ),
    Keyword {
        name: "backing-file",
        sections: Sections::RING,
        args: "<path>",
        doc: "Not in this version.",
        effect: Effect::Refused("messages are kept in memory: log to a file descriptor as well"),
    },
];

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::RING,
        args,
        doc,
        effect: Effect::Proxy(parse),
    }
}

/// The finished section.
pub(in crate::lang) fn finish(draft: &ProxyDraft, context: &mut Context<'_>) -> Ring {
    let settings = draft.ring;
    let size = settings.size.unwrap_or(DEFAULT);
    if size < LEAST {
        let message = format!("invalid size '{size}' for a ring: it must be at least {LEAST}");
        context.alert(draft.place_of("size"), message);
    }
    let mut max_length = settings.max_length;
    if max_length.is_some_and(|length| length as u64 > size) {
        let message = format!("messages are cut to the ring's size of {size} bytes");
        context.warn(draft.place_of("maxlen"), message);
        max_length = usize::try_from(size).ok();
    }
    let steps = CheckSteps::Connect;
    let servers = draft.servers.iter().zip(1..).map(|(server, number)| {
        server.finish(ServerId(0), ProxyId(0), number, draft, &steps, context)
    });
    Ring {
        servers: servers.collect(),
        name: draft.proxy.name.clone(),
        description: draft
            .proxy
            .description
            .clone()
            .unwrap_or_else(|| draft.proxy.name.clone()),
        format: settings.format,
        max_length,
        size: usize::try_from(size).unwrap_or(usize::MAX),
        connect: draft.proxy.timeouts.connect,
        server: draft.proxy.timeouts.server,
    }
}

/// Bytes kept where the section does not say (manual: BUFSIZE), at least, and at most.
const DEFAULT: u64 = 16_384;
const LEAST: u64 = 1024;
const MOST: u64 = 1 << 31;
