//! Lists of patterns as text: inline words, files, and the names under which the runtime API finds them (manual §2.7).

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::draft::Drafts;
use super::{Compiled, PatternError, PatternSet};
use crate::expr::Files;
use crate::expr::convert::TokenKeys;

/// The entries of one list. Everything that uses the list sees a change at once.
pub struct PatternList {
    id: AtomicU32,
    /// The number was written in the configuration.
    numbered: bool,
    name: Option<Box<str>>,
    kind: ListKind,
    content: Mutex<Content>,
    version: AtomicU64,
    drafts: Mutex<Drafts>,
}

#[derive(Default)]
struct Content {
    entries: Vec<Arc<Entry>>,
    last_entry: u64,
    users: Vec<Weak<PatternSet>>,
}

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Identifies the entry within its list.
    pub id: u64,
    pub pattern: Box<str>,
    /// The second column of a map.
    pub value: Option<Box<str>>,
    /// The line it was read from; 0 for inline words and entries added at run time.
    pub line: u32,
}

/// How the lines of a list are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// One pattern per line.
    Acl,
    /// A key and a value per line.
    Map,
}

/// Asking.
impl PatternList {
    /// The number the runtime API shows as `#<id>`.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    /// The file's name, or `virt@…`; `None` for words of the configuration.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    #[must_use]
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// Goes up with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Every use of the list that is left.
    #[must_use]
    pub fn users(&self) -> Vec<Arc<PatternSet>> {
        let content = self.content.lock();
        content.users.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn drafts(&self) -> &Mutex<Drafts> {
        &self.drafts
    }

    /// The entries as they are now.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.content.lock().entries.clone()
    }
}

/// Changing. Either every use of the list takes the change, or nothing happens.
impl PatternList {
    /// Appends an entry.
    ///
    /// # Errors
    /// Where the pattern or value does not suit some use of the list.
    pub fn add(&self, pattern: &str, value: Option<&str>) -> Result<(), String> {
        self.extend([(pattern, value)])
    }

    /// Appends many entries at once.
    ///
    /// # Errors
    /// Where one of them does not suit some use of the list; then none is added.
    pub fn extend<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<(), String> {
        let mut content = self.content.lock();
        let before = content.entries.len();
        for (pattern, value) in entries {
            let entry = content.entry(pattern, value, 0);
            content.entries.push(entry);
        }
        let added = content.entries[before..].to_vec();
        let followed = self.settle(&mut content, |user, entries| {
            user.follow(entries, &added, &[])
        });
        if followed.is_err() {
            content.entries.truncate(before);
        }
        followed
    }

    /// Gives every entry with this key a new value; tells how many there were.
    ///
    /// # Errors
    /// Where the value does not suit some use of the map.
    pub fn set(&self, pattern: &str, value: &str) -> Result<usize, String> {
        self.set_where(|entry| *entry.pattern == *pattern, value)
    }

    /// Gives every entry for which `chosen` holds a new value; tells how many there were.
    ///
    /// # Errors
    /// Where the value does not suit some use of the map.
    pub fn set_where(&self, chosen: impl Fn(&Entry) -> bool, value: &str) -> Result<usize, String> {
        let mut count = 0;
        self.change(|content| {
            for entry in &mut content.entries {
                if chosen(entry) {
                    count += 1;
                    *entry = Arc::new(Entry {
                        id: entry.id,
                        pattern: entry.pattern.clone(),
                        value: Some(value.into()),
                        line: entry.line,
                    });
                }
            }
        })?;
        Ok(count)
    }

    /// Removes the entries for which `unwanted` holds; tells how many there were.
    pub fn remove(&self, unwanted: impl Fn(&Entry) -> bool) -> usize {
        let mut content = self.content.lock();
        let mut removed = Vec::new();
        content.entries.retain(|entry| {
            let stays = !unwanted(entry);
            if !stays {
                removed.push(entry.id);
            }
            stays
        });
        let followed = self.settle(&mut content, |user, entries| {
            user.follow(entries, &[], &removed)
        });
        debug_assert!(followed.is_ok(), "fewer entries cannot be worse");
        removed.len()
    }

    /// Replaces all entries at once.
    ///
    /// # Errors
    /// Where one of them does not suit some use of the list.
    pub fn replace<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<(), String> {
        self.change(|content| {
            content.entries.clear();
            for (pattern, value) in entries {
                let entry = content.entry(pattern, value, 0);
                content.entries.push(entry);
            }
        })
    }

    fn change(&self, edit: impl FnOnce(&mut Content)) -> Result<(), String> {
        let mut content = self.content.lock();
        let former = content.entries.clone();
        edit(&mut content);
        let settled = self.settle(&mut content, PatternSet::compile);
        if settled.is_err() {
            content.entries = former;
        }
        settled
    }

    /// Compiles the entries as they have become for every use of the list and publishes them, or does nothing.
    fn settle(
        &self,
        content: &mut Content,
        compile: impl Fn(&PatternSet, &[Arc<Entry>]) -> Result<Compiled, PatternError>,
    ) -> Result<(), String> {
        let users: Vec<_> = content.users.iter().filter_map(Weak::upgrade).collect();
        let compiled: Result<Vec<_>, _> = users
            .iter()
            .map(|user| compile(user, &content.entries))
            .collect();
        for (user, compiled) in users.iter().zip(compiled.map_err(|error| error.message)?) {
            user.publish(compiled);
        }
        content.users.retain(|user| user.strong_count() > 0);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Makes a set of the entries and registers it for changes, with no change in between.
    pub(super) fn attach(
        &self,
        make: impl FnOnce(&[Arc<Entry>]) -> Result<PatternSet, PatternError>,
    ) -> Result<Arc<PatternSet>, PatternError> {
        let mut content = self.content.lock();
        let set = Arc::new(make(&content.entries)?);
        content.users.push(Arc::downgrade(&set));
        Ok(set)
    }
}

impl Content {
    fn entry(&mut self, pattern: &str, value: Option<&str>, line: u32) -> Arc<Entry> {
        self.last_entry += 1;
        Arc::new(Entry {
            id: self.last_entry,
            pattern: pattern.into(),
            value: value.map(Into::into),
            line,
        })
    }
}

impl fmt::Debug for PatternList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "list #{} ({name})", self.id()),
            None => write!(formatter, "list #{}", self.id()),
        }
    }
}

