//! What a keyword may look at besides its own words: the names of the configuration, files, settings of `global`.
//!
//! It lives as long as one load. Keywords tell what is odd but acceptable through it; what is wrong they return.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::args::{Complaint, Parsed};
use super::bind::UnixBind;
use super::draft::ProxyDraft;
use super::server_state::SavedFiles;
use super::tls::TlsDefaults;
use crate::expr::Patterns;
use crate::lang::ast::{SectionKind, Word};
use crate::lang::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::lang::environment::{Environment, Variables};
use crate::lang::resolve::NoEffect;
use crate::lang::source::{Sources, Span};
use crate::model::{
    Cache, CheckSteps, Global, HttpErrors, LogProfile, ProxyKind, Resolvers, Ring,
    StoredCertificate, Userlist,
};
use crate::types::{ProxyId, TableId};

/// The surroundings of the statement being read.
pub(in crate::lang) struct Context<'a> {
    /// All names, known before any statement is read.
    pub names: &'a Names,
    /// The files the statements are in.
    pub sources: &'a Sources,
    /// The environment's variables as the last line saw them.
    pub variables: Option<&'a Variables<'a>>,
    /// The machine.
    pub environment: &'a dyn Environment,
    /// Where oddities go.
    pub diagnostics: &'a mut Diagnostics,
    /// The `global` settings; complete before the first proxy is read.
    pub global: Global,
    /// `default-path`.
    pub default_path: DefaultPath,
    /// `userlist` sections; complete before the first proxy is read.
    pub userlists: Vec<Arc<Userlist>>,
    /// `http-errors` sections; complete before the first proxy is read.
    pub http_errors: Vec<Arc<HttpErrors>>,
    /// `cache` sections; complete before the first proxy is read.
    pub caches: Vec<Arc<Cache>>,
    /// `log-profile` sections; complete before `global` is read.
    pub log_profiles: Vec<Arc<LogProfile>>,
    /// Certificates of `crt-store` sections with their places; complete before the first proxy is read.
    pub certificates: Vec<(StoredCertificate, Span)>,
    /// `-L`.
    pub forced_peer: Option<String>,
    /// `healthcheck` sections; complete before the first proxy is read.
    pub healthchecks: Vec<(String, CheckSteps)>,
    /// `key-base`.
    pub key_base: Option<PathBuf>,
    /// `ring` sections; complete before the first proxy is read.
    pub rings: Vec<Arc<Ring>>,
    /// `resolvers` sections; complete before the first proxy is read.
    pub resolvers: Vec<Arc<Resolvers>>,
    /// `server-state-…`.
    pub saved: SavedFiles,
    /// `ssl-default-…`.
    pub tls: TlsDefaults,
    /// `unix-bind`.
    pub unix_bind: UnixBind,
    /// Pattern lists of all proxies: two references to one file share it.
    pub patterns: Patterns,
    /// Statements accepted without effect.
    pub without_effect: Vec<NoEffect>,
    /// What servers of each backend are made with.
    pub backends: Vec<(ProxyId, ProxyDraft)>,
    files: HashMap<PathBuf, Arc<[u8]>>,
}

/// How relative paths are read (manual §3.1 `default-path`).
#[derive(Clone, Debug, Default)]
pub(in crate::lang) enum DefaultPath {
    /// From the working directory.
    #[default]
    Current,
    /// From the directory of the configuration file.
    Config,
    /// From the directory above it.
    Parent,
    /// From a given directory.
    Origin(PathBuf),
}

/// The names that statements refer to.
#[derive(Debug, Default)]
pub(in crate::lang) struct Names {
    /// Proxies in the order of their ids.
    pub proxies: Vec<NamedProxy>,
    /// Proxies by name: two may share one when they share no side.
    by_name: HashMap<String, Vec<ProxyId>>,
    tables: HashMap<String, TableId>,
    /// `ring` sections.
    pub rings: HashSet<String>,
    /// `peers` sections.
    pub peers: HashSet<String>,
    /// Backend and server names.
    servers: HashSet<(String, String)>,
    /// Those of them that were asked for.
    mentioned: Mutex<HashSet<(String, String)>>,
}

