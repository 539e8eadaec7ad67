//! The registries as lists: `-dKcfg`, completion, the reference.

use super::actions::{self, RuleSets};
use super::bind;
use super::catalogue::State;
use super::registry::{self, Sections};
use super::server_options;
use super::tls;

/// One keyword of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The section it is listed under: `global`, `listen` (all proxies), `userlist`, `http-errors`.
    pub section: &'static str,
    /// The keyword with what stands before it, as `bind <addr> name`.
    pub name: String,
    /// Its arguments, in the manual's notation.
    pub args: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Whether it does anything: neither refused nor without effect.
    pub works: bool,
    /// Whether it may be written at all.
    pub accepted: bool,
}

/// Every keyword the configuration knows, section by section.
pub fn keywords() -> Vec<Listed> {
    let mut list = Vec::new();
    for (section, sections) in [
        ("global", Sections::GLOBAL),
        ("listen", Sections::ANY_PROXY),
        ("userlist", Sections::USERLIST),
        ("http-errors", Sections::HTTP_ERRORS),
        ("cache", Sections::CACHE),
        ("resolvers", Sections::RESOLVERS),
        ("ring", Sections::RING),
        ("log-forward", Sections::LOG_FORWARD),
        ("crt-store", Sections::CRT_STORE),
        ("healthcheck", Sections::HEALTHCHECK),
        ("peers", Sections::PEERS),
    ] {
        for keyword in registry::all().filter(|keyword| keyword.sections.meets(sections)) {
            list.push(Listed {
                section,
                name: keyword.name.to_owned(),
                args: keyword.args,
                doc: keyword.doc,
                works: keyword.works(),
                accepted: is_accepted(keyword.state()),
            });
        }
    }
    let option = |prefix: &str, name: &str, args, doc, state| Listed {
        section: "listen",
        name: format!("{prefix} {name}"),
        args,
        doc,
        works: state == State::Works,
        accepted: is_accepted(state),
    };
    for bind in bind::options::all() {
        list.push(option(
            "bind <addr>",
            bind.name,
            bind.args,
            bind.doc,
            bind.state(),
        ));
    }
    for server in server_options::all() {
        list.push(option(
            "server <name> <addr>",
            server.name,
            server.args,
            server.doc,
            server.state(),
        ));
    }
    for tls in tls::OPTIONS {
        for prefix in ["bind <addr>", "server <name> <addr>"] {
            list.push(option(prefix, tls.name, tls.args, tls.doc, tls.state()));
        }
    }
    for (prefix, set) in RULE_SETS {
        for action in actions::all().filter(|action| action.sets.meets(*set)) {
            list.push(option(
                prefix,
                action.name,
                action.args,
                action.doc,
                action.state(),
            ));
        }
    }
    list
}

/// Whether a word may be written at all.
fn is_accepted(state: State) -> bool {
    !matches!(state, State::Refused(_))
}

const RULE_SETS: &[(&str, RuleSets)] = &[
    ("tcp-request connection", RuleSets::CONNECTION),
    ("tcp-request session", RuleSets::SESSION),
    ("tcp-request content", RuleSets::CONTENT),
    ("tcp-response content", RuleSets::TCP_RESPONSE),
    ("http-request", RuleSets::REQUEST),
    ("http-response", RuleSets::RESPONSE),
    ("http-after-response", RuleSets::AFTER_RESPONSE),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_keyword_is_listed_twice() {
        let mut seen = HashSet::new();
        for keyword in keywords() {
            assert!(
                seen.insert((keyword.section, keyword.name.clone())),
                "{keyword:?}"
            );
        }
    }

    #[test]
    fn every_keyword_has_a_sentence() {
        for keyword in keywords() {
            assert!(
                keyword.doc.ends_with('.') && keyword.doc.len() > 8,
                "{keyword:?}"
            );
        }
    }
}
