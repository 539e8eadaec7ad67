//! The table of packets against the real program, run by hand (`BPF_PROG_TEST_RUN`) and on a wire.
//!
//! Both need root and the kernel object; without them they say so and pass, and fail under `cargo xtask test --kernel`.

#[path = "../../fixtures/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the test of the function, which uses other parts of it"
)]
mod fixtures;
#[path = "../../support/netns.rs"]
#[allow(
    dead_code,
    reason = "shared with other tests, which use other parts of it"
)]
mod netns;
#[path = "../../support/pins.rs"]
mod pins;

#[path = "../tool/configuration.rs"]
mod configuration;
#[path = "../tool/frames.rs"]
mod frames;
#[path = "../tool/mutations.rs"]
mod mutations;

mod agreement;
mod l4_cases;
mod outer;
mod test_run;
mod wire;

use fixtures::packet;
