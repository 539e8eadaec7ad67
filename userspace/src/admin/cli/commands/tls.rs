//! Commands about certificates, authorities, revocation lists and `crt-list`s (management.txt `show ssl …`).
//!
//! What they show and change is [`crate::tls::Contexts`]' of the configuration in force; here are HAProxy's words for it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Answer, Call, Command};
use crate::model::Level;
use crate::tls::{Contexts, Role, Staged};

pub(super) const COMMANDS: &[Command] = &[
    command(
        &["show", "ssl", "cert"],
        "show ssl cert [<certfile>]",
        "show the certificates",
        |call| show(call, &CERTIFICATE),
    ),
    command(
        &["show", "ssl", "ca-file"],
        "show ssl ca-file [<cafile>[:<index>]]",
        "show the CA files",
        |call| show(call, &AUTHORITY),
    ),
    command(
        &["show", "ssl", "crl-file"],
        "show ssl crl-file [<crlfile>[:<index>]]",
        "show the revocation lists",
        |call| show(call, &REVOCATION),
    ),
    command(
        &["show", "ssl", "crt-list"],
        "show ssl crt-list [-n] [<list>]",
        "show the lists of certificates",
        show_list,
    ),
    command(
        &["show", "ssl", "sni"],
        "show ssl sni [-f <frontend>]",
        "show the names clients may ask for",
        show_names,
    ),
    command(
        &["set", "ssl", "cert"],
        "set ssl cert <certfile> <payload>",
        "stage a certificate",
        |call| stage(call, &CERTIFICATE, false),
    ),
    command(
        &["set", "ssl", "ca-file"],
        "set ssl ca-file <cafile> <payload>",
        "stage a CA file",
        |call| stage(call, &AUTHORITY, false),
    ),
    command(
        &["add", "ssl", "ca-file"],
        "add ssl ca-file <cafile> <payload>",
        "add to a staged CA file",
        |call| stage(call, &AUTHORITY, true),
    ),
    command(
        &["set", "ssl", "crl-file"],
        "set ssl crl-file <crlfile> <payload>",
        "stage a revocation list",
        |call| stage(call, &REVOCATION, false),
    ),
    command(
        &["commit", "ssl", "cert"],
        "commit ssl cert <certfile>",
        "put a staged certificate in force",
        |call| commit(call, &CERTIFICATE),
    ),
    command(
        &["commit", "ssl", "ca-file"],
        "commit ssl ca-file <cafile>",
        "put a staged CA file in force",
        |call| commit(call, &AUTHORITY),
    ),
    command(
        &["commit", "ssl", "crl-file"],
        "commit ssl crl-file <crlfile>",
        "put a staged revocation list in force",
        |call| commit(call, &REVOCATION),
    ),
    command(
        &["abort", "ssl", "cert"],
        "abort ssl cert <certfile>",
        "drop a staged certificate",
        |call| abort(call, &CERTIFICATE),
    ),
    command(
        &["abort", "ssl", "ca-file"],
        "abort ssl ca-file <cafile>",
        "drop a staged CA file",
        |call| abort(call, &AUTHORITY),
    ),
    command(
        &["abort", "ssl", "crl-file"],
        "abort ssl crl-file <crlfile>",
        "drop a staged revocation list",
        |call| abort(call, &REVOCATION),
    ),
    command(
        &["new", "ssl", "cert"],
        "new ssl cert <certfile>",
        "make an empty certificate",
        |call| create(call, &CERTIFICATE),
    ),
    command(
        &["new", "ssl", "ca-file"],
        "new ssl ca-file <cafile>",
        "make an empty CA file",
        |call| create(call, &AUTHORITY),
    ),
    command(
        &["new", "ssl", "crl-file"],
        "new ssl crl-file <crlfile>",
        "make an empty revocation list",
        |call| create(call, &REVOCATION),
    ),
    command(
        &["del", "ssl", "cert"],
        "del ssl cert <certfile>",
        "forget an unused certificate",
        |call| delete(call, &CERTIFICATE),
    ),
    command(
        &["del", "ssl", "ca-file"],
        "del ssl ca-file <cafile>",
        "forget an unused CA file",
        |call| delete(call, &AUTHORITY),
    ),
    command(
        &["del", "ssl", "crl-file"],
        "del ssl crl-file <crlfile>",
        "forget an unused revocation list",
        |call| delete(call, &REVOCATION),
    ),
    command(
        &["add", "ssl", "crt-list"],
        "add ssl crt-list <list> <cert>|<payload>",
        "add a line to a list",
        add_line,
    ),
    command(
        &["del", "ssl", "crt-list"],
        "del ssl crt-list <list> <cert[:line]>",
        "remove a line from a list",
        remove_line,
    ),
];

