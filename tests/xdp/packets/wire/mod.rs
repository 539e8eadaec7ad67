//! The table of packets over wires: the real start, real devices, real neighbours, real frames.
//!
//! Every fixture gets a kernel tier of its own, started from its world's text; every frame is sent as it is from the side
//! it comes from. What must become of it is compared as by the other runners. What cannot be on a wire is listed, with
//! the reason.

mod lab;
mod raw;

use std::collections::{BTreeMap, BTreeSet};

use tidegate::dataplane::trial::{Drops, Fate, Outcome};
use tidegate::dataplane::{Dataplane, DropCount, ServerSnapshot, Stop};
use tidegate::state::Running;

use crate::fixtures::check::Known;
use crate::fixtures::{self, Expect, Fixture, SERVERS, Side, Step};
use crate::netns::eventually;
use crate::test_run::mark;
use lab::Lab;

/// Fixtures that no wire can show, and why.
const UNSHOWN: [(&str, &str); 2] = [
    (
        "a frame that cannot grow is dropped",
        "a driver leaves room before every frame",
    ),
    (
        "tables that contradict themselves drop",
        "nothing a user can do loses the records of services",
    ),
];

#[test]
#[expect(
    clippy::print_stdout,
    reason = "how much of the table was run is part of the result"
)]
fn every_fixture_holds_over_veth_wires() {
    let Some(mut lab) = Lab::new() else {
        return;
    };
    let all = fixtures::all();
    let names: BTreeSet<&str> = all.iter().map(|fixture| fixture.name.as_str()).collect();
    for (name, _) in UNSHOWN {
        assert!(names.contains(name), "there is no fixture '{name}'");
    }
    let (mut ran, mut fates, mut failures) = (0, Fates::new(), Vec::new());
    for fixture in &all {
        if let Some((name, why)) = UNSHOWN.iter().find(|(name, _)| *name == fixture.name) {
            println!("not on a wire: {name}: {why}");
            continue;
        }
        ran += 1;
        failures.extend(run(&mut lab, fixture, &mut fates).err());
    }
    println!("{ran} of {} fixtures; frames: {fates:?}", all.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert_eq!(fates.len(), 4, "every fate is among them: {fates:?}");
    assert!(ran * 10 >= all.len() * 9, "{ran} of {}", all.len());
}

/// How often what became of a frame.
type Fates = BTreeMap<Fate, usize>;

fn run(lab: &mut Lab, fixture: &Fixture, fates: &mut Fates) -> Result<(), String> {
    let (dataplane, running) = lab.start(fixture.world);
    let result = steps(lab, fixture, &dataplane, &running, fates);
    dataplane.stop(Stop::Detach).expect("it detaches");
    for step in &fixture.steps {
        if let Step::Lose(address) = step {
            lab.find(address, side_of(address));
        }
    }
    result
}

fn steps(
    lab: &mut Lab,
    fixture: &Fixture,
    dataplane: &Dataplane,
    running: &Running,
    fates: &mut Fates,
) -> Result<(), String> {
    let mut known = Known::default();
    for (number, step) in (1..).zip(&fixture.steps) {
        let told = |what| format!("{}, step {number}: {what}", fixture.name);
        match step {
            Step::Frame(side, packet, expect) => {
                let frame = known.frame(packet);
                let before = drops(dataplane);
                let mut outcome = lab.run(*side, &frame).map_err(told)?;
                let after = drops(dataplane);
                if matches!(expect, Expect::Pass) && before == after && ends_in_its_tag(&frame) {
                    outcome = passed_unseen(outcome);
                }
                known
                    .check(
                        fixture.world,
                        *side,
                        &frame,
                        expect,
                        &outcome,
                        (&before, &after),
                    )
                    .map_err(told)?;
                *fates.entry(outcome.fate).or_default() += 1;
            }
            Step::Mark(marks) => {
                for (name, up) in *marks {
                    mark(running, name, *up);
                }
                dataplane.servers_changed();
                eventually("the servers are marked", || {
                    let is = |(name, up): &(&str, bool)| {
                        // Flows that go on with a server that is down make it drain.
                        has_server(dataplane, |server| {
                            server.name == *name && (server.state == "up") == *up
                        })
                    };
                    marks.iter().all(is).then_some(())
                });
            }
            Step::Lose(address) => {
                lab.lose(address, side_of(address));
                eventually("it is missed", || {
                    has_server(dataplane, |server| server.trouble.is_some()).then_some(())
                });
            }
            Step::Cramped(..) | Step::Damage => {
                return Err(told("this cannot be on a wire; list it".to_owned()));
            }
        }
    }
    Ok(())
}

fn side_of(address: &str) -> Side {
    let mut servers = SERVERS.into_iter();
    let found = servers.find(|(known, _)| *known == address);
    found.expect("one of the servers").1
}

fn has_server(dataplane: &Dataplane, is: impl Fn(&ServerSnapshot) -> bool) -> bool {
    let snapshot = dataplane.feedback().snapshot().expect("counters");
    let mut servers = snapshot
        .services
        .iter()
        .flat_map(|service| &service.servers);
    servers.any(is)
}

/// What was dropped so far, by number of the service: those of no service are zero's.
fn drops(dataplane: &Dataplane) -> Drops {
    let snapshot = dataplane.feedback().snapshot().expect("counters");
    let of_services = snapshot.services.into_iter().map(|service| service.drops);
    let all = std::iter::once(snapshot.unknown_drops).chain(of_services);
    (0..)
        .zip(all)
        .flat_map(|(number, drops)| {
            let row = move |drop: DropCount| ((number, drop.reason), drop.packets);
            drops.into_iter().map(row)
        })
        .collect()
}

/// Whether a frame ends within a VLAN tag or the EtherType after it: the stack throws those away before anybody sees them.
fn ends_in_its_tag(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x81, 0x00]) && frame.len() < 20
}

/// That nothing was counted and nothing arrived is all there is to see of such a frame.
fn passed_unseen(outcome: Outcome) -> Outcome {
    match outcome.fate {
        Fate::Drop => Outcome {
            fate: Fate::Pass,
            ..outcome
        },
        _ => outcome,
    }
}
