//! Small configurations with the verdict they deserve, ours and HAProxy's.
//!
//! A file of `cases/` holds cases of one theme. A case begins with `#= <name> => <verdict>`, a verdict being `valid`, `warns`
//! or `refused`; `(haproxy: <verdict>, <reason>)` behind it says where Debian's 2.6 differs and why. `%base` stands for a
//! defaults section that leaves nothing to be warned of.

mod broken;
mod explain;
mod oracle;

use std::fmt;
use std::path::Path;

use tidegate::lang::{
    Environment, Machine, Settings, Severity, Style, load_sources, source::Sources,
};

/// What is said of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    Warns,
    Refused,
}

/// One configuration.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) file: &'static str,
    pub(crate) name: String,
    pub(crate) ours: Verdict,
    pub(crate) haproxy: Verdict,
    pub(crate) text: String,
}

#[test]
fn every_case_gets_the_verdict_it_deserves() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (verdict, said) = ours(&case.text);
        if verdict != case.ours {
            wrong.push(format!(
                "{case}: expected {:?}, got {verdict:?}\n{said}",
                case.ours
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tutorial_runs_verbatim_with_one_warning() {
    let text = include_str!("../../conf/tutorial.cfg")
        .replace("conf/", concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/"));
    let mut sources = Sources::default();
    sources.add("tutorial.cfg", text);
    let loaded = load_sources(sources, &Users, &Settings::default());
    let said = loaded.diagnostics.render(&loaded.sources, STYLE);
    let model = loaded.model.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(loaded.diagnostics.count(Severity::Warning), 1, "{said}");
    let listen = model
        .backend_named("appname")
        .expect("the tutorial's listen section");
    assert_eq!(listen.servers.len(), 2);
    assert_eq!(listen.binds.len(), 1);
    let stats = listen
        .stats
        .as_ref()
        .expect("the tutorial's statistics page");
    assert_eq!(stats.realm, "Strictly Private");
    assert_eq!(stats.auth.len(), 2);
}

/// The machine, with a user and a group of the tutorial's name.
struct Users;

impl Environment for Users {
    fn variable(&self, name: &str) -> Option<String> {
        Machine::default().variable(name)
    }

    fn variable_names(&self) -> Vec<String> {
        Machine::default().variable_names()
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        Machine::default().read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        Machine::default().exists(path)
    }

    fn resolve(&self, host: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        Machine::default().resolve(host)
    }

    fn user(&self, name: &str) -> Option<u32> {
        (name == "haproxy").then_some(101)
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "haproxy").then_some(102)
    }

    fn host_name(&self) -> String {
        "balancer".to_owned()
    }
}

/// Our verdict, and what was said.
pub(crate) fn ours(text: &str) -> (Verdict, String) {
    let mut sources = Sources::default();
    sources.add("case.cfg", text);
    let loaded = load_sources(sources, &Users, &Settings::default());
    let said = loaded.diagnostics.render(&loaded.sources, STYLE);
    let verdict = match (&loaded.model, loaded.diagnostics.count(Severity::Warning)) {
        (None, _) => Verdict::Refused,
        (Some(_), 0) => Verdict::Valid,
        (Some(_), _) => Verdict::Warns,
    };
    (verdict, said)
}

/// All cases of all files.
pub(crate) fn cases() -> Vec<Case> {
    FILES
        .iter()
        .flat_map(|(file, text)| cases_of(file, text))
        .collect()
}

pub(crate) fn cases_of(file: &'static str, text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in text.split("#= ").skip(1) {
        let (header, body) = part.split_once('\n').unwrap_or((part, ""));
        let (name, verdicts) = header
            .split_once(" => ")
            .unwrap_or_else(|| panic!("{file}: {header}"));
        let (ours, difference) = verdicts.split_once(" (haproxy: ").unwrap_or((verdicts, ""));
        let ours = verdict(ours);
        let haproxy = match difference.split_once(", ") {
            Some((theirs, reason)) if reason.len() > 3 => verdict(theirs),
            _ if difference.is_empty() => ours,
            _ => panic!("{file}: {name}: a difference needs a reason"),
        };
        cases.push(Case {
            file,
            name: name.to_owned(),
            ours,
            haproxy,
            text: body.replace("%base", BASE),
        });
    }
    assert!(!cases.is_empty(), "{file} has no case");
    cases
}

fn verdict(word: &str) -> Verdict {
    match word.trim() {
        "valid" => Verdict::Valid,
        "warns" => Verdict::Warns,
        "refused" => Verdict::Refused,
        other => panic!("unknown verdict '{other}'"),
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.file, self.name)
    }
}

const STYLE: Style = Style {
    pid: 1,
    color: false,
    diagnostic_mode: false,
};

const BASE: &str =
    "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n";

const FILES: &[(&str, &str)] = &[
    ("format", include_str!("cases/format.cfg")),
    ("global", include_str!("cases/global.cfg")),
    ("sections", include_str!("cases/sections.cfg")),
    ("proxies", include_str!("cases/proxies.cfg")),
    ("bind", include_str!("cases/bind.cfg")),
    ("servers", include_str!("cases/servers.cfg")),
    ("rules", include_str!("cases/rules.cfg")),
    ("checks", include_str!("cases/checks.cfg")),
    ("errors", include_str!("cases/errors.cfg")),
    ("tables", include_str!("cases/tables.cfg")),
    ("extensions", include_str!("cases/extensions.cfg")),
];