/// Every list of a configuration.
#[derive(Debug, Default)]
pub struct Patterns {
    lists: Vec<Arc<PatternList>>,
    /// The ids in use.
    taken: HashSet<u32>,
    /// No id below this one is free.
    free: u32,
    /// The keys that tokens are verified with.
    keys: TokenKeys,
}

impl Patterns {
    /// The keys that tokens are verified with: files that are read with the configuration, as lists are.
    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// All lists, in the order they were first referred to.
    #[must_use]
    pub fn lists(&self) -> &[Arc<PatternList>] {
        &self.lists
    }

    /// The list with this id.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<&Arc<PatternList>> {
        self.lists.iter().find(|list| list.id() == id)
    }

    /// The list with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<PatternList>> {
        self.lists
            .iter()
            .find(|list| list.name.as_deref() == Some(name))
    }

    /// The list a name of the configuration refers to: read from its file the first time, shared afterwards.
    ///
    /// # Errors
    /// Where the file cannot be read, or the list is already used as the other kind.
    pub(in crate::expr) fn named(
        &mut self,
        reference: &str,
        kind: ListKind,
        files: &dyn Files,
    ) -> Result<Arc<PatternList>, String> {
        let (name, presence) = match reference {
            name if name.starts_with("virt@") => (name, Presence::Virtual),
            name => match (name.strip_prefix("opt@"), name.strip_prefix("file@")) {
                (Some(rest), _) => (rest, Presence::Optional),
                (None, Some(rest)) => (rest, Presence::Required),
                (None, None) => (name, Presence::Required),
            },
        };
        if let Some(list) = self.by_name(name) {
            return if list.kind == kind {
                Ok(Arc::clone(list))
            } else {
                Err(format!(
                    "the file '{name}' is already used as {}",
                    list.kind.article()
                ))
            };
        }
        let text = match presence {
            Presence::Virtual => Vec::new(),
            Presence::Optional => files.read(name).unwrap_or_default(),
            Presence::Required => files
                .read(name)
                .map_err(|reason| format!("failed to open pattern file <{name}> ({reason})"))?,
        };
        let mut content = Content::default();
        for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
            if let Some((pattern, value)) = split_line(line, kind) {
                let entry = content.entry(pattern, value, number);
                content.entries.push(entry);
            }
        }
        Ok(self.insert(None, Some(name), kind, content))
    }

    /// A list of words of the configuration; `id` is the number after `-u`.
    ///
    /// # Errors
    /// Where the id is taken.
    pub(in crate::expr) fn inline(
        &mut self,
        id: Option<u32>,
        words: &[String],
    ) -> Result<Arc<PatternList>, String> {
        // Numbers given by us make room for the ones in the configuration.
        if let Some(owner) = id.and_then(|id| self.by_id(id)).map(Arc::clone) {
            if owner.numbered {
                return Err(format!("the unique id {} is already used", owner.id()));
            }
            let other = self.free_id();
            self.taken.insert(other);
            owner.id.store(other, Ordering::Relaxed);
        }
        let mut content = Content::default();
        for word in words {
            let entry = content.entry(word, None, 0);
            content.entries.push(entry);
        }
        Ok(self.insert(id, None, ListKind::Acl, content))
    }

    fn insert(
        &mut self,
        id: Option<u32>,
        name: Option<&str>,
        kind: ListKind,
        content: Content,
    ) -> Arc<PatternList> {
        let numbered = id.is_some();
        let id = id.unwrap_or_else(|| self.free_id());
        self.taken.insert(id);
        let list = Arc::new(PatternList {
            id: AtomicU32::new(id),
            numbered,
            name: name.map(Into::into),
            kind,
            content: Mutex::new(content),
            version: AtomicU64::new(0),
            drafts: Mutex::default(),
        });
        self.lists.push(Arc::clone(&list));
        list
    }

    /// The lowest number that is not in use.
    fn free_id(&mut self) -> u32 {
        while self.taken.contains(&self.free) {
            self.free = self.free.saturating_add(1);
        }
        self.free
    }
}

enum Presence {
    Required,
    Optional,
    Virtual,
}

impl ListKind {
    fn article(self) -> &'static str {
        match self {
            Self::Acl => "an ACL",
            Self::Map => "a map",
        }
    }
}

/// One line of a file: `None` for empty lines and comments.
pub fn split_line(line: &str, kind: ListKind) -> Option<(&str, Option<&str>)> {
    const BLANKS: [char; 2] = [' ', '\t'];
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim_start_matches(BLANKS);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return None;
    }
    match kind {
        ListKind::Acl => Some((line, None)),
        ListKind::Map => {
            let end = line.find(BLANKS).unwrap_or(line.len());
            Some((&line[..end], Some(line[end..].trim_matches(BLANKS))))
        }
    }
}
