//! States of servers saved by an earlier process: `server-state-file` and `load-server-state-from-file` (manual §3.1, §4.2).
//!
//! The text of `show servers state` comes in; what it says of each server of a backend comes out. What a server makes of it
//! is [`crate::state`]'s.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Complaint;
use super::context::Context;
use super::draft::ProxyDraft;
use super::registry::{Effect, Keyword, Sections};
use crate::lang::diagnostics::{Diagnostic, Severity};
use crate::model::SavedState;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::global(
        "server-state-base",
        "<directory>",
        "Sets where files of server states are.",
        |args, context| {
            context.saved.base = Some(context.path(args.only("a directory")?));
            Ok(())
        },
    ),
    Keyword::global(
        "server-state-file",
        "<file>",
        "Names the file that holds the states of all servers.",
        |args, context| {
            context.saved.file = Some(PathBuf::from(&args.only("a file name")?.text));
            Ok(())
        },
    ),
    Keyword {
        name: "load-server-state-from-file",
        sections: Sections::BACK,
        args: "{ global | local | none }",
        doc: "Lets servers start in the state an earlier process left them in.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.only("'global', 'local' or 'none'")?;
            draft.saved.load = match word.text.as_str() {
                "global" => Load::Global,
                "local" => Load::Local,
                "none" => Load::None,
                _ => {
                    return Err(Complaint::unknown(
                        word,
                        "argument",
                        ["global", "local", "none"],
                    ));
                }
            };
            Ok(())
        }),
    },
    Keyword {
        name: "server-state-file-name",
        sections: Sections::BACK,
        args: "[ use-backend-name | <file> ]",
        doc: "Names the file that holds the states of this backend's servers.",
        effect: Effect::Proxy(|args, draft, _| {
            draft.saved.file = match args.take() {
                Some(word) if word.text != "use-backend-name" => Some(PathBuf::from(&word.text)),
                _ => None,
            };
            args.end()
        }),
    },
];

/// `load-server-state-from-file`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lang) enum Load {
    #[default]
    None,
    Global,
    Local,
}

/// What a backend says.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct SavedOptions {
    pub load: Load,
    pub file: Option<PathBuf>,
}

/// What `global` says, and the files already read.
#[derive(Debug, Default)]
pub(in crate::lang) struct SavedFiles {
    pub base: Option<PathBuf>,
    pub file: Option<PathBuf>,
    read: HashMap<PathBuf, Arc<States>>,
}

/// States by backend and server.
type States = HashMap<(String, String), SavedState>;

/// The file a backend's states are in, read; a file that is not there is told of and holds nothing.
pub(in crate::lang) fn states(draft: &ProxyDraft, context: &mut Context<'_>) -> Arc<States> {
    let file = match draft.saved.load {
        Load::None => None,
        Load::Global => context.saved.file.clone(),
        Load::Local => {
            let by_name = || PathBuf::from(&draft.proxy.name);
            Some(draft.saved.file.clone().unwrap_or_else(by_name))
        }
    };
    let Some(file) = file else {
        return Arc::default();
    };
    let path = match &context.saved.base {
        Some(base) if file.is_relative() => base.join(file),
        _ => file,
    };
    if let Some(known) = context.saved.read.get(&path) {
        return Arc::clone(known);
    }
    let states = Arc::new(match context.environment.read(&path) {
        Ok(text) => parse(&String::from_utf8_lossy(&text)),
        Err(error) => {
            tell(&path, &error, context);
            States::new()
        }
    });
    context.saved.read.insert(path, Arc::clone(&states));
    states
}

/// The first start has no file yet: that is nothing to be warned of.
fn tell(path: &Path, error: &std::io::Error, context: &mut Context<'_>) {
    let message = format!("Can't open server state file '{}': {error}", path.display());
    context
        .diagnostics
        .push(Diagnostic::general(Severity::Notice, message));
}

/// Version 1 of the format: one server a line, the words in a fixed order. Lines of another shape are passed over.
fn parse(text: &str) -> States {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("1") {
        return States::new();
    }
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(server)
        .collect()
}

fn server(line: &str) -> Option<((String, String), SavedState)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = |index: usize| words.get(index).copied();
    let state = SavedState {
        address: at(4)?.parse().ok(),
        operational: at(5)?.parse().ok()?,
        admin: at(6)?.parse().ok()?,
        user_weight: at(7)?.parse().ok()?,
        initial_weight: at(8)?.parse().ok()?,
        seconds: at(9)?.parse().ok()?,
        health: at(12)?.parse().ok()?,
        port: at(18).and_then(|word| word.parse().ok()).unwrap_or(0),
    };
    Some(((at(1)?.to_owned(), at(3)?.to_owned()), state))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "3 app 1 s1 192.0.2.9 2 1 20 10 77 6 3 4 6 0 0 0 web.example 8080 - 0 0 - - 0";

    #[test]
    fn lines_of_version_one_are_read() {
        let states = parse(&format!("1\n# be_id be_name …\n{LINE}\nbroken line\n"));
        let state = &states[&("app".to_owned(), "s1".to_owned())];
        assert_eq!((states.len(), state.operational, state.admin), (1, 2, 1));
        assert_eq!(
            (state.user_weight, state.initial_weight, state.seconds),
            (20, 10, 77)
        );
        assert_eq!((state.health, state.port), (4, 8080));
    }

    #[test]
    fn another_version_is_passed_over() {
        assert!(parse(&format!("2\n{LINE}\n")).is_empty());
        assert!(parse("").is_empty());
    }
}
