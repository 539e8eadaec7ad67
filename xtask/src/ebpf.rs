//! `cargo xtask build-ebpf`: compiles and links the kernel object to `target/bpf/tidegate-xdp`.
//!
//! Input is the `tidegate-xdp` package and a prepared toolchain; output is one ELF object with BTF, replaced only when
//! its content changed. The userspace build embeds that file; `AYA_BUILD_SKIP=1` leaves it as it is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::setup::{self, Kind, Toolchain};
use crate::workspace::Workspace;

/// Builds the object, preparing the toolchain first. `None` when `AYA_BUILD_SKIP` says not to.
pub(crate) fn build(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if env::var_os("AYA_BUILD_SKIP").is_some_and(|value| value == "1" || value == "true") {
        println!("build-ebpf: AYA_BUILD_SKIP is set, the kernel object is left as it is");
        return Ok(None);
    }
    let destination = workspace.kernel_object();
    make(workspace, PACKAGE, &destination)?;
    Ok(Some(destination))
}

/// Builds the object with the programs of `bench l4` and says where it is.
pub(crate) fn build_bench(workspace: &Workspace) -> Result<PathBuf> {
    let destination = workspace.target().join("bpf").join(BENCH);
    make(workspace, BENCH, &destination)?;
    Ok(destination)
}

/// Builds the object with the programs of `bench wire` and says where it is.
pub(crate) fn build_stream(workspace: &Workspace) -> Result<PathBuf> {
    let destination = workspace.target().join("bpf").join(STREAM);
    make(workspace, STREAM, &destination)?;
    Ok(destination)
}

/// Compiles one binary of the kernel package and puts it where it belongs.
fn make(workspace: &Workspace, binary: &str, destination: &Path) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let built = compile(workspace, &toolchain, binary)?;
    let object = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    check(&object).with_context(|| format!("{} is not a loadable object", built.display()))?;
    let changed = replace(destination, &object)?;
    let how = if changed { "written" } else { "unchanged" };
    println!(
        "build-ebpf: {} {how} ({} bytes)",
        destination.display(),
        object.len()
    );
    Ok(())
}

/// A cargo command (`build`, `check`, …) for the kernel package, with the toolchain's compiler and linker.
pub(crate) fn cargo(workspace: &Workspace, toolchain: &Toolchain, subcommand: &str) -> Command {
    let mut cargo = match toolchain.kind() {
        Kind::Debian => {
            let mut cargo = workspace.cargo();
            // A stable compiler; aya-ebpf needs the unstable features it would have as a nightly.
            cargo
                .arg(subcommand)
                .env("RUSTC", toolchain.rustc())
                .env("RUSTC_BOOTSTRAP", "1");
            cargo
        }
        Kind::Nightly { toolchain, .. } => {
            let mut rustup = Command::new("rustup");
            rustup.args([
                "run",
                toolchain,
                "cargo",
                subcommand,
                "-Z",
                "build-std=core",
            ]);
            // Set by the cargo that started us, which is not the one to run now.
            rustup
                .current_dir(workspace.root())
                .env_remove("CARGO")
                .env_remove("RUSTC");
            rustup
        }
    };
    cargo
        .args([
            "--package",
            PACKAGE,
            "--release",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(build_directory(workspace))
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags(workspace.root(), &toolchain.linker()).join("\x1f"),
        )
        // Makes the compiler cut the program into units by module, which the linker joins again. As a single unit it is
        // unrolled and merged further, until the verifier meets a register on a path that never wrote it.
        .env("CARGO_INCREMENTAL", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET");
    cargo
}

fn compile(workspace: &Workspace, toolchain: &Toolchain, binary: &str) -> Result<PathBuf> {
    let mut cargo = cargo(workspace, toolchain, "build");
    process::run(cargo.args(["--bin", binary])).with_context(|| {
        let hint = match toolchain.kind() {
            Kind::Debian => "",
            Kind::Nightly { .. } => {
                " (if the linker complains about LLVM versions: `cargo xtask setup --source debian --force`)"
            }
        };
        format!("the kernel object cannot be built{hint}")
    })?;
    Ok(build_directory(workspace)
        .join(TARGET)
        .join("release")
        .join(binary))
}

/// Apart from the host's builds: other flags, another compiler, and nobody waits for the other's lock.
fn build_directory(workspace: &Workspace) -> PathBuf {
    workspace.target().join("bpf-build")
}

fn flags(root: &Path, linker: &Path) -> Vec<String> {
    let mut flags = vec![
        format!("-Clinker={}", linker.display()),
        // Bounded loops, 32-bit jumps and atomics: every kernel we support knows them.
        "-Ctarget-cpu=v3".to_owned(),
        // BTF is made from the debug information.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // Else every field of a packet is read byte by byte; the verifier allows it wherever the machine does.
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access".to_owned(),
        format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
        // The same object from every checkout.
        format!("--remap-path-prefix={}=tidegate", root.display()),
    ];
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    flags
}

/// An ELF object for BPF with type information: what the loader needs, and what a broken link would lack.
fn check(object: &[u8]) -> Result<()> {
    ensure!(object.starts_with(b"\x7fELF"), "it is no ELF file");
    ensure!(
        object.get(18..20) == Some(&[247, 0]),
        "it is not made for little-endian BPF"
    );
    ensure!(
        object.windows(5).any(|name| name == b".BTF\0"),
        "it has no BTF section"
    );
    Ok(())
}

/// Writes `content` unless it is there already, so that nothing that depends on it is built again for nothing.
fn replace(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|current| current == content) {
        return Ok(false);
    }
    let directory = path.parent().context("the object has no directory")?;
    let partial = path.with_extension("partial");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&partial, content))
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// The package of the kernel object, which every host build leaves out.
pub(crate) const PACKAGE: &str = "tidegate-xdp";
const BENCH: &str = "tidegate-bench";
const STREAM: &str = "tidegate-stream";
const TARGET: &str = "bpfel-unknown-none";

#[cfg(test)]
mod tests {
    use super::*;

    fn object(machine: u8, section: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[18] = machine;
        bytes.extend_from_slice(section);
        bytes
    }

    #[test]
    fn only_a_bpf_object_with_btf_passes() {
        check(&object(247, b"\0.BTF\0")).expect("complete");
        check(&object(62, b"\0.BTF\0")).expect_err("made for x86-64");
        check(&object(247, b"\0.text\0")).expect_err("without type information");
        check(b"\x7fELF").expect_err("too short");
        check(b"#!/bin/sh\n").expect_err("no ELF at all");
    }

    #[test]
    fn an_unchanged_object_is_not_written_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("bpf/tidegate-xdp");
        assert!(replace(&path, b"one").expect("written"));
        assert!(!replace(&path, b"one").expect("compared"));
        assert!(replace(&path, b"two").expect("replaced"));
        assert_eq!(fs::read(&path).expect("readable"), b"two");
    }

    #[test]
    fn flags_name_the_linker_and_hide_the_checkout() {
        let flags = flags(Path::new("/srv/checkout"), Path::new("/t/bin/bpf-linker"));
        assert!(flags.contains(&"-Clinker=/t/bin/bpf-linker".to_owned()));
        assert!(flags.contains(&"--remap-path-prefix=/srv/checkout=tidegate".to_owned()));
    }
}
