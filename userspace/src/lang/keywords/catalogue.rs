//! Everything the configuration's language has, in one list: for `tidegate keywords`, the coverage table, the reference.
//!
//! The registries of all families come in; one [`Entry`] per word comes out, also for what is refused or has no effect,
//! with the reason. What each word does is not known here.

use std::collections::BTreeMap;

use super::actions::{self, RuleSets};
use super::registry::{self, Keyword, Sections};
use super::{balance, bind, compression, server_options, stick, tls};
use crate::expr::{
    KeywordKind, Match, PREDEFINED_ACLS, StickData, keywords as expression_keywords,
};
use crate::lang::ast::{SUPPORTED, UNSUPPORTED};
use crate::lang::condition;

/// One word of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What sort of word: `global`, `proxy-directive`, `bind-option`, `server-option`, `action`, `fetch`, `converter`, …;
    /// keywords of other sections have the section's name.
    pub kind: &'static str,
    /// The word, or the words.
    pub name: String,
    /// Where it may stand: sections of a directive, rule sets of an action, separated by spaces.
    pub places: String,
    /// Its arguments, in the manual's notation.
    pub args: String,
    /// What it does.
    pub doc: String,
    /// What becomes of it.
    pub state: State,
}

/// What becomes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does what the manual says.
    Works,
    /// It is accepted: what it tunes does not exist here, for the reason given.
    NoEffect(&'static str),
    /// It is refused, with what to do instead.
    Refused(&'static str),
}

impl State {
    /// The state in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::NoEffect(_) => "no-effect",
            Self::Refused(_) => "refused",
        }
    }

    /// Why it is not simply so.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Works => "",
            Self::NoEffect(reason) | Self::Refused(reason) => reason,
        }
    }
}

/// The whole language, family by family.
#[must_use]
pub fn catalogue() -> Vec<Entry> {
    let mut all = sections();
    all.extend(directives());
    all.extend(options());
    all.extend(
        super::crt_store::LOAD
            .iter()
            .map(|(name, doc, state)| Entry {
                state: *state,
                ..entry("crt-store load", *name, *doc)
            }),
    );
    all.extend(rule_actions());
    all.extend(names());
    all.extend(expressions());
    all
}

/// The names of the services.
pub fn services() -> impl Iterator<Item = &'static str> {
    actions::http::SERVICES.iter().map(|(name, _)| *name)
}

fn entry(kind: &'static str, name: impl Into<String>, doc: impl Into<String>) -> Entry {
    Entry {
        kind,
        name: name.into(),
        places: String::new(),
        args: String::new(),
        doc: doc.into(),
        state: State::Works,
    }
}

fn sections() -> Vec<Entry> {
    let works = SUPPORTED
        .iter()
        .map(|(_, name, doc)| entry("section", *name, *doc));
    let refused = UNSUPPORTED.iter().map(|(name, instead)| Entry {
        state: State::Refused(instead),
        ..entry("section", *name, "Not in this version.")
    });
    works.chain(refused).collect()
}

/// Keywords of sections. One that several families know (`log` in `global` and in proxies) is one entry for each.
fn directives() -> Vec<Entry> {
    let mut all = Vec::new();
    for (kind, sections) in OTHER_SECTIONS {
        all.extend(
            registry::all()
                .filter(|keyword| keyword.sections.meets(*sections))
                .map(|keyword| directive(kind, keyword)),
        );
    }
    // A word may be several keywords by section (works here, refused there).
    let mut proxies: BTreeMap<&str, Entry> = BTreeMap::new();
    for keyword in registry::all().filter(|keyword| keyword.sections.meets(Sections::ANY_PROXY)) {
        let found = directive("proxy-directive", keyword);
        match proxies.get_mut(keyword.name) {
            Some(known) if known.state == found.state => {
                known.places = format!("{} {}", known.places, found.places);
            }
            Some(known) if known.state == State::Works => {}
            _ => {
                proxies.insert(keyword.name, found);
            }
        }
    }
    all.extend(proxies.into_values());
    all
}

fn directive(kind: &'static str, keyword: &Keyword) -> Entry {
    let places: Vec<&str> = PROXY_SECTIONS
        .iter()
        .filter(|(_, section)| keyword.sections.meets(*section))
        .map(|(name, _)| *name)
        .collect();
    Entry {
        places: if kind == "proxy-directive" {
            places.join(" ")
        } else {
            String::new()
        },
        args: keyword.args.to_owned(),
        state: keyword.state(),
        ..entry(kind, keyword.name, keyword.doc)
    }
}

fn options() -> Vec<Entry> {
    let bind = bind::options::all().map(|option| Entry {
        args: option.args.to_owned(),
        state: option.state(),
        ..entry("bind-option", option.name, option.doc)
    });
    let server = server_options::all().map(|option| Entry {
        args: option.args.to_owned(),
        state: option.state(),
        ..entry("server-option", option.name, option.doc)
    });
    let both = tls::OPTIONS.iter().flat_map(|option| {
        ["bind-option", "server-option"].map(|kind| Entry {
            args: option.args.to_owned(),
            state: option.state(),
            ..entry(kind, option.name, option.doc)
        })
    });
    bind.chain(server).chain(both).collect()
}