const fn command(
    words: &'static [&'static str],
    usage: &'static str,
    doc: &'static str,
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command {
        words,
        usage,
        doc,
        level: Level::Admin,
        run,
    }
}

/// The words for one kind of file.
struct Kind {
    role: Role,
    called: &'static str,
    created: &'static str,
    /// What a file has entries of; empty where an entry is the file.
    entry: &'static str,
}

const CERTIFICATE: Kind = Kind {
    role: Role::Certificate,
    called: "certificate",
    created: "New empty certificate store",
    entry: "",
};
const AUTHORITY: Kind = Kind {
    role: Role::Authority,
    called: "CA file",
    created: "New CA file created",
    entry: "Certificate",
};
const REVOCATION: Kind = Kind {
    role: Role::Revocation,
    called: "CRL file",
    created: "New CRL file created",
    entry: "Certificate Revocation List",
};

fn contexts(call: &Call<'_>) -> Result<Arc<Contexts>, Answer> {
    let loaded = call.world.tls.load_full();
    loaded.ok_or_else(|| Answer::error("TLS is not ready yet.".to_owned()))
}

fn show(call: &Call<'_>, kind: &Kind) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let (staged, known) = contexts.listed(kind.role);
    let count = |name: &str, staged: bool| match kind.role {
        Role::Authority => {
            let entries = contexts.described(kind.role, name, staged);
            format!(
                " - {} certificate(s)",
                entries.map_or(0, |entries| entries.len())
            )
        }
        _ => String::new(),
    };
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    if call.word(0).is_empty() {
        if let Some(staged) = staged {
            let name = staged.display().to_string();
            let _ = writeln!(text, "# transaction\n*{name}{}", count(&name, true));
        }
        text.push_str("# filename\n");
        for path in known {
            let name = path.display().to_string();
            let _ = writeln!(text, "{name}{}", count(&name, false));
        }
        return Answer::Output(text);
    }
    let (name, of_staged) = named(call.word(0));
    let (name, index) = match name.rsplit_once(':') {
        Some((name, index)) if index.parse::<usize>().is_ok() => (name, index.parse().ok()),
        _ => (name, None),
    };
    let Some(entries) = contexts.described(kind.role, name, of_staged) else {
        return Answer::error(format!("Can't display the {}: Not found!", kind.called));
    };
    let used = !of_staged && contexts.is_used(std::path::Path::new(name));
    let star = if of_staged { "*" } else { "" };
    let status = match (used, entries.iter().all(String::is_empty)) {
        (_, true) => "Empty",
        (true, false) => "Used",
        (false, false) => "Unused",
    };
    let _ = writeln!(text, "Filename: {star}{name}\nStatus: {status}");
    let wanted = |at: usize| index.is_none_or(|index: usize| index == at + 1);
    for (at, entry) in entries.iter().enumerate().filter(|(at, _)| wanted(*at)) {
        if !kind.entry.is_empty() {
            let _ = writeln!(text, "\n{} #{}:", kind.entry, at + 1);
        }
        text.push_str(entry);
    }
    Answer::Output(text)
}

/// A file's name, and whether its staged content is meant: `*name`; `\*name` is a name that begins with a star.
fn named(word: &str) -> (&str, bool) {
    match (word.strip_prefix('*'), word.strip_prefix("\\*")) {
        (Some(name), _) => (name, true),
        // The command line's own escape is gone by now where there was one; what is left is for us.
        (None, Some(name)) => (name, true),
        (None, None) => (word, false),
    }
}

fn stage(call: &Call<'_>, kind: &Kind, append: bool) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0);
    let Some(payload) = call.payload.filter(|_| !name.is_empty()) else {
        return Answer::error(format!(
            "expects a filename and a {} as a payload",
            kind.called
        ));
    };
    let what = match kind.role {
        Role::Authority => "CA",
        Role::Revocation => "CRL",
        Role::Certificate | Role::Beside | Role::List => "certificate",
    };
    match contexts.stage(kind.role, name, payload, append) {
        Ok(Staged::Created) => Answer::Output(format!("Transaction created for {what} {name}!\n")),
        Ok(Staged::Updated) => Answer::Output(format!("Transaction updated for {what} {name}!\n")),
        Err(message) => Answer::error(format!("{message}\nCan't update {name}!")),
    }
}

