//! `cargo xtask packets`: malformed and random frames against the real program under `BPF_PROG_TEST_RUN`.
//!
//! Input is a corpus of frames, or how many random ones; output are the verdicts by count, each frame whose verdict is not
//! acceptable or on which program and function disagree, and a last line `N passed, M failed`. What is run is the example
//! `packets` of the daemon's package (`tests/xdp/tool`); here it is only built, with the kernel object, and started.

use std::path::PathBuf;
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
    ensure!(
        options.corpus.is_some() || options.mutations.is_some(),
        "say what to run: --corpus FILE, --mutations N, or both"
    );
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

const NAME: &str = "packets";
