//! Sections to model: names looked up, `defaults` merged, everything checked against everything else.
//!
//! The parser's sections come in; a [`Model`] and diagnostics come out. Sections are read in the order in which they need
//! each other: `global`, userlists and error pages first, then every proxy in the order of the file.

mod checks;
mod defaults;
mod finish;
mod foundry;
mod index;
mod reverse;
mod statements;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use self::defaults::DefaultsSections;
pub use self::foundry::Foundry;
use super::ast::{Section, SectionKind, UNSUPPORTED};
use super::condition::Abilities;
use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::environment::{Environment, Variables};
use super::keywords::cache::CacheDraft;
use super::keywords::context::Context;
use super::keywords::crt_store::StoreDraft;
use super::keywords::draft::ProxyDraft;
use super::keywords::peers::PeersDraft;
use super::keywords::userlist::UserlistDraft;
use super::keywords::{log_forward, ring};
use super::parser::parse;
use super::source::{Sources, Span};
use crate::expr::logformat::formats;
use crate::model::{HttpErrors, LogProfile, Model, Proxy, ProxyKind, Resolvers, Table};

/// What a load depends on besides the files and the machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What conditions are answered from.
    pub abilities: Abilities,
    /// `-L`: overrides `localpeer`.
    pub local_peer: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            abilities: Abilities::OURS,
            local_peer: None,
        }
    }
}

/// The outcome of a load.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, unless something is wrong with it.
    pub model: Option<Model>,
    /// What later servers are made with.
    pub foundry: Option<Foundry>,
    /// Everything there is to tell.
    pub diagnostics: Diagnostics,
    /// The files, for showing diagnostics.
    pub sources: Sources,
    /// Statements accepted without effect, for `-c -V`.
    pub without_effect: Vec<NoEffect>,
    /// Environment variables that `global` set (`Some`) or removed (`None`), for programs started later.
    pub variables: BTreeMap<String, Option<String>>,
}

/// A statement accepted without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEffect {
    /// `file:line`
    pub place: String,
    /// The keyword or option.
    pub keyword: String,
    /// Why it needs no effect.
    pub reason: &'static str,
}

/// Reads files and directories into a model.
pub fn load(files: &[PathBuf], environment: &dyn Environment, settings: &Settings) -> Loaded {
    match Sources::read(files) {
        Ok(sources) => load_sources(sources, environment, settings),
        Err(unreadable) => {
            let mut diagnostics = Diagnostics::default();
            diagnostics.push(Diagnostic::general(Severity::Alert, unreadable.to_string()));
            Loaded {
                model: None,
                foundry: None,
                diagnostics,
                sources: Sources::default(),
                without_effect: Vec::new(),
                variables: BTreeMap::new(),
            }
        }
    }
}

/// Reads texts already in memory into a model.
pub fn load_sources(
    sources: Sources,
    environment: &dyn Environment,
    settings: &Settings,
) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let predefined = predefined(settings, environment);
    let mut variables = Variables::new(environment, &predefined);
    let sections = parse(
        &sources,
        &settings.abilities,
        &mut variables,
        &mut diagnostics,
    );
    let names = index::names(&sections, &sources, &mut diagnostics);
    let mut context = Context::new(&names, &sources, environment, &mut diagnostics);
    context.variables = Some(&variables);
    context.forced_peer.clone_from(&settings.local_peer);
    let mut model = read(&sections, &mut context);
    if settings.local_peer.is_some() {
        model.global.localpeer.clone_from(&settings.local_peer);
    }
    let without_effect = std::mem::take(&mut context.without_effect);
    let foundry = Foundry::of(&mut context, &model.global);
    diagnostics.sort();
    let model = (!diagnostics.are_fatal()).then_some(model);
    Loaded {
        model,
        foundry: Some(foundry.with(names)),
        without_effect,
        variables: variables.into_changes(),
        diagnostics,
        sources,
    }
}

/// Evaluates a condition as `.if` would (`-cc`).
pub fn check_condition(
    text: &str,
    environment: &dyn Environment,
    abilities: &Abilities,
) -> Result<bool, String> {
    let predefined = predefined(
        &Settings {
            abilities: *abilities,
            local_peer: None,
        },
        environment,
    );
    let variables = Variables::new(environment, &predefined);
    let mut sources = Sources::default();
    let source = sources.add("command line", text);
    let position = super::lexer::Position {
        source,
        file: "command line",
        line: 1,
        section: "",
    };
    let words = super::lexer::words(text.as_bytes(), position, &variables)
        .map_err(|error| format!("{} at position {}", error.kind, error.column + 1))?;
    let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    super::condition::evaluate(&text.join(" "), abilities, &variables)
        .map_err(|error| error.message)
}

