//! The test programs of the workspace and the layer each test belongs to.
//!
//! Input is cargo's own account of what it built; output is a list of executables in a fixed order. How tests are run
//! and counted is not decided here.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::ebpf;
use crate::workspace::Workspace;

/// One test program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    kind: Kind,
    /// The directory of its package, in which it runs.
    pub(super) directory: PathBuf,
    name: String,
    pub(super) executable: PathBuf,
}

/// Unit tests run first: they are quicker and say more precisely what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unit,
    Integration,
}

/// How far from the code a test looks at it, from near to far.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// Beside the code, in the package that lies in this directory.
    Unit(String),
    /// Examples in the documentation.
    Documentation,
    /// The daemon from outside, by the name of the test program.
    Integration(String),
    /// The kernel object under `BPF_PROG_TEST_RUN`.
    KernelTestRun,
    /// The kernel object on devices.
    KernelVeth,
}

/// Builds all test programs and lists them.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<Target>> {
    let mut cargo = workspace.cargo();
    cargo
        .args([
            "test",
            "--workspace",
            "--exclude",
            ebpf::PACKAGE,
            "--no-run",
        ])
        .arg("--message-format=json-render-diagnostics");
    workspace.name_kernel_object(&mut cargo);
    println!("test: building the test programs");
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    let mut targets = Vec::new();
    for line in String::from_utf8(output.stdout)
        .context("cargo's messages")?
        .lines()
    {
        targets.extend(target(line)?);
    }
    targets.sort();
    Ok(targets)
}

/// One line of cargo's messages; most are not about test programs.
fn target(line: &str) -> Result<Option<Target>> {
    let message: Message =
        serde_json::from_str(line).with_context(|| format!("cargo's message {line}"))?;
    let Message {
        reason,
        executable: Some(executable),
        target: Some(target),
        ..
    } = message
    else {
        return Ok(None);
    };
    if reason != "compiler-artifact" || !message.profile.is_some_and(|profile| profile.test) {
        return Ok(None);
    }
    let manifest = message
        .manifest_path
        .context("an artifact without a package")?;
    let directory = manifest
        .parent()
        .context("a manifest without a directory")?
        .to_owned();
    let is_test = target.kind.iter().any(|kind| kind == "test");
    let kind = if is_test {
        Kind::Integration
    } else {
        Kind::Unit
    };
    Ok(Some(Target {
        kind,
        directory,
        name: target.name,
        executable,
    }))
}

impl Target {
    /// The layer of one of its tests.
    pub(super) fn layer(&self, test: &str) -> Layer {
        match self.kind {
            Kind::Unit => Layer::Unit(self.package()),
            Kind::Integration if !self.name.starts_with("xdp") => {
                Layer::Integration(self.name.clone())
            }
            Kind::Integration if self.name.contains("veth") || test.contains("veth") => {
                Layer::KernelVeth
            }
            Kind::Integration => Layer::KernelTestRun,
        }
    }

    /// What to call it in a line of the report.
    pub(super) fn title(&self) -> String {
        match self.kind {
            Kind::Unit => format!("unit {} ({})", self.package(), self.name),
            Kind::Integration => format!("integration {}", self.name),
        }
    }

    pub(super) fn log_name(&self) -> String {
        // Unique, and the same at every run unless the program is built differently.
        let file = self
            .executable
            .file_name()
            .unwrap_or(self.executable.as_os_str());
        format!("{}.log", file.to_string_lossy())
    }

    fn package(&self) -> String {
        self.directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(package) => write!(out, "unit {package}"),
            Self::Documentation => out.write_str("documentation"),
            Self::Integration(name) => write!(out, "integration {name}"),
            Self::KernelTestRun => out.write_str("kernel test-run"),
            Self::KernelVeth => out.write_str("kernel veth"),
        }
    }
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<MessageTarget>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, name: &str, test: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"/w/userspace/Cargo.toml",
            "target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}},"executable":"/w/t/{name}-1"}}"#
        )
    }

    fn layer(kind: &str, name: &str, test: &str) -> String {
        let target = target(&message(kind, name, true))
            .expect("valid")
            .expect("a test program");
        target.layer(test).to_string()
    }

    #[test]
    fn test_programs_are_told_from_other_artifacts() {
        assert!(
            target(&message("lib", "tidegate", true))
                .expect("valid")
                .is_some()
        );
        assert!(
            target(&message("bin", "tidegate", false))
                .expect("valid")
                .is_none()
        );
        let other = r#"{"reason":"build-finished","success":true}"#;
        assert_eq!(target(other).expect("valid"), None);
        target("warning: not a message").expect_err("no JSON");
    }

    #[test]
    fn every_test_has_its_layer() {
        assert_eq!(layer("lib", "tidegate", "lang::x"), "unit userspace");
        assert_eq!(layer("test", "http", "x"), "integration http");
        assert_eq!(layer("test", "xdp", "test_run::a"), "kernel test-run");
        assert_eq!(layer("test", "xdp", "veth::a"), "kernel veth");
        assert_eq!(layer("test", "xdp_veth", "a"), "kernel veth");
    }
}
