//! One statement: its keyword is found, its words are read, what is wrong is told.

use crate::lang::ast::{Line, SectionKind, Word};
use crate::lang::diagnostics::{Diagnostic, Severity};
use crate::lang::keywords::args::{Args, Complaint, Parsed, join};
use crate::lang::keywords::bind;
use crate::lang::keywords::cache::CacheDraft;
use crate::lang::keywords::context::{Context, called};
use crate::lang::keywords::crt_store::StoreDraft;
use crate::lang::keywords::draft::ProxyDraft;
use crate::lang::keywords::peers::PeersDraft;
use crate::lang::keywords::registry::{Effect, Found, Keyword, Sections, find, names};
use crate::lang::keywords::userlist::UserlistDraft;
use crate::lang::suggest::closest;
use crate::model::{HttpErrors, LogProfile, Resolvers};

/// A statement of `global`.
pub(super) fn global(line: &Line, context: &mut Context<'_>) {
    let (negation, line) = negated(line);
    let Some(keyword) = lookup(&line, SectionKind::Global, context) else {
        return;
    };
    let mut args = keyword.args(&line);
    let result = match keyword.effect {
        Effect::Global(_) if negation.is_some() => Err(no_negation(&line, keyword)),
        Effect::Global(parse) => parse(&mut args, context),
        _ => return without_parser(&line, keyword, context),
    };
    tell(result, &args, context);
}

/// A statement of a userlist.
pub(super) fn userlist(line: &Line, list: &mut UserlistDraft, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::Userlist, context) else {
        return;
    };
    let mut args = keyword.args(line);
    if let Effect::Userlist(parse) = keyword.effect {
        tell(parse(&mut args, list), &args, context);
    }
}

/// A statement of an `http-errors` section.
pub(super) fn http_errors(line: &Line, errors: &mut HttpErrors, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::HttpErrors, context) else {
        return;
    };
    let mut args = keyword.args(line);
    if let Effect::HttpErrors(parse) = keyword.effect {
        tell(parse(&mut args, errors, context), &args, context);
    }
}

/// A statement of a `cache` section.
pub(super) fn cache(line: &Line, draft: &mut CacheDraft, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::Cache, context) else {
        return;
    };
    let mut args = keyword.args(line);
    if let Effect::Cache(parse) = keyword.effect {
        tell(parse(&mut args, draft), &args, context);
    }
}

/// A statement of a `log-profile` section.
pub(super) fn log_profile(line: &Line, profile: &mut LogProfile, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::LogProfile, context) else {
        return;
    };
    let mut args = keyword.args(line);
    if let Effect::LogProfile(parse) = keyword.effect {
        tell(parse(&mut args, profile, context), &args, context);
    }
}

/// A statement of a `crt-store` section.
pub(super) fn crt_store(line: &Line, store: &mut StoreDraft, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::CrtStore, context) else {
        return;
    };
    let mut args = keyword.args(line);
    if let Effect::CrtStore(parse) = keyword.effect {
        tell(parse(&mut args, store, context), &args, context);
    }
}

/// A statement of a `peers` section.
pub(super) fn peers(line: &Line, peers: &mut PeersDraft, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::Peers, context) else {
        return;
    };
    let mut args = keyword.args(line);
    match keyword.effect {
        Effect::Peers(parse) => tell(parse(&mut args, peers, context), &args, context),
        _ => without_parser(line, keyword, context),
    }
}

/// A statement of a `resolvers` section.
pub(super) fn resolvers(line: &Line, resolvers: &mut Resolvers, context: &mut Context<'_>) {
    let Some(keyword) = lookup(line, SectionKind::Resolvers, context) else {
        return;
    };
    let mut args = keyword.args(line);
    if let Effect::Resolvers(parse) = keyword.effect {
        tell(parse(&mut args, resolvers, context), &args, context);
    }
}

