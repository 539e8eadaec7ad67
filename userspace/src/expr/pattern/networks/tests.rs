use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::expr::testing::addresses;
use crate::expr::{PatternSet, Sample};

/// A step in the life of a list.
#[derive(Clone, Debug)]
enum Step {
    Add(Vec<String>),
    Remove(usize),
    Replace(Vec<String>),
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u8..3, 0_u8..3, 0_u8..=32).prop_map(|(a, b, length)| format!("10.{a}.{b}.0/{length}")),
        2 => (0_u8..3, 0_u8..3, 0_u8..=128).prop_map(|(a, b, length)| format!("2001:db8:{a}::{b}/{length}")),
        1 => (0_u8..3, 90_u8..=128).prop_map(|(a, length)| format!("::ffff:10.{a}.0.0/{length}")),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let patterns = || proptest::collection::vec(pattern(), 1..4);
    prop_oneof![
        4 => patterns().prop_map(Step::Add),
        3 => (0_usize..8).prop_map(Step::Remove),
        1 => patterns().prop_map(Step::Replace),
    ]
}

fn take(set: &PatternSet, step: &Step) {
    let list = set.list();
    match step {
        Step::Add(patterns) => list
            .extend(patterns.iter().map(|text| (&**text, None)))
            .unwrap(),
        Step::Remove(number) => {
            let entries = list.entries();
            let chosen = entries
                .get(*number % entries.len().max(1))
                .map(|entry| entry.id);
            list.remove(|entry| Some(entry.id) == chosen);
        }
        Step::Replace(patterns) => list
            .replace(patterns.iter().map(|text| (&**text, None)))
            .unwrap(),
    }
}

fn prefixes(set: &PatternSet) -> Vec<IpNet> {
    let entries = set.list().entries();
    let parsed = entries
        .iter()
        .map(|entry| super::super::parse_network(&entry.pattern).unwrap());
    parsed.collect()
}

fn sources() -> Vec<IpAddr> {
    let v4 = (0..3_u8).flat_map(|a| (0..3).map(move |b| Ipv4Addr::new(10, a, b, a * b)));
    let v6 = (0..3_u16)
        .flat_map(|a| (0..3).map(move |b| Ipv6Addr::new(0x2001, 0xdb8, a, 0, 0, 0, 0, b)));
    v4.map(IpAddr::V4)
        .chain(v6.map(IpAddr::V6))
        .chain([IpAddr::V4(Ipv4Addr::LOCALHOST)])
        .collect()
}

proptest! {
    #[test]
    fn a_set_that_changed_finds_what_a_fresh_one_finds(
        first in proptest::collection::vec(pattern(), 0..8),
        steps in proptest::collection::vec(step(), 0..12),
    ) {
        let set = addresses(&first);
        for step in &steps {
            take(&set, step);
            let texts: Vec<_> = set.list().entries().iter().map(|entry| entry.pattern.clone()).collect();
            let fresh = addresses(&texts);
            for source in sources() {
                let found = |set: &PatternSet| set.entry(&Sample::Ip(source)).map(|entry| entry.pattern.clone());
                prop_assert_eq!(found(&set), found(&fresh), "{}", source);
            }
        }
    }

    #[test]
    fn versions_differ_in_what_only_one_of_them_has(
        first in proptest::collection::vec(pattern(), 0..8),
        steps in proptest::collection::vec(step(), 1..6),
    ) {
        let set = addresses(&first);
        let (before, was): (_, BTreeSet<_>) = (set.networks().unwrap(), prefixes(&set).into_iter().collect());
        steps.iter().for_each(|step| take(&set, step));
        let (after, is): (_, BTreeSet<_>) = (set.networks().unwrap(), prefixes(&set).into_iter().collect());
        let mut told = BTreeSet::new();
        before.difference(&after, |net| { told.insert(net); });
        prop_assert!(told.is_superset(&(&was ^ &is)), "{:?} of {:?} and {:?}", told, was, is);
    }

    #[test]
    fn networks_are_told_by_what_they_hold_and_by_what_holds_them(
        first in proptest::collection::vec(pattern(), 0..8),
        steps in proptest::collection::vec(step(), 0..6),
        (a, length) in (0_u8..3, 0_u8..=32),
    ) {
        let set = addresses(&first);
        steps.iter().for_each(|step| take(&set, step));
        let networks = set.networks().unwrap();
        let asked = Ipv4Net::new_assert(Ipv4Addr::new(10, a, 1, 0), length).trunc();
        let (low, high) = (u32::from(asked.network()), u32::from(asked.broadcast()));
        let v4: Vec<Ipv4Net> = prefixes(&set).iter().filter_map(|net| match net {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        }).collect();
        let ends = |net: &Ipv4Net| (u32::from(net.network()), u32::from(net.broadcast()));
        let mut within = Vec::new();
        networks.within_v4(low, high, |first, last| within.push((first, last)));
        let mut wanted: Vec<_> = v4.iter().filter(|net| asked.contains(*net)).map(ends).collect();
        within.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(within, wanted);
        let mut around = Vec::new();
        networks.around_v4(low, high, |first, last| around.push((first, last)));
        let mut wanted: Vec<_> = v4.iter().filter(|net| net.contains(&asked) && **net != asked).map(ends).collect();
        around.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(around, wanted);
    }
}

#[test]
fn many_changes_become_a_new_base() {
    let set = addresses(&["192.0.2.0/24"]);
    for number in 0..2 * BESIDE as u32 {
        set.list()
            .add(&Ipv4Addr::from(0x0a00_0000 + number).to_string(), None)
            .unwrap();
    }
    let networks = set.networks().unwrap();
    assert!(networks.additions.len() <= BESIDE);
    assert_eq!(networks.count(), (2 * BESIDE + 1, 0));
    assert!(set.matches(&Sample::Ip("10.0.7.255".parse().unwrap())));
    assert!(!set.matches(&Sample::Ip("10.0.8.0".parse().unwrap())));
}
