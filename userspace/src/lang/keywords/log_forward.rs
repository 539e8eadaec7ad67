//! The `log-forward` section: syslog messages received and passed on (manual §12.6).
//!
//! Its lines are read as those of a frontend: `bind`, `log`, `maxconn`, `backlog` and `timeout client` are the same
//! keywords. Nothing is inherited from `defaults`.

use super::args::{Args, Complaint, Parsed};
use super::bind;
use super::context::Context;
use super::draft::ProxyDraft;
use super::logging::choose;
use super::registry::{Effect, Keyword, Sections};
use crate::model::{HostStrategy, Mode};

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "dgram-bind",
        "<addr> [param*]",
        "Receives messages as datagrams.",
        |args, draft, context| {
            let word = args.need("<addr>:<port> as argument")?;
            let subject = format!("'dgram-bind {}'", word.text);
            bind::datagrams(word, args, draft, context)
                .map_err(|complaint: Complaint| complaint.about(&subject))
        },
    ),
    keyword(
        "option dont-parse-log",
        "",
        "Passes messages on without looking into them.",
        |args, draft, _| {
            draft.proxy.log_forward.opaque = true;
            args.end()
        },
    ),
    keyword(
        "option assume-rfc6587-ntf",
        "",
        "Takes every line of a stream for a message, whatever it begins with.",
        |args, draft, _| {
            draft.proxy.log_forward.lines_only = true;
            args.end()
        },
    ),
    keyword(
        "option host",
        "{ replace | fill | keep | append }",
        "Says whose name messages carry on.",
        |args, draft, _| {
            let word = args.only("'replace', 'fill', 'keep' or 'append'")?;
            draft.proxy.log_forward.host = choose(word, "host strategy", STRATEGIES)?;
            Ok(())
        },
    ),
];

const STRATEGIES: &[(&str, HostStrategy)] = &[
    ("replace", HostStrategy::Replace),
    ("fill", HostStrategy::Fill),
    ("keep", HostStrategy::Keep),
    ("append", HostStrategy::Append),
];

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::LOG_FORWARD,
        args,
        doc,
        effect: Effect::Proxy(parse),
    }
}

/// What every such section starts from.
pub(in crate::lang) fn begin(draft: &mut ProxyDraft) {
    draft.proxy.mode = Mode::Syslog;
    draft.proxy.maxconn = Some(MAXCONN);
    draft.proxy.dont_log_null = true;
}

/// Connections of one section (manual §12.6 `maxconn`).
const MAXCONN: u32 = 10;
