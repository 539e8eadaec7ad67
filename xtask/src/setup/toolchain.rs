//! The prepared toolchain as a directory: `toolchain.json` says what is in it.
//!
//! Written once by `setup` as its last step, so that an interrupted run leaves no stamp; read by `build-ebpf` in this
//! or another checkout. The directory may be moved: only the nightly kind refers to anything outside it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::process;

/// A compiler and a linker that can build the kernel object.
#[derive(Debug)]
pub(crate) struct Toolchain {
    directory: PathBuf,
    stamp: Stamp,
}

/// How the compiler gets its `core` for BPF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Kind {
    /// Debian's compiler and its precompiled `core`, reached through `bin/rustc` and `bin/bpf-linker`.
    Debian,
    /// A rustup nightly that compiles `core` from `rust-src`.
    Nightly { toolchain: String, linker: PathBuf },
}

#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    recipe: u32,
    #[serde(flatten)]
    kind: Kind,
    rustc: String,
    linker_version: String,
}

impl Toolchain {
    /// Opens a prepared directory and proves that its tools start.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(STAMP);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {} (run `cargo xtask setup`)", path.display()))?;
        let stamp: Stamp = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a toolchain description", path.display()))?;
        ensure!(
            stamp.recipe == RECIPE,
            "{} was prepared by another version of xtask",
            directory.display()
        );
        let toolchain = Self {
            directory: directory.to_owned(),
            stamp,
        };
        let (rustc, linker) = toolchain.versions()?;
        if rustc != toolchain.stamp.rustc || linker != toolchain.stamp.linker_version {
            bail!(
                "{} holds {rustc} and {linker}, its description says otherwise",
                path.display()
            );
        }
        Ok(toolchain)
    }

    /// Writes the description, as the last step of a preparation.
    pub(super) fn seal(directory: &Path, kind: Kind) -> Result<()> {
        let stamp = Stamp {
            recipe: RECIPE,
            kind,
            rustc: String::new(),
            linker_version: String::new(),
        };
        let mut toolchain = Self {
            directory: directory.to_owned(),
            stamp,
        };
        let (rustc, linker_version) = toolchain.versions()?;
        toolchain.stamp.rustc = rustc;
        toolchain.stamp.linker_version = linker_version;
        let text = serde_json::to_string_pretty(&toolchain.stamp)?;
        let path = directory.join(STAMP);
        let partial = path.with_extension("partial");
        fs::write(&partial, text + "\n")
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.stamp.kind
    }

    /// The linker rustc calls for the BPF target.
    pub(crate) fn linker(&self) -> PathBuf {
        match &self.stamp.kind {
            Kind::Debian => self.directory.join("bin/bpf-linker"),
            Kind::Nightly { linker, .. } => linker.clone(),
        }
    }

    /// Debian's compiler, if that is what this toolchain is made of.
    pub(crate) fn rustc(&self) -> PathBuf {
        self.directory.join("bin/rustc")
    }

    /// The linter of Debian's compiler, which a directory prepared by an older xtask may lack.
    pub(crate) fn clippy_driver(&self) -> Option<PathBuf> {
        Some(self.directory.join("bin/clippy-driver")).filter(|driver| driver.is_file())
    }

    /// Removes the description, so that a preparation that is interrupted is not mistaken for a finished one.
    pub(super) fn unseal(directory: &Path) -> Result<()> {
        match fs::remove_file(directory.join(STAMP)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot clear {}", directory.display()))
            }
            _ => Ok(()),
        }
    }

    fn versions(&self) -> Result<(String, String)> {
        let mut rustc = match &self.stamp.kind {
            Kind::Debian => Command::new(self.rustc()),
            Kind::Nightly { toolchain, .. } => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", toolchain, "rustc"]);
                rustup
            }
        };
        let rustc = process::capture(rustc.arg("--version"))?;
        let linker = process::capture(Command::new(self.linker()).arg("--version"))?;
        Ok((rustc.trim().to_owned(), linker.trim().to_owned()))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stamp {
            kind,
            rustc,
            linker_version,
            ..
        } = &self.stamp;
        match kind {
            Kind::Debian => write!(out, "Debian's {rustc}, {linker_version}")?,
            Kind::Nightly { toolchain, .. } => {
                write!(out, "rustup's {toolchain} ({rustc}), {linker_version}")?;
            }
        }
        write!(out, ", in {}", self.directory.display())
    }
}

/// Raised when a directory prepared by an older xtask can no longer be used.
const RECIPE: u32 = 1;
const STAMP: &str = "toolchain.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::linker::write_script;

    fn fake_toolchain() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let bin = directory.path().join("bin");
        fs::create_dir(&bin).expect("bin");
        write_script(&bin.join("rustc"), "#!/bin/sh\necho rustc 1.2.3\n").expect("rustc");
        write_script(&bin.join("bpf-linker"), "#!/bin/sh\necho bpf-linker 4.5\n").expect("linker");
        directory
    }

    #[test]
    fn a_sealed_directory_opens_and_says_what_it_is() {
        let directory = fake_toolchain();
        Toolchain::seal(directory.path(), Kind::Debian).expect("sealed");
        let toolchain = Toolchain::open(directory.path()).expect("opened");
        assert_eq!(*toolchain.kind(), Kind::Debian);
        assert!(
            toolchain
                .to_string()
                .starts_with("Debian's rustc 1.2.3, bpf-linker 4.5, in /")
        );
    }

    #[test]
    fn an_interrupted_preparation_does_not_open() {
        let directory = fake_toolchain();
        let error = Toolchain::open(directory.path()).expect_err("there is no stamp");
        assert!(error.to_string().contains("cargo xtask setup"), "{error}");
        Toolchain::seal(directory.path(), Kind::Debian).expect("sealed");
        Toolchain::unseal(directory.path()).expect("unsealed");
        Toolchain::open(directory.path()).expect_err("the stamp is gone");
    }

    #[test]
    fn a_directory_whose_tools_changed_or_fail_does_not_open() {
        let directory = fake_toolchain();
        Toolchain::seal(directory.path(), Kind::Debian).expect("sealed");
        let rustc = directory.path().join("bin/rustc");
        write_script(&rustc, "#!/bin/sh\necho rustc 9.9.9\n").expect("rustc");
        Toolchain::open(directory.path()).expect_err("another compiler than the stamp says");
        write_script(&rustc, "#!/bin/sh\nexit 1\n").expect("rustc");
        Toolchain::open(directory.path()).expect_err("the compiler does not start");
    }
}
