//! TLS on both sides, with rustls and aws-lc behind it: nobody outside this room knows either.
//!
//! [`Contexts::load`] turns the `ssl` settings of a model into an [`Acceptor`] per bind line and a [`Connector`] per server,
//! reading every file it needs once; handshakes turn a [`Stream`](crate::net::Stream) into another one. What rustls cannot
//! do is refused or warned about at load, in words: TLS below 1.2, static RSA and DHE key exchange, encrypted keys. Nothing
//! here decides when a handshake takes too long.

mod accept;
mod certificate;
mod connect;
mod crt_list;
mod describe;
mod files;
mod info;
mod layer;
mod pem;
mod runtime;
mod slots;
mod store;
mod suites;
#[cfg(test)]
mod tests;
mod trust;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use accept::{Acceptor, HandshakeError};
pub use connect::Connector;
pub use files::Role;
pub use runtime::Staged;
pub use store::ServedName;

use parking_lot::Mutex;

use files::{Files, Loader};
use runtime::Transactions;
use slots::{AcceptorSlot, ConnectorSlot};

use crate::expr::TokenKeys;
use crate::model::{CheckStep, CheckSteps, Model, Server, ServerTls, StoredCertificate};
use crate::types::{BindId, Roster, RosterFull, ServerId};

/// The TLS contexts of one configuration.
#[derive(Debug, Default)]
pub struct Contexts {
    acceptors: Vec<Option<AcceptorSlot>>,
    connectors: Roster<Option<ConnectorSlot>>,
    /// For checks with settings of their own.
    checks: Roster<ConnectorSlot>,
    /// The files all of them were loaded from.
    files: Files,
    /// Changes of files that are staged.
    transactions: Mutex<Transactions>,
    certificates: Option<PathBuf>,
    authorities: Option<PathBuf>,
    drop_extension: bool,
    capture: usize,
    /// Certificates of `crt-store` sections, by their names.
    stored: BTreeMap<PathBuf, StoredCertificate>,
    /// The keys that tokens are verified with: they follow changes of certificates.
    tokens: TokenKeys,
    /// What was loaded otherwise than it was asked for.
    pub warnings: Vec<Problem>,
}

/// The contexts of a server that is to be added.
#[derive(Debug)]
pub struct Prepared {
    own: Option<ConnectorSlot>,
    checks: Vec<ConnectorSlot>,
}

/// Something wrong with a TLS setting, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing [{place}] : {message}")]
pub struct Problem {
    /// `file:line`.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl Contexts {
    /// Loads every certificate, key and list that a model names.
    ///
    /// # Errors
    /// All that cannot be loaded, or that this TLS implementation cannot do.
    pub fn load(model: &Model) -> Result<Self, Vec<Problem>> {
        let mut contexts = Self {
            certificates: model.global.crt_base.clone(),
            authorities: model.global.ca_base.clone(),
            drop_extension: model.global.load_extra_del_ext,
            capture: model.global.tune.tls_capture,
            tokens: model.patterns.keys().clone(),
            ..Self::default()
        };
        contexts.define(model);
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        for bind in &model.binds {
            let slot = bind.tls.as_ref().map(|tls| {
                let proxy = model.proxy(bind.proxy);
                contexts.acceptor_slot(tls, proxy, &bind.place, &mut warnings)
            });
            let slot = keep(slot, &bind.place, &mut problems);
            contexts.acceptors.push(slot);
        }
        for server in model.servers.iter() {
            let slot = server.tls.as_ref();
            let slot = slot.map(|tls| contexts.connector_slot(tls, &server.place, &mut warnings));
            let slot = keep(slot, &server.place, &mut problems);
            contexts.connectors.push(slot);
        }
        let of_checks = model.servers.iter().flat_map(check_settings);
        let of_rings = model.rings.iter().flat_map(|ring| &ring.servers);
        let of_rings = of_rings.filter_map(|server| Some((server.tls.as_ref()?, &*server.place)));
        for (tls, place) in of_checks.chain(of_rings) {
            let slot = contexts.connector_slot(tls, place, &mut warnings);
            if let Some(slot) = keep(Some(slot), place, &mut problems) {
                contexts.checks.push(slot);
            }
        }
        contexts.files.seal();
        contexts.warnings = warnings;
        if problems.is_empty() {
            Ok(contexts)
        } else {
            Err(problems)
        }
    }

    /// Takes note of the certificates that have names of their own, and of those that only tokens are verified with.
    fn define(&mut self, model: &Model) {
        for certificate in &model.certificates {
            let name = certificate.name.clone();
            self.files.place(&name, &certificate.file);
            self.stored.insert(name, certificate.clone());
        }
        let loader = Loader::new(&self.files);
        for (name, _) in self.tokens.certificates() {
            // It was read with the configuration; if it is gone since, it cannot be changed at run time.
            let _ = loader.read(Path::new(&name), Role::Certificate);
        }
    }

    /// The keys that tokens are verified with.
    pub const fn tokens(&self) -> &TokenKeys {
        &self.tokens
    }

    /// The acceptor of a bind line; `None` when it is clear.
    pub fn acceptor(&self, bind: BindId) -> Option<Arc<Acceptor>> {
        Some(
            self.acceptors
                .get(bind.index())?
                .as_ref()?
                .current
                .load_full(),
        )
    }

