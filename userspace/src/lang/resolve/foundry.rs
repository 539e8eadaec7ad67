//! Servers made after the configuration was read (management.txt `add server`).
//!
//! What `server` lines of a backend depend on is kept when its lines are read: the backend's part of the checks, its
//! timeouts, the defaults of `global`. The words of a new server come in later, and a [`Server`] goes out as if its line
//! had stood in the file. Whether the backend may have it, and who else is there, is the caller's business.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use crate::lang::ast::{Line, Word};
use crate::lang::diagnostics::{Diagnostics, Severity};
use crate::lang::environment::{Environment, Machine};
use crate::lang::keywords::args::{Args, Complaint};
use crate::lang::keywords::context::{Context, DefaultPath, Names};
use crate::lang::keywords::draft::ProxyDraft;
use crate::lang::keywords::server::ServerDraft;
use crate::lang::keywords::server_options::{self, CheckOptions, InitAddr, ServerOptions};
use crate::lang::keywords::tls::TlsDefaults;
use crate::lang::source::{Sources, Span};
use crate::model::{CheckSteps, Global, Mode, Model, Proxy, Server, StoredCertificate};
use crate::types::{ProxyId, ServerId};

/// What later servers are made with.
pub struct Foundry {
    /// Drafts that hold nothing but what servers depend on.
    backends: HashMap<ProxyId, ProxyDraft>,
    names: Names,
    tls: TlsDefaults,
    default_path: DefaultPath,
    certificate_base: Option<PathBuf>,
    authority_base: Option<PathBuf>,
    certificates: Vec<(StoredCertificate, Span)>,
    healthchecks: Vec<(String, CheckSteps)>,
}

impl Foundry {
    /// What a load leaves behind, its names not yet among it.
    pub(super) fn of(context: &mut Context<'_>, global: &Global) -> Self {
        Self {
            backends: std::mem::take(&mut context.backends).into_iter().collect(),
            names: Names::default(),
            tls: context.tls.clone(),
            default_path: context.default_path.clone(),
            certificate_base: global.crt_base.clone(),
            authority_base: global.ca_base.clone(),
            certificates: std::mem::take(&mut context.certificates),
            healthchecks: std::mem::take(&mut context.healthchecks),
        }
    }

    /// With the names of the configuration.
    pub(super) fn with(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// The server of the words behind `server`: name, address and options. Its id means nothing yet.
    ///
    /// # Errors
    /// What is wrong with the words, a line each.
    pub fn server(
        &self,
        model: &Model,
        backend: &Proxy,
        words: &[String],
    ) -> Result<Server, String> {
        let draft = self.backends.get(&backend.id).ok_or("No such backend.")?;
        let mut sources = Sources::default();
        let line = line(&mut sources, words);
        let mut diagnostics = Diagnostics::default();
        let machine = Machine::default();
        let environment: &dyn Environment = &machine;
        let mut context = Context::new(&self.names, &sources, environment, &mut diagnostics);
        context.tls = self.tls.clone();
        context.default_path = self.default_path.clone();
        context.global.crt_base.clone_from(&self.certificate_base);
        context.global.ca_base.clone_from(&self.authority_base);
        context.certificates.clone_from(&self.certificates);
        context.healthchecks.clone_from(&self.healthchecks);
        let made = self.make(model, backend, draft, &line, &mut context);
        let mut wrong: Vec<String> = diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Alert)
            .map(|found| found.message.clone())
            .collect();
        match made {
            Ok(server) if wrong.is_empty() => Ok(server),
            Ok(_) => Err(wrong.join("\n")),
            Err(complaint) => {
                wrong.insert(0, complaint.message);
                Err(wrong.join("\n"))
            }
        }
    }

