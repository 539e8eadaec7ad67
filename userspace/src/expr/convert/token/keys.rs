//! The keys and certificates that tokens are verified with, by the names the configuration has for them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use crate::expr::Files;

/// All keys of a configuration, shared by the expressions that use them.
#[derive(Clone, Default)]
pub(in crate::expr) struct Keys(Arc<RwLock<Known>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys")
    }
}

#[derive(Default)]
struct Known {
    public: FxHashMap<Box<[u8]>, Arc<PublicKey>>,
    certificates: FxHashMap<Box<[u8]>, Arc<PublicKey>>,
}

/// A public key, as the library that verifies wants it.
pub(super) enum PublicKey {
    /// PKCS#1.
    Rsa(Vec<u8>),
    /// An uncompressed point.
    Ec(Vec<u8>),
}

impl Keys {
    /// Reads the public key of that file; a name that is no key's is kept out, because it may be a secret.
    pub(super) fn load_public(&self, name: &str, files: &dyn Files) {
        let key = files.read(name).ok().and_then(|pem| public_key(&pem));
        if let Some(key) = key {
            let mut known = self.0.write();
            known.public.insert(name.as_bytes().into(), Arc::new(key));
        }
    }

    /// Reads the certificate of that file.
    pub(super) fn load_certificate(&self, name: &str, files: &dyn Files) -> Result<(), String> {
        let pem = files
            .read(name)
            .map_err(|error| format!("unable to load certificate '{name}': {error}"))?;
        let key = certificate_key(&pem)
            .ok_or_else(|| format!("no certificate with an RSA or EC key in '{name}'"))?;
        let mut known = self.0.write();
        known
            .certificates
            .insert(name.as_bytes().into(), Arc::new(key));
        Ok(())
    }

    pub(super) fn public(&self, name: &[u8]) -> Option<Arc<PublicKey>> {
        self.0.read().public.get(name).cloned()
    }

    pub(super) fn certificate(&self, name: &[u8]) -> Option<Arc<PublicKey>> {
        self.0.read().certificates.get(name).cloned()
    }
}

/// `BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`.
fn public_key(pem: &[u8]) -> Option<PublicKey> {
    if let Ok(spki) = rustls_pki_types::SubjectPublicKeyInfoDer::from_pem_slice(pem) {
        return of_info(&SubjectPublicKeyInfo::from_der(&spki).ok()?.1);
    }
    // PKCS#1 has no type of its own in the library.
    let text = std::str::from_utf8(pem).ok()?;
    let body = text
        .split_once("-----BEGIN RSA PUBLIC KEY-----")?
        .1
        .split_once("-----END RSA PUBLIC KEY-----")?
        .0;
    let digits: String = body.split_whitespace().collect();
    STANDARD.decode(digits).ok().map(PublicKey::Rsa)
}

fn certificate_key(pem: &[u8]) -> Option<PublicKey> {
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    of_info(certificate.public_key())
}

fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    let key = info.subject_public_key.data.to_vec();
    match info.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => Some(PublicKey::Rsa(key)),
        "1.2.840.10045.2.1" => Some(PublicKey::Ec(key)),
        _ => None,
    }
}

#[cfg(test)]
impl Keys {
    /// Knows a key by a name.
    pub(super) fn with(self, name: &str, key: PublicKey) -> Self {
        self.0
            .write()
            .public
            .insert(name.as_bytes().into(), Arc::new(key));
        self
    }
}
