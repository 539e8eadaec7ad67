//! What packets meet, against the rules of their lists asked one after the other, while the lists change.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;

use crate::dataplane::offload::Compiled;
use crate::dataplane::plan::{
    Bind, Delivery, Family, Plan, Policy, PolicyId, Protocol, Service, SourceAction,
};
use crate::dataplane::source_rules::{Formula, Question, RuleSets, SourceRule, SourceRules, Term};
use crate::dataplane::trial::testing::{INTERFACE, MAC, syn};
use crate::dataplane::trial::{Fate, InMemory, Place};
use crate::expr::PatternSet;
use crate::expr::testing::addresses;
use crate::model::Model;
use crate::state::Running;
use crate::types::ProxyId;

/// Few distinct bits, so that networks nest and collide.
fn quad() -> impl Strategy<Value = u32> {
    (0_u32..3, 0_u32..4, 0_u32..3, 0_u32..4)
        .prop_map(|(a, b, c, d)| ((a + 1) << 30 | b << 22 | c << 8 | d) >> 1)
}

/// Addresses in every form that IPv4 patterns match, and in none of them.
fn source() -> impl Strategy<Value = IpAddr> {
    let six = |base: u128| move |quad: u32| IpAddr::V6((base | u128::from(quad)).into());
    prop_oneof![
        4 => quad().prop_map(|quad| IpAddr::V4(quad.into())),
        1 => quad().prop_map(six(0)),
        1 => quad().prop_map(six(0xffff << 32)),
        2 => (quad(), quad()).prop_map(|(v4, rest)| {
            IpAddr::V6((0x2002 << 112 | u128::from(v4) << 80 | u128::from(rest)).into())
        }),
        2 => (quad(), quad()).prop_map(|(high, low)| {
            IpAddr::V6((u128::from(high) << 96 | u128::from(low)).into())
        }),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    (source(), 0_u8..=32, 0_u8..=128).prop_map(|(address, short, long)| match address {
        IpAddr::V4(address) => format!("{address}/{short}"),
        IpAddr::V6(address) => format!("{address}/{long}"),
    })
}

fn rule() -> impl Strategy<Value = SourceRule> {
    let question = prop_oneof![
        8 => (0..LISTS).prop_map(Question::In),
        1 => any::<bool>().prop_map(Question::Known)
    ];
    let term = (any::<bool>(), question).prop_map(|(negated, question)| Term { negated, question });
    let any_of = proptest::collection::vec(proptest::collection::vec(term, 1..3), 0..3);
    let action = prop_oneof![1 => Just(SourceAction::Accept), 2 => Just(SourceAction::Drop)];
    (action, any::<bool>(), any_of).prop_map(|(action, unless, any)| SourceRule {
        action,
        when: Formula { unless, any },
    })
}

/// A change of a list.
#[derive(Clone, Debug)]
enum Step {
    Add(usize, Vec<String>),
    Remove(usize, usize),
    Replace(usize, Vec<String>),
}

fn step() -> impl Strategy<Value = Step> {
    let patterns = || proptest::collection::vec(pattern(), 1..4);
    prop_oneof![
        4 => (0..LISTS, patterns()).prop_map(|(list, patterns)| Step::Add(list, patterns)),
        3 => (0..LISTS, 0_usize..8).prop_map(|(list, number)| Step::Remove(list, number)),
        1 => (0..LISTS, patterns()).prop_map(|(list, patterns)| Step::Replace(list, patterns)),
    ]
}

fn take(sets: &[Arc<PatternSet>], step: &Step) {
    match step {
        Step::Add(list, patterns) => {
            let entries = patterns.iter().map(|text| (&**text, None));
            sets[*list].list().extend(entries).unwrap();
        }
        Step::Remove(list, number) => {
            let entries = sets[*list].list().entries();
            let chosen = entries.get(number % entries.len().max(1));
            let chosen = chosen.map(|entry| entry.id);
            sets[*list].list().remove(|entry| Some(entry.id) == chosen);
        }
        Step::Replace(list, patterns) => {
            let entries = patterns.iter().map(|text| (&**text, None));
            sets[*list].list().replace(entries).unwrap();
        }
    }
}

/// One frontend for each policy, with an address in each family.
fn compiled(policies: Vec<SourceRules>) -> Compiled {
    let mut plan = Plan::default();
    for (number, sources) in policies.into_iter().enumerate() {
        let frontend = format!("web{number}");
        for family in [Family::V4, Family::V6] {
            let address = destination(number, family);
            plan.services.push(Service {
                frontend: frontend.clone(),
                proxy: ProxyId(number as u32),
                protocol: Protocol::Tcp,
                family,
                binds: vec![Bind::one(address, 80, 80)],
                segment: 0,
                treatment: crate::dataplane::plan::Treatment::default(),
                policy: Some(PolicyId(number as u16)),
                delivery: Delivery::Local,
            });
        }
        plan.policies.push(Policy {
            frontend,
            sources,
            rate: None,
        });
    }
    Compiled {
        plan,
        ..Compiled::default()
    }
}

fn destination(policy: usize, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, policy as u8).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, policy as u16).into(),
    }
}

