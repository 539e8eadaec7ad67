//! Which certificate, and which settings, a client gets for the name it asks for (manual §5.1 `crt`, `crt-list`).
//!
//! Exact names come first, then wildcards of one label, less the names a list excludes, then the defaults unless
//! `strict-sni` forbids them. Among several certificates for a name, an elliptic-curve one is taken if the client can use it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureScheme};

use super::certificate::Certificate;
use super::describe;

/// The certificates of one bind line.
#[derive(Debug, Default)]
pub(super) struct Store {
    entries: Vec<Entry>,
    exact: HashMap<String, Vec<usize>>,
    /// By what follows the `*`: `.example.org`.
    wildcards: HashMap<String, Vec<usize>>,
    defaults: Vec<usize>,
    strict: bool,
}

/// One certificate, with the group of settings it is served under.
#[derive(Debug)]
struct Entry {
    certificate: Certificate,
    group: usize,
    excluded: Vec<String>,
}

/// A name, and the certificate that is served for it.
#[derive(Clone, Debug)]
pub struct ServedName {
    pub name: String,
    /// What its line excludes; `-` for nothing.
    pub excluded: String,
    /// `rsa` or `ecdsa`.
    pub kind: &'static str,
    pub path: PathBuf,
    pub not_after: String,
    pub not_before: String,
}

impl ServedName {
    fn new(name: String, entry: &Entry) -> Self {
        let (not_before, not_after) = describe::validity(entry.certificate.key.cert.first());
        let excluded: Vec<_> = entry
            .excluded
            .iter()
            .map(|name| format!("!{name}"))
            .collect();
        Self {
            name,
            excluded: match excluded.is_empty() {
                true => "-".to_owned(),
                false => excluded.join(" "),
            },
            kind: if entry.certificate.is_ecdsa() {
                "ecdsa"
            } else {
                "rsa"
            },
            path: entry.certificate.path.clone(),
            not_after,
            not_before,
        }
    }
}

impl Store {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            strict,
            ..Self::default()
        }
    }

    /// Adds a certificate for `filters`, or for its own names where there are none. The first one added is a default.
    pub(super) fn add(
        &mut self,
        certificate: Certificate,
        group: usize,
        filters: &[String],
        excluded: &[String],
    ) {
        let index = self.entries.len();
        let names = if filters.is_empty() {
            certificate.names.clone()
        } else {
            filters.to_vec()
        };
        for name in names {
            match name.strip_prefix('*') {
                Some("") => self.defaults.push(index),
                Some(suffix) => self
                    .wildcards
                    .entry(suffix.to_owned())
                    .or_default()
                    .push(index),
                None => self.exact.entry(name).or_default().push(index),
            }
        }
        if self.defaults.is_empty() {
            self.defaults.push(index);
        }
        self.entries.push(Entry {
            certificate,
            group,
            excluded: excluded.to_vec(),
        });
    }

    /// Every name a certificate is served for, wildcards with their star, the defaults as a star alone.
    pub(super) fn names(&self) -> Vec<ServedName> {
        let stars = self
            .wildcards
            .iter()
            .map(|(suffix, at)| (format!("*{suffix}"), at));
        let exact = self.exact.iter().map(|(name, at)| (name.clone(), at));
        let defaults = (!self.strict).then(|| ("*".to_owned(), &self.defaults));
        let mut names: Vec<_> = exact
            .chain(stars)
            .chain(defaults)
            .flat_map(|(name, at)| at.iter().map(move |at| (name.clone(), *at)))
            .map(|(name, at)| ServedName::new(name, &self.entries[at]))
            .collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The certificate for a client: its settings' group, its key, its file.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
        suites: &[CipherSuite],
    ) -> Option<Chosen<'_>> {
        let name = name.map(str::to_ascii_lowercase);
        let candidates = name
            .as_deref()
            .map(|name| self.named(name))
            .unwrap_or_default();
        let candidates = if !candidates.is_empty() {
            candidates
        } else if self.strict {
            return None;
        } else {
            self.defaults.clone()
        };
        let usable = |index: &&usize| {
            let certificate = &self.entries[**index].certificate;
            certificate.key.key.choose_scheme(schemes).is_some()
                && suites
                    .iter()
                    .any(|suite| goes_with(*suite, certificate.is_ecdsa()))
        };
        let best = candidates.iter().filter(usable).max_by_key(|index| {
            let position = candidates.iter().position(|candidate| candidate == *index);
            (
                self.entries[**index].certificate.is_ecdsa(),
                std::cmp::Reverse(position),
            )
        });
        // A certificate the client cannot use is still the answer: the handshake then fails in the client's words.
        let entry = &self.entries[*best.or_else(|| candidates.first())?];
        Some(Chosen {
            group: entry.group,
            certificate: &entry.certificate,
        })
    }

    fn named(&self, name: &str) -> Vec<usize> {
        if let Some(exact) = self.exact.get(name) {
            return exact.clone();
        }
        let Some(dot) = name.find('.') else {
            return Vec::new();
        };
        let wildcards = self
            .wildcards
            .get(&name[dot..])
            .map(Vec::as_slice)
            .unwrap_or_default();
        let allowed = |index: &&usize| {
            !self.entries[**index]
                .excluded
                .iter()
                .any(|excluded| excluded == name)
        };
        wildcards.iter().filter(allowed).copied().collect()
    }
}

/// Whether a suite can be used with a kind of key: before TLS 1.3 the suite says which kind it is for.
fn goes_with(suite: CipherSuite, ecdsa: bool) -> bool {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS13_AES_256_GCM_SHA384
        | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => true,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ecdsa,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => !ecdsa,
        _ => false,
    }
}

/// What [`Store::choose`] found.
pub(super) struct Chosen<'a> {
    pub(super) group: usize,
    pub(super) certificate: &'a Certificate,
}

/// A store as rustls asks it.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<Store>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.0.choose(
            hello.server_name(),
            hello.signature_schemes(),
            hello.cipher_suites(),
        )?;
        Some(Arc::clone(&chosen.certificate.key))
    }
}
