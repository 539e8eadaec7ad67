//! A certificate authority and a site certificate for one run of the lab.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::client::SITE;

/// Writes the site's certificate and key as the balancer reads them, and returns what a client that trusts it needs.
pub(super) fn make(file: &Path) -> Result<Arc<rustls::ClientConfig>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let site = CertificateParams::new(vec![SITE.to_owned()])?.signed_by(&key, &authority)?;
    fs::write(file, site.pem() + &key.serialize_pem())?;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
