//! `cargo xtask docs`: the reference, written from what the daemon lists of itself.
//!
//! Input is the daemon's list of words and its man pages; output is one page per family under `docs/reference`, the no-op
//! list, and the man pages under `docs/man`. Nothing in them is written by hand, so nothing in them can be out of date.

pub(crate) mod coverage;
mod language;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use self::language::{State, Word};
use crate::workspace::Workspace;
use crate::{Verdict, process};

/// What `cargo xtask docs` takes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Only say whether the pages are what they should be
    #[arg(long)]
    check: bool,
}

/// Writes, or checks, every page.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<Verdict> {
    let program = language::daemon(workspace)?;
    let words = language::words(&program)?;
    let mut pages = pages(&words);
    for (section, file) in MAN_PAGES {
        let text = process::capture(Command::new(&program).args(["man", section]))?;
        pages.insert((*file).to_owned(), text);
    }
    let mut stale = Vec::new();
    for (file, text) in &pages {
        let path = workspace.root().join("docs").join(file);
        if std::fs::read_to_string(&path).ok().as_ref() == Some(text) {
            continue;
        }
        stale.push(file.as_str());
        if !options.check {
            std::fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new(".")))?;
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let verb = if options.check {
        "out of date"
    } else {
        "written"
    };
    println!("docs: {} pages, {} {verb}", pages.len(), stale.len());
    for file in &stale {
        println!("docs: {verb}: docs/{file}");
    }
    Ok(if options.check && !stale.is_empty() {
        Verdict::Failed
    } else {
        Verdict::Passed
    })
}

/// The pages of the book, by file.
fn pages(words: &[Word]) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut index = String::from(
        "# Reference\n\nWritten by `cargo xtask docs` from the program's own registries; do not edit. The same is in the\n\
         manual pages `tidegate(8)` and `tidegate.cfg(5)`, and `tidegate keywords` prints it as a table.\n\n",
    );
    for (kind, title, intro) in FAMILIES {
        let family: Vec<&Word> = words.iter().filter(|word| word.kind == *kind).collect();
        if family.is_empty() {
            continue;
        }
        let file = format!("{}.md", kind.replace(' ', "-"));
        let works = family
            .iter()
            .filter(|word| word.state == State::Works)
            .count();
        // Writing to a String cannot fail.
        let _ = writeln!(
            index,
            "- [{title}]({file}): {works} work, {} listed",
            family.len()
        );
        pages.insert(format!("reference/{file}"), page(title, intro, &family));
    }
    let _ = writeln!(index, "- [Accepted without effect](without-effect.md)");
    let _ = writeln!(index, "- [Coverage of HAProxy's language](coverage.md)");
    pages.insert("reference/README.md".to_owned(), index);
    pages.insert(
        "reference/without-effect.md".to_owned(),
        without_effect(words),
    );
    pages
}

fn page(title: &str, intro: &str, family: &[&Word]) -> String {
    let mut text = format!("# {title}\n\nWritten by `cargo xtask docs`; do not edit.\n\n{intro}\n");
    for word in family.iter().filter(|word| word.state == State::Works) {
        let space = if word.args.is_empty() || word.args.starts_with('(') {
            ""
        } else {
            " "
        };
        let _ = write!(
            text,
            "\n## `{}{space}{}`\n\n{}\n",
            word.name,
            word.args,
            or_nothing(&word.doc)
        );
        if !word.places.is_empty() {
            let _ = writeln!(text, "\nIn: {}.", word.places.join(", "));
        }
    }
    let others = |state: State| family.iter().filter(move |word| word.state == state);
    for (state, heading) in [
        (State::NoEffect, "Accepted without effect"),
        (State::Refused, "Refused, and what to do instead"),
    ] {
        if others(state).next().is_none() {
            continue;
        }
        let _ = write!(text, "\n## {heading}\n\n");
        for word in others(state) {
            let _ = writeln!(text, "- `{}`: {}", word.name, word.reason);
        }
    }
    text
}

fn or_nothing(doc: &str) -> &str {
    if doc.is_empty() {
        "See the manual of log formats."
    } else {
        doc
    }
}

fn without_effect(words: &[Word]) -> String {
    let mut text = String::from(
        "# Accepted without effect\n\nWritten by `cargo xtask docs`; do not edit. These words tune machinery that does not exist\n\
         here. A configuration may have them; `tidegate -c -V` names each and says why it changes nothing.\n\n\
         | word | family | why |\n|---|---|---|\n",
    );
    for word in words.iter().filter(|word| word.state == State::NoEffect) {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            word.name, word.kind, word.reason
        );
    }
    text
}

const MAN_PAGES: &[(&str, &str)] = &[("8", "man/tidegate.8"), ("5", "man/tidegate.cfg.5")];

