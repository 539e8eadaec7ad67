//! The numbers under which the kernel tells sources apart.
//!
//! Input is which sets of patterns an address is in; output is the class of all such addresses. Two that every policy treats
//! alike have the same class. Class 0 is that of addresses in no set at all; numbers once given stay.

use std::collections::HashMap;

use rustc_hash::FxHashMap;
use tidegate_common::action::{CLASSES, Class};

use crate::dataplane::plan::SourceAction;
use crate::dataplane::source_rules::RuleSets;

/// The lists overlap in more ways than the kernel tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source lists overlap in more than {CLASSES} ways")]
pub struct TooManyClasses;

/// The classes given out so far.
pub(super) struct Classes {
    policies: Vec<Policy>,
    by_members: FxHashMap<Box<[u64]>, Class>,
    by_actions: HashMap<Vec<SourceAction>, Class>,
    actions: Vec<Vec<SourceAction>>,
    sources: usize,
}

struct Policy {
    rules: RuleSets,
    /// Which pattern sets make up each set of the rules.
    sets: Vec<Vec<usize>>,
}

/// Which sets of patterns an address is in.
#[derive(Clone, Debug)]
pub(super) struct Members {
    depth: Vec<u32>,
    bits: Box<[u64]>,
}

impl Classes {
    /// For policies whose rules speak about sets, which are made up of so many sets of patterns.
    pub(super) fn new(policies: Vec<(RuleSets, Vec<Vec<usize>>)>) -> Self {
        let numbers = policies.iter().flat_map(|(_, sets)| sets.iter().flatten());
        let sources = numbers.max().map_or(0, |most| most + 1);
        let policies = policies
            .into_iter()
            .map(|(rules, sets)| Policy { rules, sets });
        let mut classes = Self {
            policies: policies.collect(),
            by_members: FxHashMap::default(),
            by_actions: HashMap::new(),
            actions: Vec::new(),
            sources,
        };
        let nowhere = classes.members();
        let actions = classes.actions_of(&nowhere);
        classes.by_members.insert(nowhere.bits, Class(0));
        classes.by_actions.insert(actions.clone(), Class(0));
        classes.actions.push(actions);
        classes
    }

    /// For each class, what each policy does.
    pub(super) fn actions(&self) -> &[Vec<SourceAction>] {
        &self.actions
    }

    /// An address that is in no set.
    pub(super) fn members(&self) -> Members {
        Members {
            depth: vec![0; self.sources],
            bits: vec![0; self.sources.div_ceil(64)].into(),
        }
    }

    /// The class of addresses in exactly these sets.
    pub(super) fn class(&mut self, members: &Members) -> Result<Class, TooManyClasses> {
        if let Some(class) = self.by_members.get(&members.bits) {
            return Ok(*class);
        }
        let actions = self.actions_of(members);
        let class = match self.by_actions.get(&actions) {
            Some(class) => *class,
            None if self.actions.len() >= CLASSES as usize => return Err(TooManyClasses),
            None => {
                let class = Class(self.actions.len() as u16);
                self.actions.push(actions.clone());
                self.by_actions.insert(actions, class);
                class
            }
        };
        if self.by_members.len() < MOST_REMEMBERED {
            self.by_members.insert(members.bits.clone(), class);
        }
        Ok(class)
    }

    fn actions_of(&self, members: &Members) -> Vec<SourceAction> {
        let answer = |policy: &Policy| {
            let is_in = |set: usize| policy.sets[set].iter().any(|source| members.has(*source));
            policy.rules.answer(&is_in)
        };
        self.policies.iter().map(answer).collect()
    }
}

impl Members {
    /// Goes into a network of a set.
    pub(super) fn enter(&mut self, source: usize) {
        self.depth[source] += 1;
        self.bits[source / 64] |= 1 << (source % 64);
    }

    /// Goes out of a network that was gone into.
    pub(super) fn leave(&mut self, source: usize) {
        self.depth[source] -= 1;
        if self.depth[source] == 0 {
            self.bits[source / 64] &= !(1 << (source % 64));
        }
    }

    fn has(&self, source: usize) -> bool {
        self.bits[source / 64] >> (source % 64) & 1 == 1
    }
}

/// Combinations of sets whose class is not worked out again.
const MOST_REMEMBERED: usize = 1 << 16;
