use proptest::prelude::*;

use super::*;

/// Whether `address` matches `pattern`, written from the manual's sentences (§7.1.6) and nothing else.
fn matches(pattern: IpNet, address: IpAddr) -> bool {
    match (pattern, address) {
        (IpNet::V4(pattern), IpAddr::V4(address)) => pattern.contains(&address),
        (IpNet::V6(pattern), IpAddr::V6(address)) => pattern.contains(&address),
        (IpNet::V6(pattern), IpAddr::V4(address)) => pattern.contains(&address.to_ipv6_mapped()),
        (IpNet::V4(pattern), IpAddr::V6(address)) => {
            let segments = address.segments();
            let quad = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
            let embedded = match segments {
                [0x2002, high, low, ..] => quad(high, low),
                [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => quad(high, low),
                _ => return false,
            };
            pattern.contains(&embedded)
        }
    }
}

fn one(rules: &[SourceRule]) -> RuleSets {
    RuleSets {
        sets: vec![rules.to_vec()],
        limited: 0,
    }
}

/// What the rules say about `address` when they are asked one after the other.
fn asked_in_order(rules: &[SourceRule], sets: &[Vec<IpNet>], address: IpAddr) -> SourceAction {
    let is_in = |set: usize| sets[set].iter().any(|pattern| matches(*pattern, address));
    let first = rules.iter().find(|rule| rule.when.holds(&is_in));
    first.map_or(SourceAction::Next, |rule| rule.action)
}

/// Few distinct bits, so that prefixes nest and collide.
fn quad() -> impl Strategy<Value = u32> {
    (0_u32..4, 0_u32..4, 0_u32..3, 0_u32..4)
        .prop_map(|(a, b, c, d)| (a << 30) | (b << 22) | (c << 8) | d)
}

fn source() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => quad().prop_map(|quad| IpAddr::V4(quad.into())),
        1 => quad().prop_map(|quad| IpAddr::V6(Ipv6Addr::from(MAPPED | u128::from(quad)))),
        1 => quad().prop_map(|quad| IpAddr::V6(Ipv6Addr::from(u128::from(quad)))),
        1 => (quad(), quad()).prop_map(|(v4, rest)| {
            IpAddr::V6(Ipv6Addr::from(SIX_TO_FOUR | u128::from(v4) << 80 | u128::from(rest)))
        }),
        2 => (quad(), quad()).prop_map(|(high, low)| IpAddr::V6(Ipv6Addr::from(u128::from(high) << 96 | u128::from(low)))),
    ]
}

fn pattern() -> impl Strategy<Value = IpNet> {
    (source(), 0_u8..=32, 0_u8..=128).prop_map(|(address, short, long)| match address {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::new_assert(address, short)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, long)),
    })
}

fn rule(sets: usize) -> impl Strategy<Value = SourceRule> {
    let question = prop_oneof![8 => (0..sets).prop_map(Question::In), 1 => any::<bool>().prop_map(Question::Known)];
    let term = (any::<bool>(), question).prop_map(|(negated, question)| Term { negated, question });
    let alternatives = proptest::collection::vec(proptest::collection::vec(term, 1..3), 0..3);
    let action = prop_oneof![Just(SourceAction::Accept), Just(SourceAction::Drop)];
    (action, any::<bool>(), alternatives).prop_map(|(action, unless, any)| SourceRule {
        action,
        when: Formula { unless, any },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn table_says_what_the_rules_say(
        sets in proptest::collection::vec(proptest::collection::vec(pattern(), 0..6), 3),
        rules in proptest::collection::vec(rule(3), 0..5),
        sources in proptest::collection::vec(source(), 30),
    ) {
        let table = flatten(&one(&rules), &sets);
        let edges = sets.iter().flatten().map(|pattern| pattern.broadcast());
        for source in sources.into_iter().chain(edges) {
            prop_assert_eq!(look_up(&table, source), asked_in_order(&rules, &sets, source), "{}", source);
        }
    }

    #[test]
    fn no_prefix_repeats_what_the_next_larger_one_says(
        sets in proptest::collection::vec(proptest::collection::vec(pattern(), 0..6), 3),
        rules in proptest::collection::vec(rule(3), 0..5),
    ) {
        let table = flatten(&one(&rules), &sets);
        for (prefix, action) in &table.v4 {
            let outer = table.v4.iter().filter(|(other, _)| other != prefix && other.contains(prefix));
            let outer = outer.max_by_key(|(other, _)| other.prefix_len()).map_or(SourceAction::Next, |(_, action)| *action);
            prop_assert_ne!(outer, *action, "{}", prefix);
        }
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn on(set: usize, negated: bool) -> Formula {
    Formula {
        unless: false,
        any: vec![vec![Term {
            negated,
            question: Question::In(set),
        }]],
    }
}

#[test]
fn hole_in_a_blocked_network_stays_open() {
    let sets = [vec![net("10.1.2.3/32")], vec![net("10.0.0.0/8")]];
    let rules = [
        SourceRule {
            action: SourceAction::Accept,
            when: on(0, false),
        },
        SourceRule {
            action: SourceAction::Drop,
            when: on(1, false),
        },
    ];
    let table = flatten(&one(&rules), &sets);
    let v4: Vec<String> = table
        .v4
        .iter()
        .map(|(prefix, action)| format!("{prefix} {action:?}"))
        .collect();
    assert_eq!(v4, ["10.0.0.0/8 Drop", "10.1.2.3/32 Accept"]);
}

#[test]
fn all_but_a_list_is_one_default_and_the_list() {
    let sets = [vec![net("192.0.2.0/24"), net("198.51.100.7/32")]];
    let table = flatten(
        &one(&[SourceRule {
            action: SourceAction::Drop,
            when: on(0, true),
        }]),
        &sets,
    );
    assert_eq!(table.v4.len(), 3);
    assert_eq!(
        look_up(&table, "192.0.2.9".parse().unwrap()),
        SourceAction::Next
    );
    assert_eq!(
        look_up(&table, "192.0.3.9".parse().unwrap()),
        SourceAction::Drop
    );
    assert_eq!(
        look_up(&table, "2001:db8::1".parse().unwrap()),
        SourceAction::Drop
    );
}

#[test]
fn hundred_thousand_prefixes_stay_as_they_are() {
    let list = (0..100_000_u32)
        .map(|n| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(n << 9), 24)))
        .collect();
    let rules = [SourceRule {
        action: SourceAction::Drop,
        when: on(0, false),
    }];
    let table = flatten(&one(&rules), &[list]);
    assert_eq!(table.v4.len(), 100_000);
}

#[test]
fn accepting_ends_one_set_and_dropping_all_of_them() {
    let sets = [vec![net("10.0.0.0/8")], vec![net("10.1.0.0/16")]];
    let rule = |action, set| SourceRule {
        action,
        when: on(set, false),
    };
    let rules = |limited| RuleSets {
        sets: vec![
            vec![rule(SourceAction::Accept, 0), rule(SourceAction::Drop, 1)],
            vec![rule(SourceAction::Drop, 1)],
        ],
        limited,
    };
    let says = |limited, address: &str| {
        look_up(&flatten(&rules(limited), &sets), address.parse().unwrap())
    };
    assert_eq!(says(0, "10.2.0.1"), SourceAction::Accept);
    assert_eq!(
        says(0, "10.1.0.1"),
        SourceAction::Drop,
        "the second set refuses"
    );
    assert_eq!(
        says(1, "10.2.0.1"),
        SourceAction::Next,
        "the limit comes later"
    );
}
