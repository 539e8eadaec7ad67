//! The ordinary way: a rustup nightly with `rust-src`, and a `bpf-linker` the user has installed.
//!
//! Input is what `rustup` lists; output is a sealed toolchain directory that only points at them. Nothing is
//! installed or updated: where a piece is missing the caller learns which one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::toolchain::{Kind, Toolchain};
use crate::process;

/// Seals a directory that points at a nightly with `rust-src`; an error says what the machine lacks.
pub(super) fn prepare(directory: &Path) -> Result<()> {
    let toolchain = find()?;
    let linker = process::find("bpf-linker").context(
        "there is no bpf-linker in PATH (it has to match the nightly's LLVM: https://github.com/aya-rs/bpf-linker)",
    )?;
    Toolchain::unseal(directory)?;
    Toolchain::seal(directory, Kind::Nightly { toolchain, linker })
}

/// The first nightly that holds the sources of `core`.
fn find() -> Result<String> {
    let listed = process::capture(Command::new("rustup").args(["toolchain", "list"]))
        .context("rustup cannot be asked for its toolchains")?;
    let nightlies: Vec<&str> = nightlies(&listed).collect();
    if nightlies.is_empty() {
        bail!("rustup has no nightly toolchain");
    }
    for toolchain in &nightlies {
        let sysroot = process::capture(
            Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]),
        )?;
        if holds_core_sources(&PathBuf::from(sysroot.trim())) {
            return Ok((*toolchain).to_owned());
        }
    }
    bail!("{} has no rust-src component", nightlies.join(" and "))
}

/// Names of nightlies in the output of `rustup toolchain list`, which marks some with `(active, default)`.
fn nightlies(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
}

fn holds_core_sources(sysroot: &Path) -> bool {
    sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nightlies_are_found_among_the_listed_toolchains() {
        let listed = "stable-x86_64-unknown-linux-gnu (default)\n\
                      nightly-2026-05-01-x86_64-unknown-linux-gnu\n\
                      nightly-x86_64-unknown-linux-gnu (active)\n1.95.0\n";
        let found: Vec<&str> = nightlies(listed).collect();
        assert_eq!(
            found,
            [
                "nightly-2026-05-01-x86_64-unknown-linux-gnu",
                "nightly-x86_64-unknown-linux-gnu"
            ]
        );
    }

    #[test]
    fn a_sysroot_counts_only_with_the_sources_of_core() {
        let sysroot = tempfile::tempdir().expect("a temporary directory");
        assert!(!holds_core_sources(sysroot.path()));
        let source = sysroot.path().join("lib/rustlib/src/rust/library/core/src");
        std::fs::create_dir_all(&source).expect("directories");
        assert!(
            !holds_core_sources(sysroot.path()),
            "an empty directory is not rust-src"
        );
        std::fs::write(source.join("lib.rs"), "").expect("lib.rs");
        assert!(holds_core_sources(sysroot.path()));
    }
}
