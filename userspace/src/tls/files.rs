//! The files TLS settings are loaded from, kept as they were read: contexts are made anew from memory when one of them is
//! changed at run time, long after the file system is out of reach.
//!
//! A [`Loader`] reads for one context and remembers what it used. After the start nothing is read from disk any more. What
//! is kept includes private keys: nothing here is ever shown or logged.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use super::pem;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `crt`
    Certificate,
    /// A key, an OCSP response: beside a certificate.
    Beside,
    /// `ca-file`
    Authority,
    /// `crl-file`
    Revocation,
    /// `crt-list`
    List,
}

/// What each file is for, and what is in it.
type Known = BTreeMap<PathBuf, (Role, Arc<[u8]>)>;

/// Every file that was read, or made at run time.
#[derive(Default)]
pub(super) struct Files {
    known: Mutex<Known>,
    /// Where files with names of their own are.
    places: BTreeMap<PathBuf, PathBuf>,
    sealed: AtomicBool,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    /// A file that goes by another name than its own.
    pub(super) fn place(&mut self, name: &Path, file: &Path) {
        self.places.insert(name.to_owned(), file.to_owned());
    }

    /// Where a file is.
    fn located<'p>(&'p self, path: &'p Path) -> &'p Path {
        self.places.get(path).map_or(path, PathBuf::as_path)
    }

    /// From now on only memory is read.
    pub(super) fn seal(&self) {
        self.sealed.store(true, Relaxed);
    }

    /// The content of a file of a role.
    pub(super) fn content(&self, path: &Path, role: Role) -> Option<Arc<[u8]>> {
        let known = self.known.lock();
        let (found, bytes) = known.get(path)?;
        (*found == role).then(|| Arc::clone(bytes))
    }

    /// Puts a content in place: the one before, if there was one.
    pub(super) fn put(&self, path: &Path, role: Role, bytes: Arc<[u8]>) -> Option<Arc<[u8]>> {
        let before = self.known.lock().insert(path.to_owned(), (role, bytes));
        before.map(|(_, bytes)| bytes)
    }

    pub(super) fn forget(&self, path: &Path) {
        self.known.lock().remove(path);
    }

    /// The files of a role.
    pub(super) fn of(&self, role: Role) -> Vec<PathBuf> {
        let known = self.known.lock();
        let of_role = known.iter().filter(|(_, (found, _))| *found == role);
        of_role.map(|(path, _)| path.clone()).collect()
    }
}

/// Reads for one context.
pub(super) struct Loader<'f> {
    files: &'f Files,
    used: RefCell<BTreeSet<PathBuf>>,
}

impl<'f> Loader<'f> {
    pub(super) fn new(files: &'f Files) -> Self {
        Self {
            files,
            used: RefCell::default(),
        }
    }

    /// What was used.
    pub(super) fn into_used(self) -> BTreeSet<PathBuf> {
        self.used.into_inner()
    }

    pub(super) fn read(&self, path: &Path, role: Role) -> Result<Arc<[u8]>, String> {
        self.used.borrow_mut().insert(path.to_owned());
        if let Some((_, bytes)) = self.files.known.lock().get(path) {
            return Ok(Arc::clone(bytes));
        }
        if self.files.sealed.load(Relaxed) {
            return Err(format!("unable to load {}: not known", path.display()));
        }
        let bytes: Arc<[u8]> = pem::read(self.files.located(path))?.into();
        self.files.put(path, role, Arc::clone(&bytes));
        Ok(bytes)
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.files.known.lock().contains_key(path)
            || !self.files.sealed.load(Relaxed) && self.files.located(path).is_file()
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        if self.files.sealed.load(Relaxed) {
            let known = self.files.known.lock();
            return known.keys().any(|known| known.parent() == Some(path))
                && !known.contains_key(path);
        }
        path.is_dir()
    }

    /// The files of a directory that pass, in alphabetic order.
    pub(super) fn directory(
        &self,
        path: &Path,
        passes: impl Fn(&Path) -> bool,
    ) -> Result<Vec<PathBuf>, String> {
        if !self.files.sealed.load(Relaxed) {
            return pem::files(path, passes);
        }
        let known = self.files.known.lock();
        let inside = known.keys().filter(|known| known.parent() == Some(path));
        Ok(inside.filter(|known| passes(known)).cloned().collect())
    }
}