/// Kinds of words, the titles of their pages, and what to know before reading.
const FAMILIES: &[(&str, &str, &str)] = &[
    (
        "section",
        "Sections",
        "A section begins with its keyword and goes on to the next one.",
    ),
    (
        "global",
        "The global section",
        "Settings of the whole process.",
    ),
    (
        "proxy-directive",
        "Proxies: defaults, frontend, listen, backend",
        "Below each keyword stands in which sections it may be written. `defaults` hands its settings to the proxies after it.",
    ),
    (
        "bind-option",
        "Options of bind lines",
        "They follow the address of a `bind` line, in any order.",
    ),
    (
        "server-option",
        "Options of server lines",
        "They follow the address of a `server` line, or `default-server`, in any order.",
    ),
    (
        "action",
        "Actions of rules",
        "Rule sets: `tcp-req-conn`, `tcp-req-sess`, `tcp-req-cont` are `tcp-request connection`, `session`, `content`;\n\
         `tcp-rsp-cont` is `tcp-response content`; `http-req`, `http-res`, `http-after` are `http-request`, `http-response`,\n\
         `http-after-response`.",
    ),
    (
        "fetch",
        "Sample fetches",
        "What can be read of the traffic and of the process.",
    ),
    (
        "converter",
        "Converters",
        "They follow a fetch, separated by commas, and change its value.",
    ),
    (
        "acl-derivative",
        "ACL keywords",
        "Fetches with a matching method built in; only in ACLs.",
    ),
    (
        "acl-match",
        "ACL matching methods",
        "How `-m` makes an ACL compare.",
    ),
    (
        "predefined-acl",
        "Predefined ACLs",
        "Names every configuration has.",
    ),
    (
        "log-alias",
        "Aliases of log formats",
        "Short names in `log-format`.",
    ),
    (
        "balance-algo",
        "Algorithms of balance",
        "How a backend chooses a server.",
    ),
    (
        "stick-table-data",
        "Data of stick tables",
        "What `store` may name.",
    ),
    (
        "stick-table-param",
        "Parameters of stick tables",
        "The words of a `stick-table` line.",
    ),
    (
        "resolvers",
        "The resolvers section",
        "Name servers for the names on server lines.",
    ),
    ("cache", "The cache section", "Responses kept in memory."),
    (
        "ring",
        "The ring section",
        "Log messages kept in memory and carried to servers. `server` takes the options of any server.",
    ),
    (
        "log-forward",
        "The log-forward section",
        "Syslog messages received and passed on. `bind` takes the options of any bind line.",
    ),
    (
        "crt-store",
        "The crt-store section",
        "Certificates by name: `crt \"@store/alias\"` uses one.",
    ),
    (
        "crt-store load",
        "Parameters of load in a crt-store",
        "They follow `load`, each with its value.",
    ),
    (
        "healthcheck",
        "The healthcheck section",
        "A check by name: `server … check healthcheck <name>` uses it.",
    ),
    (
        "peers",
        "The peers section",
        "The tables of this process; nothing is sent to others.",
    ),
    ("filter", "Filters", "What a `filter` line may name."),
    (
        "userlist",
        "The userlist section",
        "Users and their groups, for HTTP authentication.",
    ),
    (
        "http-errors",
        "The http-errors section",
        "Error pages with a name.",
    ),
    (
        "cond-predicate",
        "Predicates of conditions",
        "What `.if` lines and `-cc` may ask.",
    ),
    (
        "cli-command",
        "Commands of the Runtime API",
        "Sent to a `stats socket`, or with `tidegate ctl`.",
    ),
    ("cmdline", "The command line", "HAProxy's own flags."),
];

#[cfg(test)]
mod tests {
    use super::language::tests::word_of;
    use super::*;

    #[test]
    fn a_page_tells_what_works_where_and_what_does_not() {
        let mut refused = word_of("global", "nbproc", "", State::Refused);
        refused.reason = "use 'nbthread'".to_owned();
        let pages = pages(&[word_of("global", "daemon", "", State::Works), refused]);
        let page = &pages["reference/global.md"];
        assert!(page.contains("## `daemon`\n\nWhat it does.\n"), "{page}");
        assert!(page.contains("- `nbproc`: use 'nbthread'"), "{page}");
        assert!(pages["reference/README.md"].contains("(global.md): 1 work, 2 listed"));
    }

    #[test]
    fn the_no_op_list_names_only_what_has_no_effect() {
        let text = without_effect(&[
            word_of("global", "busy-polling", "", State::NoEffect),
            word_of("global", "daemon", "", State::Works),
        ]);
        assert!(text.contains("`busy-polling`") && !text.contains("`daemon`"));
    }
}