/// A proxy as known before its statements are read.
#[derive(Debug)]
pub(in crate::lang) struct NamedProxy {
    pub name: String,
    pub kind: ProxyKind,
}

impl<'a> Context<'a> {
    /// Surroundings for a load.
    pub(crate) fn new(
        names: &'a Names,
        sources: &'a Sources,
        environment: &'a dyn Environment,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        Self {
            names,
            sources,
            variables: None,
            environment,
            diagnostics,
            global: Global::default(),
            default_path: DefaultPath::Current,
            userlists: Vec::new(),
            http_errors: Vec::new(),
            caches: Vec::new(),
            log_profiles: Vec::new(),
            certificates: Vec::new(),
            forced_peer: None,
            healthchecks: Vec::new(),
            key_base: None,
            rings: Vec::new(),
            resolvers: Vec::new(),
            saved: SavedFiles::default(),
            tls: TlsDefaults::default(),
            unix_bind: UnixBind::default(),
            patterns: Patterns::default(),
            without_effect: Vec::new(),
            backends: Vec::new(),
            files: HashMap::new(),
        }
    }

    /// What this process is called among peers.
    pub(crate) fn local_peer(&self) -> String {
        let configured = self.global.localpeer.as_ref();
        let name = self.forced_peer.as_ref().or(configured);
        name.cloned()
            .unwrap_or_else(|| self.environment.host_name())
    }

    /// A place as `file:line`.
    pub(crate) fn place(&self, span: Span) -> String {
        format!("{}:{}", self.sources.file(span.source).name, span.line)
    }

    /// Tells of something odd about some words.
    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::at(Severity::Warning, span, message).showing(span));
    }

    /// Tells of something wrong about some words.
    pub(crate) fn alert(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::at(Severity::Alert, span, message).showing(span));
    }

    /// Remembers that a word was accepted without effect.
    pub(crate) fn ignore(&mut self, word: &Word, reason: &'static str) {
        let note = NoEffect {
            place: self.place(word.span),
            keyword: word.text.clone(),
            reason,
        };
        if !self.without_effect.contains(&note) {
            self.without_effect.push(note);
        }
    }

    /// The path a word means.
    pub(crate) fn path(&self, word: &Word) -> PathBuf {
        let path = Path::new(&word.text);
        if path.is_absolute() {
            return path.to_owned();
        }
        let directory = Path::new(&self.sources.file(word.span.source).name).parent();
        match (&self.default_path, directory) {
            (DefaultPath::Config, Some(directory)) => directory.join(path),
            (DefaultPath::Parent, Some(directory)) => directory.join("..").join(path),
            (DefaultPath::Origin(origin), _) => origin.join(path),
            _ => path.to_owned(),
        }
    }

    /// The path a word means, relative to `ca-base` or `crt-base` when that is set.
    pub(crate) fn path_below(&self, base: Option<&PathBuf>, word: &Word) -> PathBuf {
        match base {
            Some(base) if !word.text.starts_with(['/', '@']) => base.join(&word.text),
            _ => self.path(word),
        }
    }

    /// The path of a certificate, list or authority, which must be there. A certificate may come as one file per key type
    /// (manual §5.1 `crt`); `@system-ca` is no file.
    pub(crate) fn existing(&self, base: Option<&PathBuf>, word: &Word) -> Parsed<PathBuf> {
        let path = self.path_below(base, word);
        let with = |extension: &str| {
            let mut name = path.clone().into_os_string();
            name.push(extension);
            PathBuf::from(name)
        };
        let is_there = word.text.starts_with('@')
            || ["", ".rsa", ".ecdsa"]
                .iter()
                .any(|extension| self.environment.exists(&with(extension)));
        if is_there {
            return Ok(path);
        }
        Err(Complaint::new(
            word.span,
            format!("unable to stat file '{}'", path.display()),
        ))
    }

    /// A certificate as `crt` names it: a file, a directory, or one that a `crt-store` defines, as `@store/name`.
    pub(crate) fn certificate(&self, word: &Word) -> Parsed<PathBuf> {
        let base = self.global.crt_base.as_ref();
        let path = match word.text.starts_with('@') {
            true => PathBuf::from(&word.text),
            false => self.path_below(base, word),
        };
        let known = self.certificates.iter();
        match known.clone().find(|(known, _)| known.name == path) {
            Some((_, place)) if (place.source, place.line) > (word.span.source, word.span.line) => {
                let message = format!(
                    "certificate '{}' is used before the 'crt-store' at {} defines it",
                    word.text,
                    self.place(*place)
                );
                Err(Complaint::new(word.span, message))
            }
            Some(_) => Ok(path),
            None if word.text.starts_with('@') => {
                let names: Vec<_> = known.filter_map(|(known, _)| known.name.to_str()).collect();
                Err(Complaint::unknown(word, "stored certificate", names))
            }
            None => self.existing(base, word),
        }
    }

    /// The content of a file; one file is read once.
    pub(crate) fn read(&mut self, word: &Word) -> Parsed<(PathBuf, Arc<[u8]>)> {
        let path = self.path(word);
        if let Some(content) = self.files.get(&path) {
            return Ok((path, Arc::clone(content)));
        }
        match self.environment.read(&path) {
            Ok(content) => {
                let content: Arc<[u8]> = content.into();
                self.files.insert(path.clone(), Arc::clone(&content));
                Ok((path, content))
            }
            Err(error) => {
                let message = format!("cannot read file '{}' : {error}", path.display());
                Err(Complaint::new(word.span, message))
            }
        }
    }
}

