use super::*;
use crate::dataplane::plan::Policy;
use crate::dataplane::source_rules::testing::refuse;

/// A policy that refuses every other network of a length.
fn halving(bit: u32) -> Policy {
    let networks = (0..1_u32 << bit).map(|n| {
        let first = std::net::Ipv4Addr::from((2 * n + 1) << (31 - bit));
        format!("{first}/{}", bit + 1)
    });
    let networks: Vec<String> = networks.collect();
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    Policy {
        frontend: format!("web{bit}"),
        sources: refuse(SourceAction::Drop, &networks),
        rate: None,
    }
}

#[test]
fn more_overlaps_than_classes_are_an_error() {
    // Each policy halves the address space at another bit: 2^13 classes.
    let plan = |bits: u32| Plan {
        policies: (0..bits).map(halving).collect(),
        ..Plan::default()
    };
    let mut fits = Lists::new(&plan(11)).unwrap();
    assert_eq!(fits.classify_all(), Ok(()));
    fits.classes4((0, u32::MAX)).unwrap();
    assert_eq!(fits.actions().len(), 1 << 11);
    let mut many = Lists::new(&plan(13)).unwrap();
    assert_eq!(many.classify_all(), Err(TooManyClasses));
}

#[test]
fn uses_of_one_list_are_one_source() {
    let one = refuse(SourceAction::Drop, &["10.0.0.0/8"]);
    let policy = |frontend: &str| Policy {
        frontend: frontend.to_owned(),
        sources: one.clone(),
        rate: None,
    };
    let plan = Plan {
        policies: vec![policy("web"), policy("api")],
        ..Plan::default()
    };
    let mut lists = Lists::new(&plan).unwrap();
    assert_eq!(lists.count(), (1, 0));
    lists.classes4((0, u32::MAX)).unwrap();
    let both = |action| vec![action; 2];
    let wanted = [both(SourceAction::Next), both(SourceAction::Drop)];
    assert_eq!(lists.actions(), wanted);
}

#[test]
fn ipv4_networks_are_entered_as_ipv6_ones_only_where_a_list_of_those_is_around() {
    let plan = |patterns: &[&str]| Plan {
        policies: vec![Policy {
            frontend: "web".to_owned(),
            sources: refuse(SourceAction::Drop, patterns),
            rate: None,
        }],
        ..Plan::default()
    };
    let entered = |patterns: &[&str]| {
        let mut lists = Lists::new(&plan(patterns)).unwrap();
        lists.classes6((0, u128::MAX)).unwrap().len()
    };
    assert_eq!(entered(&["10.0.0.0/8", "192.0.2.0/24"]), 0);
    assert_eq!(entered(&["10.0.0.0/8", "2001:db8::/32", "::1"]), 2);
    assert_eq!(entered(&["10.0.0.0/8", "192.0.2.0/24", "2002::/16"]), 3);
    assert_eq!(entered(&["10.0.0.0/8", "::ffff:192.0.2.1"]), 4);
}
