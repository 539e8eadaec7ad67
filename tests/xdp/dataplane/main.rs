//! The kernel tier on real devices: a client, a balancer and three servers in network namespaces of their own.
//!
//! Every test starts a [`tidegate::dataplane::Dataplane`] in the balancer's namespace, exactly as the daemon does, and
//! then behaves like clients and servers. Without root or without the kernel object they say so and pass; under
//! `cargo xtask test --kernel` that is a failure.

#[path = "../../support/netns.rs"]
#[allow(
    dead_code,
    reason = "shared with the unit tests, which use other parts of it"
)]
mod netns;
#[path = "../../support/pins.rs"]
mod pins;

mod capture;
mod configuration;
mod cookies;
mod crowd;
mod decap;
mod diagnosis;
mod dns;
mod flood;
mod fork;
mod guard;
mod l4;
mod lab;
mod long;
mod marks;
mod members;
mod messages;
mod modes;
mod operator;
mod privileges;
mod process;
mod quic;
#[path = "../packets/wire/raw.rs"]
#[allow(dead_code, reason = "the table of packets sends with it as well")]
mod raw;
mod restart;
mod session;
mod upgrade;
