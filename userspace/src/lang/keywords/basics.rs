//! What every proxy can say about itself: mode, limits, name and number (manual §4.2).

use super::args::{Complaint, Parsed, Unit, size};
use super::context::Context;
use super::registry::{Effect, Keyword, Sections};
use super::server_options::source;
use crate::lang::ast::SectionKind;
use crate::lang::keywords::logging::choose;
use crate::model::{BodyRate, HttpReuse, Mode, RetryOn};
use crate::types::Millis;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "mode",
        sections: Sections::ANY_PROXY,
        args: "{ tcp | http | log | l4 }",
        doc: "Says what the proxy understands of its traffic.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.only("a mode")?;
            draft.proxy.mode = match word.text.as_str() {
                "log" if draft.section == SectionKind::Defaults => {
                    let message = "'mode log' is not for 'defaults'";
                    return Err(Complaint::new(word.span, message));
                }
                "spop" | "haterm" => {
                    let message = format!("'mode {}' is not supported", word.text);
                    return Err(Complaint::new(word.span, message));
                }
                _ => choose(
                    word,
                    "proxy mode",
                    &[
                        ("tcp", Mode::Tcp),
                        ("http", Mode::Http),
                        ("log", Mode::Log),
                        ("l4", Mode::L4),
                    ],
                )?,
            };
            Ok(())
        }),
    },
    Keyword {
        name: "maxconn",
        sections: Sections::FRONT.or(Sections::LOG_FORWARD),
        args: "<conns>",
        doc: "Limits the client connections of the proxy.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.maxconn = Some(args.number(0..=u32::MAX)?).filter(|limit| *limit > 0);
            args.end()
        }),
    },
    Keyword {
        name: "backlog",
        sections: Sections::FRONT.or(Sections::LOG_FORWARD),
        args: "<conns>",
        doc: "Sets the length of the kernel's queue of connections.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.backlog = Some(args.number(0..=u32::MAX)?).filter(|backlog| *backlog > 0);
            args.end()
        }),
    },
    Keyword {
        name: "rate-limit sessions",
        sections: Sections::FRONT,
        args: "<rate>",
        doc: "Limits the new sessions per second.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.rate_limit_sessions =
                Some(args.number(0..=u32::MAX)?).filter(|rate| *rate > 0);
            args.end()
        }),
    },
    Keyword {
        name: "fullconn",
        sections: Sections::BACK,
        args: "<conns>",
        doc: "Sets at what load servers' dynamic limits are reached.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.fullconn = Some(args.number(0..=u32::MAX)?).filter(|limit| *limit > 0);
            args.end()
        }),
    },
    Keyword {
        name: "id",
        sections: Sections::PROXY_ONLY,
        args: "<value>",
        doc: "Sets the proxy's number.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.number = Some(args.number(1..=i32::MAX as u32)?);
            args.end()
        }),
    },
    Keyword {
        name: "description",
        sections: Sections::PROXY_ONLY.or(Sections::RING),
        args: "<string>",
        doc: "Describes the proxy on the stats page.",
        effect: Effect::Proxy(|args, draft, _| {
            args.need("a string argument")?;
            draft.proxy.description = Some(super::args::join(&args.line().words[1..]));
            Ok(())
        }),
    },
    Keyword {
        name: "disabled",
        sections: Sections::ANY_PROXY,
        args: "",
        doc: "Takes the proxy out of service.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.disabled = true;
            args.end()
        }),
    },
    Keyword {
        name: "enabled",
        sections: Sections::ANY_PROXY,
        args: "",
        doc: "Puts the proxy into service.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.disabled = false;
            args.end()
        }),
    },
    Keyword {
        name: "monitor-uri",
        sections: Sections::FRONT,
        args: "<uri>",
        doc: "Answers requests for this URI itself.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.monitor_uri = Some(args.only("an URI")?.text.clone());
            Ok(())
        }),
    },
    Keyword {
        name: "retries",
        sections: Sections::BACK,
        args: "<value>",
        doc: "Sets how often a failed connection is tried again.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.retries = args.number(0..=i32::MAX as u32)?;
            args.end()
        }),
    },
    Keyword {
        name: "retry-on",
        sections: Sections::BACK,
        args: "[space-delimited list of keywords]",
        doc: "Says which failures are tried again.",
        effect: Effect::Proxy(|args, draft, context| {
            draft.proxy.retry_on = retry_on(args, context)?;
            Ok(())
        }),
    },
    Keyword {
        name: "tune.idle-pool.shared",
        sections: Sections::GLOBAL,
        args: "full|on|off",
        doc: "Says whether threads take each other's idle server connections.",
        effect: Effect::Global(|args, context| {
            let word = args.need("'full', 'on' or 'off'")?;
            context.global.tune.share_idle = match word.text.as_str() {
                "full" | "on" => true,
                "off" => false,
                _ => return Err(Complaint::unknown(word, "value", ["full", "on", "off"])),
            };
            args.end()
        }),
    },
    Keyword {
        name: "http-reuse",
        sections: Sections::BACK,
        args: "{ never | safe | aggressive | always }",
        doc: "Says when idle connections serve other clients.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.only("'never', 'safe', 'aggressive' or 'always'")?;
            draft.proxy.http_reuse = choose(
                word,
                "mode",
                &[
                    ("never", HttpReuse::Never),
                    ("safe", HttpReuse::Safe),
                    ("aggressive", HttpReuse::Aggressive),
                    ("always", HttpReuse::Always),
                ],
            )?;
            Ok(())
        }),
    },
    Keyword {
        name: "min-request-body-rate",
        sections: Sections::FRONT,
        args: "<bytes> [grace <delay>]",
        doc: "Ends requests whose bodies come more slowly than so many bytes per second; 0 = never.",
        effect: Effect::Proxy(|args, draft, _| {
            let bytes = size(args.need("a number of bytes per second")?, 1 << 40)?;
            let grace = match args.take_if("grace") {
                true => args.time(Unit::Milliseconds)?,
                false => Millis(5000),
            };
            draft.proxy.min_body_rate = (bytes > 0).then_some(BodyRate { bytes, grace });
            args.end()
        }),
    },
    Keyword {
        name: "http-send-name-header",
        sections: Sections::BACK,
        args: "[<header>]",
        doc: "Tells servers their name in a header.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.proxy.send_name_header = args.take().map(|word| word.text.clone());
            args.end()
        }),
    },
    Keyword {
        name: "source",
        sections: Sections::BACK,
        args: "<addr>[:<port>] [usesrc <what>] [interface <name>]",
        doc: "Sets the local end of connections to servers.",
        effect: Effect::Proxy(|args, draft, context| {
            draft.proxy.source = Some(source(args, context)?);
            args.end()
        }),
    },
];