fn commit(call: &Call<'_>, kind: &Kind) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0);
    match contexts.commit(kind.role, name) {
        Ok(()) => Answer::Output(format!("Committing {name}\nSuccess!\n")),
        Err(message) => Answer::error(format!("{message}\nCan't commit {name}!")),
    }
}

fn abort(call: &Call<'_>, kind: &Kind) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0);
    match contexts.abort(kind.role, name) {
        Ok(()) => Answer::Output(format!("Transaction aborted for certificate '{name}'!\n")),
        Err(message) => Answer::error(message),
    }
}

fn create(call: &Call<'_>, kind: &Kind) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0);
    if name.is_empty() {
        return Answer::error("expects a filename".to_owned());
    }
    match contexts.create(kind.role, name) {
        true => Answer::Output(format!("{} '{name}'!\n", kind.created)),
        false => Answer::error(format!("{} '{name}' already exists!", capital(kind.called))),
    }
}

fn delete(call: &Call<'_>, kind: &Kind) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0);
    match contexts.delete(kind.role, name) {
        Ok(()) => Answer::Output(format!("{} '{name}' deleted!\n", capital(kind.called))),
        Err(message) => {
            let called = kind.called;
            Answer::error(format!(
                "Can't remove the {called}: {called} '{name}' {message}"
            ))
        }
    }
}

fn show_list(call: &mut Call<'_>) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let numbered = call.word(0) == "-n";
    let name = call.word(usize::from(numbered)).trim_end_matches('/');
    if name.is_empty() {
        let (_, lists) = contexts.listed(Role::List);
        return Answer::Output(
            lists
                .iter()
                .map(|list| format!("{}\n", list.display()))
                .collect(),
        );
    }
    let Some(lines) = contexts.list(name) else {
        return Answer::error("didn't find the specified filename".to_owned());
    };
    let mut text = format!("# {name}\n");
    for (number, line) in lines {
        let (certificate, rest) = line.split_once(char::is_whitespace).unwrap_or((&*line, ""));
        let number = match numbered {
            true => format!(":{number}"),
            false => String::new(),
        };
        let _ = writeln!(
            text,
            "{}",
            format!("{certificate}{number} {rest}").trim_end()
        );
    }
    Answer::Output(text)
}

fn add_line(call: &mut Call<'_>) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0).trim_end_matches('/');
    let line = call.payload.unwrap_or_else(|| call.word(1)).trim();
    if name.is_empty() || line.is_empty() || line.lines().count() > 1 {
        return Answer::error(
            "expects a crt-list and one line, as a word or as a payload".to_owned(),
        );
    }
    let certificate = line.split_whitespace().next().unwrap_or_default();
    match contexts.add_to_list(name, line) {
        Ok(()) => Answer::Output(format!(
            "Inserting certificate '{certificate}' in crt-list '{name}'.\nSuccess!\n"
        )),
        Err(message) => Answer::error(format!("Can't edit the crt-list: {message}")),
    }
}

fn remove_line(call: &mut Call<'_>) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let name = call.word(0).trim_end_matches('/');
    match contexts.remove_from_list(name, call.word(1)) {
        Ok(certificate) => Answer::Output(format!(
            "Entry '{certificate}' deleted in crtlist '{name}'!\n"
        )),
        Err(message) => Answer::error(format!("Can't delete the entry: {message}")),
    }
}

fn show_names(call: &mut Call<'_>) -> Answer {
    let contexts = match contexts(call) {
        Ok(contexts) => contexts,
        Err(answer) => return answer,
    };
    let frontend = (call.word(0) == "-f").then(|| call.word(1));
    let model = &call.running().model;
    let is_known = |name: &str| {
        let mut frontends = model
            .proxies
            .iter()
            .filter(|proxy| proxy.kind.has_frontend());
        frontends.any(|proxy| proxy.name == name)
    };
    if frontend.is_some_and(|name| !is_known(name)) {
        return Answer::error("Couldn't find the specified frontend!".to_owned());
    }
    if call
        .words
        .iter()
        .any(|word| matches!(word.as_str(), "-A" | "-t"))
    {
        return Answer::error("'-A' and '-t' are not supported".to_owned());
    }
    let mut text = String::from(
        "# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\n",
    );
    for (line, name) in contexts.names(frontend) {
        let _ = writeln!(
            text,
            "{line}\t{}\t{}\t{}\t{}\t{}\t{}",
            name.name,
            name.excluded,
            name.kind,
            name.path.display(),
            name.not_after,
            name.not_before
        );
    }
    Answer::Output(text)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