/// The variables the language defines itself (manual §2.3).
fn predefined(settings: &Settings, environment: &dyn Environment) -> Vec<(&'static str, String)> {
    let version = settings.abilities.version;
    let branch = version
        .match_indices('.')
        .nth(1)
        .map_or(version, |(end, _)| &version[..end]);
    let peer = settings
        .local_peer
        .clone()
        .unwrap_or_else(|| environment.host_name());
    vec![
        ("HAPROXY_STARTUP_VERSION", version.to_owned()),
        ("HAPROXY_BRANCH", branch.to_owned()),
        ("HAPROXY_LOCALPEER", peer),
        ("HAPROXY_HTTP_LOG_FMT", formats::HTTP.to_owned()),
        ("HAPROXY_HTTP_CLF_LOG_FMT", formats::HTTP_CLF.to_owned()),
        ("HAPROXY_HTTPS_LOG_FMT", formats::HTTPS.to_owned()),
        ("HAPROXY_TCP_LOG_FMT", formats::TCP.to_owned()),
        ("HAPROXY_TCP_CLF_LOG_FMT", formats::TCP_CLF.to_owned()),
    ]
}

fn read(sections: &[Section], context: &mut Context<'_>) -> Model {
    for section in of_kind(sections, SectionKind::LogProfile) {
        log_profile(section, context);
    }
    for section in of_kind(sections, SectionKind::Global) {
        no_name(section, context);
        section
            .lines
            .iter()
            .for_each(|line| statements::global(line, context));
    }
    for section in of_kind(sections, SectionKind::CrtStore) {
        crt_store(section, context);
    }
    let mut tables = Vec::new();
    for section in of_kind(sections, SectionKind::Peers) {
        tables.extend(peers(section, context));
    }
    for section in of_kind(sections, SectionKind::Healthcheck) {
        healthcheck(section, context);
    }
    for section in of_kind(sections, SectionKind::Ring) {
        ring(section, context);
    }
    for section in of_kind(sections, SectionKind::HttpErrors) {
        http_errors(section, context);
    }
    for section in of_kind(sections, SectionKind::Cache) {
        cache(section, context);
    }
    for section in of_kind(sections, SectionKind::Resolvers) {
        resolvers(section, context);
    }
    for section in of_kind(sections, SectionKind::Userlist) {
        userlist(section, context);
    }
    let mut defaults = DefaultsSections::default();
    let mut drafts = Vec::new();
    let mut ids = 0u32;
    for section in sections {
        match section.kind {
            SectionKind::Defaults => defaults.read(section, context),
            SectionKind::Frontend
            | SectionKind::Backend
            | SectionKind::Listen
            | SectionKind::LogForward => {
                let id = crate::types::ProxyId(ids);
                ids += 1;
                drafts.push(proxy(section, id, &mut defaults, context));
            }
            SectionKind::Unsupported(index) => unsupported(section, index, context),
            SectionKind::Global
            | SectionKind::Userlist
            | SectionKind::HttpErrors
            | SectionKind::Cache
            | SectionKind::LogProfile
            | SectionKind::Ring
            | SectionKind::CrtStore
            | SectionKind::Healthcheck
            | SectionKind::Peers
            | SectionKind::Resolvers => {}
        }
    }
    finish::model(drafts, tables, context)
}

/// Reads one proxy: the lines of its defaults, then its own.
fn proxy(
    section: &Section,
    id: crate::types::ProxyId,
    defaults: &mut DefaultsSections<'_>,
    context: &mut Context<'_>,
) -> ProxyDraft {
    let header = index::header(section);
    let kind = index::proxy_kind(section.kind).expect("the caller matched a proxy");
    let mut proxy = Proxy::new(id, header.name.map_or("", |word| &word.text), kind);
    proxy.place = context.place(section.header.span());
    let mut draft = ProxyDraft::new(proxy, section.kind, section.header.span());
    if section.kind == SectionKind::LogForward {
        log_forward::begin(&mut draft);
    } else {
        defaults.inherit(&mut draft, &header, context);
    }
    if let Some(address) = header.address {
        statements::address_on_section_line(address, &mut draft, context);
    }
    // The mode decides what addresses may look like, wherever its line stands.
    let is_mode = |line: &&super::ast::Line| line.keyword().text == "mode";
    section
        .lines
        .iter()
        .filter(is_mode)
        .for_each(|line| statements::proxy(line, &mut draft, context));
    let others = section.lines.iter().filter(|line| !is_mode(line));
    others.for_each(|line| statements::proxy(line, &mut draft, context));
    draft
}

fn http_errors(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    let mut errors = HttpErrors {
        name,
        files: Vec::new(),
    };
    section
        .lines
        .iter()
        .for_each(|line| statements::http_errors(line, &mut errors, context));
    context.http_errors.push(Arc::new(errors));
}

fn cache(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    let header = section.header.span();
    if context.caches.iter().any(|cache| cache.name == name) {
        return context.alert(header, format!("there are several caches '{name}'."));
    }
    let mut draft = CacheDraft::new(name);
    section
        .lines
        .iter()
        .for_each(|line| statements::cache(line, &mut draft, context));
    match draft.finish(header) {
        Ok(cache) => context.caches.push(Arc::new(cache)),
        Err((place, message)) => context.alert(place, message),
    }
}

