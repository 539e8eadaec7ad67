//! `tidegate decap`: takes packets out of tunnels until it is told to stop.
//!
//! Input are the words of the command line; output is one line when the program is on the interface, and the counters at
//! the end. What is done to packets is [`crate::dataplane::decap`]'s business; how packets get here is the balancer's.
#![expect(
    clippy::print_stdout,
    reason = "this is a part that talks to the terminal"
)]

use std::net::IpAddr;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::DecapMode;
use crate::dataplane::Chain;
use crate::dataplane::decap::Decap;
use crate::log::notice;
use crate::model::XdpMode;

/// Runs until SIGINT or SIGTERM.
pub(super) fn run(
    interface: &str,
    mode: Option<DecapMode>,
    port: u16,
    addresses: &[IpAddr],
) -> ExitCode {
    let mode = match mode {
        None => XdpMode::Auto,
        Some(DecapMode::Native) => XdpMode::Native,
        Some(DecapMode::Generic) => XdpMode::Generic,
    };
    let failed = |error: &dyn std::error::Error| {
        notice::alert(format_args!("decap: {}", Chain(error)));
        ExitCode::FAILURE
    };
    // Before anything is attached: a signal that comes in between must not be lost.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let ended = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let decap = match Decap::start(interface, mode, port, addresses) {
            Ok(decap) => decap,
            Err(error) => return Ok(failed(&error)),
        };
        for address in decap.foreign_addresses() {
            notice::warning(format_args!(
                "decap: {address} is no address of this machine; no tunnel will end at it"
            ));
        }
        let ends: Vec<String> = decap.addresses().iter().map(ToString::to_string).collect();
        println!(
            "decap: on {interface} ({}), IP in IP and GUE on port {port} to {}",
            decap.attachment(),
            ends.join(" ")
        );
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(match decap.stop() {
            Ok(counters) => {
                println!(
                    "decap: {} packets out of IP in IP, {} out of GUE, {} bytes; {} refused",
                    counters.ipip, counters.gue, counters.bytes, counters.refused
                );
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        })
    });
    ended.unwrap_or_else(|error: std::io::Error| failed(&error))
}