fn in_memory(compiled: &Compiled) -> InMemory {
    let mut model = Model::default();
    (model.global.xdp.flows, model.global.xdp.sources) = (1024, 1024);
    let place = Place {
        interfaces: vec![(INTERFACE, MAC)],
        ..Place::default()
    };
    InMemory::new(compiled, &Running::new(Arc::new(model), None), place).unwrap()
}

/// Whether the kernel drops a source at a policy's service; `None` where no packet may come from it.
fn drops(trial: &mut InMemory, policy: usize, source: IpAddr) -> Option<bool> {
    let of = |trial: &InMemory, reason: &str| -> u64 {
        let drops = trial.drops();
        drops
            .iter()
            .filter(|((_, name), _)| *name == reason)
            .map(|(_, count)| *count)
            .sum()
    };
    let (martians, land) = (of(trial, "martian-source"), of(trial, "land"));
    let target = (destination(policy, Family::of(source)), 80).into();
    let fate = trial.run(&syn(source, target), INTERFACE).unwrap().fate;
    if (of(trial, "martian-source"), of(trial, "land")) != (martians, land) {
        return None;
    }
    Some(fate == Fate::Drop)
}

fn rules(rules: Vec<SourceRule>, sets: &[Arc<PatternSet>]) -> SourceRules {
    SourceRules {
        rules: RuleSets {
            sets: vec![rules],
            limited: 0,
        },
        sets: sets.iter().map(|set| vec![Arc::clone(set)]).collect(),
    }
}

/// Addresses at both ends of every network, and next to them.
fn edges(sets: &[Arc<PatternSet>]) -> Vec<IpAddr> {
    let mut edges = Vec::new();
    for networks in sets.iter().filter_map(|set| set.networks()) {
        networks.within_v4(0, u32::MAX, |first, last| {
            for v4 in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                edges.push(IpAddr::V4(v4.into()));
                edges.push(IpAddr::V6(
                    (u128::from(v4) << 80 | 0x2002 << 112 | 7).into(),
                ));
            }
        });
        networks.within_v6(0, u128::MAX, |first, last| {
            for v6 in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                edges.push(IpAddr::V6(v6.into()));
            }
        });
    }
    edges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn packets_meet_what_the_rules_say_of_the_lists_as_they_are(
        first in proptest::collection::vec(proptest::collection::vec(pattern(), 0..6), LISTS),
        one in proptest::collection::vec(rule(), 0..4),
        other in proptest::collection::vec(rule(), 1..4),
        steps in proptest::collection::vec(step(), 0..6),
        sources in proptest::collection::vec(source(), 20),
    ) {
        let sets: Vec<_> = first.iter().map(|patterns| addresses(patterns)).collect();
        let policies = [rules(one, &sets), rules(other, &sets)];
        let compiled = compiled(policies.to_vec());
        let mut trial = in_memory(&compiled);
        for step in std::iter::once(None).chain(steps.iter().map(Some)) {
            if let Some(step) = step {
                take(&sets, step);
                trial.follow_lists().unwrap();
            }
            for source in sources.iter().copied().chain(edges(&sets)) {
                for (number, policy) in policies.iter().enumerate() {
                    if let Some(drops) = drops(&mut trial, number, source) {
                        let wanted = policy.answer(source) == SourceAction::Drop;
                        prop_assert_eq!(drops, wanted, "{} at {} after {:?}", source, number, step);
                    }
                }
            }
        }
    }
}

#[test]
fn many_prefixes_and_changes_are_exact() {
    exact(0x4007_ffff, 20_000, 3_000, 40, 100);
}

