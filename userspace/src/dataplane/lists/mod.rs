//! What every source may do at every frontend, as the kernel looks it up: the *class* of each address.
//!
//! Input are the source rules of all policies and the pattern lists they name; output are, for any part of the address
//! space, the networks in it with the classes of their addresses, and for each class the action under each policy. A part
//! is asked for by itself, so that a change of a list costs what it changes, not what the list holds. Nothing is written
//! here.

mod classes;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;
use tidegate_common::action::{CLASSES, Class};

pub(super) use classes::TooManyClasses;
use classes::{Classes, Members};
use walk::{Border, walk};

use super::plan::{Plan, SourceAction};
use crate::expr::{Networks, PatternSet};

/// The lists of all policies, as they were when they were looked at last.
pub(super) struct Lists {
    sources: Vec<Source>,
    classes: Classes,
    /// IPv6 addresses with an IPv4 address within are all entered, whatever lists there are: some list tells the IPv4
    /// address from them.
    enters_embedded: bool,
    /// The version of all lists when they were looked at last.
    seen: u64,
}

/// One set of patterns.
struct Source {
    set: Arc<PatternSet>,
    networks: Networks,
}

/// Why the kernel's tables cannot follow the lists, so that the configuration has to be compiled anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// They overlap in too many ways.
    #[error(transparent)]
    Classes(#[from] TooManyClasses),
    /// A mask has holes, which no prefix can express.
    #[error("a source list has a mask with holes")]
    Holes,
}

/// A part of the IPv4 address space: its first address, and its last.
pub(super) type Range4 = (u32, u32);
/// A part of the IPv6 address space.
pub(super) type Range6 = (u128, u128);

/// What has changed since the lists were looked at before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Networks of IPv4 addresses that may have another class now.
    pub v4: Vec<Range4>,
    /// Networks of IPv6 addresses; none lies within another.
    pub v6: Vec<Range6>,
}

impl Lists {
    /// The lists that a plan names.
    pub(super) fn new(plan: &Plan) -> Result<Self, Misfit> {
        let mut sources: Vec<Source> = Vec::new();
        let mut number = |set: &Arc<PatternSet>| {
            // Uses of the same list match the same addresses.
            let same = |known: &Source| Arc::ptr_eq(known.set.list(), set.list());
            sources.iter().position(same).unwrap_or_else(|| {
                sources.push(Source {
                    set: Arc::clone(set),
                    networks: Networks::default(),
                });
                sources.len() - 1
            })
        };
        let mut policies = Vec::new();
        for policy in &plan.policies {
            let sets = policy.sources.sets.iter();
            let members = sets.map(|set| set.iter().map(&mut number).collect());
            policies.push((policy.sources.rules.clone(), members.collect()));
        }
        let mut lists = Self {
            sources,
            classes: Classes::new(policies),
            enters_embedded: false,
            seen: 0,
        };
        lists.look()?;
        Ok(lists)
    }

    /// Whether one of the lists has changed since they were looked at.
    pub(super) fn have_changed(&self) -> bool {
        self.version() != self.seen
    }

    fn version(&self) -> u64 {
        let versions = self
            .sources
            .iter()
            .map(|source| source.set.list().version());
        versions.sum()
    }

