//! Debian packages: which are needed, and their archives in the cache.
//!
//! Input is what `apt-cache` and `dpkg-query` say; output is a list of downloaded `.deb` files. Nothing is installed;
//! the package lists are refreshed only when a package is unknown and we are root.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// One package as `apt-cache show` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    version: String,
    architecture: String,
    size: u64,
    depends: Vec<String>,
}

/// Packages and their archives, in the same order.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) packages: Vec<Package>,
    pub(super) archives: Vec<PathBuf>,
}

/// The compiler's packages and those of their libraries that this machine lacks, downloaded to the cache.
///
/// Lists that are missing, or too old for what the mirror still holds, are refreshed once.
pub(super) fn obtain(cache: &Path) -> Result<Obtained> {
    let attempt = || {
        let packages = closure(show, is_installed)?;
        let archives = download(&packages, cache)?;
        Ok(Obtained { packages, archives })
    };
    attempt().or_else(|error| {
        refresh_lists(&error)?;
        attempt().context(
            "this system's packages do not help: install a rustup nightly with rust-src and a matching bpf-linker",
        )
    })
}

/// Fetches what the cache does not hold yet.
fn download(packages: &[Package], cache: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    // Held until the end: another checkout may be downloading the same.
    let lock = fs::File::create(cache.join("lock"))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", cache.display()))?;
    let missing: Vec<&Package> = packages
        .iter()
        .filter(|package| !package.is_in(cache))
        .collect();
    if missing.is_empty() {
        println!(
            "setup: all {} packages are in {}",
            packages.len(),
            cache.display()
        );
    } else {
        let bytes: u64 = missing.iter().map(|package| package.size).sum();
        println!(
            "setup: downloading {} packages, {} MB",
            missing.len(),
            bytes / 1_000_000
        );
        fetch(&missing, cache)?;
    }
    Ok(packages
        .iter()
        .map(|package| cache.join(package.archive()))
        .collect())
}

/// Downloads beside the cache's files first, so that an interruption leaves no half archive under a good name.
fn fetch(packages: &[&Package], cache: &Path) -> Result<()> {
    let partial = cache.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)
            .with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    fs::create_dir(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "-o", "APT::Sandbox::User=", "download"])
        .args(
            packages
                .iter()
                .map(|package| format!("{}={}", package.name, package.version)),
        )
        .current_dir(&partial);
    process::run(&mut apt).context("the packages cannot be downloaded")?;
    for package in packages {
        if !package.is_in(&partial) {
            bail!(
                "apt-get did not deliver {} in its full size",
                package.archive()
            );
        }
        fs::rename(
            partial.join(package.archive()),
            cache.join(package.archive()),
        )?;
    }
    fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))
}

impl Package {
    /// The name `apt-get download` gives the archive.
    fn archive(&self) -> String {
        format!(
            "{}_{}_{}.deb",
            self.name,
            self.version.replace(':', "%3a"),
            self.architecture
        )
    }

    fn is_in(&self, directory: &Path) -> bool {
        fs::metadata(directory.join(self.archive())).is_ok_and(|file| file.len() == self.size)
    }

    /// Parses one paragraph of `apt-cache show`.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        Some(Self {
            name: field("Package")?.to_owned(),
            version: field("Version")?.to_owned(),
            architecture: field("Architecture")?.to_owned(),
            size: field("Size")?.parse().ok()?,
            depends: dependencies(field("Depends").unwrap_or_default()),
        })
    }
}

