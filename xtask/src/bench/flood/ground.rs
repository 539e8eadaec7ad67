//! The namespaces of the bench.
//!
//! ```text
//!  clients ── eth0 [balancer] eth1 ── server
//!    flood ── eth2 [balancer]
//! ```
//!
//! Creating a [`Ground`] makes everything, dropping it removes everything.

use std::process::Command;

use anyhow::{Context, Result};

use crate::lab::network::{address_add, ip, pair};
use crate::process;

/// The namespaces.
pub(super) struct Ground {
    prefix: String,
    directory: tempfile::TempDir,
}

impl Ground {
    /// Makes them.
    pub(super) fn new() -> Result<Self> {
        let ground = Self {
            prefix: format!("tidegate-{}-f", std::process::id()),
            directory: tempfile::Builder::new()
                .prefix("tidegate-flood-")
                .tempdir()?,
        };
        for name in NAMES {
            ip(&["netns", "add", &ground.name(name)])?;
            ip(&["-n", &ground.name(name), "link", "set", "lo", "up"])?;
        }
        let [clients, flood, balancer, server] = NAMES.map(|name| ground.name(name));
        pair(&clients, "eth0", &balancer, "eth0")?;
        pair(&server, "eth0", &balancer, "eth1")?;
        pair(&flood, "eth0", &balancer, "eth2")?;
        for (namespace, device, address) in [
            (&clients, "eth0", "198.51.100.10/24"),
            (&balancer, "eth0", "198.51.100.1/24"),
            (&balancer, "eth0", "198.51.100.80/32"),
            (&balancer, "eth1", "10.0.0.254/24"),
            (&server, "eth0", "10.0.0.1/24"),
            (&balancer, "eth2", "203.0.113.1/24"),
            (&flood, "eth0", "203.0.113.2/24"),
        ] {
            address_add(namespace, device, address)?;
        }
        // Answers to spoofed sources go back where those came from.
        ip(&[
            "-n",
            &balancer,
            "route",
            "add",
            "default",
            "via",
            "203.0.113.2",
        ])?;
        ip(&[
            "-n",
            &flood,
            "route",
            "add",
            "default",
            "via",
            "203.0.113.1",
        ])?;
        for setting in ["all", "default", "eth2"] {
            let setting = format!("net.ipv4.conf.{setting}.rp_filter=0");
            process::capture(ground.inside("balancer").args(["sysctl", "-qw", &setting]))?;
        }
        Ok(ground)
    }

    /// A namespace by its part.
    pub(super) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    /// A command that will run in a namespace.
    pub(super) fn inside(&self, part: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(part)]);
        command
    }

    /// Where files may lie.
    pub(super) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Packets that the flooding interface has sent.
    pub(super) fn sent(&self) -> Result<u64> {
        let text = process::capture(
            self.inside("flood")
                .args(["cat", "/sys/class/net/eth0/statistics/tx_packets"]),
        )?;
        text.trim().parse().context("no number of packets")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for name in NAMES {
            process::succeeds(Command::new("ip").args(["netns", "delete", &self.name(name)]));
        }
    }
}

/// The parts.
const NAMES: [&str; 4] = ["clients", "flood", "balancer", "server"];
