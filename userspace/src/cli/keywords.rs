//! What this program knows: `-dK…` in HAProxy's form, and `tidegate keywords` in full, with what is refused and why.
//!
//! Both are written from the registries of the rooms; nothing is listed here by hand. Docs and coverage read the second.

use std::fmt::Write as _;

use super::{UsageError, flags};
use crate::admin;
use crate::expr::{self, KeywordKind};
use crate::lang::{self, Entry, State};

/// The classes named, separated by commas; `all` is every class, `help` their list.
pub(super) fn dump(classes: &str) -> String {
    let mut out = String::new();
    let wanted: Vec<&str> = classes.split(',').collect();
    if wanted.contains(&"help") {
        out.push_str("# List of supported keyword classes:\nall: list all keywords\n");
        for class in CLASSES {
            line(&mut out, format_args!("{}: {}", class.name, class.doc));
        }
        return out;
    }
    for class in CLASSES {
        if wanted.contains(&"all") || wanted.contains(&class.name) {
            line(
                &mut out,
                format_args!("# List of registered {}:", class.title),
            );
            (class.print)(&mut out);
        }
    }
    out
}

/// Adds a line. Writing to a String cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

/// Everything, one line each: kind, words, places, state, arguments, what it does, why it does not.
pub(super) fn list() -> String {
    let mut out = String::from("# kind\tname\tplaces\tstate\targuments\tdoc\treason\n");
    for entry in entries() {
        line(
            &mut out,
            format_args!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{}",
                entry.kind,
                entry.name,
                entry.places,
                entry.state.word(),
                entry.args,
                entry.doc,
                entry.state.reason()
            ),
        );
    }
    out
}

/// The configuration's language, the commands of the Runtime API, and the flags of the command line.
pub(super) fn entries() -> Vec<Entry> {
    let mut all = lang::catalogue();
    let commands = admin::cli::listed().map(|(words, usage, doc, level)| Entry {
        kind: "cli-command",
        args: usage
            .strip_prefix(&words)
            .unwrap_or_default()
            .trim()
            .to_owned(),
        name: words,
        places: format!("{level:?}").to_lowercase(),
        doc: format!("{}.", capitalized(doc)),
        state: State::Works,
    });
    all.extend(commands);
    all.extend(flags::listed().map(|(name, value, doc)| Entry {
        kind: "cmdline",
        name: name.to_owned(),
        places: String::new(),
        args: value.trim().to_owned(),
        doc: if doc.is_empty() {
            "Accepted for HAProxy's sake.".to_owned()
        } else {
            format!("{}.", capitalized(doc))
        },
        state: flag_state(name, doc),
    }));
    all
}

