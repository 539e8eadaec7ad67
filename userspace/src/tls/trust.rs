//! Whom to trust: certificate authorities and revocation lists, for clients and for servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};

use crate::model::{BindTls, Verify};

use super::files::{Loader, Role};
use super::{pem, verdict};

/// Reads a `ca-file`: a file, a directory, or `@system-ca`.
pub(super) fn roots(path: &Path, loader: &Loader<'_>) -> Result<RootCertStore, String> {
    let files = match path {
        path if path.as_os_str() == "@system-ca" => system_files()?,
        path if loader.is_directory(path) => loader.directory(path, |file| {
            pem::has_extension(file, &["pem", "crt", "cer", "crl"])
        })?,
        path => vec![path.to_owned()],
    };
    let mut store = RootCertStore::empty();
    for file in &files {
        let certificates = pem::certificates(&loader.read(file, Role::Authority)?, file)?;
        store.add_parsable_certificates(certificates);
    }
    if store.is_empty() {
        return Err(format!(
            "no usable CA certificate found in '{}'",
            path.display()
        ));
    }
    Ok(store)
}

/// The verifier of client certificates: those of `ca-file` are named to clients, those of `ca-verify-file` are not.
pub(super) fn client_verifier(
    tls: &BindTls,
    loader: &Loader<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<verdict::ClientVerifier>, String> {
    let mut named = RootCertStore::empty();
    let mut all = RootCertStore::empty();
    for (path, is_named) in [(&tls.ca_file, true), (&tls.ca_verify_file, false)] {
        let Some(path) = path else { continue };
        let found = roots(path, loader)?;
        if is_named {
            named.roots.extend(found.roots.iter().cloned());
        }
        all.roots.extend(found.roots);
    }
    if all.is_empty() {
        return Err("'verify' needs 'ca-file' to know whom to trust".to_owned());
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(all), Arc::clone(provider))
        .with_crls(lists(tls.crl_file.as_deref(), loader)?)
        .clear_root_hint_subjects()
        .add_root_hint_subjects(named.subjects());
    let builder = if tls.verify == Verify::Required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let inner = builder
        .build()
        .map_err(|error| format!("cannot verify clients: {error}"))?;
    Ok(Arc::new(verdict::ClientVerifier::new(
        inner,
        tls.ignored_errors,
    )))
}

/// The verifier of servers' certificates. Without a name to check, any name will do (manual §5.2 `verify`).
pub(super) fn server_verifier(
    ca_file: &Path,
    crl_file: Option<&Path>,
    names: Names,
    loader: &Loader<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let roots = Arc::new(roots(ca_file, loader)?);
    let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(lists(crl_file, loader)?)
        .build()
        .map_err(|error| {
            format!(
                "cannot verify servers with '{}': {error}",
                ca_file.display()
            )
        })?;
    Ok(Arc::new(Verifier {
        inner: Some(inner),
        names,
        provider: Arc::clone(provider),
    }))
}

/// A verifier that takes any certificate (`verify none`); the server must still prove to have its key.
pub(super) fn trusting(provider: &Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Verifier {
        inner: None,
        names: Names::Ignored,
        provider: Arc::clone(provider),
    })
}

/// Whether the name in a server's certificate matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// It must be the one connected to.
    Checked,
    /// It is not looked at.
    Ignored,
}

#[derive(Debug)]
struct Verifier {
    /// `None` trusts everybody.
    inner: Option<Arc<WebPkiServerVerifier>>,
    names: Names,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last: an error about it means that the chain is fine.
        match inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.names == Names::Ignored => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn lists(
    path: Option<&Path>,
    loader: &Loader<'_>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    pem::lists(&loader.read(path, Role::Revocation)?, path)
}

/// The system's trust roots: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else where distributions keep them.
fn system_files() -> Result<Vec<PathBuf>, String> {
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        return Ok(vec![file.into()]);
    }
    if let Some(directory) = std::env::var_os("SSL_CERT_DIR") {
        return pem::files(Path::new(&directory), |_| true);
    }
    let found = SYSTEM_BUNDLES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    found
        .map(|path| vec![path])
        .ok_or_else(|| "'@system-ca': this system's CA certificates were not found".to_owned())
}

const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
