//! The lab's network: throw-away namespaces joined by veth pairs.
//!
//! ```text
//!  client ── eth0 [balancer] eth1 ── [switch: bridge] ── s1, s2, s3
//! ```
//!
//! Creating a [`Network`] makes everything, dropping it removes everything; namespaces left by a lab that was killed are
//! removed first. Nothing outside the namespaces is changed.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process;

/// The balancer's address on the clients' side.
pub(super) const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
/// The address of the services forwarded inside the kernel (`conf/l4.cfg`).
pub(super) const L4_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 80));
/// How many servers stand behind the balancer: 10.0.0.1 upwards.
pub(super) const SERVERS: usize = 3;

/// The clients' addresses; each plays one part.
pub(super) const CLIENTS: [IpAddr; 6] = [
    client(10),
    client(11),
    client(12),
    client(13),
    BLACKLISTED,
    ABUSER,
];
/// In `conf/blacklist-ips`.
pub(super) const BLACKLISTED: IpAddr = client(66);
/// Opens connections faster than `conf/tutorial.cfg` allows.
pub(super) const ABUSER: IpAddr = client(77);

const fn client(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// The namespaces of one lab; dropping it removes them.
#[derive(Debug)]
pub(super) struct Network {
    prefix: String,
}

impl Network {
    /// Makes the namespaces, links, addresses and routes.
    pub(super) fn new() -> Result<Self> {
        remove_leftovers();
        let network = Self {
            prefix: format!("{PREFIX}{}-", std::process::id()),
        };
        for name in network.names() {
            ip(&["netns", "add", &name])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
        }
        network.join_clients()?;
        network.join_servers()?;
        Ok(network)
    }

    /// The namespace of the clients.
    pub(super) fn client(&self) -> String {
        format!("{}client", self.prefix)
    }

    /// The namespace of the balancer.
    pub(super) fn balancer(&self) -> String {
        format!("{}lb", self.prefix)
    }

    /// The namespace of server `index`, counted from 0.
    pub(super) fn server(&self, index: usize) -> String {
        format!("{}s{}", self.prefix, index + 1)
    }

    fn switch(&self) -> String {
        format!("{}switch", self.prefix)
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.client(), self.balancer(), self.switch()];
        names.extend((0..SERVERS).map(|index| self.server(index)));
        names
    }

    fn join_clients(&self) -> Result<()> {
        let (client, balancer) = (self.client(), self.balancer());
        pair(&client, "eth0", &balancer, "eth0")?;
        for address in CLIENTS {
            address_add(&client, "eth0", &format!("{address}/24"))?;
        }
        address_add(&balancer, "eth0", &format!("{BALANCER}/24"))?;
        address_add(&balancer, "eth0", &format!("{L4_ADDRESS}/32"))?;
        ip(&[
            "-n",
            &client,
            "route",
            "add",
            "default",
            "via",
            &BALANCER.to_string(),
        ])
    }

    fn join_servers(&self) -> Result<()> {
        let (balancer, switch) = (self.balancer(), self.switch());
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "br0", "up"])?;
        pair(&balancer, "eth1", &switch, "uplink")?;
        ip(&["-n", &switch, "link", "set", "uplink", "master", "br0"])?;
        address_add(&balancer, "eth1", "10.0.0.254/24")?;
        for index in 0..SERVERS {
            let (server, port) = (self.server(index), format!("port{}", index + 1));
            pair(&server, "eth0", &switch, &port)?;
            ip(&["-n", &switch, "link", "set", &port, "master", "br0"])?;
            address_add(&server, "eth0", &format!("10.0.0.{}/24", index + 1))?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.names() {
            process::succeeds(Command::new("ip").args(["netns", "delete", &name]));
        }
    }
}

/// Moves the calling thread into a namespace. It stays there: use threads made for it.
pub(crate) fn enter(namespace: &str) -> Result<()> {
    let path = Path::new(RUN).join(namespace);
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the namespace {namespace}"))
}

/// A veth pair, both ends up. The far end of an `XDP_TX` or redirect must poll (NAPI), which GRO switches on; and since no
/// hardware completes checksums here, the stack must, or a rewritten packet carries a wrong one.
pub(crate) fn pair(left: &str, left_name: &str, right: &str, right_name: &str) -> Result<()> {
    ip(&[
        "-n", left, "link", "add", left_name, "type", "veth", "peer", "name", right_name, "netns",
        right,
    ])?;
    for (namespace, name) in [(left, left_name), (right, right_name)] {
        ip(&["-n", namespace, "link", "set", name, "up"])?;
        let offloads = [
            "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "on",
        ];
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace, "ethtool"])
            .args(offloads);
        process::capture(&mut command)?;
    }
    Ok(())
}

/// Gives an interface an address.
pub(crate) fn address_add(namespace: &str, name: &str, address: &str) -> Result<()> {
    ip(&["-n", namespace, "address", "add", address, "dev", name])
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    process::capture(Command::new("ip").args(arguments)).map(drop)
}

/// Removes the namespaces of labs whose process is gone.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir(RUN) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            process::succeeds(Command::new("ip").args(["netns", "delete", &name]));
        }
    }
}

/// What the lab cannot do without.
pub(super) fn check_requirements() -> Result<()> {
    if !process::is_root() {
        bail!("the lab makes network namespaces and loads XDP: run it as root");
    }
    for (program, package) in [("ip", "iproute2"), ("ethtool", "ethtool")] {
        if process::find(program).is_none() {
            bail!("'{program}' is missing: apt-get install {package}");
        }
    }
    Ok(())
}

const PREFIX: &str = "tidegate-";
const RUN: &str = "/run/netns";
