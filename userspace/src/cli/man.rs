//! `tidegate man [8|5]`: the manual pages, in roff, written from the registries.
//!
//! Input is the list of [`super::keywords`]; output is the text of a page. Nothing is formatted here: that is man's work.

use std::fmt::Write as _;

use super::VERSION;
use super::keywords::entries;
use super::subcommands;
use crate::lang::{Entry, State};

/// tidegate(8): the command line and the Runtime API.
pub(super) fn program() -> String {
    let mut page = head(
        "TIDEGATE",
        "8",
        "tidegate \\- a load balancer that runs haproxy.cfg",
    );
    page.push_str(".SH SYNOPSIS\n.B tidegate\n.RB [ \\-f \" file|directory\" ]...\n.RI [ flags ]\n.br\n.B tidegate\n.I command\n.RI [ options ]\n");
    page.push_str(
        ".SH DESCRIPTION\nReads a configuration in HAProxy's language and serves it: packets in the kernel where rules allow it \
         exactly, connections in userspace.\n",
    );
    let all = entries();
    page.push_str(".SH FLAGS\n");
    family(&mut page, &all, "cmdline");
    page.push_str(".SH COMMANDS\n");
    for (name, about) in subcommands::listed() {
        item(&mut page, &name, "", &about);
    }
    page.push_str(".SH RUNTIME API\nSent to a stats socket, or with\n.BR \"tidegate ctl\" .\n");
    family(&mut page, &all, "cli-command");
    page.push_str(".SH EXIT STATUS\n0 for success, 1 for an error, 2 for a condition that cannot be evaluated.\n");
    page.push_str(".SH SEE ALSO\n.BR tidegate.cfg (5)\n");
    page
}

/// tidegate.cfg(5): the language.
pub(super) fn language() -> String {
    let mut page = head(
        "TIDEGATE.CFG",
        "5",
        "tidegate.cfg \\- the configuration of tidegate",
    );
    page.push_str(
        ".SH DESCRIPTION\nHAProxy's configuration language. A line is a statement; a section begins with its keyword. \
         What is listed as accepted without effect tunes machinery that does not exist here.\n",
    );
    let all = entries();
    for (kind, title) in FAMILIES {
        let _ = writeln!(page, ".SH {title}");
        family(&mut page, &all, kind);
    }
    page.push_str(".SH SEE ALSO\n.BR tidegate (8)\n");
    page
}

fn head(name: &str, section: &str, summary: &str) -> String {
    format!(
        ".\\\" Written by 'tidegate man'; do not edit.\n.TH {name} {section} \"\" \"tidegate {VERSION}\"\n.SH NAME\n{summary}\n"
    )
}

fn family(page: &mut String, all: &[Entry], kind: &str) {
    let family: Vec<&Entry> = all.iter().filter(|entry| entry.kind == kind).collect();
    for entry in family.iter().filter(|entry| entry.state == State::Works) {
        let mut doc = entry.doc.clone();
        if !entry.places.is_empty() {
            let _ = write!(doc, " In: {}.", entry.places.replace(' ', ", "));
        }
        item(page, &entry.name, &entry.args, &doc);
    }
    let silent: Vec<&str> = family
        .iter()
        .filter(|entry| matches!(entry.state, State::NoEffect(_)))
        .map(|entry| entry.name.as_str())
        .collect();
    if !silent.is_empty() {
        let _ = writeln!(
            page,
            ".PP\nAccepted without effect: {}.",
            roff(&silent.join(", "))
        );
    }
}

fn item(page: &mut String, name: &str, args: &str, doc: &str) {
    let _ = writeln!(
        page,
        ".TP\n\\fB{}\\fR {}\n{}",
        roff(name),
        roff(args),
        roff(doc)
    );
}

/// Text that roff takes as it is.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    // A dot or quote at the beginning of a line would be a request.
    if escaped.starts_with(['.', '\'']) {
        format!("\\&{escaped}")
    } else {
        escaped
    }
}

const FAMILIES: &[(&str, &str)] = &[
    ("section", "SECTIONS"),
    ("global", "GLOBAL"),
    ("proxy-directive", "PROXIES"),
    ("bind-option", "BIND OPTIONS"),
    ("server-option", "SERVER OPTIONS"),
    ("action", "ACTIONS"),
    ("resolvers", "RESOLVERS"),
    ("ring", "RING"),
    ("log-forward", "LOG-FORWARD"),
    ("crt-store", "CRT-STORE"),
    ("crt-store load", "PARAMETERS OF LOAD"),
    ("healthcheck", "HEALTHCHECK"),
    ("peers", "PEERS"),
    ("cache", "CACHE"),
    ("filter", "FILTERS"),
    ("userlist", "USERLIST"),
    ("http-errors", "HTTP-ERRORS"),
    ("fetch", "FETCHES"),
    ("converter", "CONVERTERS"),
    ("acl-derivative", "ACL KEYWORDS"),
    ("acl-match", "ACL MATCHING"),
    ("predefined-acl", "PREDEFINED ACLS"),
    ("log-alias", "LOG ALIASES"),
    ("balance-algo", "BALANCE"),
    ("stick-table-data", "STICK TABLE DATA"),
    ("stick-table-param", "STICK TABLE PARAMETERS"),
    ("cond-predicate", "CONDITIONS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_flags_commands_and_keywords() {
        let program = program();
        for part in [
            "\\fB\\-f\\fR",
            "\\fBexplain\\fR",
            "\\fBshow info\\fR",
            ".TH TIDEGATE 8",
        ] {
            assert!(program.contains(part), "{part}");
        }
        let language = language();
        for part in [
            "\\fBmaxconn\\fR",
            "\\fBtimeout client\\fR",
            "\\fBpath_beg\\fR",
            ".SH FETCHES",
        ] {
            assert!(language.contains(part), "{part}");
        }
    }

    #[test]
    fn no_line_of_text_is_taken_for_a_request() {
        assert_eq!(roff(".if"), "\\&.if");
        assert_eq!(roff("a\\b-c"), "a\\eb\\-c");
    }
}