    fn make(
        &self,
        model: &Model,
        backend: &Proxy,
        draft: &ProxyDraft,
        line: &Line,
        context: &mut Context<'_>,
    ) -> Result<Server, Complaint> {
        let mut args = Args::new(line, 1);
        let fixed = line.words.iter().skip(3);
        if let Some(word) = fixed.clone().find(|word| NOT_LATER.contains(&&*word.text)) {
            let message = format!("'{}' option is not accepted for dynamic server.", word.text);
            return Err(Complaint::new(word.span, message));
        }
        // Names are not resolved (management.txt `add server`): the server waits for `set server … addr`.
        let options = ServerOptions {
            init_addr: vec![InitAddr::None],
            check: CheckOptions {
                explicit: true,
                ..CheckOptions::default()
            },
            ..ServerOptions::default()
        };
        let server = ServerDraft::read(&mut args, draft, options, context)?;
        let span = server.span;
        let at = |message: &str| Complaint::new(span, message.to_owned());
        if server.options.proto.is_some() && backend.mode != Mode::Http {
            return Err(at("MUX protocol is not usable for server."));
        }
        let taken = |number: u32| {
            let mut members = backend.servers.iter();
            members.any(|id| model.server(id).number == number)
        };
        if let Some(number) = server.options.number.filter(|number| taken(*number)) {
            return Err(at(&format!("custom id {number} already used")));
        }
        let number = (1..).find(|number| !taken(*number)).unwrap_or(u32::MAX);
        if backend.mode == Mode::L4 {
            super::checks::l4_server(&server, context);
        }
        let steps = draft.check.steps();
        let mut made = server.finish(ServerId(0), backend.id, number, draft, &steps, context);
        made.track = match &server.options.track {
            None => None,
            Some(word) => Some(self.tracked(model, backend, word)?),
        };
        Ok(made)
    }

    /// The server to follow: one of the configuration, with a check.
    fn tracked(&self, model: &Model, backend: &Proxy, word: &Word) -> Result<ServerId, Complaint> {
        let wrong = |message: String| Complaint::new(word.span, message);
        let (backend, name) = match word.text.split_once('/') {
            Some((backend, name)) => (model.backend_named(backend), name),
            None => (Some(backend), &*word.text),
        };
        let Some(backend) = backend else {
            return Err(wrong(format!(
                "unable to find required proxy of '{}' for tracking.",
                word.text
            )));
        };
        let Some(watched) = model.server_named(&backend.name, name) else {
            return Err(wrong(format!(
                "unable to find required server '{}' for tracking.",
                word.text
            )));
        };
        let why = if watched.added {
            "is a dynamic server"
        } else if watched.check.is_none() && watched.agent.is_none() && watched.track.is_none() {
            "does not have any check nor agent enabled"
        } else {
            return Ok(watched.id);
        };
        Err(wrong(format!(
            "unable to use {}/{name} for tracking as it {why}.",
            backend.name
        )))
    }

    /// The options that [`Self::server`] takes, each with its arguments.
    pub fn options() -> impl Iterator<Item = (&'static str, &'static str)> {
        server_options::working().filter(|(name, _)| !NOT_LATER.contains(name))
    }
}

impl fmt::Debug for Foundry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Foundry").finish_non_exhaustive()
    }
}

/// A draft with what servers depend on, and nothing else.
pub(super) fn mould(draft: ProxyDraft) -> ProxyDraft {
    let full = draft.proxy;
    let mut proxy = Proxy::new(full.id, full.name, full.kind);
    proxy.mode = full.mode;
    proxy.source = full.source;
    proxy.timeouts = full.timeouts;
    let mut kept = ProxyDraft::new(proxy, draft.section, draft.header);
    kept.check = draft.check;
    kept
}

/// The words as the line of a file.
fn line(sources: &mut Sources, words: &[String]) -> Line {
    let mut text = String::from("server");
    let mut places = vec![(0, text.len())];
    for word in words {
        text.push(' ');
        places.push((text.len(), text.len() + word.len()));
        text.push_str(word);
    }
    let texts = std::iter::once("server").chain(words.iter().map(String::as_str));
    let texts: Vec<String> = texts.map(str::to_owned).collect();
    let source = sources.add("Runtime API", text);
    let column = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let words = texts.into_iter().zip(places).map(|(text, (start, end))| {
        Word::plain(
            text,
            Span {
                source,
                line: 1,
                start: column(start),
                end: column(end),
            },
        )
    });
    Line {
        words: words.collect(),
    }
}

/// What asks for the resolution of names, or is about what only a start does.
const NOT_LATER: &[&str] = &[
    "from",
    "init-addr",
    "log-bufsize",
    "log-proto",
    "resolve-net",
    "resolve-opts",
    "resolve-prefer",
    "resolvers",
];
