//! The program as a process: masters and workers, reloads, hand-overs, signals and exit codes.
//!
//! Each test runs the real binary on loopback with files and sockets in a directory of its own, and ends it again.

mod members;
#[path = "../support/ports.rs"]
mod ports;
mod privileges;
mod reload;
mod signals;
mod support;
