//! `cargo xtask packets`: frames against the real program under `BPF_PROG_TEST_RUN`.
//!
//! `--corpus FILE` runs a corpus of malformed frames; `--mutations N --seed S` lets the program and the function decide
//! about N random frames. The last line says what passed and what failed. Needs root and the kernel object.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks to its user through the terminal"
)]

mod configuration;
mod corpus;
mod frames;
mod mutations;
#[path = "../../fixtures/packet.rs"]
#[allow(
    dead_code,
    reason = "shared with the fixtures, which use other parts of it"
)]
mod packet;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Malformed frames, one JSON object a line: name, class, hex, accept
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// How many random frames to decide about twice
    #[arg(long, value_name = "N")]
    mutations: Option<u64>,
    /// Where the random frames begin
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut good = true;
    if let Some(path) = &arguments.corpus {
        good &= corpus::run(path)?;
    }
    if let Some(count) = arguments.mutations {
        good &= mutate(count, arguments.seed)?;
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[expect(clippy::disallowed_methods, reason = "a rate is told in real time")]
fn mutate(count: u64, seed: u64) -> Result<bool> {
    let begun = Instant::now();
    let report = mutations::run(count, seed)?;
    let seconds = begun.elapsed().as_secs_f64();
    let decided: u64 = report.fates.values().sum();
    for (fate, count) in &report.fates {
        println!("{count:>9} {fate:?}");
    }
    for (reason, count) in &report.reasons {
        println!("{count:>9} {reason}");
    }
    for disagreement in &report.disagreements {
        println!("{disagreement}");
    }
    println!(
        "seed {seed}: {decided} frames in {seconds:.1} s, {:.0} a second",
        decided as f64 / seconds
    );
    let failed = report.disagreements.len() as u64;
    println!("{} passed, {failed} failed", decided.saturating_sub(failed));
    Ok(failed == 0)
}
