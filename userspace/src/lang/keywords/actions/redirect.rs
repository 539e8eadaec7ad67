//! Redirects, as a statement and as an action (manual §4.2 `redirect`).

use crate::expr::Stage;
use crate::lang::ast::Word;
use crate::lang::keywords::args::{Args, Complaint, Parsed};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::ProxyDraft;
use crate::lang::keywords::expressions::{Rules, literal};
use crate::model::{Redirect, RedirectKind};

/// Whether the texts of a redirect are formats (rules) or taken as they are (the statement).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang::keywords) enum Texts {
    Formats,
    Plain,
}

/// Reads a redirect up to its condition.
pub(in crate::lang::keywords) fn redirect(
    args: &mut Args<'_>,
    draft: &ProxyDraft,
    context: &mut Context<'_>,
    stage: Stage,
    texts: Texts,
) -> Parsed<Redirect> {
    let mut format = |word: &Word| match texts {
        Texts::Formats => Rules::new(context, &draft.acls, stage).log_format(word),
        Texts::Plain => Ok(literal(&word.text)),
    };
    let mut kind = None;
    let mut redirect = Redirect {
        kind: RedirectKind::Location(literal("")),
        code: 302,
        drop_query: false,
        append_slash: false,
        ignore_empty: false,
        keep_query: false,
        set_cookie: None,
    };
    while let Some(word) = args
        .peek()
        .filter(|word| !matches!(word.text.as_str(), "if" | "unless"))
    {
        args.skip(1);
        match word.text.as_str() {
            "location" => kind = Some(RedirectKind::Location(format(args.need("an argument")?)?)),
            "prefix" => kind = Some(RedirectKind::Prefix(format(args.need("an argument")?)?)),
            "scheme" => kind = Some(RedirectKind::Scheme(format(args.need("an argument")?)?)),
            "code" => {
                let word = args.need("an HTTP status code")?;
                redirect.code = match word.text.as_str() {
                    "301" => 301,
                    "302" => 302,
                    "303" => 303,
                    "307" => 307,
                    "308" => 308,
                    _ => {
                        let message = format!("unsupported HTTP code '{}'", word.text);
                        return Err(Complaint::new(word.span, message)
                            .hint("codes are 301, 302, 303, 307 and 308"));
                    }
                };
            }
            "drop-query" => redirect.drop_query = true,
            "keep-query" => redirect.keep_query = true,
            "append-slash" => redirect.append_slash = true,
            "ignore-empty" => redirect.ignore_empty = true,
            "set-cookie" => {
                let cookie = &args.need("a cookie name and a value")?.text;
                redirect.set_cookie = Some(format!("{cookie}; path=/;"));
            }
            "clear-cookie" => {
                let cookie = &args.need("a cookie name")?.text;
                redirect.set_cookie = Some(format!("{cookie}; path=/; Max-Age=0;"));
            }
            "set-cookie-fmt" => {
                return Err(
                    Complaint::new(word.span, "'set-cookie-fmt' is not supported")
                        .hint("use 'set-cookie'"),
                );
            }
            _ => {
                return Err(Complaint::unknown(
                    word,
                    "redirect option",
                    OPTIONS.iter().copied(),
                ));
            }
        }
    }
    redirect.kind = kind.ok_or_else(|| {
        args.wrong("says not where to: 'location', 'prefix' or 'scheme' is missing")
    })?;
    Ok(redirect)
}

const OPTIONS: &[&str] = &[
    "location",
    "prefix",
    "scheme",
    "code",
    "drop-query",
    "keep-query",
    "append-slash",
    "ignore-empty",
    "set-cookie",
    "clear-cookie",
];
