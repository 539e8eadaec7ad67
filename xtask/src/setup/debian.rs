//! Debian's compiler for the web browsers, unpacked without installing it: it brings a precompiled `core` for BPF.
//!
//! Input is apt's package lists; output is a sealed directory with `bin/rustc` and `bin/bpf-linker`. Packages are
//! downloaded to the user's cache and unpacked below the directory: `rustc-web` conflicts with `rustc`, so installing
//! it would remove a user's compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::linker::{self, Llvm, launcher, write_script};
use super::packages::{self, Obtained, Package};
use super::toolchain::{Kind, Toolchain};
use crate::process;
use crate::workspace;

/// Downloads, unpacks, builds the linker and seals the directory.
pub(super) fn prepare(directory: &Path) -> Result<()> {
    for tool in ["apt-get", "apt-cache", "dpkg"] {
        process::find(tool).with_context(|| {
            format!(
                "this machine has no {tool}: install a rustup nightly with rust-src and a matching bpf-linker \
                 (https://github.com/aya-rs/bpf-linker)"
            )
        })?;
    }
    Toolchain::unseal(directory)?;
    let cache = workspace::cache()?;
    let Obtained { packages, archives } = packages::obtain(&cache.join("debian"))?;
    let root = directory.join("root");
    unpack(&archives, &root)?;
    let libraries = library_directory(&root)?;
    let llvm = llvm(&packages, &libraries)?;
    for tool in ["rustc", "clippy-driver"] {
        let script = launcher(directory, &libraries, &format!("root/usr/bin/{tool}"))?;
        write_script(&directory.join("bin").join(tool), &script)?;
    }
    linker::install(directory, &llvm, &cache)?;
    Toolchain::seal(directory, Kind::Debian)
}

/// Unpacks beside `root` and moves it there when it is complete, unless an interrupted run came that far already.
fn unpack(archives: &[PathBuf], root: &Path) -> Result<()> {
    let contents = contents(archives);
    if fs::read_to_string(root.join(CONTENTS)).is_ok_and(|unpacked| unpacked == contents) {
        return Ok(());
    }
    let partial = root.with_extension("partial");
    for leftover in [root, &partial] {
        if leftover.exists() {
            fs::remove_dir_all(leftover)
                .with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    println!("setup: unpacking {} packages", archives.len());
    for archive in archives {
        let unpacked = process::capture(Command::new("dpkg").arg("-x").arg(archive).arg(&partial));
        if let Err(error) = unpacked {
            // Its size was right, so it will not be fetched again unless it goes.
            let _ = fs::remove_file(archive);
            return Err(error.context("a damaged package was removed: run setup again"));
        }
    }
    prune(&partial)?;
    fs::write(partial.join(CONTENTS), contents)?;
    fs::rename(&partial, root).with_context(|| format!("cannot create {}", root.display()))
}

/// The names of the archives: what a complete `root` was made of.
fn contents(archives: &[PathBuf]) -> String {
    let names = archives.iter().filter_map(|archive| archive.file_name());
    names
        .map(|name| format!("{}\n", name.to_string_lossy()))
        .collect()
}

/// Keeps the compiler, its libraries and two targets: half of what the packages hold.
fn prune(root: &Path) -> Result<()> {
    for part in [
        "usr/share",
        "usr/lib/debug",
        "usr/lib/rustlib/bpfeb-unknown-none",
    ] {
        let part = root.join(part);
        if part.exists() {
            fs::remove_dir_all(&part)
                .with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    Ok(())
}

/// The one directory below `usr/lib` that holds the compiler's driver, for instance `x86_64-linux-gnu`.
fn library_directory(root: &Path) -> Result<PathBuf> {
    let lib = root.join("usr/lib");
    let entries = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && file_named(&path, "librustc_driver-").is_some() {
            return Ok(path);
        }
    }
    bail!(
        "the packages hold no librustc_driver below {}",
        lib.display()
    )
}

fn llvm(packages: &[Package], libraries: &Path) -> Result<Llvm> {
    let major = packages
        .iter()
        .find_map(|package| package.name.strip_prefix("libllvm")?.parse().ok())
        .context("Debian's compiler depends on no libllvm package")?;
    let library = file_named(libraries, &format!("libLLVM.so.{major}"))
        .with_context(|| format!("the packages hold no libLLVM.so.{major}"))?;
    Ok(Llvm { major, library })
}

fn file_named(directory: &Path, prefix: &str) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
}

/// A file in `root` that lists the archives it was unpacked from.
const CONTENTS: &str = "contents";