impl Names {
    /// Adds a proxy, and its table when it declares one.
    pub(crate) fn add(&mut self, name: &str, kind: ProxyKind, has_table: bool) -> ProxyId {
        let id = ProxyId(u32::try_from(self.proxies.len()).unwrap_or(u32::MAX));
        self.proxies.push(NamedProxy {
            name: name.to_owned(),
            kind,
        });
        self.by_name.entry(name.to_owned()).or_default().push(id);
        if has_table {
            self.add_table(name.to_owned());
        }
        id
    }

    /// Adds a table, unless there is one of that name.
    pub(crate) fn add_table(&mut self, name: String) {
        let id = TableId(u32::try_from(self.tables.len()).unwrap_or(u32::MAX));
        self.tables.entry(name).or_insert(id);
    }

    /// Adds a server's name.
    pub(crate) fn add_server(&mut self, backend: &str, server: impl Into<String>) {
        self.servers.insert((backend.to_owned(), server.into()));
    }

    /// Whether a backend has a server of that name.
    pub(crate) fn has_server(&self, backend: &str, server: &str) -> bool {
        let name = (backend.to_owned(), server.to_owned());
        let known = self.servers.contains(&name);
        if known {
            self.mentioned.lock().insert(name);
        }
        known
    }

    /// Whether anybody has asked for that server.
    pub(crate) fn mentions(&self, backend: &str, server: &str) -> bool {
        let name = (backend.to_owned(), server.to_owned());
        self.mentioned.lock().contains(&name)
    }

    /// A proxy with servers by name.
    pub(crate) fn backend(&self, name: &str) -> Option<ProxyId> {
        self.having(name, ProxyKind::has_backend)
    }

    /// A proxy with clients by name.
    pub(crate) fn frontend(&self, name: &str) -> Option<ProxyId> {
        self.having(name, ProxyKind::has_frontend)
    }

    /// A stick table by name.
    pub(crate) fn table(&self, name: &str) -> Option<TableId> {
        self.tables.get(name).copied()
    }

    /// The names of all proxies with servers, for suggestions.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &str> {
        let with_servers = self.proxies.iter().filter(|proxy| proxy.kind.has_backend());
        with_servers.map(|proxy| proxy.name.as_str())
    }

    /// The names of all stick tables, for suggestions.
    pub(crate) fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    fn having(&self, name: &str, side: impl Fn(ProxyKind) -> bool) -> Option<ProxyId> {
        let ids = self.by_name.get(name)?;
        ids.iter()
            .copied()
            .find(|id| side(self.proxies[id.index()].kind))
    }
}

/// How messages call a proxy.
pub(in crate::lang) fn called(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Listen => "proxy",
        other => other.keyword(),
    }
}
