//! Where things are: the checkout, its build directory, the user's cache.
//!
//! Input is the environment cargo gives us; output is paths. Nothing is created here except where a name says so.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The checkout this xtask was started from.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the checkout from the manifest directory that `cargo run` exports (or that we were compiled in).
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let Some(root) = manifest
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file())
        else {
            bail!("cannot find the workspace above {}", manifest.display());
        };
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => env::current_dir()?.join(directory),
            None => root.join("target"),
        };
        Ok(Self {
            root: root.to_owned(),
            target,
        })
    }

    /// The directory of the workspace's Cargo.toml.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build directory (`CARGO_TARGET_DIR` is honoured).
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The kernel object that `build-ebpf` writes and the daemon embeds.
    pub(crate) fn kernel_object(&self) -> PathBuf {
        self.target.join("bpf/tidegate-xdp")
    }

    /// Tells a build of the daemon where the kernel object is, unless that is where it looks anyway.
    pub(crate) fn name_kernel_object(&self, cargo: &mut Command) {
        if self.target != self.root.join("target") && self.kernel_object().exists() {
            cargo.env("TIDEGATE_XDP_OBJECT", self.kernel_object());
        }
    }

    /// A cargo command that runs in the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }
}

/// The user's cache directory for downloads that should outlive `cargo clean` and serve other checkouts.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => {
            PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
                .join(".cache")
        }
    };
    Ok(base.join("tidegate"))
}
