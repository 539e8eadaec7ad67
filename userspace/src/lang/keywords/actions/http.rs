//! Actions of the HTTP rule sets.

use super::reply::{reply, return_reply};
use super::tcp::capture_slot;
use super::{Action, Built, RuleParts, RuleSets, action, redirect};
use crate::expr::Case;
use crate::lang::keywords::args::{Complaint, Parsed, Unit, size};
use crate::lang::keywords::expressions::regex;
use crate::lang::keywords::logging::choose;
use crate::model::{HttpAction, NameMatch, Service};

const MESSAGES: RuleSets = RuleSets::MESSAGES;
const HTTP: RuleSets = RuleSets::HTTP;
const REQUEST: RuleSets = RuleSets::REQUEST;
const REPLY: &str = "[status <code>] [content-type <type>] [<payload>] [hdr <name> <fmt>]*";

pub(super) const ACTIONS: &[Action] = &[
    action(
        "allow",
        HTTP.or(RuleSets::STATS),
        "",
        "Ends the rule set: the message goes on.",
        |_| http(HttpAction::Allow),
    ),
    action(
        "deny",
        MESSAGES.or(RuleSets::STATS),
        REPLY,
        "Refuses the message.",
        |rule| {
            let status = if rule.set == RuleSets::RESPONSE {
                502
            } else {
                403
            };
            http(HttpAction::Deny(reply(rule, status)?))
        },
    ),
    action(
        "tarpit",
        REQUEST,
        REPLY,
        "Refuses the request after a while.",
        |rule| http(HttpAction::Tarpit(reply(rule, 500)?)),
    ),
    action("return", MESSAGES, REPLY, "Answers the client.", |rule| {
        http(HttpAction::Return(return_reply(rule)?))
    }),
    action(
        "reject",
        REQUEST,
        "",
        "Closes the connection without an answer.",
        |_| http(HttpAction::Reject),
    ),
    action(
        "silent-drop",
        MESSAGES,
        "",
        "Closes the connection without telling the client.",
        |rule| {
            no_rst_ttl(rule)?;
            http(HttpAction::SilentDrop)
        },
    ),
    action(
        "auth",
        REQUEST.or(RuleSets::STATS),
        "[realm <realm>]",
        "Asks the client for a password.",
        |rule| {
            let realm = if rule.args.take_if("realm") {
                Some(rule.args.need("a realm")?.text.clone())
            } else {
                None
            };
            http(HttpAction::Auth { realm })
        },
    ),
    action(
        "redirect",
        MESSAGES,
        "<rule>",
        "Redirects the client.",
        |rule| {
            let is_response = rule.set == RuleSets::RESPONSE;
            let stage = rule.set.stage();
            let redirect = redirect::redirect(
                rule.args,
                rule.draft,
                rule.context,
                stage,
                redirect::Texts::Formats,
            )?;
            if is_response && !matches!(redirect.kind, crate::model::RedirectKind::Location(_)) {
                return Err(rule
                    .args
                    .wrong("only 'location' redirects are possible for responses"));
            }
            http(HttpAction::Redirect(redirect))
        },
    ),
    action(
        "add-header",
        HTTP,
        "<name> <fmt>",
        "Adds a header field.",
        |rule| {
            let (name, value) = named_format(rule)?;
            http(HttpAction::AddHeader(name, value))
        },
    ),
    action(
        "set-header",
        HTTP,
        "<name> <fmt>",
        "Replaces a header field.",
        |rule| {
            let (name, value) = named_format(rule)?;
            http(HttpAction::SetHeader(name, value))
        },
    ),
    action(
        "del-header",
        HTTP,
        "<name> [-m <meth>]",
        "Removes header fields.",
        |rule| {
            let name = rule.args.need("a header name")?;
            let text = name.text.clone();
            if !rule.args.take_if("-m") {
                return http(HttpAction::DeleteHeader(NameMatch::Exact(text)));
            }
            let method = choose(
                rule.args.need("a matching method")?,
                "matching method",
                NAME_METHODS,
            )?;
            http(HttpAction::DeleteHeader(match method {
                "beg" => NameMatch::Begins(text),
                "end" => NameMatch::Ends(text),
                "sub" => NameMatch::Contains(text),
                "reg" => NameMatch::Regex(regex(name, Case::Ignored)?),
                _ => NameMatch::Exact(text),
            }))
        },
    ),
    action(
        "replace-header",
        HTTP,
        "<name> <match-regex> <replace-fmt>",
        "Rewrites header fields.",
        |rule| {
            let name = rule.args.need("a header name")?.text.clone();
            let (pattern, format) = replacement(rule)?;
            http(HttpAction::ReplaceHeader(name, pattern, format))
        },
    ),
    action(
        "replace-value",
        HTTP,
        "<name> <match-regex> <replace-fmt>",
        "Rewrites elements of header fields.",
        |rule| {
            let name = rule.args.need("a header name")?.text.clone();
            let (pattern, format) = replacement(rule)?;
            http(HttpAction::ReplaceValue(name, pattern, format))
        },
    ),
    action(
        "set-method",
        REQUEST,
        "<fmt>",
        "Replaces the method.",
        |rule| http(HttpAction::SetMethod(one(rule)?)),
    ),
    action("set-path", REQUEST, "<fmt>", "Replaces the path.", |rule| {
        http(HttpAction::SetPath(one(rule)?))
    }),
    action(
        "set-pathq",
        REQUEST,
        "<fmt>",
        "Replaces path and query.",
        |rule| http(HttpAction::SetPathQuery(one(rule)?)),
    ),
    action(
        "set-query",
        REQUEST,
        "<fmt>",
        "Replaces the query.",
        |rule| http(HttpAction::SetQuery(one(rule)?)),
    ),
    action("set-uri", REQUEST, "<fmt>", "Replaces the URI.", |rule| {
        http(HttpAction::SetUri(one(rule)?))
    }),
    action(
        "replace-path",
        REQUEST,
        "<match-regex> <replace-fmt>",
        "Rewrites the path.",
        |rule| {
            let (pattern, format) = replacement(rule)?;
            http(HttpAction::ReplacePath(pattern, format))
        },
    ),
    action(
        "replace-pathq",
        REQUEST,
        "<match-regex> <replace-fmt>",
        "Rewrites path and query.",
        |rule| {
            let (pattern, format) = replacement(rule)?;
            http(HttpAction::ReplacePathQuery(pattern, format))
        },
    ),
    action(
        "replace-uri",
        REQUEST,
        "<match-regex> <replace-fmt>",
        "Rewrites the URI.",
        |rule| {
            let (pattern, format) = replacement(rule)?;
            http(HttpAction::ReplaceUri(pattern, format))
        },
    ),
    action(
        "set-status",
        RuleSets::RESPONSE.or(RuleSets::AFTER_RESPONSE),
        "<status> [reason <str>]",
        "Replaces the status.",
        |rule| {
            let status = rule.args.number(100..=999)?;
            let reason = if rule.args.take_if("reason") {
                Some(rule.args.need("a reason")?.text.clone())
            } else {
                None
            };
            http(HttpAction::SetStatus(status, reason))
        },
    ),
    action(
        "capture",
        HTTP,
        "<sample> { len <length> | id <id> }",
        "Keeps a sample for the log.",
        |rule| {
            let sample = rule.expression()?;
            let response = rule.set != REQUEST;
            let id = capture_slot(rule, response)?;
            http(HttpAction::Capture { sample, id })
        },
    ),
    action(
        "wait-for-body",
        MESSAGES,
        "time <time> [at-least <bytes>]",
        "Waits for the body.",
        wait_for_body,
    ),
    action(
        "strict-mode",
        HTTP,
        "{ on | off }",
        "Says whether failed rewrites are errors.",
        |rule| {
            let on = choose(
                rule.args.need("'on' or 'off'")?,
                "strict mode",
                &[("on", true), ("off", false)],
            )?;
            http(HttpAction::StrictMode(on))
        },
    ),
    action(
        "use-service",
        REQUEST,
        "<service-name>",
        "Lets a service answer.",
        |rule| {
            http(HttpAction::UseService(choose(
                rule.args.need("a service name")?,
                "service",
                SERVICES,
            )?))
        },
    ),
    action(
        "disable-l7-retry",
        REQUEST,
        "",
        "Does not repeat this request.",
        |_| http(HttpAction::DisableL7Retry),
    ),
    action(
        "add-acl",
        MESSAGES,
        "(<file-name>) <key fmt>",
        "Adds a pattern to a list.",
        |rule| patterns(rule, true),
    ),
    action(
        "del-acl",
        MESSAGES,
        "(<file-name>) <key fmt>",
        "Removes a pattern from a list.",
        |rule| patterns(rule, false),
    ),
    action(
        "set-map",
        HTTP,
        "(<map-name>) <key fmt> <value fmt>",
        "Sets an entry of a map.",
        |rule| {
            let file = rule.inside()?.to_owned();
            let key = rule.format("a key")?;
            let value = Some(rule.format("a value")?);
            http(HttpAction::ChangeMap { file, key, value })
        },
    ),
    action(
        "del-map",
        HTTP,
        "(<map-name>) <key fmt>",
        "Removes an entry of a map.",
        |rule| {
            let file = rule.inside()?.to_owned();
            let key = rule.format("a key")?;
            http(HttpAction::ChangeMap {
                file,
                key,
                value: None,
            })
        },
    ),
    action(
        "cache-store",
        RuleSets::RESPONSE,
        "<name>",
        "Keeps the response in a cache.",
        |rule| {
            let cache = cache(rule)?;
            http(HttpAction::CacheStore(cache))
        },
    ),
    action(
        "cache-use",
        REQUEST,
        "<name> [no-early-hints]",
        "Answers from a cache.",
        |rule| {
            let cache = cache(rule)?;
            let hints = !rule.args.take_if("no-early-hints");
            http(HttpAction::CacheUse { cache, hints })
        },
    ),
    action(
        "mirror-to",
        REQUEST,
        "<backend> [sample <percent>%]",
        "Sends a copy of the request to another backend.",
        mirror,
    ),
];

