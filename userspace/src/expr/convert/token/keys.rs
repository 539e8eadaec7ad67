//! The keys and certificates that tokens are verified with, by the names the configuration has for them.

use std::sync::Arc;

use aws_lc_rs::{agreement, rsa};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::allowed::Allowed;
use super::der;
use super::jwk::Jwk;
use crate::expr::Files;

/// All keys of a configuration, shared by the expressions that use them.
#[derive(Clone, Default)]
pub struct TokenKeys(Arc<RwLock<Known>>);

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TokenKeys")
    }
}

#[derive(Default)]
struct Known {
    public: FxHashMap<Box<[u8]>, Arc<PublicKey>>,
    certificates: FxHashMap<Box<[u8]>, Certificate>,
    allowed: Allowed,
}

/// One certificate, with its key where that is known.
#[derive(Clone, Default)]
struct Certificate {
    public: Option<Arc<PublicKey>>,
    private: Option<Arc<Jwk>>,
    /// Tokens may be verified and decrypted with it (`jwt on`).
    usable: bool,
}

/// Why there is no key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The certificate is not known, or has no such key.
    Unknown,
    /// It is not for tokens.
    Unavailable,
}

/// A public key, as the library that verifies wants it.
pub(super) enum PublicKey {
    /// PKCS#1.
    Rsa(Vec<u8>),
    /// An uncompressed point.
    Ec(Vec<u8>),
}

/// What the configuration says of the certificates for tokens, and what changes at run time.
impl TokenKeys {
    /// Knows a certificate, with its private key where that is in a file of its own. What was known by that name is
    /// replaced.
    ///
    /// # Errors
    /// There is no certificate with an RSA or EC key.
    pub fn define(
        &self,
        name: &str,
        pem: &[u8],
        key: Option<&[u8]>,
        usable: bool,
    ) -> Result<(), String> {
        let public = certificate_key(pem)
            .ok_or_else(|| format!("no certificate with an RSA or EC key in '{name}'"))?;
        let certificate = Certificate {
            public: Some(Arc::new(public)),
            private: private_key(key.unwrap_or(pem)).map(Arc::new),
            usable,
        };
        let mut known = self.0.write();
        known
            .certificates
            .insert(name.as_bytes().into(), certificate);
        Ok(())
    }

    /// A certificate has a new content: its keys are those in it. One that is not known is left alone, and one whose new
    /// content cannot be read has no key any more.
    pub fn replace(&self, name: &str, pem: &[u8]) {
        let public = certificate_key(pem).map(Arc::new);
        let private = private_key(pem).map(Arc::new);
        let mut known = self.0.write();
        if let Some(certificate) = known.certificates.get_mut(name.as_bytes()) {
            certificate.public = public;
            certificate.private = private.or_else(|| certificate.private.take());
        }
    }

    /// Whether tokens may be verified and decrypted with a certificate from now on; false when it is not known.
    pub fn set_usable(&self, name: &str, usable: bool) -> bool {
        let mut known = self.0.write();
        let certificate = known.certificates.get_mut(name.as_bytes());
        certificate
            .map(|certificate| certificate.usable = usable)
            .is_some()
    }

    /// Whether tokens may be verified and decrypted with a certificate.
    pub fn is_usable(&self, name: &str) -> bool {
        self.usable(name.as_bytes()).is_ok()
    }

    /// Whether a certificate is known by that name.
    pub fn knows(&self, name: &str) -> bool {
        self.0.read().certificates.contains_key(name.as_bytes())
    }

    /// The names of all certificates known, and whether they are for tokens, in alphabetic order.
    pub fn certificates(&self) -> Vec<(String, bool)> {
        let known = self.0.read();
        let named = known.certificates.iter().map(|(name, certificate)| {
            (
                String::from_utf8_lossy(name).into_owned(),
                certificate.usable,
            )
        });
        let mut all: Vec<_> = named.collect();
        all.sort();
        all
    }

    /// Sets the `alg`s of encrypted tokens that are decrypted (`jwt.decrypt_alg_list`).
    ///
    /// # Errors
    /// A name that is no algorithm's.
    pub fn allow_algorithms(&self, list: &str) -> Result<(), String> {
        self.0.write().allowed.set_algorithms(list)
    }

    /// Sets the `enc`s of encrypted tokens that are decrypted (`jwt.decrypt_enc_list`).
    ///
    /// # Errors
    /// A name that is no algorithm's.
    pub fn allow_encryptions(&self, list: &str) -> Result<(), String> {
        self.0.write().allowed.set_encryptions(list)
    }
}

