//! Programs of other projects that our tests start, and the Debian packages that bring them.
//!
//! Input is a list of names; output is the assurance that they are there. As root on a machine with apt-get what is
//! missing gets installed, and the line before says so; anybody else learns what to install.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// A program and where Debian keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
}

/// Makes and inspects devices and namespaces.
pub(crate) const IP: Program = Program {
    name: "ip",
    package: "iproute2",
};
/// Switches offloads of devices.
pub(crate) const ETHTOOL: Program = Program {
    name: "ethtool",
    package: "ethtool",
};
/// Translates addresses, as people do without a balancer.
pub(crate) const NFT: Program = Program {
    name: "nft",
    package: "nftables",
};

/// Runs HAProxy's regression tests.
pub(crate) const VARNISHTEST: Program = Program {
    name: "varnishtest",
    package: "varnish",
};
/// Puts each of them into namespaces of its own.
pub(crate) const UNSHARE: Program = Program {
    name: "unshare",
    package: "util-linux",
};
/// Started by some of them.
pub(crate) const SOCAT: Program = Program {
    name: "socat",
    package: "socat",
};
/// Started by some of them.
pub(crate) const CURL: Program = Program {
    name: "curl",
    package: "curl",
};
/// Started by some of them.
pub(crate) const OPENSSL: Program = Program {
    name: "openssl",
    package: "openssl",
};

/// The peer whose configuration we run.
pub(crate) const HAPROXY: Program = Program {
    name: "haproxy",
    package: "haproxy",
};
/// A peer, and the origin behind all of them.
pub(crate) const NGINX: Program = Program {
    name: "nginx",
    package: "nginx-light",
};
/// Loads with HTTP/1.
pub(crate) const WRK: Program = Program {
    name: "wrk",
    package: "wrk",
};
/// Loads with HTTP/2.
pub(crate) const H2LOAD: Program = Program {
    name: "h2load",
    package: "nghttp2-client",
};
/// Keeps a process on its core.
pub(crate) const TASKSET: Program = Program {
    name: "taskset",
    package: "util-linux",
};

/// Returns when all of them can be started.
pub(crate) fn ensure(programs: &[Program]) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let advice = format!("apt-get install {}", packages.join(" "));
    if !process::is_root() || process::find("apt-get").is_none() {
        bail!("missing: {} (on Debian: `{advice}`)", names.join(", "));
    }
    println!(
        "missing: {}; installing {}",
        names.join(", "),
        packages.join(", ")
    );
    if install(&packages).is_err() {
        // The lists of a fresh system are empty.
        process::run(Command::new("apt-get").args(["-qq", "update"]))?;
        install(&packages).with_context(|| format!("`{advice}` does not work here"))?;
    }
    match self::missing(&missing).first() {
        Some(program) => bail!("{} did not bring {}", program.package, program.name),
        None => Ok(()),
    }
}

fn missing(programs: &[Program]) -> Vec<Program> {
    programs
        .iter()
        .filter(|program| process::find(program.name).is_none())
        .copied()
        .collect()
}

fn install(packages: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "install", "--yes", "--no-install-recommends"])
        .args(packages);
    process::run(apt.env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_found_is_missing() {
        let there = Program {
            name: "sh",
            package: "dash",
        };
        let not_there = Program {
            name: "no-such-program-here",
            package: "none",
        };
        let found: Vec<&str> = missing(&[there, not_there])
            .iter()
            .map(|p| p.package)
            .collect();
        assert_eq!(found, ["none"]);
        ensure(&[there]).expect("a shell is there");
    }
}
