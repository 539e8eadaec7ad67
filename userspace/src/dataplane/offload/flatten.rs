//! Turns an ordered run of source rules into one longest-prefix table with the same answers.
//!
//! Input are rules whose conditions look at nothing but the client's address, and the address sets they name; output
//! is, per family, the shortest list of prefixes such that the longest one covering an address carries what the first
//! matching rule says. Between the borders of the prefixes that occur in any set no condition can change its mind, so
//! it is enough to ask the rules once per occurring prefix. Whether a rule may be treated like this at all is decided
//! by [`super`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::dataplane::plan::{SourceAction, SourceTable};

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
#[derive(Clone, Debug)]
pub struct RuleSets {
    /// The sets.
    pub sets: Vec<Vec<SourceRule>>,
    /// The set in which a limit stands: what its rules accept is past the limit.
    pub limited: usize,
}

impl RuleSets {
    fn answer(&self, is_in: &impl Fn(usize) -> bool) -> SourceAction {
        let mut answer = SourceAction::Next;
        for (number, rules) in self.sets.iter().enumerate() {
            let first = rules.iter().find(|rule| rule.when.holds(is_in));
            match first.map(|rule| rule.action) {
                Some(SourceAction::Drop) => return SourceAction::Drop,
                Some(action) if number == self.limited => answer = action,
                _ => {}
            }
        }
        answer
    }
}

/// The table with the same answers as `rules` asked in order; an address no rule speaks about gets
/// [`SourceAction::Next`].
pub fn flatten(rules: &RuleSets, sets: &[Vec<IpNet>]) -> SourceTable {
    let mut v4 = vec![Border {
        start: 0,
        length: 0,
        set: None,
    }];
    let mut v6 = v4.clone();
    for (set, prefixes) in sets.iter().enumerate() {
        for prefix in prefixes {
            each_v4(*prefix, |prefix| v4.push(Border::v4(prefix, set)));
            each_v6(*prefix, |prefix| v6.push(Border::v6(prefix, set)));
        }
    }
    SourceTable {
        v4: walk(rules, sets.len(), v4)
            .into_iter()
            .map(|(start, length, action)| {
                (
                    Ipv4Net::new_assert(Ipv4Addr::from((start >> 96) as u32), length),
                    action,
                )
            })
            .collect(),
        v6: walk(rules, sets.len(), v6)
            .into_iter()
            .map(|(start, length, action)| {
                (Ipv6Net::new_assert(Ipv6Addr::from(start), length), action)
            })
            .collect(),
    }
}

/// A prefix and the set it occurs in; the root occurs in none. Addresses are left-aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Border {
    start: u128,
    length: u8,
    set: Option<usize>,
}

impl Border {
    fn v4(prefix: Ipv4Net, set: usize) -> Self {
        let start = u128::from(u32::from(prefix.network())) << 96;
        Self {
            start,
            length: prefix.prefix_len(),
            set: Some(set),
        }
    }

    fn v6(prefix: Ipv6Net, set: usize) -> Self {
        Self {
            start: prefix.network().into(),
            length: prefix.prefix_len(),
            set: Some(set),
        }
    }

    fn covers(&self, start: u128) -> bool {
        self.length == 0 || (self.start ^ start) >> (128 - u32::from(self.length)) == 0
    }
}

/// One prefix on the path from the root to where the walk is.
struct Level {
    border: Border,
    action: SourceAction,
    sets: Vec<usize>,
}

/// Visits the prefixes in order, outer ones before inner ones, and keeps those whose answer differs from the one of
/// the next larger prefix.
fn walk(rules: &RuleSets, sets: usize, mut borders: Vec<Border>) -> Vec<(u128, u8, SourceAction)> {
    borders.sort_unstable();
    let mut depth = vec![0_u32; sets];
    let mut path: Vec<Level> = Vec::new();
    let mut table = Vec::new();
    for same in
        borders.chunk_by(|one, other| (one.start, one.length) == (other.start, other.length))
    {
        let border = same[0];
        while path
            .last()
            .is_some_and(|level| !level.border.covers(border.start))
        {
            for set in path.pop().into_iter().flat_map(|level| level.sets) {
                depth[set] -= 1;
            }
        }
        let entered: Vec<usize> = same.iter().filter_map(|border| border.set).collect();
        for set in &entered {
            depth[*set] += 1;
        }
        let action = rules.answer(&|set| depth[set] > 0);
        let outer = path.last().map_or(SourceAction::Next, |level| level.action);
        if action != outer {
            table.push((border.start, border.length, action));
        }
        path.push(Level {
            border,
            action,
            sets: entered,
        });
    }
    table
}

/// The IPv4 addresses a pattern matches: its own, or those whose `::ffff:` form it covers (manual §7.1.6).
fn each_v4(pattern: IpNet, mut found: impl FnMut(Ipv4Net)) {
    match pattern {
        IpNet::V4(pattern) => found(pattern.trunc()),
        IpNet::V6(pattern) => {
            let start = u128::from(pattern.network());
            if pattern.prefix_len() >= 96 {
                if start >> 32 == MAPPED >> 32 {
                    found(Ipv4Net::new_assert(
                        Ipv4Addr::from(start as u32),
                        pattern.prefix_len() - 96,
                    ));
                }
            } else if pattern.contains(&Ipv6Addr::from(MAPPED)) {
                found(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
            }
        }
    }
}

/// The IPv6 addresses a pattern matches: its own, or the three forms of an IPv4 address (manual §7.1.6).
fn each_v6(pattern: IpNet, mut found: impl FnMut(Ipv6Net)) {
    match pattern {
        IpNet::V6(pattern) => found(pattern.trunc()),
        IpNet::V4(pattern) => {
            let (start, length) = (
                u128::from(u32::from(pattern.network())),
                pattern.prefix_len(),
            );
            found(Ipv6Net::new_assert(Ipv6Addr::from(start), 96 + length));
            found(Ipv6Net::new_assert(
                Ipv6Addr::from(MAPPED | start),
                96 + length,
            ));
            found(Ipv6Net::new_assert(
                Ipv6Addr::from(SIX_TO_FOUR | start << 80),
                16 + length,
            ));
        }
    }
}

/// What the table says about `source`: the action of the longest prefix that covers it.
pub fn look_up(table: &SourceTable, source: IpAddr) -> SourceAction {
    let longest = match source {
        IpAddr::V4(source) => {
            let covering = table
                .v4
                .iter()
                .filter(|(prefix, _)| prefix.contains(&source));
            covering
                .max_by_key(|(prefix, _)| prefix.prefix_len())
                .map(|(_, action)| *action)
        }
        IpAddr::V6(source) => {
            let covering = table
                .v6
                .iter()
                .filter(|(prefix, _)| prefix.contains(&source));
            covering
                .max_by_key(|(prefix, _)| prefix.prefix_len())
                .map(|(_, action)| *action)
        }
    };
    longest.unwrap_or(SourceAction::Next)
}

/// `::ffff:0:0`.
const MAPPED: u128 = 0xffff << 32;

/// `2002::`.
const SIX_TO_FOUR: u128 = 0x2002 << 112;

#[cfg(test)]
mod tests;
