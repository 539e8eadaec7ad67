//! Certificates that a `crt-store` section defines (manual §12.7).

use std::path::PathBuf;

/// One `load` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// What `crt` arguments and the Runtime API call it: the file, or `@store/alias`.
    pub name: PathBuf,
    /// `crt`: the file.
    pub file: PathBuf,
    /// `key`; without it the key is in or beside the file.
    pub key: Option<PathBuf>,
    /// `ocsp`; without it the response is beside the file.
    pub ocsp: Option<PathBuf>,
    /// The file and line it was written on, as `file:line`.
    pub place: String,
}
