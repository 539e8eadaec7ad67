//! Error pages: `errorfile`, `errorloc`, `errorfiles`, `http-error`, and the `http-errors` section (manual §4.2, §12.4).

use std::sync::Arc;

use super::actions::reply::error_reply;
use super::args::{Args, Complaint, Parsed, number};
use super::context::Context;
use super::registry::{Effect, Keyword, Sections};
use crate::lang::ast::Word;
use crate::model::{ErrorFile, ErrorSource};

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    effect: Effect,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::ANY_PROXY,
        args,
        doc,
        effect,
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "errorfile",
        "<code> <file>",
        "Answers an error with a file.",
        Effect::Proxy(|args, draft, context| {
            let file = file_line(args, context)?;
            replace(&mut draft.proxy.error_files, file);
            Ok(())
        }),
    ),
    Keyword {
        name: "errorfile",
        sections: Sections::HTTP_ERRORS,
        args: "<code> <file>",
        doc: "Answers an error with a file.",
        effect: Effect::HttpErrors(|args, section, context| {
            let file = file_line(args, context)?;
            replace(&mut section.files, file);
            Ok(())
        }),
    },
    keyword(
        "errorloc",
        "<code> <url>",
        "Answers an error with a redirect.",
        Effect::Proxy(|args, draft, _| location(args, 302, &mut draft.proxy.error_files)),
    ),
    keyword(
        "errorloc302",
        "<code> <url>",
        "Answers an error with a redirect.",
        Effect::Proxy(|args, draft, _| location(args, 302, &mut draft.proxy.error_files)),
    ),
    keyword(
        "errorloc303",
        "<code> <url>",
        "Answers an error with a redirect.",
        Effect::Proxy(|args, draft, _| location(args, 303, &mut draft.proxy.error_files)),
    ),
    keyword(
        "errorfiles",
        "<name> [<code> ...]",
        "Uses the pages of an http-errors section.",
        Effect::Proxy(|args, draft, context| {
            let name = args.need("an http-errors section name")?;
            let Some(section) = context
                .http_errors
                .iter()
                .find(|section| section.name == name.text)
                .cloned()
            else {
                let known: Vec<_> = context
                    .http_errors
                    .iter()
                    .map(|section| section.name.as_str())
                    .collect();
                return Err(Complaint::unknown(name, "http-errors section", known));
            };
            if args.peek().is_none() {
                section
                    .files
                    .iter()
                    .for_each(|file| replace(&mut draft.proxy.error_files, file.clone()));
            }
            while let Some(code) = args.take() {
                let status = status(code)?;
                let file = section.files.iter().find(|file| file.status == status);
                let missing = || {
                    Complaint::new(
                        code.span,
                        format!(
                            "http-errors section '{}' has no page for {status}",
                            name.text
                        ),
                    )
                };
                replace(
                    &mut draft.proxy.error_files,
                    file.cloned().ok_or_else(missing)?,
                );
            }
            Ok(())
        }),
    ),
    keyword(
        "http-error",
        "status <code> [content-type <type>] [<payload>] [hdr <name> <fmt>]*",
        "Answers an error with a text or a file.",
        Effect::Proxy(|args, draft, context| {
            let reply = error_reply(args, &draft.acls, context)?;
            args.end()?;
            let file = ErrorFile {
                status: reply.status,
                source: ErrorSource::Reply(Arc::new(reply)),
            };
            replace(&mut draft.proxy.error_files, file);
            Ok(())
        }),
    ),
];

/// The statuses an error page can be set for.
pub(super) fn is_error_status(status: u16) -> bool {
    STATUSES.contains(&status)
}

/// The page in a file, read and checked.
pub(super) fn error_file(status: u16, word: &Word, context: &mut Context<'_>) -> Parsed<ErrorFile> {
    if word.text == "/dev/null" {
        return Ok(ErrorFile {
            status,
            source: ErrorSource::Silent,
        });
    }
    let (path, content) = context.read(word)?;
    if content.is_empty() {
        return Ok(ErrorFile {
            status,
            source: ErrorSource::Silent,
        });
    }
    let room = context
        .global
        .tune
        .bufsize
        .saturating_sub(context.global.tune.maxrewrite);
    if content.len() > room {
        let message = format!("file '{}' is larger than {room} bytes", path.display());
        return Err(Complaint::new(word.span, message)
            .hint("raise 'tune.bufsize', or write a shorter page"));
    }
    check_response(&content).map_err(|what| {
        Complaint::new(
            word.span,
            format!("file '{}' is not an HTTP response: {what}", path.display()),
        )
    })?;
    Ok(ErrorFile {
        status,
        source: ErrorSource::File { path, content },
    })
}

/// Whether bytes are a whole HTTP/1 response; lines may end with LF alone.
fn check_response(content: &[u8]) -> Result<(), &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 101];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(content) {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) => Err("the empty line after the headers is missing"),
        Err(httparse::Error::TooManyHeaders) => Err("it has too many headers"),
        Err(_) => Err("the status line or a header is wrong"),
    }
}

fn file_line(args: &mut Args<'_>, context: &mut Context<'_>) -> Parsed<ErrorFile> {
    let status = status(args.need("<status_code> and <file> as arguments")?)?;
    let word = args.only("<status_code> and <file> as arguments")?;
    error_file(status, word, context)
}

fn location(args: &mut Args<'_>, code: u16, files: &mut Vec<ErrorFile>) -> Parsed {
    let status = status(args.need("<status_code> and <url> as arguments")?)?;
    let url = args
        .only("<status_code> and <url> as arguments")?
        .text
        .clone();
    replace(
        files,
        ErrorFile {
            status,
            source: ErrorSource::Location { code, url },
        },
    );
    Ok(())
}

fn replace(files: &mut Vec<ErrorFile>, file: ErrorFile) {
    files.retain(|known| known.status != file.status);
    files.push(file);
}

fn status(word: &Word) -> Parsed<u16> {
    let status = number(word, 100..=999)?;
    if is_error_status(status) {
        return Ok(status);
    }
    let known: Vec<_> = STATUSES.iter().map(u16::to_string).collect();
    Err(
        Complaint::new(word.span, format!("status code '{status}' not handled"))
            .hint(format!("codes are {}", known.join(", "))),
    )
}

const STATUSES: &[u16] = &[
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502,
    503, 504,
];
