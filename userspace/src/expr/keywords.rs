//! The registry as a list: `-dKall`, the reference and tests of coverage read it.

use super::args::Arguments;
use super::convert;
use super::fetch::{self, Fetch};
use super::logformat::Alias;

/// One keyword of the expression language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub kind: KeywordKind,
    pub name: String,
    /// The arguments as the manual shows them: `(<mask4>[,<mask6>])`.
    pub arguments: String,
    /// One line of explanation.
    pub doc: &'static str,
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
        let mut add = |kind, name: &str| {
            all.push(Listed {
                kind,
                name: name.to_owned(),
                arguments: signature(&fetch.args),
                doc: fetch.doc,
            });
        };
        names(fetch).for_each(|name| add(KeywordKind::Fetch, name));
        fetch::derivatives(fetch).for_each(|(name, _)| add(KeywordKind::Acl, &name));
    }
    for converter in convert::all() {
        for name in std::iter::once(&converter.name).chain(converter.aliases) {
            all.push(Listed {
                kind: KeywordKind::Converter,
                name: (*name).to_owned(),
                arguments: signature(&converter.args),
                doc: converter.doc,
            });
        }
    }
    all.extend(Alias::names().map(|name| Listed {
        kind: KeywordKind::Alias,
        name: name.to_owned(),
        arguments: String::new(),
        doc: "",
    }));
    all
}

fn names(fetch: &'static Fetch) -> impl Iterator<Item = &'static str> {
    std::iter::once(fetch.name).chain(fetch.aliases.iter().copied())
}

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
