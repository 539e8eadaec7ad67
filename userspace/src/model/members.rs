//! The servers of a backend.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::types::ServerId;

/// The servers of a backend in their order: those of its lines, then those added at run time. It is read as it is at one
/// moment; a server that is removed afterwards can still be looked up by its id.
#[derive(Debug, Default)]
pub struct Members(ArcSwap<Vec<ServerId>>);

/// The servers as they were when it was made.
pub struct MembersIter {
    members: Guard<Arc<Vec<ServerId>>>,
    at: usize,
}

impl Members {
    /// Adds one at the end.
    pub fn push(&self, id: ServerId) {
        self.0.rcu(|members| {
            let mut members = Vec::clone(members);
            members.push(id);
            members
        });
    }

    /// Takes one out.
    pub fn remove(&self, id: ServerId) {
        self.0.rcu(|members| {
            let others = members.iter().copied().filter(|member| *member != id);
            others.collect::<Vec<_>>()
        });
    }

    /// All of them.
    pub fn iter(&self) -> MembersIter {
        MembersIter {
            members: self.0.load(),
            at: 0,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.load().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Whether it is one of them.
    pub fn contains(&self, id: ServerId) -> bool {
        self.0.load().contains(&id)
    }
}

impl Clone for Members {
    fn clone(&self) -> Self {
        Self(ArcSwap::new(self.0.load_full()))
    }
}

impl FromIterator<ServerId> for Members {
    fn from_iter<I: IntoIterator<Item = ServerId>>(ids: I) -> Self {
        Self(ArcSwap::from_pointee(ids.into_iter().collect()))
    }
}

impl IntoIterator for &Members {
    type Item = ServerId;
    type IntoIter = MembersIter;

    fn into_iter(self) -> MembersIter {
        self.iter()
    }
}

impl Iterator for MembersIter {
    type Item = ServerId;

    fn next(&mut self) -> Option<ServerId> {
        let id = self.members.get(self.at).copied();
        self.at += usize::from(id.is_some());
        id
    }
}