    /// Whether there are any lists at all, whatever is in them.
    pub(super) fn are_none(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many networks they hold: of IPv4, of IPv6.
    pub(super) fn count(&self) -> (usize, usize) {
        let counts = self.sources.iter().map(|source| source.networks.count());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// For each class given out so far, what each policy does.
    pub(super) fn actions(&self) -> &[Vec<SourceAction>] {
        self.classes.actions()
    }

    /// Looks at the lists again and tells what has changed.
    pub(super) fn look(&mut self) -> Result<Changes, Misfit> {
        // What changes from here on is found to have changed the next time.
        self.seen = self.version();
        let mut nets = BTreeSet::new();
        for source in &mut self.sources {
            let now = source
                .set
                .networks()
                .filter(Networks::are_prefixes)
                .ok_or(Misfit::Holes)?;
            source.networks.difference(&now, |net| {
                nets.insert(net);
            });
            source.networks = now;
        }
        let entered = self.enters_embedded;
        self.enters_embedded = self.tell_mapped_apart();
        let mut changes = Changes::default();
        for net in nets {
            self.changed_by(net, &mut changes);
        }
        if self.enters_embedded != entered {
            changes.v6.push((0, u128::MAX));
        }
        keep_outermost(&mut changes.v4);
        keep_outermost(&mut changes.v6);
        Ok(changes)
    }

    /// Where addresses may have changed their class because a network came or went.
    fn changed_by(&self, net: IpNet, changes: &mut Changes) {
        match net {
            IpNet::V4(net) => {
                let (first, last) = (net.network().into(), net.broadcast().into());
                changes.v4.push((first, last));
                for space in SPACES {
                    let range = space.of(first, last);
                    if self.enters_embedded || self.has_v6(range) {
                        changes.v6.push(range);
                    }
                }
            }
            IpNet::V6(net) => {
                let range = (net.network().into(), net.broadcast().into());
                if let Some(v4) = MAPPED.v4_of(range) {
                    changes.v4.push(v4);
                }
                if !MAPPED.holds(range) {
                    changes.v6.push(range);
                }
            }
        }
    }

    /// Whether the IPv4 addresses of a network all have the same class because no list has a part of it.
    pub(super) fn are_alike4(&self, (first, last): Range4) -> bool {
        let mapped = MAPPED.of(first, last);
        !self.sources.iter().any(|source| {
            source.networks.any_within_v4(first, last)
                || source.networks.any_within_v6(mapped.0, mapped.1)
        })
    }

    /// The classes of the IPv4 addresses of a network: every network in it that some list has, outer ones first. The first
    /// is the whole of it.
    pub(super) fn classes4(
        &mut self,
        (first, last): Range4,
    ) -> Result<Vec<(Range4, Class)>, TooManyClasses> {
        let mut members = self.classes.members();
        let mut borders = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            let networks = &source.networks;
            networks.around_v4(first, last, |_, _| members.enter(number));
            networks.within_v4(first, last, |first, last| {
                borders.push(Border::of(first, last, number));
            });
            let mapped = MAPPED.of(first, last);
            networks.around_v6(mapped.0, mapped.1, |_, _| members.enter(number));
            networks.within_v6(mapped.0, mapped.1, |first, last| {
                borders.push(Border::of(first as u32, last as u32, number));
            });
        }
        let mut found = vec![((first, last), self.classes.class(&members)?)];
        walk(borders, &mut self.classes, members, |range, class, _| {
            found.push((range, class))
        })?;
        Ok(found)
    }

    /// The classes of the IPv6 addresses of a network: every network in it that is entered, outer ones first. An address
    /// in none of them, nor in a larger one, has the class of the IPv4 address within it, or else class 0.
    pub(super) fn classes6(
        &mut self,
        range: Range6,
    ) -> Result<Vec<(Range6, Class)>, TooManyClasses> {
        let mut members = self.classes.members();
        let mut borders = Vec::new();
        let mut is_inside = false;
        if self.enters_embedded {
            for space in SPACES {
                let whole = space.whole();
                if range.0 <= whole.0 && whole.1 <= range.1 {
                    borders.push(Border::of_nobody(whole.0, whole.1));
                }
                is_inside |= space.holds(range);
            }
        }
        for (number, source) in self.sources.iter().enumerate() {
            source.networks.around_v6(range.0, range.1, |_, _| {
                members.enter(number);
                is_inside = true;
            });
            source.networks.within_v6(range.0, range.1, |first, last| {
                if !MAPPED.holds((first, last)) {
                    borders.push(Border::of(first, last, number));
                }
            });
        }
        let mut embedded = Vec::new();
        for space in SPACES {
            if is_inside {
                embedded.extend(space.part(range));
            } else {
                embedded.extend(
                    borders
                        .iter()
                        .filter_map(|border| space.part(border.range())),
                );
            }
            keep_outermost(&mut embedded);
            for part in embedded.drain(..) {
                self.embed(space, part, range, &mut members, &mut borders);
            }
        }
        let mut found = Vec::new();
        // Networks of IPv6 lists that have been entered and not left.
        let mut around: Vec<u128> = Vec::new();
        walk(
            borders,
            &mut self.classes,
            members,
            |(first, last), class, is_own| {
                while around.last().is_some_and(|last| *last < first) {
                    around.pop();
                }
                if is_own {
                    around.push(last);
                }
                if is_own || is_inside || !around.is_empty() {
                    found.push(((first, last), class));
                }
            },
        )?;
        Ok(found)
    }

    /// Adds the IPv4 networks that meet a part of the IPv6 addresses with IPv4 addresses within, as such addresses.
    fn embed(
        &self,
        space: Space,
        part: Range6,
        range: Range6,
        members: &mut Members,
        borders: &mut Vec<Border<u128>>,
    ) {
        for (number, source) in self.sources.iter().enumerate() {
            let mut meet = |first: u32, last: u32| {
                let (first, last) = space.of(first, last);
                if first <= range.0 && range.1 <= last && (first, last) != range {
                    members.enter(number);
                } else {
                    borders.push(Border::embedded(first, last, number));
                }
            };
            let Some(v4) = space.v4_of(part) else {
                continue;
            };
            source.networks.around_v4(v4.0, v4.1, &mut meet);
            source.networks.within_v4(v4.0, v4.1, &mut meet);
        }
    }

    /// Gives every class that occurs its number.
    pub(super) fn classify_all(&mut self) -> Result<(), TooManyClasses> {
        // Fewer lists than this do not overlap in so many ways.
        if 1 << self.sources.len().min(31) <= CLASSES {
            return Ok(());
        }
        self.classes4((0, u32::MAX))?;
        self.classes6((0, u128::MAX)).map(|_| ())
    }

    /// Whether some list of IPv6 networks meets a network.
    fn has_v6(&self, range: Range6) -> bool {
        self.sources.iter().any(|source| {
            let mut met = source.networks.any_within_v6(range.0, range.1);
            source
                .networks
                .around_v6(range.0, range.1, |_, _| met = true);
            met
        })
    }

    /// Whether some list matches IPv4 addresses by their mapped form but not by the other two.
    fn tell_mapped_apart(&self) -> bool {
        let (first, last) = MAPPED.of(0, u32::MAX);
        let mut tells = false;
        for source in &self.sources {
            tells |= source.networks.any_within_v6(first, last);
            // What holds all addresses matches the other two forms as well.
            source.networks.around_v6(first, last, |first, last| {
                tells |= (first, last) != (0, u128::MAX);
            });
        }
        tells
    }
}

/// A part of the IPv6 address space whose addresses have an IPv4 address within (manual §7.1.6).
#[derive(Clone, Copy)]
struct Space {
    base: u128,
    /// Bits behind the IPv4 address.
    behind: u32,
}

impl Space {
    /// The addresses in which those of an IPv4 network are.
    const fn of(self, first: u32, last: u32) -> Range6 {
        let rest = (1 << self.behind) - 1;
        (
            self.base | (first as u128) << self.behind,
            self.base | (last as u128) << self.behind | rest,
        )
    }

