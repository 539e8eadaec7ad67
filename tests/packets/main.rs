//! The table of packets against the decision as a function: no kernel, no privileges.
//!
//! The tables are written by the same writer as in earnest, into plain memory.

#[path = "../fixtures/mod.rs"]
mod fixtures;

mod choice;
mod table;

#[path = "../xdp/tool/configuration.rs"]
mod configuration;
mod floods;
#[path = "../xdp/tool/frames.rs"]
mod frames;
mod marks;
#[path = "../xdp/tool/mutations.rs"]
#[allow(
    dead_code,
    reason = "shared with the comparison with the program, which needs a kernel"
)]
mod mutations;
#[path = "../xdp/packets/outer.rs"]
#[allow(
    dead_code,
    reason = "shared with the comparison with other balancers' cases"
)]
mod outer;
mod properties;

mod vlans;

use fixtures::packet;

use std::collections::BTreeSet;

use fixtures::check::Known;
use fixtures::{Expect, Fixture, Side, Step, place};
use tidegate::dataplane::trial::InMemory;
use tidegate::state::{Operational, Running};
use tidegate_common::verdict::DropReason;

#[test]
fn every_fixture_holds_for_the_function() {
    let failures: Vec<String> = fixtures::all()
        .iter()
        .filter_map(|fixture| run(fixture).err())
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_fixture_has_a_name_of_its_own() {
    let all = fixtures::all();
    let names: BTreeSet<_> = all.iter().map(|fixture| fixture.name.as_str()).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn every_fate_and_every_reason_has_a_fixture() {
    let all = fixtures::all();
    let steps = all.iter().flat_map(|fixture| &fixture.steps);
    let expectations = steps.filter_map(|step| match step {
        Step::Frame(side, _, expect) | Step::Cramped(side, _, expect) => Some((*side, expect)),
        _ => None,
    });
    let mut seen = BTreeSet::new();
    for (side, expect) in expectations {
        seen.insert(match expect {
            Expect::Pass => "pass",
            Expect::Out(out, _) if *out == side => "transmit",
            Expect::Out(..) => "redirect",
            Expect::Drop(reason) | Expect::Told(reason) => reason.name(),
        });
    }
    let fates = ["pass", "transmit", "redirect"].into_iter();
    // A cookie needs a stack that listens: `floods`, and on real devices the kernel tier's own tests.
    let reasons = DropReason::ALL
        .iter()
        .filter(|reason| **reason != DropReason::BadCookie)
        .map(|reason| reason.name());
    let missing: Vec<_> = fates
        .chain(reasons)
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(missing.is_empty(), "without a fixture: {missing:?}");
}

fn run(fixture: &Fixture) -> Result<(), String> {
    let (compiled, running) = fixture.world.load("");
    let place = place(fixture.world, CLIENT, SERVER);
    let mut trial = InMemory::new(&compiled, &running, place).expect("the tables fit");
    let mut known = Known::default();
    for (number, step) in (1..).zip(&fixture.steps) {
        let told = |what| format!("{}, step {number}: {what}", fixture.name);
        match step {
            Step::Frame(side, packet, expect) | Step::Cramped(side, packet, expect) => {
                let frame = known.frame(packet);
                let before = trial.drops();
                let outcome = match step {
                    Step::Cramped(..) => trial.run_cramped(&frame, interface(*side)),
                    _ => trial.run(&frame, interface(*side)),
                };
                let outcome = outcome.expect("memory runs everything");
                let drops = (&before, &trial.drops());
                known
                    .check(fixture.world, *side, &frame, expect, &outcome, drops)
                    .map_err(told)?;
            }
            Step::Mark(marks) => {
                for (name, up) in *marks {
                    mark(&running, name, *up);
                }
                trial.refresh().expect("the tables fit");
            }
            Step::Lose(address) => {
                let address = address.parse().expect("an address");
                trial.lose(address).expect("the tables fit");
            }
            Step::Damage => trial.damage(),
        }
    }
    Ok(())
}

fn mark(running: &Running, name: &str, up: bool) {
    let state = if up {
        Operational::Running
    } else {
        Operational::Stopped
    };
    let named = running.model.servers.iter().filter(|it| it.name == name);
    for server in named {
        let now = tidegate::clock::now();
        running.state.server(server.id).set_operational(state, now);
    }
}

const fn interface(side: Side) -> u32 {
    match side {
        Side::Client => CLIENT,
        Side::Server => SERVER,
    }
}

/// Numbers of the interfaces; nobody asks whether they exist.
const CLIENT: u32 = 7;
const SERVER: u32 = 8;