/// Lists of so many networks among the addresses with these bits, changed so often, each time with so many sources that
/// must meet what a plain search says.
fn exact(mask: u32, v4: usize, v6: usize, rounds: usize, sources: usize) {
    let mut random = Random {
        state: 0x9e37_79b9_7f4a_7c15,
        mask,
    };
    let mut patterns: Vec<String> = (0..v4).map(|_| random.network()).collect();
    patterns.extend((0..v6).map(|_| random.network6()));
    let except: [IpNet; 2] = ["64.0.0.0/3", "2001:db8:4000::/34"].map(|net| net.parse().unwrap());
    let sets = [addresses(&patterns), addresses(&except)];
    let mut plain = Plain::default();
    patterns.iter().for_each(|text| plain.count(text, 1));
    let listed = |set, negated| Term {
        negated,
        question: Question::In(set),
    };
    let rule = SourceRule {
        action: SourceAction::Drop,
        when: Formula {
            unless: false,
            any: vec![vec![listed(0, false), listed(1, true)]],
        },
    };
    let compiled = compiled(vec![rules(vec![rule], &sets)]);
    let mut trial = in_memory(&compiled);
    let (mut dropped, mut asked) = (0, 0);
    for round in 0..rounds {
        for _ in 0..sources {
            let source = match round % 4 {
                3 => random.six().into(),
                _ => random.quad().into(),
            };
            if let Some(drops) = drops(&mut trial, 0, source) {
                let wanted = plain.has(source) && !except.iter().any(|net| net.contains(&source));
                assert_eq!(drops, wanted, "{source}");
                dropped += usize::from(drops);
                asked += 1;
            }
        }
        let list = sets[0].list();
        for added in [random.network(), random.network6()] {
            list.add(&added, None).unwrap();
            plain.count(&added, 1);
        }
        let entries = list.entries();
        let gone = &entries[random.next() as usize % entries.len()];
        plain.count(&gone.pattern, -1);
        assert_eq!(list.remove(|entry| entry.id == gone.id), 1);
        trial.follow_lists().unwrap();
    }
    assert!(
        (asked / 100..asked / 2).contains(&dropped),
        "{dropped} of {asked}"
    );
}

/// How often each network is in a list, by its length: searched one length after the other.
#[derive(Default)]
struct Plain(HashMap<u8, HashMap<IpNet, i32>>);

impl Plain {
    fn count(&mut self, text: &str, by: i32) {
        let net: IpNet = text.parse().unwrap();
        *self
            .0
            .entry(net.prefix_len())
            .or_default()
            .entry(net.trunc())
            .or_default() += by;
    }

    fn has(&self, source: IpAddr) -> bool {
        self.0.iter().any(|(length, nets)| {
            let around = IpNet::new(source, *length).ok().map(|net| net.trunc());
            around.is_some_and(|net| nets.get(&net).is_some_and(|count| *count > 0))
        })
    }
}

#[test]
fn table_without_room_says_so_and_goes_on_refusing() {
    let set = addresses(&["192.0.2.7"]);
    let policy = rules(
        vec![SourceRule {
            action: SourceAction::Drop,
            when: Formula {
                unless: false,
                any: vec![vec![Term {
                    negated: false,
                    question: Question::In(0),
                }]],
            },
        }],
        std::slice::from_ref(&set),
    );
    let mut trial = in_memory(&compiled(vec![policy]));
    let listed: IpAddr = "192.0.2.7".parse().unwrap();
    let hosts: Vec<String> = (0..200_u32).map(|n| format!("20.{n}.3.7")).collect();
    set.list()
        .extend(hosts.iter().map(|text| (&**text, None)))
        .unwrap();
    assert!(trial.follow_lists().is_err());
    assert_eq!(drops(&mut trial, 0, listed), Some(true));
}

/// Numbers without an order, the same in every run.
struct Random {
    state: u64,
    mask: u32,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Mostly hosts, and some small networks.
    fn network(&mut self) -> String {
        let length = match self.next() % 100 {
            0 => 24,
            1..5 => 28,
            5..10 => 31,
            _ => 32,
        };
        format!("{}/{length}", self.quad())
    }

    fn network6(&mut self) -> String {
        let length = [48, 64, 64, 56, 128, 64][self.next() as usize % 6];
        format!("{}/{length}", self.six())
    }

    fn quad(&mut self) -> Ipv4Addr {
        let number = self.next() as u32;
        (0x0100_0000 | number & self.mask).into()
    }

    fn six(&mut self) -> Ipv6Addr {
        let (high, low) = (self.next(), self.next());
        (0x2001_0db8 << 96 | u128::from(high & 0x7003_ff00) << 64 | u128::from(low & 3)).into()
    }
}

const LISTS: usize = 3;
