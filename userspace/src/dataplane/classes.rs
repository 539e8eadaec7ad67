//! Merges the source tables of all policies into one table of classes, as the kernel looks sources up.
//!
//! Input is one [`SourceTable`] per policy; output gives every prefix the *class* of its addresses, and every class its
//! action under each policy. Class 0 is what no prefix covers. Nothing is written here.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use tidegate_common::action::{CLASSES, Class};

use super::plan::{SourceAction, SourceTable};

/// One table for all policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// The classes of IPv4 prefixes; the longest that covers an address counts.
    pub v4: Vec<(Ipv4Net, Class)>,
    /// The classes of IPv6 prefixes.
    pub v6: Vec<(Ipv6Net, Class)>,
    /// For each class, what each policy does.
    pub actions: Vec<Vec<SourceAction>>,
}

/// The lists overlap in more ways than the kernel tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source lists overlap in more than {CLASSES} ways")]
pub struct TooManyClasses;

impl Classes {
    /// Merges the tables, whose order is that of the policies.
    pub(super) fn merge(tables: &[&SourceTable]) -> Result<Self, TooManyClasses> {
        let nothing = vec![SourceAction::Next; tables.len()];
        let mut numbers = Numbers {
            of: HashMap::from([(nothing.clone(), Class(0))]),
            actions: vec![nothing],
        };
        let v4 = tables.iter().enumerate().flat_map(|(policy, table)| {
            let start = |prefix: &Ipv4Net| u128::from(u32::from(prefix.network())) << 96;
            table
                .v4
                .iter()
                .map(move |(prefix, action)| (start(prefix), prefix.prefix_len(), policy, *action))
        });
        let v4 = numbers.walk(v4.collect())?;
        let v6 = tables.iter().enumerate().flat_map(|(policy, table)| {
            let start = |prefix: &Ipv6Net| u128::from(prefix.network());
            table
                .v6
                .iter()
                .map(move |(prefix, action)| (start(prefix), prefix.prefix_len(), policy, *action))
        });
        let v6 = numbers.walk(v6.collect())?;
        let v4_prefix = |(start, length, class)| {
            (
                Ipv4Net::new_assert(Ipv4Addr::from((start >> 96) as u32), length),
                class,
            )
        };
        let v6_prefix =
            |(start, length, class)| (Ipv6Net::new_assert(Ipv6Addr::from(start), length), class);
        Ok(Self {
            v4: v4.into_iter().map(v4_prefix).collect(),
            v6: v6.into_iter().map(v6_prefix).collect(),
            actions: numbers.actions,
        })
    }
}

/// The classes given out so far.
struct Numbers {
    of: HashMap<Vec<SourceAction>, Class>,
    actions: Vec<Vec<SourceAction>>,
}

impl Numbers {
    /// Visits the prefixes in order, outer ones before inner ones. Addresses are left-aligned.
    fn walk(
        &mut self,
        mut borders: Vec<(u128, u8, usize, SourceAction)>,
    ) -> Result<Vec<(u128, u8, Class)>, TooManyClasses> {
        borders.sort_unstable();
        let mut path: Vec<(u128, u8, Vec<SourceAction>)> = Vec::new();
        let mut found = Vec::new();
        for same in borders.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let (start, length, ..) = same[0];
            while path
                .last()
                .is_some_and(|(outer, length, _)| !covers(*outer, *length, start))
            {
                path.pop();
            }
            let mut actions = path
                .last()
                .map_or_else(|| self.actions[0].clone(), |(.., actions)| actions.clone());
            for (.., policy, action) in same {
                actions[*policy] = *action;
            }
            found.push((start, length, self.class(&actions)?));
            path.push((start, length, actions));
        }
        Ok(found)
    }

    fn class(&mut self, actions: &[SourceAction]) -> Result<Class, TooManyClasses> {
        if let Some(class) = self.of.get(actions) {
            return Ok(*class);
        }
        if self.actions.len() >= CLASSES as usize {
            return Err(TooManyClasses);
        }
        let class = Class(self.actions.len() as u16);
        self.actions.push(actions.to_vec());
        self.of.insert(actions.to_vec(), class);
        Ok(class)
    }
}

fn covers(outer: u128, length: u8, start: u128) -> bool {
    length == 0 || (outer ^ start) >> (128 - u32::from(length)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::offload::flatten::look_up;
    use proptest::prelude::*;

    fn table(entries: &[(u32, u8, SourceAction)]) -> SourceTable {
        let mut v4: Vec<_> = entries
            .iter()
            .map(|(bits, length, action)| {
                (
                    Ipv4Net::new_assert(Ipv4Addr::from(*bits), *length).trunc(),
                    *action,
                )
            })
            .collect();
        v4.sort_by_key(|(prefix, _)| *prefix);
        v4.dedup_by_key(|(prefix, _)| *prefix);
        let v6 = v4
            .iter()
            .map(|(prefix, action)| {
                let start = u128::from(u32::from(prefix.network())) << 96;
                (
                    Ipv6Net::new_assert(Ipv6Addr::from(start), prefix.prefix_len()),
                    *action,
                )
            })
            .collect();
        SourceTable { v4, v6 }
    }

    fn entry() -> impl Strategy<Value = (u32, u8, SourceAction)> {
        let action = prop_oneof![
            Just(SourceAction::Next),
            Just(SourceAction::Accept),
            Just(SourceAction::Drop)
        ];
        ((0_u32..16).prop_map(|high| high << 28), 0_u8..6, action)
    }

    proptest! {
        #[test]
        fn classes_say_for_every_policy_what_its_own_table_says(
            one in proptest::collection::vec(entry(), 0..8),
            other in proptest::collection::vec(entry(), 0..8),
            address in any::<u32>(),
        ) {
            let tables = [table(&one), table(&other)];
            let merged = Classes::merge(&[&tables[0], &tables[1]]).unwrap();
            let v4 = Ipv4Addr::from(address);
            let v6 = Ipv6Addr::from(u128::from(address) << 96);
            let class4 = merged.v4.iter().filter(|(p, _)| p.contains(&v4)).max_by_key(|(p, _)| p.prefix_len());
            let class6 = merged.v6.iter().filter(|(p, _)| p.contains(&v6)).max_by_key(|(p, _)| p.prefix_len());
            for (policy, table) in tables.iter().enumerate() {
                let action = |class: Option<Class>| merged.actions[class.unwrap_or_default().0 as usize][policy];
                prop_assert_eq!(action(class4.map(|(_, class)| *class)), look_up(table, v4.into()));
                prop_assert_eq!(action(class6.map(|(_, class)| *class)), look_up(table, v6.into()));
            }
        }
    }

    #[test]
    fn more_overlaps_than_classes_are_an_error() {
        // Thirteen policies, each of which halves the address space at another bit: 8192 classes.
        let tables: Vec<SourceTable> = (0..13)
            .map(|bit| {
                let entries: Vec<_> = (0..1_u32 << (bit + 1))
                    .map(|n| {
                        let action = if n & 1 == 0 {
                            SourceAction::Next
                        } else {
                            SourceAction::Drop
                        };
                        (n << (31 - bit), bit as u8 + 1, action)
                    })
                    .collect();
                table(&entries)
            })
            .collect();
        assert!(Classes::merge(&tables.iter().take(11).collect::<Vec<_>>()).is_ok());
        assert_eq!(
            Classes::merge(&tables.iter().collect::<Vec<_>>()),
            Err(TooManyClasses)
        );
    }
}