/// A statement of a proxy or of `defaults`.
pub(super) fn proxy(line: &Line, draft: &mut ProxyDraft, context: &mut Context<'_>) {
    let (negation, line) = negated(line);
    let keyword = match find(&line.words, Sections::of(draft.section)) {
        Found::Keyword(keyword) => keyword,
        // What `defaults` says is for the proxies that can use it.
        Found::Elsewhere(_) if draft.inheriting => return,
        Found::Elsewhere(keyword)
            if Sections::of(draft.section).meets(Sections::PROXY_ONLY)
                && keyword.sections.meets(Sections::PROXY_ONLY) =>
        {
            return wrong_side(&line, keyword, draft, context);
        }
        // It was told of when the section was read for its own sake.
        _ if draft.inheriting => return,
        found => return unknown(&line, draft.section, &found, context),
    };
    draft.written.insert(keyword.name, line.span());
    let mut args = keyword.args(&line);
    let result = match (&keyword.effect, negation) {
        (Effect::Proxy(parse), None) => parse(&mut args, draft, context),
        (Effect::Proxy(_), Some(_)) => Err(no_negation(&line, keyword)),
        (Effect::Flag(field), negation) => {
            *field(&mut draft.proxy) = negation.is_none();
            args.end()
        }
        (Effect::Switch(on, _), None) => on(&mut args, draft, context),
        (Effect::Switch(_, off), Some(_)) => {
            off(draft);
            args.end()
        }
        _ => return without_parser(&line, keyword, context),
    };
    tell(result, &args, context);
}

/// `listen name 0.0.0.0:80`: accepted with a warning, as if it were a `bind` line.
pub(super) fn address_on_section_line(
    address: &Word,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
) {
    let line = Line {
        words: vec![
            Word {
                text: "bind".to_owned(),
                ..address.clone()
            },
            address.clone(),
        ],
    };
    let mut args = Args::new(&line, 1);
    let word = args.take().expect("the line was made with a second word");
    match bind::bind(word, &mut args, draft, context) {
        Ok(()) => context.diagnostics.push(
            Diagnostic::at(
                Severity::Warning,
                address.span,
                format!("please use the 'bind' keyword for listening addresses ('{}' is used all the same).", address.text),
            )
            .showing(address.span)
            .hinted(Some(format!("write 'bind {}' on a line of its own below", address.text))),
        ),
        Err(complaint) => tell(Err(complaint), &args, context),
    }
}

/// The keyword of a statement, or what to say about it.
fn lookup(
    line: &Line,
    section: SectionKind,
    context: &mut Context<'_>,
) -> Option<&'static Keyword> {
    match find(&line.words, Sections::of(section)) {
        Found::Keyword(keyword) => Some(keyword),
        found => {
            unknown(line, section, &found, context);
            None
        }
    }
}

/// `no` or `default` in front of a statement, and the statement without it.
fn negated(line: &Line) -> (Option<&str>, std::borrow::Cow<'_, Line>) {
    use std::borrow::Cow;
    match line.words.as_slice() {
        [first, rest @ ..] if first.text == "no" && !rest.is_empty() => (
            Some("no"),
            Cow::Owned(Line {
                words: rest.to_vec(),
            }),
        ),
        [first, second, rest @ ..] if first.text == "default" && second.text == "option" => {
            let words = std::iter::once(second.clone())
                .chain(rest.iter().cloned())
                .collect();
            (Some("default"), Cow::Owned(Line { words }))
        }
        _ => (None, Cow::Borrowed(line)),
    }
}

fn no_negation(line: &Line, keyword: &Keyword) -> Complaint {
    Complaint::new(
        line.span(),
        format!("negation is not supported for '{}'", keyword.name),
    )
}

/// A keyword that is refused, or accepted without effect.
fn without_parser(line: &Line, keyword: &Keyword, context: &mut Context<'_>) {
    match keyword.effect {
        Effect::NoOp(reason) => {
            let words = &line.words[..keyword.word_count()];
            let word = Word {
                text: join(words),
                ..line.words[0].clone()
            };
            context.ignore(&word, reason);
        }
        Effect::Refused(instead) => {
            let span = line.words[0]
                .span
                .to(line.words[keyword.word_count() - 1].span);
            let complaint =
                Complaint::new(span, format!("'{}' is not supported", keyword.name)).hint(instead);
            context
                .diagnostics
                .push(complaint.into_diagnostic(line.span()));
        }
        _ => {}
    }
}