    /// The connector of a check, or of a ring's server, by the very settings in the model.
    pub fn check_connector(&self, tls: &Arc<ServerTls>) -> Option<Arc<Connector>> {
        self.slot_of_check(tls).map(|slot| slot.current.load_full())
    }

    /// The connector of a server; `None` when it is clear.
    pub fn connector(&self, server: ServerId) -> Option<Arc<Connector>> {
        Some(
            self.connectors
                .get(server.index())?
                .as_ref()?
                .current
                .load_full(),
        )
    }

    /// Loads what a server needs that is to be added; files it names must have been read at the start, or be new ones of
    /// the Runtime API.
    ///
    /// # Errors
    /// What cannot be loaded.
    pub fn prepare(&self, server: &Server) -> Result<Prepared, String> {
        let mut warnings = Vec::new();
        let mut slot = |tls| self.connector_slot(tls, &server.place, &mut warnings);
        let own = server.tls.as_ref().map(&mut slot).transpose()?;
        let checks = check_settings(server).map(|(tls, _)| slot(tls));
        Ok(Prepared {
            own,
            checks: checks.collect::<Result<_, _>>()?,
        })
    }

    /// Gives an added server what was prepared for it.
    ///
    /// # Errors
    /// As many were added as there can be.
    pub fn add(&self, server: ServerId, prepared: Prepared) -> Result<(), RosterFull> {
        while self.connectors.len() < server.index() {
            self.connectors.add(None)?;
        }
        self.connectors.add(prepared.own)?;
        let checks = prepared.checks.into_iter();
        checks
            .map(|slot| self.checks.add(slot).map(|_| ()))
            .collect()
    }

    /// Forgets which files a server used: it was removed.
    pub fn release(&self, server: &Server) {
        let own = self
            .connectors
            .get(server.id.index())
            .and_then(Option::as_ref);
        let checks = check_settings(server);
        let of_checks = checks.filter_map(|(tls, _)| self.slot_of_check(tls));
        own.into_iter()
            .chain(of_checks)
            .for_each(|slot| slot.used.lock().clear());
    }

    fn slot_of_check(&self, tls: &Arc<ServerTls>) -> Option<&ConnectorSlot> {
        self.checks.iter().find(|slot| Arc::ptr_eq(&slot.tls, tls))
    }

    fn bases(&self) -> Bases<'_> {
        Bases {
            certificates: self.certificates.as_deref(),
            authorities: self.authorities.as_deref(),
            drop_extension: self.drop_extension,
            capture: self.capture,
            stored: Some(&self.stored),
        }
    }
}

/// The TLS settings of a server's checks, and where they were written.
fn check_settings(server: &Server) -> impl Iterator<Item = (&Arc<ServerTls>, &str)> {
    let check = server.check.as_deref();
    let steps = match check.map(|check| &check.steps) {
        Some(CheckSteps::Tcp(steps) | CheckSteps::Http { steps, .. }) => &steps[..],
        Some(CheckSteps::Connect | CheckSteps::Protocol(_) | CheckSteps::External(_)) | None => &[],
    };
    let of_steps = steps.iter().filter_map(|step| match step {
        CheckStep::Connect(connect) => connect.tls.as_ref(),
        _ => None,
    });
    check
        .and_then(|check| check.tls.as_ref())
        .into_iter()
        .chain(of_steps)
        .map(|tls| (tls, server.place.as_str()))
}

/// `crt-base` and `ca-base`: where the relative file names inside a `crt-list` begin. Those of the configuration itself
/// are resolved when it is read.
#[derive(Clone, Copy, Debug, Default)]
struct Bases<'a> {
    certificates: Option<&'a Path>,
    authorities: Option<&'a Path>,
    /// `ssl-load-extra-del-ext`: `a.crt` may have its key in `a.key`.
    drop_extension: bool,
    /// Bytes kept of each list in a client hello.
    capture: usize,
    stored: Option<&'a BTreeMap<PathBuf, StoredCertificate>>,
}

impl Bases<'_> {
    /// What a `crt-store` says of a certificate.
    fn stored(&self, name: &Path) -> Option<&StoredCertificate> {
        self.stored?.get(name)
    }

    /// Where a file beside a certificate may be.
    fn beside(&self, path: &Path, extension: &str) -> Vec<PathBuf> {
        let mut all = certificate::beside_all(path, extension);
        all.truncate(if self.drop_extension { 2 } else { 1 });
        all
    }

    fn certificate(&self, path: &str) -> PathBuf {
        if path.starts_with('@') {
            return PathBuf::from(path);
        }
        self.certificates
            .unwrap_or_else(|| Path::new(""))
            .join(path)
    }

    fn authority(&self, path: &str) -> PathBuf {
        self.authorities.unwrap_or_else(|| Path::new("")).join(path)
    }
}

/// Where warnings about one line go.
struct Warnings<'a> {
    place: &'a str,
    list: &'a mut Vec<Problem>,
}

impl Warnings<'_> {
    fn warn(&mut self, message: impl Into<String>) {
        self.list.push(Problem {
            place: self.place.to_owned(),
            message: message.into(),
        });
    }
}

fn keep<T>(
    loaded: Option<Result<T, String>>,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    match loaded? {
        Ok(context) => Some(context),
        Err(message) => {
            problems.push(Problem {
                place: place.to_owned(),
                message,
            });
            None
        }
    }
}
