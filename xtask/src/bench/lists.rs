//! `cargo xtask bench lists`: a million source prefixes, how long they take to load, and whether every address gets the verdict
//! that it deserves.
//!
//! The bench target `lists` makes the prefixes up, asks the kernel tier about addresses in and around them, and compares
//! its verdicts with those of an evaluator of a few lines. A wrong verdict is an error here, not a finding.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Deserialize;

use super::l4;
use crate::process;
use crate::workspace::Workspace;

/// What `cargo xtask bench lists` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// IPv4 prefixes
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=4_000_000))]
    prefixes4: u64,
    /// IPv6 prefixes
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    prefixes6: u64,
    /// Addresses that are asked about
    #[arg(long, default_value_t = 100_000)]
    addresses: u32,
    /// Makes other prefixes and addresses up
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Without optimisation, which is built faster and takes longer
    #[arg(long)]
    debug: bool,
}

/// What the bench target prints.
#[derive(Deserialize)]
struct Findings {
    prefixes4: u64,
    prefixes6: u64,
    read_ms: u64,
    compile_ms: u64,
    write_ms: u64,
    load_ms: Option<u64>,
    resident_kib: u64,
    tables: Option<String>,
    addresses: u64,
    refused: u64,
    wrong: u64,
    examples: Vec<String>,
}

/// Measures, compares and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let profile = if options.debug { "dev" } else { "release" };
    let executable = l4::build_as(workspace, "lists", profile)?;
    let mut command = Command::new(&executable);
    for (name, value) in [
        ("--prefixes4", options.prefixes4),
        ("--prefixes6", options.prefixes6),
        ("--addresses", u64::from(options.addresses)),
        ("--seed", options.seed),
    ] {
        command.args([name, &value.to_string()]);
    }
    let by_kernel = process::is_root();
    if by_kernel {
        command.arg("--kernel");
    }
    let text = process::capture(&mut command)?;
    let line = text.lines().last().context("the bench printed nothing")?;
    let found: Findings = serde_json::from_str(line)
        .with_context(|| format!("the bench printed something else: {line}"))?;
    report(&found, options);
    ensure!(
        found.wrong == 0,
        "{} addresses get the wrong verdict: {}",
        found.wrong,
        found.examples.join(", ")
    );
    Ok(())
}

fn report(found: &Findings, options: &Options) {
    let build = if options.debug {
        "not optimised"
    } else {
        "optimised"
    };
    println!(
        "{} IPv4 and {} IPv6 prefixes in two lists, seed {} ({build})",
        found.prefixes4, found.prefixes6, options.seed
    );
    let milliseconds = |what: &str, took: u64| println!("  {what:<42} {took:>8} ms");
    milliseconds("read the configuration and its files", found.read_ms);
    milliseconds("compile the rules", found.compile_ms);
    milliseconds("write the tables into memory", found.write_ms);
    match found.load_ms {
        Some(took) => milliseconds("load the program and write its maps", took),
        None => println!("  the kernel was not asked: that takes root"),
    }
    println!(
        "  {:<42} {:>8} KiB",
        "memory of the tables, as resident", found.resident_kib
    );
    if let Some(line) = &found.tables {
        println!("  {line}");
    }
    println!(
        "  {} addresses: {} are refused, {} are not, {} got the wrong verdict from the function{}",
        found.addresses,
        found.refused,
        found.addresses - found.refused,
        found.wrong,
        if found.load_ms.is_some() {
            " or the kernel"
        } else {
            ""
        }
    );
}
