//! The source rules of one frontend, as inert data: rules whose conditions look at nothing but the client's address.
//!
//! [`super::offload`] makes them from the rules of a configuration; [`super::lists`] asks them once for every network that
//! occurs in their lists, between whose borders no condition can change its mind. The lists themselves are not copied:
//! they are those that the userspace tier matches, and change at run time.

use std::net::IpAddr;
use std::sync::Arc;

use super::plan::SourceAction;
use crate::expr::{PatternSet, Sample};

/// A condition on the client's address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// `unless` instead of `if`.
    pub unless: bool,
    /// Any of these lists of terms of which all must hold.
    pub any: Vec<Vec<Term>>,
}

/// One term of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// `!`.
    pub negated: bool,
    /// What is asked.
    pub question: Question,
}

/// What a term asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the address is in the set of this index.
    In(usize),
    /// Nothing: the answer is known.
    Known(bool),
}

/// One rule: its action counts where the formula holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRule {
    /// What happens.
    pub action: SourceAction,
    /// When.
    pub when: Formula,
}

impl Formula {
    /// A condition that always holds.
    pub const ALWAYS: Self = Self {
        unless: true,
        any: Vec::new(),
    };

    /// Whether it holds, given which sets the address is in.
    pub fn holds(&self, is_in: &impl Fn(usize) -> bool) -> bool {
        let term = |term: &Term| match term.question {
            Question::In(set) => is_in(set) != term.negated,
            Question::Known(answer) => answer != term.negated,
        };
        self.any.iter().any(|all| all.iter().all(term)) != self.unless
    }
}

/// The rules of one frontend: sets of rules that are asked one after the other, each in order. What accepts ends its own
/// set only; what drops ends everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSets {
    /// The sets.
    pub sets: Vec<Vec<SourceRule>>,
    /// The set in which a limit stands: what its rules accept is past the limit.
    pub limited: usize,
}

impl RuleSets {
    /// What they say about an address, given which sets of addresses it is in.
    pub fn answer(&self, is_in: &impl Fn(usize) -> bool) -> SourceAction {
        let mut answer = SourceAction::Next;
        for (number, rules) in self.sets.iter().enumerate() {
            let first = rules.iter().find(|rule| rule.when.holds(is_in));
            match first.map(|rule| rule.action) {
                Some(action) if action.refuses() => return action,
                Some(action) if number == self.limited => answer = action,
                _ => {}
            }
        }
        answer
    }
}

/// Rules with the addresses they name: what the source rules of a frontend say about every address.
#[derive(Clone, Debug, Default)]
pub struct SourceRules {
    /// The rules.
    pub rules: RuleSets,
    /// The sets of addresses, by the numbers that [`Question::In`] has. An address is in a set if one of its pattern sets
    /// matches it.
    pub sets: Vec<Vec<Arc<PatternSet>>>,
}

impl SourceRules {
    /// What they say about an address. One that no rule speaks about gets [`SourceAction::Next`].
    pub fn answer(&self, source: IpAddr) -> SourceAction {
        let source = Sample::Ip(source);
        let is_in = |set: usize| self.sets[set].iter().any(|set| set.matches(&source));
        self.rules.answer(&is_in)
    }

    /// How many networks of IPv4 and of IPv6 are in the lists.
    pub fn count(&self) -> (usize, usize) {
        let mut lists: Vec<&Arc<PatternSet>> = Vec::new();
        for set in self.sets.iter().flatten() {
            if !lists
                .iter()
                .any(|known| Arc::ptr_eq(known.list(), set.list()))
            {
                lists.push(set);
            }
        }
        let counts = lists.iter().filter_map(|set| set.networks());
        let counts = counts.map(|networks| networks.count());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Whether some rule has this action.
    pub fn have(&self, action: SourceAction) -> bool {
        let mut rules = self.rules.sets.iter().flatten();
        rules.any(|rule| rule.action == action)
    }

    /// Whether some source may be dropped.
    pub fn drops(&self) -> bool {
        let mut rules = self.rules.sets.iter().flatten();
        rules.any(|rule| rule.action.refuses())
    }
}

/// Equal are those that read the same lists, not lists with the same entries.
impl PartialEq for SourceRules {
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &Arc<PatternSet>, other: &Arc<PatternSet>| Arc::ptr_eq(one, other);
        self.rules == other.rules
            && self.sets.len() == other.sets.len()
            && self.sets.iter().zip(&other.sets).all(|(one, other)| {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| same(one, other))
            })
    }
}

impl Eq for SourceRules {}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::expr::testing::addresses;

    /// One rule about some networks.
    pub(crate) fn refuse(action: SourceAction, patterns: &[&str]) -> SourceRules {
        several(&[(action, patterns)])
    }

    /// Rules about networks, in order.
    pub(crate) fn several(rules: &[(SourceAction, &[&str])]) -> SourceRules {
        let rule = |(set, (action, _)): (usize, &(SourceAction, &[&str]))| SourceRule {
            action: *action,
            when: Formula {
                unless: false,
                any: vec![vec![Term {
                    negated: false,
                    question: Question::In(set),
                }]],
            },
        };
        SourceRules {
            rules: RuleSets {
                sets: vec![rules.iter().enumerate().map(rule).collect()],
                limited: 0,
            },
            sets: rules
                .iter()
                .map(|(_, patterns)| vec![addresses(patterns)])
                .collect(),
        }
    }
}