/// A flag without a description is refused, or does nothing.
fn flag_state(name: &str, doc: &str) -> State {
    let words = [name.to_owned(), "1".to_owned()];
    match flags::parse(&words) {
        Err(UsageError::Unsupported(_, what)) => State::Refused(what),
        _ if doc.is_empty() => State::NoEffect("what it tunes does not exist here"),
        _ => State::Works,
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

struct Class {
    name: &'static str,
    doc: &'static str,
    title: &'static str,
    print: fn(&mut String),
}

const CLASSES: &[Class] = &[
    Class {
        name: "acl",
        doc: "ACL keywords",
        title: "ACL keywords",
        print: |out| expressions(out, KeywordKind::Acl),
    },
    Class {
        name: "cfg",
        doc: "configuration keywords",
        title: "configuration keywords",
        print: configuration,
    },
    Class {
        name: "cli",
        doc: "CLI keywords",
        title: "CLI keywords",
        print: |out| {
            let mut commands: Vec<String> = admin::cli::listed().map(|(words, ..)| words).collect();
            commands.sort();
            commands
                .iter()
                .for_each(|command| line(out, format_args!("{command} [WORKER] ")));
        },
    },
    Class {
        name: "cnv",
        doc: "sample converter keywords",
        title: "sample converter functions",
        print: |out| expressions(out, KeywordKind::Converter),
    },
    Class {
        name: "flt",
        doc: "filter names",
        title: "filter names",
        print: |out| {
            let filters = lang::catalogue()
                .into_iter()
                .filter(|entry| entry.kind == "filter" && entry.state == State::Works);
            filters.for_each(|entry| line(out, format_args!("{}", entry.name)));
        },
    },
    Class {
        name: "smp",
        doc: "sample fetch functions",
        title: "sample fetch functions",
        print: |out| {
            header(out);
            expressions(out, KeywordKind::Fetch);
        },
    },
    Class {
        name: "svc",
        doc: "service names",
        title: "service names",
        print: |out| lang::services().for_each(|name| line(out, format_args!("{name}"))),
    },
];

fn expressions(out: &mut String, kind: KeywordKind) {
    let mut lines: Vec<(String, String)> = expr::keywords()
        .into_iter()
        .filter(|word| word.kind == kind)
        .map(|word| (word.name, word.dump))
        .collect();
    lines.sort();
    for (_, text) in &lines {
        line(out, format_args!("{text}"));
    }
}

/// The words of the configuration that are accepted, section by section. `+N` tells of arguments, as in HAProxy.
fn configuration(out: &mut String) {
    let mut section = "";
    for keyword in lang::keywords() {
        if !keyword.accepted {
            continue;
        }
        if keyword.section != section {
            section = keyword.section;
            line(out, format_args!("{section}"));
        }
        let is_option = keyword.name.starts_with("bind <addr> ")
            || keyword.name.starts_with("server <name> <addr> ");
        let arguments = if is_option && !keyword.args.is_empty() {
            " +1"
        } else {
            ""
        };
        line(out, format_args!("\t{}{arguments}", keyword.name));
    }
}

/// What the columns in front of each fetch mean.
fn header(out: &mut String) {
    let all = COLUMNS.len();
    for (at, column) in COLUMNS.iter().enumerate() {
        let before = " ".repeat(all + 1 - at);
        let bars = "/ ".repeat(at);
        let dashes = "-".repeat(all - at);
        line(out, format_args!("#{before}{bars}_.{dashes} {column}"));
    }
    line(
        out,
        format_args!("# {} \n# {}", "/ ".repeat(all), "| ".repeat(all)),
    );
}

const COLUMNS: [&str; 22] = [
    "frontend tcp-request connection rule",
    "frontend tcp-request session rule",
    "frontend tcp-request content rule",
    "frontend http-request header rule",
    "frontend http-request body rule",
    "frontend use-backend rule",
    "backend tcp-request content rule",
    "backend http-request header rule",
    "backend http-request body rule",
    "backend use-server, balance or stick-match rule",
    "server source selection",
    "backend tcp-response content rule",
    "backend http-response header rule",
    "backend http-response body rule",
    "backend stick-store rule",
    "frontend tcp-response content rule",
    "frontend http-response header rule",
    "frontend http-response body rule",
    "logs",
    "backend tcp-check rule",
    "configuration parser",
    "CLI parser",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_commands_are_listed_with_what_becomes_of_them() {
        let all = entries();
        let state = |kind: &str, name: &str| {
            let found = all
                .iter()
                .find(|entry| entry.kind == kind && entry.name == name);
            found.unwrap_or_else(|| panic!("{kind} {name}")).state
        };
        assert_eq!(state("cmdline", "-f"), State::Works);
        assert!(matches!(state("cmdline", "-dL"), State::Refused(_)));
        assert!(matches!(state("cmdline", "-dT"), State::NoEffect(_)));
        assert_eq!(state("cli-command", "show info"), State::Works);
    }

    #[test]
    fn no_entry_breaks_the_table() {
        for entry in entries() {
            let all = format!("{}{}{}{}", entry.name, entry.places, entry.args, entry.doc);
            assert!(!all.contains(['\t', '\n']), "{entry:?}");
        }
    }
}
