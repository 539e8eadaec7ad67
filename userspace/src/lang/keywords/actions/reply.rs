//! Answers made by the proxy: `return`, `deny`, `tarpit` and `http-error` (manual §4.4 `return`).

use std::sync::Arc;

use super::{RuleParts, RuleSets};
use crate::expr::{LogFormat, Stage, raw};
use crate::lang::ast::Word;
use crate::lang::keywords::args::{Args, Complaint, Parsed, number};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::AclScope;
use crate::lang::keywords::errors::{error_file, is_error_status};
use crate::lang::keywords::expressions::Rules;
use crate::lang::source::Span;
use crate::model::{ErrorFile, Reply, ReplyBody};

/// The answer of `deny` and `tarpit`: without a payload, the proxy's own page.
pub(super) fn reply(rule: &mut RuleParts<'_, '_, '_>, status: u16) -> Parsed<Arc<Reply>> {
    let options = Options {
        default_status: status,
        only_known_statuses: false,
        empty_is_default: true,
    };
    let stage = rule.set.stage();
    if rule.set == RuleSets::STATS {
        return Ok(Arc::new(plain(status)));
    }
    read(rule.args, &rule.draft.acls, rule.context, stage, &options).map(Arc::new)
}

/// The answer of `return`: without a payload, an empty one.
pub(super) fn return_reply(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Arc<Reply>> {
    let options = Options {
        default_status: 200,
        only_known_statuses: false,
        empty_is_default: false,
    };
    let stage = rule.set.stage();
    read(rule.args, &rule.draft.acls, rule.context, stage, &options).map(Arc::new)
}

/// The answer of `http-error`, whose status must be one an error page can be set for.
pub(in crate::lang::keywords) fn error_reply(
    args: &mut Args<'_>,
    acls: &AclScope,
    context: &mut Context<'_>,
) -> Parsed<Reply> {
    if args.peek_text() != "status" {
        return Err(args.missing("at least a status"));
    }
    let options = Options {
        default_status: 0,
        only_known_statuses: true,
        empty_is_default: false,
    };
    read(args, acls, context, Stage::Request, &options)
}

struct Options {
    default_status: u16,
    /// The status must be one that has an error page.
    only_known_statuses: bool,
    /// No payload means `default-errorfiles`.
    empty_is_default: bool,
}

/// Which payload was asked for.
enum Payload<'w> {
    DefaultErrorFiles,
    ErrorFile(&'w Word),
    ErrorFiles(&'w Word),
    File(&'w Word),
    FormatFile(&'w Word),
    Text(&'w Word),
    Format(&'w Word),
}

fn read(
    args: &mut Args<'_>,
    acls: &AclScope,
    context: &mut Context<'_>,
    stage: Stage,
    options: &Options,
) -> Parsed<Reply> {
    let mut reply = plain(options.default_status);
    let mut payload = None;
    let mut place = args.keyword_span();
    while let Some(word) = args
        .peek()
        .filter(|word| !matches!(word.text.as_str(), "if" | "unless"))
    {
        args.skip(1);
        let chosen = match word.text.as_str() {
            "status" | "deny_status" => {
                let word = args.need("<status_code> as argument")?;
                reply.status = number(word, 200..=599)?;
                if options.only_known_statuses && !is_error_status(reply.status) {
                    let message = format!("status code '{}' not handled", word.text);
                    return Err(Complaint::new(word.span, message));
                }
                continue;
            }
            "content-type" => {
                reply.content_type = Some(args.need("<ctype> as argument")?.text.clone());
                continue;
            }
            "hdr" => {
                let name = args.need("<name> and <value> as arguments")?.text.clone();
                let value = args.need("<name> and <value> as arguments")?;
                reply
                    .headers
                    .push((name, Rules::new(context, acls, stage).log_format(value)?));
                continue;
            }
            "default-errorfiles" => Payload::DefaultErrorFiles,
            "errorfile" => Payload::ErrorFile(args.need("<fmt> as argument")?),
            "errorfiles" => Payload::ErrorFiles(args.need("<name> as argument")?),
            "file" => Payload::File(args.need("<fmt> as argument")?),
            "lf-file" => Payload::FormatFile(args.need("<fmt> as argument")?),
            "string" => Payload::Text(args.need("<fmt> as argument")?),
            "lf-string" => Payload::Format(args.need("<fmt> as argument")?),
            _ => return Err(Complaint::unknown(word, "argument", WORDS.iter().copied())),
        };
        if payload.replace(chosen).is_some() {
            return Err(Complaint::new(word.span, "only one payload can be given"));
        }
        place = word.span;
    }
    let default = if options.empty_is_default {
        Some(Payload::DefaultErrorFiles)
    } else {
        None
    };
    reply.body = body(payload.or(default), &reply, place, acls, context, stage)?;
    Ok(reply)
}

fn body(
    payload: Option<Payload<'_>>,
    reply: &Reply,
    place: Span,
    acls: &AclScope,
    context: &mut Context<'_>,
    stage: Stage,
) -> Parsed<ReplyBody> {
    let known = |status: u16| {
        if is_error_status(status) {
            return Ok(());
        }
        Err(Complaint::new(
            place,
            format!("status code '{status}' has no error page"),
        ))
    };
    let is_empty = |reply: &Reply, empty: bool| {
        if empty || reply.content_type.is_some() {
            return Ok(());
        }
        Err(Complaint::new(
            place,
            "a non-empty payload is defined without the 'content-type' argument",
        ))
    };
    match payload {
        None => Ok(ReplyBody::Empty),
        Some(Payload::DefaultErrorFiles) => {
            known(reply.status)?;
            Ok(ReplyBody::DefaultErrorFiles)
        }
        Some(Payload::ErrorFile(word)) => {
            known(reply.status)?;
            Ok(ReplyBody::ErrorFile(error_file(
                reply.status,
                word,
                context,
            )?))
        }
        Some(Payload::ErrorFiles(word)) => {
            known(reply.status)?;
            named_error(reply.status, word, context).map(ReplyBody::ErrorFile)
        }
        Some(Payload::File(word)) => {
            let (_, content) = context.read(word)?;
            is_empty(reply, content.is_empty())?;
            Ok(ReplyBody::Bytes(content))
        }
        Some(Payload::Text(word)) => {
            is_empty(reply, word.text.is_empty())?;
            Ok(ReplyBody::Bytes(raw::bytes(&word.text).into()))
        }
        Some(Payload::Format(word)) => {
            is_empty(reply, false)?;
            Ok(ReplyBody::Format(
                Rules::new(context, acls, stage).log_format(word)?,
            ))
        }
        Some(Payload::FormatFile(word)) => {
            let (_, content) = context.read(word)?;
            is_empty(reply, content.is_empty())?;
            let text = String::from_utf8(content.to_vec())
                .map_err(|_| Complaint::new(word.span, "the file's text is not UTF-8"))?;
            let virtual_word = Word {
                text,
                span: word.span,
                columns: Some(Box::default()),
            };
            Ok(ReplyBody::Format(
                Rules::new(context, acls, stage).log_format(&virtual_word)?,
            ))
        }
    }
}

/// An answer of an `http-errors` section.
fn named_error(status: u16, word: &Word, context: &Context<'_>) -> Parsed<ErrorFile> {
    let section = context
        .http_errors
        .iter()
        .find(|section| section.name == word.text);
    let Some(section) = section else {
        let known: Vec<_> = context
            .http_errors
            .iter()
            .map(|section| section.name.as_str())
            .collect();
        return Err(Complaint::unknown(word, "http-errors section", known));
    };
    section
        .files
        .iter()
        .find(|file| file.status == status)
        .cloned()
        .ok_or_else(|| {
            Complaint::new(
                word.span,
                format!(
                    "http-errors section '{}' has no page for {status}",
                    word.text
                ),
            )
        })
}

fn plain(status: u16) -> Reply {
    Reply {
        status,
        body: ReplyBody::DefaultErrorFiles,
        content_type: None,
        headers: Vec::<(String, LogFormat)>::new(),
    }
}

const WORDS: &[&str] = &[
    "status",
    "deny_status",
    "content-type",
    "hdr",
    "default-errorfiles",
    "errorfile",
    "errorfiles",
    "file",
    "lf-file",
    "string",
    "lf-string",
    "if",
    "unless",
];
