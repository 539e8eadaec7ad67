//! Embeds the kernel object that `cargo xtask build-ebpf` made, if there is one.
//!
//! Without it the program still builds and runs every configuration that does not need the kernel tier.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let built = package.join("../target/bpf/tidegate-xdp");
    let source = env::var_os(OVERRIDE)
        .filter(|path| !path.is_empty())
        .map_or(built, PathBuf::from);
    if !source.exists() && env::var_os(OVERRIDE).is_none() {
        // An empty object means "none". It has to exist, or cargo would run this script and recompile on every build.
        if let Some(directory) = source.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&source, [])?;
    }
    println!("cargo::rerun-if-changed={}", source.display());
    let object = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("tidegate-xdp");
    fs::copy(&source, object)?;
    Ok(())
}

/// Names another object to embed; used by packagers who build it apart.
const OVERRIDE: &str = "TIDEGATE_XDP_OBJECT";
