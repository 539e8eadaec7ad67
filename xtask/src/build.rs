//! Builds the daemon with the kernel object inside.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::workspace::Workspace;
use crate::{ebpf, process};

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
    process::run(&mut cargo)?;
    let binary = workspace.target().join(directory).join("tidegate");
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}