fn log_profile(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    let mut profile = LogProfile {
        name,
        ..LogProfile::default()
    };
    section
        .lines
        .iter()
        .for_each(|line| statements::log_profile(line, &mut profile, context));
    context.log_profiles.push(Arc::new(profile));
}

fn crt_store(section: &Section, context: &mut Context<'_>) {
    let words = &section.header.words;
    if let Some(extra) = words.get(2) {
        let message = format!(
            "'crt-store' cannot handle unexpected argument '{}'.",
            extra.text
        );
        context.alert(extra.span, message);
    }
    let mut store = StoreDraft::new(words.get(1).map(|word| word.text.clone()));
    section
        .lines
        .iter()
        .for_each(|line| statements::crt_store(line, &mut store, context));
}

/// A `peers` section: the tables it declares.
fn peers(section: &Section, context: &mut Context<'_>) -> Vec<Table> {
    let Some(name) = name_of(section, context) else {
        return Vec::new();
    };
    let mut draft = PeersDraft::new(name);
    section
        .lines
        .iter()
        .for_each(|line| statements::peers(line, &mut draft, context));
    draft.finish(section.header.span(), context)
}

/// A `healthcheck`: its lines are those of a backend that belongs to no model.
fn healthcheck(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    let header = section.header.span();
    if context.healthchecks.iter().any(|(known, _)| *known == name) {
        context.alert(
            header,
            format!("another 'healthcheck' section is called '{name}'"),
        );
    }
    let proxy = Proxy::new(crate::types::ProxyId(0), &*name, ProxyKind::Backend);
    let mut draft = ProxyDraft::new(proxy, section.kind, header);
    section
        .lines
        .iter()
        .for_each(|line| statements::proxy(line, &mut draft, context));
    if !draft.written.contains_key("type") {
        context.alert(header, format!("healthcheck '{name}' has no 'type'"));
    }
    context.healthchecks.push((name, draft.check.steps()));
}

/// A `ring`: its lines are those of a backend that belongs to no model.
fn ring(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    let header = section.header.span();
    if context.rings.iter().any(|known| known.name == name) {
        context.alert(header, format!("another 'ring' section is called '{name}'"));
    }
    let proxy = Proxy::new(crate::types::ProxyId(0), name, ProxyKind::Backend);
    let mut draft = ProxyDraft::new(proxy, section.kind, header);
    section
        .lines
        .iter()
        .for_each(|line| statements::proxy(line, &mut draft, context));
    let ring = ring::finish(&draft, context);
    context.rings.push(Arc::new(ring));
}

fn resolvers(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    if context.resolvers.iter().any(|known| known.name == name) {
        let message = format!("another 'resolvers' section is called '{name}'");
        context.alert(section.header.span(), message);
    }
    let mut resolvers = Resolvers::new(name);
    section
        .lines
        .iter()
        .for_each(|line| statements::resolvers(line, &mut resolvers, context));
    context.resolvers.push(Arc::new(resolvers));
}

fn userlist(section: &Section, context: &mut Context<'_>) {
    let Some(name) = name_of(section, context) else {
        return;
    };
    let mut draft = UserlistDraft::new(name);
    section
        .lines
        .iter()
        .for_each(|line| statements::userlist(line, &mut draft, context));
    match draft.finish() {
        Ok(list) => context.userlists.push(Arc::new(list)),
        Err(message) => context.alert(section.header.span(), message),
    }
}

fn name_of(section: &Section, context: &mut Context<'_>) -> Option<String> {
    let words = &section.header.words;
    let keyword = section.kind.keyword();
    if let Some(extra) = words.get(2) {
        context.alert(
            extra.span,
            format!(
                "'{keyword}' cannot handle unexpected argument '{}'.",
                extra.text
            ),
        );
    }
    match words.get(1) {
        Some(name) => Some(name.text.clone()),
        None => {
            context.alert(
                section.header.span(),
                format!("'{keyword}' expects <name> as arguments."),
            );
            None
        }
    }
}

fn no_name(section: &Section, context: &mut Context<'_>) {
    if let Some(extra) = section.header.words.get(1) {
        let keyword = section.kind.keyword();
        context.alert(
            extra.span,
            format!(
                "'{keyword}' cannot handle unexpected argument '{}'.",
                extra.text
            ),
        );
    }
}

fn unsupported(section: &Section, index: u8, context: &mut Context<'_>) {
    let (keyword, instead) = UNSUPPORTED[usize::from(index)];
    let span: Span = section.header.keyword().span;
    context.diagnostics.push(
        Diagnostic::at(
            Severity::Alert,
            section.header.span(),
            format!("section '{keyword}' is not supported"),
        )
        .showing(span)
        .hinted(Some(instead.to_owned())),
    );
}

fn of_kind(sections: &[Section], kind: SectionKind) -> impl Iterator<Item = &Section> {
    sections.iter().filter(move |section| section.kind == kind)
}