/// `mirror-to`: the backend, and the share of requests it gets.
fn mirror(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Built> {
    let word = rule.args.need("a backend's name")?;
    let names = rule.context.names;
    let backend = names
        .backend(&word.text)
        .ok_or_else(|| Complaint::unknown(word, "backend", names.backends()))?;
    let mut share = 10_000;
    if rule.args.take_if("sample") {
        let word = rule.args.need("a percentage")?;
        share = word
            .text
            .strip_suffix('%')
            .and_then(hundredths)
            .filter(|share| *share <= 10_000)
            .ok_or_else(|| {
                Complaint::new(word.span, "expects a percentage from 0% to 100%")
                    .hint("two digits behind the point count: 0.25%")
            })?;
    }
    http(HttpAction::Mirror { backend, share })
}

/// A decimal number in hundredths.
fn hundredths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 2 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<2}").parse().ok()?;
    whole
        .parse::<u16>()
        .ok()?
        .checked_mul(100)?
        .checked_add(fraction)
}

/// The cache that a rule names.
fn cache(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<usize> {
    let word = rule.args.need("a cache's name")?;
    let caches = &rule.context.caches;
    let found = caches.iter().position(|cache| cache.name == word.text);
    found.ok_or_else(|| {
        let names = caches.iter().map(|cache| cache.name.as_str());
        Complaint::unknown(word, "cache", names)
    })
}

/// `silent-drop` has an option that needs raw sockets.
pub(super) fn no_rst_ttl(rule: &RuleParts<'_, '_, '_>) -> Parsed {
    match rule.args.peek() {
        Some(word) if word.text == "rst-ttl" => {
            Err(Complaint::new(word.span, "'rst-ttl' is not supported"))
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the tail of every action's function"
)]
fn http(action: HttpAction) -> Parsed<Built> {
    Ok(Built::Http(action))
}

fn one(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<crate::expr::LogFormat> {
    rule.format("exactly 1 argument <format>")
}

fn named_format(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<(String, crate::expr::LogFormat)> {
    let name = rule.args.need("exactly 2 arguments")?.text.clone();
    Ok((name, rule.format("exactly 2 arguments")?))
}

fn replacement(
    rule: &mut RuleParts<'_, '_, '_>,
) -> Parsed<(regex::bytes::Regex, crate::expr::LogFormat)> {
    let pattern = regex(rule.args.need("a regular expression")?, Case::Sensitive)?;
    Ok((pattern, rule.format("a replacement")?))
}

fn wait_for_body(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Built> {
    let mut wait = None;
    let mut at_least = 0;
    loop {
        if rule.args.take_if("time") {
            wait = Some(rule.args.time(Unit::Milliseconds)?);
        } else if rule.args.take_if("at-least") {
            at_least = size(rule.args.need("a size")?, u64::from(u32::MAX))?;
        } else {
            break;
        }
    }
    match wait {
        Some(time) => http(HttpAction::WaitForBody { time, at_least }),
        None => Err(rule.args.missing("'time' and a delay")),
    }
}

fn patterns(rule: &mut RuleParts<'_, '_, '_>, add: bool) -> Parsed<Built> {
    let file = rule.inside()?.to_owned();
    let pattern = rule.format("a key")?;
    http(HttpAction::ChangePatterns { file, add, pattern })
}

/// What `use-service` may name.
pub(in crate::lang) const SERVICES: &[(&str, Service)] =
    &[("prometheus-exporter", Service::PrometheusExporter)];

const NAME_METHODS: &[(&str, &str)] = &[
    ("str", "str"),
    ("beg", "beg"),
    ("end", "end"),
    ("sub", "sub"),
    ("reg", "reg"),
];
