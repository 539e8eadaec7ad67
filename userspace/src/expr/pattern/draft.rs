//! Replacing the whole content of a list: versions prepared beside the one in force (management.txt, `prepare map`).
//!
//! A version is a number and the entries collected for it; nothing matches against them before it is committed. Committing
//! drops the older versions. How many versions wait, and how long they get, is bounded.

use std::collections::BTreeMap;

use super::list::PatternList;

/// The versions of one list.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    current: u32,
    next: u32,
    waiting: BTreeMap<u32, Vec<Draft>>,
}

/// One entry of a version that is not in force: a pattern, and the value of a map.
pub type Draft = (Box<str>, Option<Box<str>>);

/// Why a version cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It was never prepared.
    #[error("Version number in the future, please use 'prepare acl' before.")]
    Future,
    /// It is not among those that can be committed.
    #[error("Version number out of range.")]
    OutOfRange,
    /// Older than the one in force, or dropped since.
    #[error("Version number in the past.")]
    Past,
    /// It would hold more entries than fit.
    #[error("Too many entries in this version.")]
    Full,
}

impl PatternList {
    /// The version in force and the last one prepared.
    #[must_use]
    pub fn versions(&self) -> (u32, u32) {
        let drafts = self.drafts().lock();
        (drafts.current, drafts.next)
    }

    /// Begins a new version and tells its number. The oldest one waiting gives way when there are too many.
    pub fn prepare(&self) -> u32 {
        let mut drafts = self.drafts().lock();
        drafts.next += 1;
        let number = drafts.next;
        drafts.waiting.insert(number, Vec::new());
        if drafts.waiting.len() > MOST_VERSIONS {
            drafts.waiting.pop_first();
        }
        number
    }

    /// Adds entries to a version that is not in force.
    ///
    /// # Errors
    /// There is no such version, or it is full.
    pub fn draft(&self, version: u32, entries: Vec<Draft>) -> Result<(), VersionError> {
        let mut drafts = self.drafts().lock();
        if version > drafts.next {
            return Err(VersionError::Future);
        }
        let waiting = drafts.waiting.get_mut(&version).ok_or(VersionError::Past)?;
        if waiting.len() + entries.len() > MOST_ENTRIES {
            return Err(VersionError::Full);
        }
        waiting.extend(entries);
        Ok(())
    }

    /// The entries of a version that is not in force.
    #[must_use]
    pub fn drafted(&self, version: u32) -> Vec<Draft> {
        let drafts = self.drafts().lock();
        drafts.waiting.get(&version).cloned().unwrap_or_default()
    }

    /// Empties a version that is not in force.
    pub fn clear_draft(&self, version: u32) {
        if let Some(entries) = self.drafts().lock().waiting.get_mut(&version) {
            entries.clear();
        }
    }

    /// Puts a version in force, in place of all entries there are.
    ///
    /// # Errors
    /// There is no such version, or one of its entries does not suit some use of the list; then nothing has changed.
    pub fn commit(&self, version: u32) -> Result<(), String> {
        let mut drafts = self.drafts().lock();
        let entries = drafts
            .waiting
            .get(&version)
            .ok_or_else(|| VersionError::OutOfRange.to_string())?;
        let pairs = entries
            .iter()
            .map(|(pattern, value)| (&**pattern, value.as_deref()));
        self.replace(pairs)?;
        drafts.current = version;
        drafts.waiting.retain(|number, _| *number > version);
        Ok(())
    }
}

/// Versions of one list that may wait at a time.
const MOST_VERSIONS: usize = 16;

/// Entries of one version.
const MOST_ENTRIES: usize = 1 << 22;

#[cfg(test)]
mod tests {
    use super::super::{ListKind, Patterns};
    use super::*;

    fn list() -> std::sync::Arc<PatternList> {
        let mut patterns = Patterns::default();
        let list = patterns.inline(None, &["old".to_owned()]).expect("a list");
        assert_eq!(list.kind(), ListKind::Acl);
        list
    }

    fn texts(list: &PatternList) -> Vec<String> {
        let entries = list.entries();
        entries
            .iter()
            .map(|entry| entry.pattern.to_string())
            .collect()
    }

    #[test]
    fn a_version_is_invisible_until_it_is_committed() {
        let list = list();
        let version = list.prepare();
        assert_eq!((version, list.versions()), (1, (0, 1)));
        let new = |text: &str| vec![(Box::from(text), None)];
        list.draft(version, new("new")).expect("prepared");
        assert_eq!(texts(&list), ["old"]);
        list.commit(version).expect("fits");
        assert_eq!(
            (texts(&list), list.versions()),
            (vec!["new".to_owned()], (1, 1))
        );
        assert_eq!(list.draft(version, new("late")), Err(VersionError::Past));
        assert_eq!(list.draft(9, new("early")), Err(VersionError::Future));
        assert!(list.commit(9).is_err());
    }

    #[test]
    fn the_versions_that_wait_are_bounded() {
        let list = list();
        for _ in 0..100 {
            list.prepare();
        }
        assert_eq!(list.drafts().lock().waiting.len(), MOST_VERSIONS);
        assert!(list.commit(100).is_ok());
        assert!(list.drafts().lock().waiting.is_empty());
    }
}
