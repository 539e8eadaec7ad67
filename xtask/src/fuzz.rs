//! `cargo xtask fuzz`: the language and HTTP fed with random and damaged input for as long as one likes.
//!
//! Input is the target, the time and a seed; output is what the test of that target prints, and its exit code. A failure
//! names the seed that repeats it.

use anyhow::{Result, ensure};
use clap::Args;

use crate::process;
use crate::workspace::Workspace;

/// What `cargo xtask fuzz` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// lexer, parser, damaged, condition, expression, http1_request, http1_response, http1_body, http2, or all
    #[arg(long, default_value = "all")]
    target: String,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Build for speed
    #[arg(long)]
    release: bool,
}

/// Runs the targets one after the other.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let wanted = match options.target.as_str() {
        "http2" => HTTP2,
        target => target,
    };
    let known = TARGETS.contains(&wanted);
    ensure!(
        known || options.target == "all",
        "there is no target '{}': use all or one of {}",
        options.target,
        TARGETS.join(", ")
    );
    for target in TARGETS {
        if known && *target != wanted {
            continue;
        }
        println!(
            "fuzz: {target} for {} s from seed {}",
            options.seconds, options.seed
        );
        let mut cargo = workspace.cargo();
        let test = if *target == HTTP2 { "http" } else { "fuzz" };
        cargo.args(["test", "--quiet", "--package", "tidegate", "--test", test]);
        if options.release {
            cargo.arg("--release");
        }
        cargo
            .args(["--", "--exact", target, "--nocapture"])
            .env("FUZZ_SECONDS", options.seconds.to_string())
            .env("FUZZ_SEED", options.seed.to_string());
        process::run(&mut cargo)?;
    }
    Ok(())
}

const TARGETS: &[&str] = &[
    "lexer",
    "parser",
    "damaged",
    "condition",
    "expression",
    "http1_request",
    "http1_response",
    "http1_body",
    HTTP2,
];

/// Noise through a running proxy: a test of those that have one.
const HTTP2: &str = "http2::fuzz::noise_neither_stops_the_proxy_nor_reaches_a_server";
