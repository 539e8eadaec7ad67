//! Actions of the HTTP rule sets that take many fields at once, put URIs in order, hold a message, or speak before the answer.

use super::{Action, Built, RuleParts, RuleSets, action};
use crate::lang::keywords::args::{Complaint, Parsed, Unit, time};
use crate::lang::keywords::logging::choose;
use crate::model::{FieldChange, HttpAction, NamePart, Normalizer, TimeoutKind};

const REQUEST: RuleSets = RuleSets::REQUEST;
const HTTP: RuleSets = RuleSets::HTTP;

pub(super) const ACTIONS: &[Action] = &[
    action(
        "add-headers-bin",
        HTTP,
        "<expr> [prefix <str>]",
        "Adds the fields a binary sample holds.",
        |rule| fields(rule, FieldChange::Add),
    ),
    action(
        "set-headers-bin",
        HTTP,
        "<expr> [prefix <str>]",
        "Replaces fields by those a binary sample holds.",
        |rule| fields(rule, FieldChange::Set),
    ),
    action(
        "del-headers-bin",
        HTTP,
        "<expr> [-m <meth>]",
        "Removes the fields a binary sample names.",
        |rule| {
            let names = rule.expression()?;
            let part = if rule.args.take_if("-m") {
                let methods = [
                    ("str", NamePart::Whole),
                    ("beg", NamePart::Beginning),
                    ("end", NamePart::End),
                    ("sub", NamePart::Middle),
                ];
                choose(
                    rule.args.need("a matching method")?,
                    "matching method",
                    &methods,
                )?
            } else {
                NamePart::Whole
            };
            Ok(Built::Http(HttpAction::DeleteFields { names, part }))
        },
    ),
    action(
        "early-hint",
        REQUEST,
        "<name> <fmt>",
        "Sends a field in a 103 response before the answer.",
        |rule| {
            let name = rule.args.need("exactly 2 arguments")?.text.clone();
            let value = rule.format("exactly 2 arguments")?;
            Ok(Built::Http(HttpAction::EarlyHint(name, value)))
        },
    ),
    action(
        "set-timeout",
        RuleSets::MESSAGES,
        "{ client | connect | queue | server | tarpit | tunnel } { <timeout> | <expr> }",
        "Changes a timeout.",
        |rule| {
            let kinds = [
                ("client", TimeoutKind::Client),
                ("connect", TimeoutKind::Connect),
                ("queue", TimeoutKind::Queue),
                ("server", TimeoutKind::Server),
                ("tarpit", TimeoutKind::Tarpit),
                ("tunnel", TimeoutKind::Tunnel),
            ];
            let kind = choose(rule.args.need("the name of a timeout")?, "timeout", &kinds)?;
            let value = match rule.args.peek().map(|word| time(word, Unit::Milliseconds)) {
                Some(Ok(millis)) => {
                    let place = rule.args.line().span();
                    rule.args.skip(1);
                    rule.integer(i64::try_from(millis.0).unwrap_or(i64::MAX), place)?
                }
                _ => rule.expression()?,
            };
            Ok(Built::Http(HttpAction::SetTimeout(kind, value)))
        },
    ),
    action(
        "pause",
        RuleSets::MESSAGES,
        "{ <timeout> | <expr> }",
        "Holds the message for a while.",
        |rule| {
            let value = match rule.args.peek().map(|word| time(word, Unit::Milliseconds)) {
                Some(Ok(millis)) => {
                    let place = rule.args.line().span();
                    rule.args.skip(1);
                    rule.integer(i64::try_from(millis.0).unwrap_or(i64::MAX), place)?
                }
                _ => rule.expression()?,
            };
            Ok(Built::Http(HttpAction::Pause(value)))
        },
    ),
    action(
        "wait-for-handshake",
        REQUEST,
        "",
        "Waits for the end of the TLS handshake, which requests here always come after.",
        |_| Ok(Built::Http(HttpAction::WaitForHandshake)),
    ),
    action(
        "normalize-uri",
        REQUEST,
        "<normalizer>",
        "Puts the URI into a canonical form.",
        |rule| {
            let chosen = choose(rule.args.need("a normalizer")?, "normalizer", NORMALIZERS)?;
            Ok(Built::Http(HttpAction::NormalizeUri(match chosen {
                Normalizer::PathStripDotDot { .. } => Normalizer::PathStripDotDot {
                    full: rule.args.take_if("full"),
                },
                Normalizer::PercentDecodeUnreserved { .. } => Normalizer::PercentDecodeUnreserved {
                    strict: rule.args.take_if("strict"),
                },
                Normalizer::PercentToUppercase { .. } => Normalizer::PercentToUppercase {
                    strict: rule.args.take_if("strict"),
                },
                other => other,
            })))
        },
    ),
];

fn fields(rule: &mut RuleParts<'_, '_, '_>, change: FieldChange) -> Parsed<Built> {
    let fields = rule.expression()?;
    let prefix = if rule.args.take_if("prefix") {
        let word = rule.args.need("a prefix")?;
        if word.text.is_empty() {
            return Err(Complaint::new(word.span, "the prefix is empty"));
        }
        word.text.clone()
    } else {
        String::new()
    };
    Ok(Built::Http(HttpAction::ChangeFields {
        fields,
        change,
        prefix,
    }))
}

const NORMALIZERS: &[(&str, Normalizer)] = &[
    ("fragment-encode", Normalizer::FragmentEncode),
    ("fragment-strip", Normalizer::FragmentStrip),
    ("path-merge-slashes", Normalizer::PathMergeSlashes),
    ("path-strip-dot", Normalizer::PathStripDot),
    (
        "path-strip-dotdot",
        Normalizer::PathStripDotDot { full: false },
    ),
    (
        "percent-decode-unreserved",
        Normalizer::PercentDecodeUnreserved { strict: false },
    ),
    (
        "percent-to-uppercase",
        Normalizer::PercentToUppercase { strict: false },
    ),
    ("query-sort-by-name", Normalizer::QuerySortByName),
];