/// What the converters need.
impl TokenKeys {
    /// Reads the public key of that file; a name that is no key's is kept out, because it may be a secret.
    pub(super) fn load_public(&self, name: &str, files: &dyn Files) {
        let key = files.read(name).ok().and_then(|pem| public_key(&pem));
        if let Some(key) = key {
            let mut known = self.0.write();
            known.public.insert(name.as_bytes().into(), Arc::new(key));
        }
    }

    /// Reads the certificate of that file, and the key in it or in `<name>.key`, unless it is known.
    pub(super) fn load_certificate(&self, name: &str, files: &dyn Files) -> Result<(), String> {
        if self.knows(name) {
            return Ok(());
        }
        let pem = files
            .read(name)
            .map_err(|error| format!("unable to load certificate '{name}': {error}"))?;
        let key = files.read(&format!("{name}.key")).ok();
        self.define(name, &pem, key.as_deref(), true)
    }

    pub(super) fn public(&self, name: &[u8]) -> Option<Arc<PublicKey>> {
        self.0.read().public.get(name).cloned()
    }

    /// The public key of a certificate.
    pub(super) fn certificate(&self, name: &[u8]) -> Result<Arc<PublicKey>, NoKey> {
        self.usable(name)?.public.ok_or(NoKey::Unknown)
    }

    /// The private key of a certificate.
    pub(super) fn private(&self, name: &[u8]) -> Result<Arc<Jwk>, NoKey> {
        self.usable(name)?.private.ok_or(NoKey::Unknown)
    }

    /// Whether tokens made in these ways are decrypted.
    pub(super) fn allows(&self, algorithm: &[u8], encryption: &[u8]) -> bool {
        self.0.read().allowed.allows(algorithm, encryption)
    }

    fn usable(&self, name: &[u8]) -> Result<Certificate, NoKey> {
        match self.0.read().certificates.get(name) {
            Some(certificate) if certificate.usable => Ok(certificate.clone()),
            Some(_) => Err(NoKey::Unavailable),
            None => Err(NoKey::Unknown),
        }
    }
}

/// `BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`.
pub(super) fn public_key(pem: &[u8]) -> Option<PublicKey> {
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

/// The private key of a PEM file: PKCS#8, PKCS#1 or SEC 1.
fn private_key(pem: &[u8]) -> Option<Jwk> {
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    let rsa = match &key {
        PrivateKeyDer::Pkcs1(key) => Some(der::rsa_envelope(key.secret_pkcs1_der())),
        PrivateKeyDer::Pkcs8(key) => Some(key.secret_pkcs8_der().to_vec()),
        _ => None,
    };
    let rsa = rsa.and_then(|key| rsa::PrivateDecryptingKey::from_pkcs8(&key).ok());
    if let Some(rsa) = rsa {
        return Some(Jwk::Rsa(rsa));
    }
    [
        &agreement::ECDH_P256,
        &agreement::ECDH_P384,
        &agreement::ECDH_P521,
    ]
    .into_iter()
    .find_map(|curve| agreement::PrivateKey::from_private_key_der(curve, key.secret_der()).ok())
    .map(Jwk::Ec)
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
impl TokenKeys {
    /// Knows a key by a name.
    pub(super) fn with(self, name: &str, key: PublicKey) -> Self {
        self.0
            .write()
            .public
            .insert(name.as_bytes().into(), Arc::new(key));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_used_while_it_may_be_and_follows_its_file() {
        let made = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("made");
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let (first, first_key) = made("one");
        let (second, second_key) = made("two");
        let keys = TokenKeys::default();
        keys.define("a.pem", first.as_bytes(), Some(first_key.as_bytes()), false)
            .expect("a certificate");
        assert_eq!(keys.certificate(b"a.pem").err(), Some(NoKey::Unavailable));
        assert!(keys.set_usable("a.pem", true) && !keys.set_usable("b.pem", true));
        let point = |keys: &TokenKeys| match &*keys.certificate(b"a.pem").expect("usable") {
            PublicKey::Ec(point) => point.clone(),
            PublicKey::Rsa(_) => panic!("an EC key was made"),
        };
        let before = point(&keys);
        assert!(keys.private(b"a.pem").is_ok());
        keys.replace("a.pem", format!("{second}{second_key}").as_bytes());
        assert_ne!(point(&keys), before);
        keys.replace("b.pem", second.as_bytes());
        assert_eq!(keys.certificates(), [("a.pem".to_owned(), true)]);
        assert!(keys.define("c.pem", b"nothing", None, true).is_err());
    }
}