fn retry_on(args: &mut super::args::Args<'_>, context: &mut Context<'_>) -> Parsed<RetryOn> {
    let mut retry = RetryOn::default();
    args.peek()
        .ok_or_else(|| args.missing("at least one keyword"))?;
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "none" => retry = RetryOn::default(),
            "conn-failure" => retry.connection_failure = true,
            "empty-response" => retry.empty_response = true,
            "junk-response" => retry.junk_response = true,
            "response-timeout" => retry.response_timeout = true,
            "0rtt-rejected" => context.ignore(word, "early data is not sent to servers"),
            "all-retryable-errors" => {
                retry = RetryOn {
                    connection_failure: true,
                    empty_response: true,
                    junk_response: true,
                    response_timeout: true,
                    statuses: vec![500, 502, 503, 504],
                };
            }
            text => match text.parse::<u16>() {
                Ok(status) if RETRYABLE.contains(&status) => retry.statuses.push(status),
                _ => {
                    return Err(Complaint::unknown(
                        word,
                        "keyword",
                        RETRY_WORDS.iter().copied(),
                    ));
                }
            },
        }
    }
    retry.statuses.sort_unstable();
    retry.statuses.dedup();
    Ok(retry)
}

const RETRYABLE: &[u16] = &[401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504];
const RETRY_WORDS: &[&str] = &[
    "none",
    "conn-failure",
    "empty-response",
    "junk-response",
    "response-timeout",
    "0rtt-rejected",
    "all-retryable-errors",
];
