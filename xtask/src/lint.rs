//! `cargo xtask lint`: format, clippy for the host's crates, clippy for the kernel object, licences.
//!
//! Input is the workspace; output is the tools' own messages, and a failure at the first of them that has any. The two
//! clippy runs are apart because the kernel crate compiles for BPF only.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Kind, Toolchain};
use crate::workspace::Workspace;
use crate::{ebpf, process};

/// Runs all linters.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    println!("lint: format");
    process::run(workspace.cargo().args(["fmt", "--all", "--", "--check"]))
        .context("the code is not formatted: run `cargo fmt --all`")?;
    println!("lint: clippy, host crates");
    let host = [
        "clippy",
        "--quiet",
        "--workspace",
        "--exclude",
        ebpf::PACKAGE,
        "--all-targets",
    ];
    process::run(workspace.cargo().args(host).args(["--", "-D", "warnings"]))?;
    println!("lint: clippy, kernel object");
    process::run(&mut kernel(workspace, &setup::ensure(workspace)?)?)?;
    licences(workspace)
}

/// Clippy of the compiler that builds the kernel object.
fn kernel(workspace: &Workspace, toolchain: &Toolchain) -> Result<Command> {
    // `cargo clippy` would start the driver beside itself, which belongs to the host's compiler.
    let driver: OsString = match toolchain.kind() {
        Kind::Debian => toolchain
            .clippy_driver()
            .context("the BPF toolchain has no clippy: run `cargo xtask setup --force`")?
            .into(),
        Kind::Nightly { toolchain, .. } => {
            let which = ["which", "--toolchain", toolchain, "clippy-driver"];
            process::capture(Command::new("rustup").args(which))
                .with_context(|| {
                    format!("run `rustup component add clippy --toolchain {toolchain}`")
                })?
                .trim_end()
                .into()
        }
    };
    let mut cargo = ebpf::cargo(workspace, toolchain, "check");
    cargo
        .arg("--quiet")
        .env("RUSTC_WORKSPACE_WRAPPER", driver)
        .env(
            "CLIPPY_ARGS",
            KERNEL_LINTS
                .map(|flag| format!("{flag}{SEPARATOR}"))
                .concat(),
        );
    Ok(cargo)
}

fn licences(workspace: &Workspace) -> Result<()> {
    if process::find("cargo-deny").is_none() {
        println!("lint: cargo-deny is not installed, licences and sources are not checked");
        return Ok(());
    }
    println!("lint: licences and sources");
    process::run(
        workspace
            .cargo()
            .args(["deny", "check", "bans", "licenses", "sources"]),
    )
}

/// Warnings are errors, except for clippy's own groups: this compiler is not pinned, and what its next release adds to
/// them must be seen but must not fail a build that passed the day before. The lints we chose by name do fail it.
const KERNEL_LINTS: [&str; 3] = ["-Dwarnings", "--force-warn", "clippy::all"];
/// Between arguments, as `cargo clippy` hands them to the driver.
const SEPARATOR: &str = "__CLIPPY_HACKERY__";