    const fn whole(self) -> Range6 {
        self.of(0, u32::MAX)
    }

    fn holds(self, range: Range6) -> bool {
        let whole = self.whole();
        whole.0 <= range.0 && range.1 <= whole.1
    }

    /// What a network and this have in common.
    fn part(self, range: Range6) -> Option<Range6> {
        let whole = self.whole();
        let part = (whole.0.max(range.0), whole.1.min(range.1));
        (part.0 <= part.1).then_some(part)
    }

    /// The IPv4 addresses in it.
    fn v4_of(self, range: Range6) -> Option<Range4> {
        let (first, last) = self.part(range)?;
        Some(((first >> self.behind) as u32, (last >> self.behind) as u32))
    }
}

/// Drops what lies within another one. Of networks, one lies within the other or they have nothing in common.
fn keep_outermost<T: Copy + Ord>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
    let mut end = None;
    ranges.retain(|(_, last)| {
        let is_outer = end.is_none_or(|end| end < *last);
        if is_outer {
            end = Some(*last);
        }
        is_outer
    });
}

/// `::ffff:0:0/96`: how IPv6 patterns match IPv4 addresses. No packet may come from there.
const MAPPED: Space = Space {
    base: 0xffff << 32,
    behind: 0,
};

/// `::/96` and `2002::/16`: how IPv4 patterns match IPv6 addresses.
const SPACES: [Space; 2] = [
    Space { base: 0, behind: 0 },
    Space {
        base: 0x2002 << 112,
        behind: 80,
    },
];

#[cfg(test)]
mod tests;
