//! The program and the function on random frames, and what the verifier says of the program.

use tidegate::dataplane::trial::{Fate, Kernel};

use super::configuration::load;
use super::mutations;
use super::test_run::Devices;

#[test]
fn program_and_function_agree_on_mutated_frames() {
    let Some(devices) = Devices::new("agree") else {
        return;
    };
    let run = || mutations::run(20_000, 7);
    let report = devices.namespace.inside(run).expect("the program runs");
    assert_eq!(report.disagreements, [] as [String; 0]);
    assert_eq!(report.fates.values().sum::<u64>(), 20_000);
    // Every fate is among them, or they would prove little.
    for fate in [Fate::Pass, Fate::Drop, Fate::Transmit] {
        assert!(report.fates[&fate] > 1000, "{:?}", report.fates);
    }
    assert!(report.reasons.len() > 10, "{:?}", report.reasons);
}

#[test]
#[expect(clippy::print_stdout, reason = "the number is what the test is for")]
fn verifier_has_room_left_for_the_program() {
    let Some(devices) = Devices::new("size") else {
        return;
    };
    let (compiled, running) =
        load("listen web\n    mode l4\n    bind 192.0.2.80:80\n    server s1 10.0.0.1:80\n");
    let load = || {
        let mut kernel = Kernel::new(&compiled, &running, mutations::place())?;
        kernel.verified_instructions()
    };
    let verified = devices.namespace.inside(load).expect("the program loads");
    let verified = verified.expect("this kernel tells");
    println!("verifier: {verified} instructions of {LIMIT}");
    assert!(
        verified < LIMIT / 4 * 3,
        "{verified} of {LIMIT} instructions"
    );
}

/// `BPF_COMPLEXITY_LIMIT_INSNS`.
const LIMIT: u32 = 1_000_000;
