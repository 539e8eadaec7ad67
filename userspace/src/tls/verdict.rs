//! What becomes of a client's certificate that is not good: `crt-ignore-err`, and OpenSSL's numbers for what is wrong.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::model::IgnoredErrors;

/// A verifier of client certificates that lets some errors pass.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    ignored: IgnoredErrors,
}

impl ClientVerifier {
    pub(super) fn new(inner: Arc<dyn ClientCertVerifier>, ignored: IgnoredErrors) -> Self {
        Self { inner, ignored }
    }

    /// OpenSSL's number for the verdict on a chain (`ssl_c_verify`); 0 when it is good.
    pub(super) fn verdict(&self, chain: &[CertificateDer<'_>]) -> u8 {
        let Some((leaf, rest)) = chain.split_first() else {
            return 0;
        };
        match self.inner.verify_client_cert(leaf, rest, UnixTime::now()) {
            Ok(_) => 0,
            Err(error) => number(&error, rest.is_empty()),
        }
    }
}

/// OpenSSL's X509_V_ERR_… for an error.
fn number(error: &Error, alone: bool) -> u8 {
    let Error::InvalidCertificate(error) = error else {
        return 1;
    };
    match error {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => 9,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => 10,
        CertificateError::UnknownIssuer if alone => 20,
        CertificateError::UnknownIssuer => 21,
        CertificateError::Revoked => 23,
        CertificateError::UnknownRevocationStatus => 3,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => 12,
        CertificateError::BadSignature => 7,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => 26,
        _ => 1,
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self
            .inner
            .verify_client_cert(end_entity, intermediates, now)
        {
            Err(error) if self.ignored.has(number(&error, intermediates.is_empty())) => {
                Ok(ClientCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }
}
