//! Names before anything is read: which proxies, servers and tables there will be.
//!
//! A statement may name a proxy that comes later in the file. Ids are given here, in the order of the file; two proxies
//! with the same name that share a side are an error.

use crate::lang::ast::{Section, SectionKind, Word};
use crate::lang::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::lang::keywords::context::Names;
use crate::lang::keywords::server::invalid_in_name;
use crate::lang::source::Sources;
use crate::model::ProxyKind;

/// The words of a section line.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    pub name: Option<&'a Word>,
    /// The word after `from`.
    pub from: Option<&'a Word>,
    /// An address on the section line: an old form.
    pub address: Option<&'a Word>,
    /// The first word too many.
    pub extra: Option<&'a Word>,
}

/// Takes a section line apart: `<kind> [<name>] [from <defaults>]`, or `<kind> <name> <address>`.
pub(super) fn header(section: &Section) -> Header<'_> {
    let words = &section.header.words[1..];
    let mut header = Header {
        name: None,
        from: None,
        address: None,
        extra: None,
    };
    let mut rest = words.iter();
    let mut next = rest.next();
    if let Some(name) =
        next.filter(|word| word.text != "from" || section.kind != SectionKind::Defaults)
    {
        header.name = Some(name);
        next = rest.next();
    }
    match next {
        Some(word) if word.text == "from" => {
            header.from = rest.next();
            header.extra = if header.from.is_none() {
                Some(word)
            } else {
                rest.next()
            };
        }
        Some(word) if section.kind == SectionKind::Listen => {
            header.address = Some(word);
            header.extra = rest.next();
        }
        extra => header.extra = extra,
    }
    header
}

/// Which sides a section's proxy has.
pub(super) fn proxy_kind(kind: SectionKind) -> Option<ProxyKind> {
    match kind {
        SectionKind::Frontend => Some(ProxyKind::Frontend),
        SectionKind::Backend => Some(ProxyKind::Backend),
        SectionKind::Listen => Some(ProxyKind::Listen),
        SectionKind::LogForward => Some(ProxyKind::Frontend),
        _ => None,
    }
}

/// Collects the names, and tells of missing, wrong and doubled ones.
pub(super) fn names(
    sections: &[Section],
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) -> Names {
    let mut names = Names::default();
    let mut seen: Vec<(&Section, ProxyKind, bool)> = Vec::new();
    let mut by_name = std::collections::HashMap::<&str, Vec<usize>>::new();
    for section in sections {
        if section.kind == SectionKind::Peers {
            add_tables(section, &mut names);
        }
        if section.kind == SectionKind::Ring {
            let name = section.header.words.get(1);
            names.rings.extend(name.map(|word| word.text.clone()));
        }
        let Some(kind) = proxy_kind(section.kind) else {
            continue;
        };
        let header = header(section);
        check_header(section, &header, diagnostics);
        let name = header.name.map_or("", |word| word.text.as_str());
        let has_table = section
            .lines
            .iter()
            .any(|line| line.keyword().text == "stick-table");
        names.add(name, kind, has_table);
        add_servers(section, name, &mut names);
        for other in by_name.get(name).into_iter().flatten() {
            let (other, other_kind, other_table) = seen[*other];
            let is_forward = |kind| kind == SectionKind::LogForward;
            let share_front = kind.has_frontend()
                && other_kind.has_frontend()
                && is_forward(section.kind) == is_forward(other.kind);
            let share_back = kind.has_backend() && other_kind.has_backend();
            if share_front || share_back || (has_table && other_table) {
                let place = other.header.span();
                let message = format!(
                    "{} '{name}' has the same name as {} '{name}' declared at {}:{}.",
                    section.kind.keyword(),
                    other.kind.keyword(),
                    sources.file(place.source).name,
                    place.line
                );
                let span = header
                    .name
                    .map_or_else(|| section.header.span(), |word| word.span);
                diagnostics.push(
                    Diagnostic::at(Severity::Alert, section.header.span(), message).showing(span),
                );
            }
        }
        by_name.entry(name).or_default().push(seen.len());
        seen.push((section, kind, has_table));
    }
    names
}

fn check_header(section: &Section, header: &Header<'_>, diagnostics: &mut Diagnostics) {
    let keyword = section.kind.keyword();
    let place = section.header.span();
    match header.name {
        None => {
            let message = format!("'{keyword}' expects an <id> argument");
            diagnostics.push(Diagnostic::at(Severity::Alert, place, message).showing(place));
        }
        Some(name) => {
            if let Some((offset, character)) = invalid_in_name(&name.text) {
                let message = format!(
                    "character '{character}' is not permitted in '{keyword}' name '{}'.",
                    name.text
                );
                diagnostics
                    .push(Diagnostic::at(Severity::Alert, place, message).showing(name.at(offset)));
            }
        }
    }
    if let Some(extra) = header.extra {
        let message = format!(
            "'{keyword}' cannot handle unexpected argument '{}'.",
            extra.text
        );
        let hint = (section.kind == SectionKind::Frontend)
            .then(|| "listening addresses are given with 'bind'".to_owned());
        diagnostics.push(
            Diagnostic::at(Severity::Alert, place, message)
                .showing(extra.span)
                .hinted(hint),
        );
    }
}

/// The name of a `peers` section, and those of its tables.
fn add_tables(section: &Section, names: &mut Names) {
    let Some(name) = section.header.words.get(1) else {
        return;
    };
    names.peers.insert(name.text.clone());
    for line in section
        .lines
        .iter()
        .filter(|line| line.keyword().text == "table")
    {
        if let Some(table) = line.words.get(1) {
            names.add_table(format!("{}/{}", name.text, table.text));
        }
    }
}

/// The names of a section's servers, those of templates included.
fn add_servers(section: &Section, backend: &str, names: &mut Names) {
    for line in &section.lines {
        let word = |index: usize| line.words.get(index).map(|word| word.text.as_str());
        match (word(0), word(1), word(2)) {
            (Some("server"), Some(name), _) => names.add_server(backend, name),
            (Some("server-template"), Some(prefix), Some(count)) => {
                let (first, last) = count.split_once('-').unwrap_or(("1", count));
                if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
                    (first..=last)
                        .for_each(|number| names.add_server(backend, format!("{prefix}{number}")));
                }
            }
            _ => {}
        }
    }
}
