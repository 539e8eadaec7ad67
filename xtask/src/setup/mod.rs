//! `cargo xtask setup`: gets a compiler and a linker for BPF without touching the system's packages.
//!
//! Input is what the machine offers: a rustup nightly with `rust-src`, else Debian's packages. Output is a directory
//! (`target/bpf-toolchain`, or the one named by `TIDEGATE_BPF_TOOLCHAIN`) that [`Toolchain::open`] understands.
//! Nothing is installed: packages are unpacked below the directory, downloads are kept in the user's cache.

mod debian;
mod linker;
mod nightly;
mod packages;
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

pub(crate) use self::toolchain::{Kind, Toolchain};
use crate::workspace::Workspace;

/// What `cargo xtask setup` takes.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Where the compiler comes from
    #[arg(long, value_enum, default_value_t)]
    source: Source,
    /// Prepare again even if the toolchain is there
    #[arg(long)]
    force: bool,
}

/// Where the BPF compiler comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Source {
    /// A suitable nightly if there is one, else Debian's packages
    #[default]
    Auto,
    /// A rustup nightly with the rust-src component, and a bpf-linker in PATH
    Nightly,
    /// Debian's rustc-web with its precompiled core for BPF, unpacked under target/
    Debian,
}

/// Prepares the toolchain and says what was picked.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let toolchain = prepare(workspace, options)?;
    println!("bpf toolchain: {toolchain}");
    Ok(())
}

/// The toolchain, prepared first if it is not there. Quick when it is.
pub(crate) fn ensure(workspace: &Workspace) -> Result<Toolchain> {
    prepare(workspace, &Options::default())
}

fn prepare(workspace: &Workspace, options: &Options) -> Result<Toolchain> {
    if let Some(directory) = env::var_os("TIDEGATE_BPF_TOOLCHAIN").filter(|value| !value.is_empty())
    {
        let directory = PathBuf::from(directory);
        return Toolchain::open(&directory).with_context(|| {
            format!(
                "TIDEGATE_BPF_TOOLCHAIN={} is not a prepared toolchain",
                directory.display()
            )
        });
    }
    let directory = workspace.target().join("bpf-toolchain");
    if !options.force
        && let Some(toolchain) = prepared(&directory, options.source)
    {
        return Ok(toolchain);
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    // Held until the end: two builds that start together must not unpack into each other.
    let lock = fs::File::create(directory.join("lock"))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", directory.display()))?;
    if !options.force
        && let Some(toolchain) = prepared(&directory, options.source)
    {
        return Ok(toolchain);
    }
    if options.force {
        clear(&directory)?;
    }
    match options.source {
        Source::Nightly => nightly::prepare(&directory)?,
        Source::Debian => debian::prepare(&directory)?,
        Source::Auto => {
            if let Err(why) = nightly::prepare(&directory) {
                println!("setup: no nightly to build with: {why:#}");
                println!(
                    "setup: using Debian's packages, unpacked under {}",
                    directory.display()
                );
                debian::prepare(&directory)?;
            }
        }
    }
    Toolchain::open(&directory)
}

/// Forgets what earlier runs unpacked and built; downloads and the cached linker stay.
fn clear(directory: &Path) -> Result<()> {
    Toolchain::unseal(directory)?;
    for part in ["root", "bin", "libexec", "build"] {
        let part = directory.join(part);
        if part.exists() {
            fs::remove_dir_all(&part)
                .with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    Ok(())
}

/// What an earlier run left, if it is complete and of the wanted kind.
fn prepared(directory: &Path, source: Source) -> Option<Toolchain> {
    Toolchain::open(directory)
        .ok()
        .filter(|toolchain| source.accepts(toolchain.kind()))
}

impl Source {
    fn accepts(self, kind: &Kind) -> bool {
        match self {
            Self::Auto => true,
            Self::Nightly => matches!(kind, Kind::Nightly { .. }),
            Self::Debian => matches!(kind, Kind::Debian),
        }
    }
}
