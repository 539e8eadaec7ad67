//! Variables (manual §2.8): their names, and the stores that hold their values.
//!
//! A [`VariableMap`] belongs to one session, transaction, request or response and is not shared between threads; the `proc`
//! scope is one [`ProcessVariables`]. Limits (`tune.vars.*`) are the business of whoever owns the store.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::RwLock;

use super::{ParseError, Sample};

/// How long a variable lives, and who sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Process,
    Session,
    Transaction,
    Request,
    Response,
    Check,
    ParentSession,
    ParentTransaction,
    ParentRequest,
    ParentResponse,
}

impl Scope {
    /// Every scope with its word.
    pub const ALL: [(&'static str, Self); 10] = [
        ("proc", Self::Process),
        ("sess", Self::Session),
        ("txn", Self::Transaction),
        ("req", Self::Request),
        ("res", Self::Response),
        ("check", Self::Check),
        ("psess", Self::ParentSession),
        ("ptxn", Self::ParentTransaction),
        ("preq", Self::ParentRequest),
        ("pres", Self::ParentResponse),
    ];

    /// The word before the dot.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, scope)| *scope == self)
            .map_or("", |(name, _)| name)
    }
}

/// `<scope>.<name>`, checked and hashed once.
#[derive(Clone, Debug, Eq)]
pub struct VariableName {
    scope: Scope,
    name: Arc<str>,
    hash: u64,
}

impl VariableName {
    /// Takes a word like `txn.user`.
    ///
    /// # Errors
    /// Where the scope is not one of manual §2.8, or the name is empty or has characters other than letters, digits and `_`.
    /// (HAProxy also takes dots inside a name.)
    pub fn parse(word: &str) -> Result<Self, ParseError> {
        let Some((scope, name)) = word.split_once('.') else {
            return Err(ParseError::at(
                0,
                format!(
                    "invalid variable name '{word}': a name must be preceded by its scope, as in 'txn.{word}'"
                ),
            ));
        };
        let Some((_, scope_value)) = Scope::ALL.iter().find(|(known, _)| *known == scope) else {
            return Err(ParseError::at(
                0,
                format!("invalid variable name '{word}': unknown scope '{scope}'"),
            )
            .hinted(Some(
                "the scopes are 'proc', 'sess', 'txn', 'req', 'res' and 'check'".into(),
            )));
        };
        if name.is_empty() {
            return Err(ParseError::at(
                0,
                format!("invalid variable name '{word}': the name is empty"),
            ));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if let Some(at) = name.find(|c| !valid(c)) {
            return Err(ParseError::at(
                0,
                format!(
                    "invalid variable name '{word}': only letters, digits, '_' and '.' are allowed"
                ),
            )
            .shifted(scope.len() + 1 + at));
        }
        Ok(Self::new(*scope_value, name))
    }

    /// A name known to be valid.
    #[must_use]
    pub fn new(scope: Scope, name: &str) -> Self {
        let mut hasher = rustc_hash::FxHasher::default();
        name.hash(&mut hasher);
        Self {
            scope,
            name: name.into(),
            hash: hasher.finish(),
        }
    }

    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The part after the scope.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn same_name(&self, other: &Self) -> bool {
        self.hash == other.hash && self.name == other.name
    }
}

impl PartialEq for VariableName {
    fn eq(&self, other: &Self) -> bool {
        self.scope == other.scope && self.same_name(other)
    }
}

impl Hash for VariableName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.scope.name(), self.name)
    }
}

/// The variables of one scope. All methods take `&self`: expressions may set variables (`set-var` converter) while they
/// borrow the message they are evaluated on.
pub trait Variables {
    /// The value, if the variable is set.
    fn read(&self, name: &VariableName) -> Option<Sample<'static>>;

    /// Sets or replaces the value; `false` where the store is full.
    fn write(&self, name: &VariableName, value: Sample<'static>) -> bool;

    /// Forgets the variable.
    fn remove(&self, name: &VariableName);

    /// Shows every variable, in the order they were first set.
    fn each(&self, show: &mut dyn FnMut(&VariableName, &Sample<'static>));
}

/// The variables of one session, transaction, request or response: few, so a list.
#[derive(Debug, Default)]
pub struct VariableMap(RefCell<Vec<(VariableName, Sample<'static>)>>);

impl VariableMap {
    /// Forgets everything and keeps the memory.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Variables for VariableMap {
    fn read(&self, name: &VariableName) -> Option<Sample<'static>> {
        let entries = self.0.borrow();
        find(&entries, name).map(|at| entries[at].1.clone())
    }

    fn write(&self, name: &VariableName, value: Sample<'static>) -> bool {
        set(&mut self.0.borrow_mut(), name, value);
        true
    }

    fn remove(&self, name: &VariableName) {
        let mut entries = self.0.borrow_mut();
        if let Some(at) = find(&entries, name) {
            entries.remove(at);
        }
    }

    fn each(&self, show: &mut dyn FnMut(&VariableName, &Sample<'static>)) {
        for (name, value) in self.0.borrow().iter() {
            show(name, value);
        }
    }
}

/// The `proc` scope: one store for all threads.
#[derive(Debug, Default)]
pub struct ProcessVariables(RwLock<Vec<(VariableName, Sample<'static>)>>);

impl Variables for ProcessVariables {
    fn read(&self, name: &VariableName) -> Option<Sample<'static>> {
        let entries = self.0.read();
        find(&entries, name).map(|at| entries[at].1.clone())
    }

    fn write(&self, name: &VariableName, value: Sample<'static>) -> bool {
        set(&mut self.0.write(), name, value);
        true
    }

    fn remove(&self, name: &VariableName) {
        let mut entries = self.0.write();
        if let Some(at) = find(&entries, name) {
            entries.remove(at);
        }
    }

    fn each(&self, show: &mut dyn FnMut(&VariableName, &Sample<'static>)) {
        for (name, value) in self.0.read().iter() {
            show(name, value);
        }
    }
}

fn find(entries: &[(VariableName, Sample<'static>)], name: &VariableName) -> Option<usize> {
    entries.iter().position(|(known, _)| known.same_name(name))
}

fn set(
    entries: &mut Vec<(VariableName, Sample<'static>)>,
    name: &VariableName,
    value: Sample<'static>,
) {
    match find(entries, name) {
        Some(at) => entries[at].1 = value,
        None => entries.push((name.clone(), value)),
    }
}