/// Adds a parser's complaint to the diagnostics, with the keyword in front.
fn tell(result: Parsed, args: &Args<'_>, context: &mut Context<'_>) {
    if let Err(complaint) = result {
        let keyword = args.keyword_text();
        let says_it = complaint.message.starts_with(&format!("'{keyword} "));
        let complaint = if says_it {
            complaint
        } else {
            complaint.about(&format!("'{keyword}'"))
        };
        context
            .diagnostics
            .push(complaint.into_diagnostic(args.line().span()));
    }
}

/// A keyword of the other side of a proxy: mostly ignored, as in HAProxy.
fn wrong_side(line: &Line, keyword: &Keyword, draft: &ProxyDraft, context: &mut Context<'_>) {
    let kind = called(draft.section);
    let name = &draft.proxy.name;
    let (capability, other) = match draft.section {
        SectionKind::Backend => ("frontend", "fullconn"),
        _ => ("backend", "maxconn"),
    };
    let hint = ["maxconn", "fullconn"]
        .contains(&keyword.name)
        .then(|| format!("maybe you want '{other}' instead"));
    let is_fatal = NEVER_IGNORED.contains(&keyword.name);
    let (severity, fate) = if is_fatal {
        (Severity::Alert, "not allowed")
    } else {
        (Severity::Warning, "ignored")
    };
    let message = format!(
        "'{}' {fate} because {kind} '{name}' has no {capability} capability.",
        keyword.name
    );
    context.diagnostics.push(
        Diagnostic::at(severity, line.span(), message)
            .showing(line.words[0].span)
            .hinted(hint),
    );
}

fn unknown(line: &Line, section: SectionKind, found: &Found, context: &mut Context<'_>) {
    let first = &line.words[0];
    let section_name = section.keyword();
    let (message, span, near) = match found {
        Found::Elsewhere(keyword)
            if section == SectionKind::Defaults && keyword.sections.meets(Sections::ANY_PROXY) =>
        {
            (
                format!("'{}' not allowed in 'defaults' section.", keyword.name),
                first.span,
                None,
            )
        }
        Found::Partly(following) => {
            let second = line.words.get(1);
            let seconds: Vec<&str> = following
                .iter()
                .filter_map(|name| name.split(' ').nth(1))
                .collect();
            let got = second.map_or("", |word| &word.text);
            let near = closest(got, seconds.iter().copied());
            let mut known = seconds.clone();
            known.sort_unstable();
            known.dedup();
            let quoted: Vec<_> = known.iter().map(|name| format!("'{name}'")).collect();
            let message = match first.text.as_str() {
                "option" => format!("unknown option '{got}'"),
                _ => format!(
                    "'{}' supports {} (got '{got}')",
                    first.text,
                    quoted.join(", ")
                ),
            };
            (message, second.map_or(first.span, |word| word.span), near)
        }
        _ => {
            let firsts = names(Sections::of(section)).filter_map(|name| name.split(' ').next());
            let near = closest(&first.text, firsts.chain(["no"]));
            (
                format!(
                    "unknown keyword '{}' in '{section_name}' section",
                    first.text
                ),
                first.span,
                near,
            )
        }
    };
    context.diagnostics.push(
        Diagnostic::at(Severity::Alert, line.span(), message)
            .showing(span)
            .labelled(near.map(|near| format!("did you mean `{near}`?"))),
    );
}

/// Keywords that are an error, not a warning, in a proxy without the side they are for.
const NEVER_IGNORED: &[&str] = &[
    "server",
    "default-server",
    "server-template",
    "tcp-request connection",
    "tcp-request session",
    "tcp-response content",
    "tcp-response inspect-delay",
    "retry-on",
    "declare capture",
];
