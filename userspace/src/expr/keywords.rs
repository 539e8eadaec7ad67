//! The registry as a list: `-dKall`, the reference and tests of coverage read it.

use super::args::Arguments;
use super::convert;
use super::fetch::{self, Fetch};
use super::logformat::Alias;
use super::{Needs, Stage};

/// One keyword of the expression language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub kind: KeywordKind,
    pub name: String,
    /// The arguments as the manual shows them: `(<mask4>[,<mask6>])`.
    pub arguments: String,
    /// One line of explanation.
    pub doc: &'static str,
    /// The line of `-dKall`; empty for aliases, which are not in it.
    pub dump: String,
}

/// What sort of keyword it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeywordKind {
    Fetch,
    Converter,
    /// An ACL keyword that implies a matching method.
    Acl,
    /// A log format's `%…`.
    Alias,
}

/// Every keyword, aliases and ACL derivatives included.
#[must_use]
pub fn keywords() -> Vec<Listed> {
    let mut all = Vec::new();
    for fetch in fetch::all() {
        let mut add = |kind, name: &str, dump: String| {
            all.push(Listed {
                kind,
                name: name.to_owned(),
                arguments: signature(&fetch.args),
                doc: fetch.doc,
                dump,
            });
        };
        let (stages, types) = (stages(fetch.needs), types(&fetch.args));
        let output = fetch.output.name();
        for name in names(fetch) {
            let dump = format!("[{stages} ] {name}{types}: {output}");
            add(KeywordKind::Fetch, name, dump);
        }
        for (name, matching) in fetch::derivatives(fetch) {
            let dump = format!("{name} = {} -m {}", fetch.name, matching.name());
            add(KeywordKind::Acl, &name, dump);
        }
    }
    // Names that stand for the request's or the response's fetch, by the rule they are in.
    for (name, request, _) in fetch::DIRECTIONAL {
        if let Some(fetch) = fetch::find(request) {
            all.push(Listed {
                kind: KeywordKind::Fetch,
                name: name.to_owned(),
                arguments: signature(&fetch.args),
                doc: fetch.doc,
                dump: format!(
                    "[{} ] {name}{}: {}",
                    stages(fetch.needs),
                    types(&fetch.args),
                    fetch.output.name()
                ),
            });
        }
    }
    for converter in convert::all() {
        for name in std::iter::once(&converter.name).chain(converter.aliases) {
            all.push(Listed {
                kind: KeywordKind::Converter,
                name: (*name).to_owned(),
                arguments: signature(&converter.args),
                doc: converter.doc,
                dump: format!(
                    "{name}{}: {} => {}",
                    types(&converter.args),
                    converter.input.name(),
                    converter.output(converter.input, &[]).name()
                ),
            });
        }
    }
    all.extend(Alias::names().map(|name| Listed {
        kind: KeywordKind::Alias,
        name: name.to_owned(),
        arguments: String::new(),
        doc: "",
        dump: String::new(),
    }));
    all
}

fn names(fetch: &'static Fetch) -> impl Iterator<Item = &'static str> {
    std::iter::once(fetch.name).chain(fetch.aliases.iter().copied())
}

/// In which of HAProxy's twenty-two places a sample is there, in the order of the header of `-dKsmp`.
fn stages(needs: Needs) -> String {
    let mark = |stage: &Stage| {
        if needs.meets(stage.offers()) {
            " Y"
        } else {
            " ."
        }
    };
    PLACES.iter().map(mark).collect()
}

/// The types of arguments as `-dK` shows them: `(string[,integer])`.
fn types(arguments: &Arguments) -> String {
    if arguments.kinds.is_empty() {
        return String::new();
    }
    let mut out = String::from("(");
    for (at, kind) in arguments.kinds.iter().enumerate() {
        if at == arguments.required {
            out.push('[');
        }
        if at > 0 {
            out.push(',');
        }
        out.push_str(kind.name());
    }
    if arguments.kinds.len() > arguments.required {
        out.push(']');
    }
    out.push(')');
    out
}

const PLACES: [Stage; 22] = [
    Stage::Connection,
    Stage::Session,
    Stage::RequestContent,
    Stage::Request,
    Stage::Request,
    Stage::Request,
    Stage::RequestContent,
    Stage::Request,
    Stage::Request,
    Stage::Request,
    Stage::Connect,
    Stage::ResponseContent,
    Stage::Response,
    Stage::Response,
    Stage::Response,
    Stage::ResponseContent,
    Stage::Response,
    Stage::Response,
    Stage::Log,
    Stage::Check,
    Stage::Configuration,
    // The Runtime API sees no traffic either.
    Stage::Configuration,
];

fn signature(arguments: &Arguments) -> String {
    if arguments.kinds.is_empty() {
        return String::new();
    }
    let mut out = String::from("(");
    for (at, kind) in arguments.kinds.iter().enumerate() {
        if at >= arguments.required {
            out.push('[');
        }
        if at > 0 {
            out.push(',');
        }
        out.push_str(kind.placeholder());
    }
    out.push_str(&"]".repeat(arguments.kinds.len() - arguments.required));
    out.push(')');
    out
}
