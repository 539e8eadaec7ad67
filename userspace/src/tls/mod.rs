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
mod info;
mod layer;
mod pem;
mod store;
mod suites;
#[cfg(test)]
mod tests;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use accept::{Acceptor, HandshakeError};
pub use connect::Connector;

use crate::model::{CheckStep, CheckSteps, Model, Server, ServerTls};
use crate::types::{BindId, ServerId};

/// The TLS contexts of one configuration.
#[derive(Debug, Default)]
pub struct Contexts {
    acceptors: Vec<Option<Arc<Acceptor>>>,
    connectors: Vec<Option<Arc<Connector>>>,
    /// For checks with settings of their own.
    checks: Vec<(Arc<ServerTls>, Arc<Connector>)>,
    /// What was loaded otherwise than it was asked for.
    pub warnings: Vec<Problem>,
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
        let mut contexts = Self::default();
        let mut problems = Vec::new();
        let bases = Bases {
            certificates: model.global.crt_base.as_deref(),
            authorities: model.global.ca_base.as_deref(),
        };
        for bind in &model.binds {
            let loaded = bind.tls.as_ref().map(|tls| {
                let mode = model.proxy(bind.proxy).mode;
                Acceptor::load(
                    tls,
                    mode,
                    bases,
                    &mut Warnings {
                        place: &bind.place,
                        list: &mut contexts.warnings,
                    },
                )
            });
            contexts
                .acceptors
                .push(keep(loaded, &bind.place, &mut problems));
        }
        for server in &model.servers {
            let loaded = server.tls.as_ref().map(|tls| {
                Connector::load(
                    tls,
                    &mut Warnings {
                        place: &server.place,
                        list: &mut contexts.warnings,
                    },
                )
            });
            contexts
                .connectors
                .push(keep(loaded, &server.place, &mut problems));
        }
        for (tls, place) in model.servers.iter().flat_map(check_settings) {
            let loaded = Connector::load(
                tls,
                &mut Warnings {
                    place,
                    list: &mut contexts.warnings,
                },
            );
            if let Some(connector) = keep(Some(loaded), place, &mut problems) {
                contexts.checks.push((Arc::clone(tls), connector));
            }
        }
        if problems.is_empty() {
            Ok(contexts)
        } else {
            Err(problems)
        }
    }

    /// The acceptor of a bind line; `None` when it is clear.
    pub fn acceptor(&self, bind: BindId) -> Option<&Arc<Acceptor>> {
        self.acceptors.get(bind.index())?.as_ref()
    }

    /// The connector of a check, by the very settings in the model.
    pub fn check_connector(&self, tls: &Arc<ServerTls>) -> Option<&Arc<Connector>> {
        let known = self
            .checks
            .iter()
            .find(|(settings, _)| Arc::ptr_eq(settings, tls));
        known.map(|(_, connector)| connector)
    }

    /// The connector of a server; `None` when it is clear.
    pub fn connector(&self, server: ServerId) -> Option<&Arc<Connector>> {
        self.connectors.get(server.index())?.as_ref()
    }
}

/// The TLS settings of a server's checks, and where they were written.
fn check_settings(server: &Server) -> impl Iterator<Item = (&Arc<ServerTls>, &str)> {
    let check = server.check.as_deref();
    let steps = match check.map(|check| &check.steps) {
        Some(CheckSteps::Tcp(steps) | CheckSteps::Http { steps, .. }) => &steps[..],
        Some(CheckSteps::Connect | CheckSteps::Protocol(_)) | None => &[],
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
}

impl Bases<'_> {
    fn certificate(&self, path: &str) -> PathBuf {
        self.certificates.unwrap_or(Path::new("")).join(path)
    }

    fn authority(&self, path: &str) -> PathBuf {
        self.authorities.unwrap_or(Path::new("")).join(path)
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
) -> Option<Arc<T>> {
    match loaded? {
        Ok(context) => Some(Arc::new(context)),
        Err(message) => {
            problems.push(Problem {
                place: place.to_owned(),
                message,
            });
            None
        }
    }
}
