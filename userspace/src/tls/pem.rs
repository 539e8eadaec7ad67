//! PEM files: certificates, keys, revocation lists.

use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("unable to load '{}': {error}", path.display()))
}

/// Every certificate in a PEM text, in order.
pub(super) fn certificates(
    pem: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| {
            format!(
                "unable to load certificate from '{}': {error}",
                path.display()
            )
        })
}

/// The first private key in a PEM text, if there is one.
pub(super) fn private_key(
    pem: &[u8],
    path: &Path,
) -> Result<Option<PrivateKeyDer<'static>>, String> {
    if memchr::memmem::find(pem, b"ENCRYPTED").is_some() {
        return Err(format!(
            "unable to load private key from '{}': encrypted keys are not supported, decrypt it with 'openssl pkey'",
            path.display()
        ));
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(Some(key)),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Ok(None),
        Err(error) => Err(format!(
            "unable to load private key from '{}': {error}",
            path.display()
        )),
    }
}

/// The text of the private key in a PEM text.
pub(super) fn key_text(pem: &[u8]) -> Option<&[u8]> {
    let middle = memchr::memmem::find(pem, b"PRIVATE KEY-----")?;
    let start = memchr::memmem::rfind(&pem[..middle], b"-----BEGIN")?;
    let rest = &pem[middle + 16..];
    let end = memchr::memmem::find(rest, b"PRIVATE KEY-----")?;
    Some(&pem[start..middle + 16 + end + 16])
}

/// Every revocation list in a PEM text.
pub(super) fn lists(
    pem: &[u8],
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("unable to load CRL from '{}': {error}", path.display()))?;
    if lists.is_empty() {
        Err(format!("no CRL found in '{}'", path.display()))
    } else {
        Ok(lists)
    }
}

/// Every file of a directory that is not hidden and passes, in alphabetic order.
pub(super) fn files(
    directory: &Path,
    passes: impl Fn(&Path) -> bool,
) -> Result<Vec<std::path::PathBuf>, String> {
    let unreadable = |error: std::io::Error| {
        format!(
            "unable to scan directory '{}': {error}",
            directory.display()
        )
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() && passes(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a path has one of these extensions.
pub(super) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| extensions.iter().any(|wanted| found == *wanted))
}