/// Names out of `libc6 (>= 2.34), gcc | clang, libc6-dev:any`: the first alternative of each.
fn dependencies(text: &str) -> Vec<String> {
    text.split(',')
        .filter_map(|alternatives| alternatives.split(['|', '(', ':']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The seeds and everything below them that is not installed, asked for one generation at a time: each question
/// costs apt a second or more.
fn closure(
    show: impl Fn(&[String]) -> Result<Vec<Package>>,
    is_installed: impl Fn(&str) -> bool,
) -> Result<Vec<Package>> {
    let mut wanted: Vec<String> = SEEDS.map(str::to_owned).to_vec();
    let mut seen: BTreeSet<String> = wanted.iter().cloned().collect();
    let mut packages = Vec::new();
    while !wanted.is_empty() {
        let generation = show(&wanted)?;
        wanted.clear();
        for dependency in generation.iter().flat_map(|package| &package.depends) {
            // The compiler's own C compiler and binutils are those that compiled xtask.
            let needed = dependency.starts_with("lib") && dependency != "libc-dev";
            let ours = dependency.starts_with("libstd-rust-") || dependency.starts_with("libllvm");
            if needed && (ours || !is_installed(dependency)) && seen.insert(dependency.clone()) {
                wanted.push(dependency.clone());
            }
        }
        packages.extend(generation);
    }
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

fn show(names: &[String]) -> Result<Vec<Package>> {
    let text = process::capture(
        Command::new("apt-cache")
            .args(["show", "--no-all-versions"])
            .args(names),
    )
    .with_context(|| format!("apt does not know {}", names.join(", ")))?;
    let packages: Vec<Package> = text.split("\n\n").filter_map(Package::parse).collect();
    match names
        .iter()
        .find(|name| packages.iter().all(|package| package.name != **name))
    {
        Some(unknown) => bail!("apt does not know the package {unknown}"),
        None => Ok(packages),
    }
}

fn is_installed(name: &str) -> bool {
    process::capture(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}\n", name]))
        .is_ok_and(|status| status.lines().any(|line| line == "installed"))
}

fn refresh_lists(why: &anyhow::Error) -> Result<()> {
    if !process::is_root() {
        bail!(
            "{why:#}: run `sudo apt-get update` first, or install a rustup nightly with rust-src"
        );
    }
    println!("setup: {why:#}: refreshing the package lists");
    process::run(Command::new("apt-get").args(["-qq", "update"]))
}

const SEEDS: [&str; 4] = [
    "rustc-web",
    "libstd-rust-web-dev",
    "libstd-rust-web-dev-bpf",
    "rust-web-clippy",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "Package: libllvm22\nVersion: 1:22.1.8-1~deb12u1\nArchitecture: amd64\n\
        Depends: libc6 (>= 2.36), libedit2 (>= 2.11), libffi8 | libffi7, libz3-4:any\nSize: 29378692\n";

    #[test]
    fn a_package_is_read_from_what_apt_shows() {
        let package = Package::parse(SHOWN).expect("all fields are there");
        assert_eq!(
            package.archive(),
            "libllvm22_1%3a22.1.8-1~deb12u1_amd64.deb"
        );
        assert_eq!(package.size, 29_378_692);
        assert_eq!(package.depends, ["libc6", "libedit2", "libffi8", "libz3-4"]);
        assert_eq!(Package::parse("Package: virtual\n"), None);
    }

    #[test]
    fn the_closure_takes_the_compiler_s_libraries_and_only_what_is_missing() {
        let package = |name: &String| {
            let depends: &[&str] = match name.as_str() {
                "rustc-web" => &[
                    "libc6",
                    "gcc",
                    "libc-dev",
                    "binutils",
                    "libstd-rust-web-dev",
                ],
                "libstd-rust-web-dev" => &["libstd-rust-web-1.96"],
                "libstd-rust-web-1.96" => &["libllvm22", "libc6"],
                "libllvm22" => &["libedit2", "libc6"],
                "libedit2" => &["libbsd0", "libc6"],
                _ => &[],
            };
            Package {
                name: name.clone(),
                version: "1".to_owned(),
                architecture: "amd64".to_owned(),
                size: 1,
                depends: depends.iter().map(|name| (*name).to_owned()).collect(),
            }
        };
        let show = |names: &[String]| Ok(names.iter().map(package).collect());
        // The compiler's own libraries count even when installed: their files are needed below one root.
        let installed = |name: &str| name == "libc6" || name == "libllvm22";
        let packages = closure(show, installed).expect("every package is known");
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "libbsd0",
                "libedit2",
                "libllvm22",
                "libstd-rust-web-1.96",
                "libstd-rust-web-dev",
                "libstd-rust-web-dev-bpf",
                "rust-web-clippy",
                "rustc-web"
            ]
        );
    }

    #[test]
    fn an_archive_counts_only_in_its_full_size() {
        let cache = tempfile::tempdir().expect("a temporary directory");
        let mut package = Package::parse(SHOWN).expect("all fields are there");
        package.size = 4;
        assert!(!package.is_in(cache.path()));
        fs::write(cache.path().join(package.archive()), "abc").expect("written");
        assert!(!package.is_in(cache.path()), "one byte is missing");
        fs::write(cache.path().join(package.archive()), "abcd").expect("written");
        assert!(package.is_in(cache.path()));
    }
}
