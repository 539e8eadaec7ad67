//! `cargo xtask packets`: malformed and random frames against the real program under `BPF_PROG_TEST_RUN`.
//!
//! Input is a corpus of frames, or how many random ones; output are the verdicts by count, each frame whose verdict is not
//! acceptable or on which program and function disagree, and a last line `N passed, M failed`. What is run is the example
//! `packets` of the daemon's package (`tests/xdp/tool`); here it is only built, with the kernel object, and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::workspace::Workspace;
use crate::{Verdict, ebpf, process};

/// What `cargo xtask packets` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Malformed frames, one JSON object a line: name, class, hex, accept
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Well-formed packets with neutral expectations, services and servers (JSON)
    #[arg(long, value_name = "FILE")]
    l4: Option<PathBuf>,
    /// How many random mutations of valid frames program and function decide about
    #[arg(long, value_name = "N")]
    mutations: Option<u64>,
    /// Where the random ones begin
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Build quickly instead of for speed
    #[arg(long)]
    debug: bool,
}

/// Builds what is needed and runs it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Verdict> {
    let by_example = options.corpus.is_some() || options.mutations.is_some();
    ensure!(
        by_example || options.l4.is_some(),
        "say what to run: --corpus FILE, --l4 FILE, --mutations N, or several of them"
    );
    if let Some(file) = &options.l4 {
        let verdict = run_cases(workspace, file)?;
        if verdict == Verdict::Failed || !by_example {
            return Ok(verdict);
        }
    }
    ebpf::build(workspace)?;
    let mut cargo = workspace.cargo();
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "tidegate",
        "--example",
        NAME,
    ]);
    let directory = if options.debug {
        "debug"
    } else {
        cargo.arg("--release");
        "release"
    };
    workspace.name_kernel_object(&mut cargo);
    process::run(&mut cargo)?;
    let program = workspace
        .target()
        .join(directory)
        .join("examples")
        .join(NAME);
    let mut command = Command::new(&program);
    if let Some(corpus) = &options.corpus {
        command.arg("--corpus").arg(corpus);
    }
    if let Some(count) = options.mutations {
        command.args(["--mutations", &count.to_string()]);
        command.args(["--seed", &options.seed.to_string()]);
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// Runs the cases of a file; the test of the program has the plumbing for them.
fn run_cases(workspace: &Workspace, file: &Path) -> Result<Verdict> {
    let file = file
        .canonicalize()
        .with_context(|| format!("cannot find {}", file.display()))?;
    ebpf::build(workspace)?;
    let mut cargo = workspace.cargo();
    cargo
        .args([
            "test",
            "--quiet",
            "--package",
            "tidegate",
            "--test",
            "xdp_packets",
            "--",
            "--exact",
            "l4_cases::every_case_of_the_file_is_met",
            "--nocapture",
        ])
        .env("TIDEGATE_L4_PACKETS", file);
    let status = cargo.status().context("cannot run cargo")?;
    Ok(if status.success() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

const NAME: &str = "packets";
