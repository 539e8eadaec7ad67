//! The `healthcheck` section: a check by name, for servers that are not checked as their backend says (manual §12.9).

use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::draft::ProxyDraft;
use super::registry::{Effect, Found, Keyword, Sections, find};
use crate::lang::ast::Line;

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "type",
    sections: Sections::HEALTHCHECK,
    args: "<type> [<arg> ...]",
    doc: "Says what kind of check it is, as the option of a backend does.",
    effect: Effect::Proxy(kind),
}];

/// `type X …` is `option X …` of a backend.
fn kind(args: &mut Args<'_>, draft: &mut ProxyDraft, context: &mut Context<'_>) -> Parsed {
    let word = args.need("a type of health check")?;
    if !TYPES.contains(&word.text.as_str()) {
        return Err(Complaint::unknown(
            word,
            "type of health check",
            TYPES.iter().copied(),
        ));
    }
    let mut line = Line {
        words: args.line().words.clone(),
    };
    line.words[0].text = "option".to_owned();
    match find(&line.words, Sections::BACK) {
        Found::Keyword(Keyword {
            effect: Effect::Proxy(parse),
            ..
        }) => parse(&mut Args::new(&line, 2), draft, context),
        _ => Err(Complaint::new(
            word.span,
            format!("'{}' is not supported", word.text),
        )),
    }
}

const TYPES: &[&str] = &[
    "tcp-check",
    "httpchk",
    "ssl-hello-chk",
    "smtpchk",
    "pgsql-check",
    "redis-check",
    "mysql-check",
    "ldap-check",
    "spop-check",
];
