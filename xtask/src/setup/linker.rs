//! `bpf-linker`, built against the LLVM that the unpacked compiler uses.
//!
//! Input is the directory with `libLLVM`; output is `bin/bpf-linker`, a script that starts the real program with that
//! library. The program is kept in the user's cache, because building it takes longer than everything else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;

/// The LLVM a linker is built against.
#[derive(Debug)]
pub(super) struct Llvm {
    /// The major version, as in the package's name `libllvm22`.
    pub(super) major: u32,
    /// The shared library, for instance `root/usr/lib/x86_64-linux-gnu/libLLVM.so.22.1`.
    pub(super) library: PathBuf,
}

/// Puts `libexec/bpf-linker` and the script that starts it in place.
pub(super) fn install(directory: &Path, llvm: &Llvm, cache: &Path) -> Result<()> {
    ensure!(
        LLVM_VERSIONS.contains(&llvm.major),
        "bpf-linker {VERSION} cannot be built against LLVM {} (only {LLVM_VERSIONS:?})",
        llvm.major
    );
    let libraries = llvm
        .library
        .parent()
        .context("libLLVM lies in no directory")?;
    let program = directory.join("libexec/bpf-linker");
    let kept = cache.join(format!("bpf-linker-{VERSION}-llvm{}", llvm.major));
    if starts(&kept, libraries) {
        println!("setup: bpf-linker {VERSION} is in {}", cache.display());
        copy(&kept, &program)?;
    } else {
        build(directory, llvm)?;
        fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
        copy(&program, &kept)?;
    }
    ensure!(
        starts(&program, libraries),
        "{} does not start",
        program.display()
    );
    write_script(
        &directory.join("bin/bpf-linker"),
        &launcher(directory, libraries, "libexec/bpf-linker")?,
    )
}

/// Builds into `libexec/`; cargo's build directory survives an interruption and is removed at the end.
fn build(directory: &Path, llvm: &Llvm) -> Result<()> {
    println!(
        "setup: building bpf-linker {VERSION} against LLVM {} (half a minute)",
        llvm.major
    );
    // All that its build looks for is `lib/libLLVM.so`; neither headers nor llvm-config.
    let prefix = directory.join("llvm");
    fs::create_dir_all(prefix.join("lib"))?;
    let name = llvm.library.file_name().context("libLLVM has no name")?;
    for link in [prefix.join("lib/libLLVM.so"), prefix.join("lib").join(name)] {
        let _ = fs::remove_file(&link);
        symlink(&llvm.library, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    let installed = directory.join("install");
    let build = directory.join("build");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "install",
            "bpf-linker",
            "--quiet",
            "--locked",
            "--force",
            "--version",
            VERSION,
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{}", llvm.major),
        ])
        .args(["--no-track", "--root"])
        .arg(&installed)
        .arg("--target-dir")
        .arg(&build)
        .current_dir(directory)
        .env("LLVM_PREFIX", &prefix)
        // Nearly all of its work happens inside LLVM: optimising the rest would only cost build time.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut cargo).context(
        "bpf-linker cannot be built (a C compiler, `cc`, and access to crates.io are needed)",
    )?;
    copy(
        &installed.join("bin/bpf-linker"),
        &directory.join("libexec/bpf-linker"),
    )?;
    for scratch in [installed, build, prefix] {
        fs::remove_dir_all(&scratch)
            .with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    Ok(())
}

/// A script that starts `program` (relative to `directory`) with the unpacked libraries, wherever the directory is now.
pub(super) fn launcher(directory: &Path, libraries: &Path, program: &str) -> Result<String> {
    let libraries = libraries
        .strip_prefix(directory)
        .with_context(|| format!("{} is outside the toolchain", libraries.display()))?;
    Ok(format!(
        "#!/bin/sh\n\
         here=$(dirname \"$(readlink -f \"$0\")\")/..\n\
         LD_LIBRARY_PATH=$here/{}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n\
         export LD_LIBRARY_PATH\n\
         exec \"$here/{program}\" \"$@\"\n",
        libraries.display()
    ))
}

/// Writes an executable file.
pub(super) fn write_script(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn starts(program: &Path, libraries: &Path) -> bool {
    program.is_file()
        && process::succeeds(
            Command::new(program)
                .arg("--version")
                .env("LD_LIBRARY_PATH", libraries),
        )
}

/// Copies a program so that nobody ever sees half of it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a path without a directory")?;
    let partial = parent.join(format!("bpf-linker.partial.{}", std::process::id()));
    fs::create_dir_all(parent)
        .and_then(|()| fs::copy(from, &partial))
        .and_then(|_| fs::rename(&partial, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

const VERSION: &str = "0.13.0";
const LLVM_VERSIONS: [u32; 3] = [21, 22, 23];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_finds_its_program_and_libraries_after_the_directory_moved() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let before = parent.path().join("before");
        let program = "#!/bin/sh\necho \"$LD_LIBRARY_PATH $1\"\n";
        write_script(&before.join("libexec/tool"), program).expect("the program");
        let script = launcher(&before, &before.join("root/lib"), "libexec/tool").expect("inside");
        write_script(&before.join("bin/tool"), &script).expect("the launcher");
        let after = parent.path().join("after");
        fs::rename(&before, &after).expect("moved");
        let mut command = Command::new(after.join("bin/tool"));
        let printed = process::capture(command.arg("one two").env_remove("LD_LIBRARY_PATH"))
            .expect("the launcher starts");
        assert!(
            printed.contains("/after/bin/../root/lib one two"),
            "{printed}"
        );
    }

    #[test]
    fn an_unsupported_llvm_is_refused_before_anything_is_built() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let llvm = Llvm {
            major: 14,
            library: directory.path().join("libLLVM.so.14"),
        };
        let error = install(directory.path(), &llvm, directory.path()).expect_err("too old");
        assert!(error.to_string().contains("against LLVM 14"), "{error}");
        assert!(!directory.path().join("build").exists());
    }
}
