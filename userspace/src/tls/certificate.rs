//! A certificate with its chain and its key, as a server presents it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::files::{Loader, Role};
use super::{Bases, pem};

/// One loaded certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The names it is for, in lower case: its common name and its DNS alternative names.
    pub(super) names: Vec<String>,
    /// The file it came from.
    pub(super) path: PathBuf,
}

impl Certificate {
    /// Loads a `crt` file: the certificates, the key beside them or in `<path>.key`, an OCSP response in `<path>.ocsp`.
    pub(super) fn load(
        path: &Path,
        bases: Bases<'_>,
        loader: &Loader<'_>,
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let (chain, key) = chain_and_key(path, bases, loader)?;
        let names = names(&chain[0], path)?;
        let mut key = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            format!(
                "unusable certificate or key in '{}': {error}",
                path.display()
            )
        })?;
        let stored = bases.stored(path);
        let staples = match stored.and_then(|stored| stored.ocsp.clone()) {
            Some(ocsp) => vec![ocsp],
            None => bases.beside(stored.map_or(path, |stored| &stored.file), "ocsp"),
        };
        let staple = staples.iter().find(|path| loader.exists(path));
        key.ocsp = staple
            .and_then(|path| loader.read(path, Role::Beside).ok())
            .map(|response| response.to_vec())
            .filter(|response| !response.is_empty());
        Ok(Self {
            key: Arc::new(key),
            names,
            path: path.to_owned(),
        })
    }

    /// Loads what a `crt` argument names: a file, a bundle of files by key type, or all files of a directory.
    pub(super) fn load_all(
        path: &Path,
        bases: Bases<'_>,
        loader: &Loader<'_>,
        provider: &CryptoProvider,
    ) -> Result<Vec<Self>, String> {
        let load = |file: &PathBuf| Self::load(file, bases, loader, provider);
        if loader.is_directory(path) {
            let usable =
                |path: &Path| !pem::has_extension(path, &["key", "issuer", "ocsp", "sctl"]);
            return loader.directory(path, usable)?.iter().map(load).collect();
        }
        let bundle: Vec<PathBuf> = ["rsa", "ecdsa", "dsa"]
            .iter()
            .map(|kind| with_extension(path, kind))
            .filter(|file| !loader.exists(path) && loader.exists(file))
            .collect();
        if bundle.is_empty() {
            return Ok(vec![load(&path.to_owned())?]);
        }
        bundle.iter().map(load).collect()
    }

    /// Whether its key is an elliptic curve's, which is preferred over RSA.
    pub(super) fn is_ecdsa(&self) -> bool {
        matches!(
            self.key.key.algorithm(),
            SignatureAlgorithm::ECDSA | SignatureAlgorithm::ED25519
        )
    }
}

/// The certificates of a `crt` argument and the key they go with: in the same file, in the one a `crt-store` names, or
/// beside.
pub(super) fn chain_and_key(
    path: &Path,
    bases: Bases<'_>,
    loader: &Loader<'_>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let text = loader.read(path, Role::Certificate)?;
    let chain = pem::certificates(&text, path)?;
    if chain.is_empty() {
        return Err(format!("no certificate found in '{}'", path.display()));
    }
    let stored = bases.stored(path);
    let inside = || match stored.and_then(|stored| stored.key.as_deref()) {
        Some(_) => Ok(None),
        None => pem::private_key(&text, path),
    };
    if let Some(key) = inside()? {
        return Ok((chain, key));
    }
    let file = match stored.and_then(|stored| stored.key.clone()) {
        Some(key) => key,
        None => {
            let beside = bases.beside(stored.map_or(path, |stored| &stored.file), "key");
            let beside = beside.into_iter().find(|path| loader.exists(path));
            beside.ok_or_else(|| no_key(path))?
        }
    };
    let text = loader.read(&file, Role::Beside)?;
    let key = pem::private_key(&text, &file)?.ok_or_else(|| no_key(path))?;
    Ok((chain, key))
}

/// The common name and the DNS alternative names of a certificate, in lower case.
fn names(certificate: &[u8], path: &Path) -> Result<Vec<String>, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("malformed certificate in '{}': {error}", path.display()))?;
    let common = parsed
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let alternative = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let dns = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let mut names: Vec<String> = common.chain(dns).map(str::to_ascii_lowercase).collect();
    names.dedup();
    Ok(names)
}

/// Where a file beside a certificate may be.
pub(super) fn beside_all(path: &Path, extension: &str) -> Vec<PathBuf> {
    let mut all = vec![with_extension(path, extension)];
    if pem::has_extension(path, &["crt"]) {
        all.push(path.with_extension(extension));
    }
    all
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn no_key(path: &Path) -> String {
    format!(
        "no private key found in '{0}' nor in '{0}.key'",
        path.display()
    )
}