/// Actions, one entry per state: some work in one rule set and are refused in another.
fn rule_actions() -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for action in actions::all() {
        let places: Vec<&str> = RULE_SETS
            .iter()
            .filter(|(_, set)| action.sets.meets(*set))
            .map(|(name, _)| *name)
            .collect();
        let found = Entry {
            places: places.join(" "),
            args: action.args.to_owned(),
            state: action.state(),
            ..entry("action", action.name, action.doc)
        };
        let same = |known: &&mut Entry| known.name == found.name && known.state == found.state;
        match all.iter_mut().find(same) {
            Some(known) => known.places = format!("{} {}", known.places, found.places),
            None => all.push(found),
        }
    }
    all
}

/// Words that are no keywords of their own but values of one.
fn names() -> Vec<Entry> {
    let mut all = Vec::new();
    all.extend(
        balance::ALGORITHMS
            .iter()
            .map(|(name, doc)| entry("balance-algo", *name, *doc)),
    );
    all.extend(
        compression::FILTERS
            .iter()
            .map(|name| entry("filter", *name, "A filter.")),
    );
    all.extend(StickData::NAMES.iter().map(|(name, args)| Entry {
        args: (*args).to_owned(),
        ..entry("stick-table-data", *name, "What a stick table may store.")
    }));
    all.extend(
        stick::PARAMETERS
            .iter()
            .map(|name| entry("stick-table-param", *name, "A parameter of 'stick-table'.")),
    );
    all.extend(
        Match::NAMES
            .iter()
            .map(|(name, _)| entry("acl-match", format!("-m {name}"), "How an ACL compares.")),
    );
    all.extend(PREDEFINED_ACLS.iter().map(|(name, words)| Entry {
        args: words.join(" "),
        ..entry("predefined-acl", *name, "An ACL that is always there.")
    }));
    all.extend(
        condition::predicates()
            .map(|name| entry("cond-predicate", name, "A predicate of '.if' and '-cc'.")),
    );
    all
}

fn expressions() -> Vec<Entry> {
    expression_keywords()
        .into_iter()
        .map(|word| {
            let (kind, name) = match word.kind {
                KeywordKind::Fetch => ("fetch", word.name),
                KeywordKind::Converter => ("converter", word.name),
                KeywordKind::Acl => ("acl-derivative", word.name),
                KeywordKind::Alias => ("log-alias", format!("%{}", word.name)),
            };
            Entry {
                args: word.arguments,
                ..entry(kind, name, word.doc)
            }
        })
        .collect()
}

/// The sections of proxies, for [`Entry::places`].
const PROXY_SECTIONS: &[(&str, Sections)] = &[
    ("defaults", Sections::DEFAULTS),
    ("frontend", Sections::FRONTEND),
    ("listen", Sections::LISTEN),
    ("backend", Sections::BACKEND),
];

/// Sections whose keywords are a kind of their own.
const OTHER_SECTIONS: &[(&str, Sections)] = &[
    ("global", Sections::GLOBAL),
    ("userlist", Sections::USERLIST),
    ("http-errors", Sections::HTTP_ERRORS),
    ("resolvers", Sections::RESOLVERS),
    ("ring", Sections::RING),
    ("log-forward", Sections::LOG_FORWARD),
    ("crt-store", Sections::CRT_STORE),
    ("healthcheck", Sections::HEALTHCHECK),
    ("peers", Sections::PEERS),
    ("cache", Sections::CACHE),
];

const RULE_SETS: &[(&str, RuleSets)] = &[
    ("tcp-req-conn", RuleSets::CONNECTION),
    ("tcp-req-sess", RuleSets::SESSION),
    ("tcp-req-cont", RuleSets::CONTENT),
    ("tcp-rsp-cont", RuleSets::TCP_RESPONSE),
    ("http-req", RuleSets::REQUEST),
    ("http-res", RuleSets::RESPONSE),
    ("http-after", RuleSets::AFTER_RESPONSE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_name_a_doc_and_a_reason_where_it_does_not_work() {
        for entry in catalogue() {
            assert!(!entry.name.is_empty(), "{entry:?}");
            let explained = entry.state == State::Works || !entry.state.reason().is_empty();
            assert!(explained, "{entry:?}");
            let needs_doc = entry.kind != "log-alias";
            assert!(!needs_doc || !entry.doc.is_empty(), "{entry:?}");
        }
    }

    #[test]
    fn every_kind_of_word_is_there_once_per_place() {
        let all = catalogue();
        for (kind, name) in [
            ("section", "listen"),
            ("global", "maxconn"),
            ("proxy-directive", "timeout client"),
            ("bind-option", "ssl-min-ver"),
            ("server-option", "weight"),
            ("action", "deny"),
            ("balance-algo", "leastconn"),
            ("stick-table-data", "conn_rate"),
            ("acl-match", "-m beg"),
            ("predefined-acl", "LOCALHOST"),
            ("cond-predicate", "defined"),
            ("fetch", "src"),
            ("converter", "lower"),
            ("acl-derivative", "path_beg"),
            ("log-alias", "%ST"),
        ] {
            let count = all
                .iter()
                .filter(|entry| entry.kind == kind && entry.name == name)
                .count();
            assert_eq!(count, 1, "{kind} {name}");
        }
    }
}
