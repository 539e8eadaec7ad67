//! `cargo xtask build`: the daemon with the kernel object inside.
//!
//! Input is the workspace; output is `target/release/tidegate`, or `target/debug/tidegate`. Plain `cargo build` works too and embeds
//! whatever kernel object was built last, or none.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::workspace::Workspace;
use crate::{ebpf, process};

/// What `cargo xtask build` takes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Build quickly instead of for speed: target/debug/tidegate
    #[arg(long)]
    debug: bool,
}

/// Builds the daemon and says where it is.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let profile = if options.debug {
        Profile::Dev
    } else {
        Profile::Release
    };
    let binary = daemon(workspace, profile)?;
    println!("build: {}", binary.display());
    Ok(())
}

/// How much the compiler optimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// Quick to run.
    Release,
}

/// Prepares the toolchain, builds the kernel object and the daemon, and returns the daemon's path.
pub(crate) fn daemon(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    ebpf::build(workspace)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "tidegate"]);
    let directory = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            cargo.arg("--release");
            "release"
        }
    };
    workspace.name_kernel_object(&mut cargo);
    process::run(&mut cargo)?;
    let binary = workspace.target().join(directory).join("tidegate");
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}
