//! `timeout …` (manual §4.2).

use super::args::{Args, Parsed, Unit};
use super::registry::{Effect, Keyword, Sections};
use crate::types::Millis;

const fn keyword(
    name: &'static str,
    sections: Sections,
    doc: &'static str,
    effect: Effect,
) -> Keyword {
    Keyword {
        name,
        sections,
        args: "<timeout>",
        doc,
        effect,
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "timeout check",
        Sections::BACK,
        "Limits the reading of a check's answer.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.check)),
    ),
    keyword(
        "timeout client",
        Sections::FRONT.or(Sections::LOG_FORWARD),
        "Limits the client's inactivity.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.client)),
    ),
    keyword(
        "timeout client-fin",
        Sections::FRONT,
        "Limits inactivity after the client's half is closed.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.client_fin)),
    ),
    keyword(
        "timeout client-hs",
        Sections::FRONT,
        "Limits the client's TLS handshake.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.client_handshake)),
    ),
    keyword(
        "timeout connect",
        Sections::BACK.or(Sections::RING),
        "Limits a connection attempt.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.connect)),
    ),
    keyword(
        "timeout http-keep-alive",
        Sections::ANY_PROXY,
        "Limits the wait for a next request.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.http_keep_alive)),
    ),
    keyword(
        "timeout http-request",
        Sections::ANY_PROXY,
        "Limits the arrival of a request's head.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.http_request)),
    ),
    keyword(
        "timeout queue",
        Sections::BACK,
        "Limits the wait for a free connection slot.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.queue)),
    ),
    keyword(
        "timeout server",
        Sections::BACK.or(Sections::RING),
        "Limits the server's inactivity.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.server)),
    ),
    keyword(
        "timeout server-fin",
        Sections::BACK,
        "Limits inactivity after the server's half is closed.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.server_fin)),
    ),
    keyword(
        "timeout tarpit",
        Sections::ANY_PROXY,
        "Sets how long a tarpit holds.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.tarpit)),
    ),
    keyword(
        "timeout tunnel",
        Sections::BACK,
        "Limits the inactivity of tunnels.",
        Effect::Proxy(|args, draft, _| set(args, &mut draft.proxy.timeouts.tunnel)),
    ),
];

fn set(args: &mut Args<'_>, timeout: &mut Option<Millis>) -> Parsed {
    let word = args.need("an integer value (in milliseconds)")?;
    let time = super::args::time(word, Unit::Milliseconds)?;
    args.end()?;
    *timeout = (time != Millis(0)).then_some(time);
    Ok(())
}
