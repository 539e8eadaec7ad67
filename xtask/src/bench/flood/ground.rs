//! The namespaces of the bench.
//!
//! ```text
//!  outside: clients and floods ── eth0 [balancer] eth1 ── server
//! ```
//!
//! Clients and floods come in through one interface with one queue, as they do at a machine with one uplink: what the
//! balancer does not get round to is lost, whoever it is from. Its end of that wire polls in a thread of the kernel's own
//! (`/sys/class/net/…/threaded`) on its core, those of the others on the core of the rest of the world; without that a veth
//! device does the receiver's work on the sender's core, and no receiver could ever be overrun. Towards the servers there is
//! no flood but what the balancer sends on, and that wire works as veth devices do.
//!
//! Creating a [`Ground`] makes everything, dropping it removes everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};

use crate::lab::network::{address_add, enter, ip, pair};
use crate::process;

/// The namespaces.
pub(super) struct Ground {
    prefix: String,
    realtime: bool,
    directory: tempfile::TempDir,
    /// Detaches its programs when it is dropped.
    passing: Ebpf,
}

impl Ground {
    /// Makes them; what runs in them is not kept waiting by the rest of the machine if `realtime`.
    pub(super) fn new(object: &Path, realtime: bool) -> Result<Self> {
        let mut ground = Self {
            passing: EbpfLoader::new().load_file(object)?,
            realtime,
            prefix: format!("tidegate-{}-f", std::process::id()),
            directory: tempfile::Builder::new()
                .prefix("tidegate-flood-")
                .tempdir()?,
        };
        for name in NAMES {
            ip(&["netns", "add", &ground.name(name)])?;
            ip(&["-n", &ground.name(name), "link", "set", "lo", "up"])?;
        }
        let [outside, balancer, server] = NAMES.map(|name| ground.name(name));
        pair(&outside, "eth0", &balancer, "eth0")?;
        pair(&server, "eth0", &balancer, "eth1")?;
        for (namespace, device, address) in [
            (&outside, "eth0", "198.51.100.10/24"),
            (&balancer, "eth0", "198.51.100.1/24"),
            (&balancer, "eth0", "198.51.100.80/32"),
            (&balancer, "eth1", "10.0.0.254/24"),
            (&server, "eth0", "10.0.0.1/24"),
        ] {
            address_add(namespace, device, address)?;
        }
        // Answers to spoofed sources go back where those came from.
        let back = ["route", "add", "default", "via", "198.51.100.10"];
        ip(&[&["-n", balancer.as_str()], &back[..]].concat())?;
        for setting in ["all", "default", "eth0"] {
            let setting = format!("net.ipv4.conf.{setting}.rp_filter=0");
            process::capture(ground.inside("balancer").args(["sysctl", "-qw", &setting]))?;
        }
        for (part, device, core) in [
            ("outside", "eth0", WORLD),
            ("server", "eth0", WORLD),
            ("balancer", "eth0", BALANCER),
        ] {
            ground.poll_on(part, device, core)?;
        }
        ground.let_pass()?;
        Ok(ground)
    }

    /// Puts a program that does nothing on the far ends. A veth device wakes the other end for what an XDP program sends back
    /// (`XDP_TX`) only if that has a program too; without one, cookies would lie in its ring until something else comes.
    fn let_pass(&mut self) -> Result<()> {
        let namespaces = ["outside", "server"].map(|part| self.name(part));
        let program: &mut Xdp = self
            .passing
            .program_mut("pass")
            .context("no program")?
            .try_into()?;
        program.load()?;
        for namespace in namespaces {
            let attach = || {
                enter(&namespace)?;
                anyhow::Ok(program.attach("eth0", XdpMode::Driver).map(drop)?)
            };
            thread::scope(|scope| scope.spawn(attach).join())
                .map_err(|_| anyhow!("the thread panicked"))??;
        }
        Ok(())
    }

    /// Has a device poll in a thread, on one core.
    fn poll_on(&self, part: &str, device: &str, core: &str) -> Result<()> {
        let before = pollers()?;
        let file = format!("echo 1 > /sys/class/net/{device}/threaded");
        process::capture(self.inside(part).args(["sh", "-c", &file]))?;
        let new: Vec<i32> = pollers()?.difference(&before).copied().collect();
        ensure!(!new.is_empty(), "{device} does not poll in a thread");
        for thread in new {
            process::capture(Command::new("taskset").args([
                "-p",
                "-c",
                core,
                &thread.to_string(),
            ]))?;
            self.hurry(thread, POLLERS)?;
        }
        Ok(())
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

    /// The same on one core.
    pub(super) fn pinned(&self, part: &str, core: &str) -> Command {
        let mut command = self.inside(part);
        command.args(["taskset", "-c", core]);
        if self.realtime {
            command.args(["chrt", "--rr", PROCESSES]);
        }
        command
    }

    /// The same for what never waits for anything.
    pub(super) fn patient(&self, part: &str, core: &str) -> Command {
        let mut command = self.inside(part);
        // The world outside has more than the one core that it has to share here: clients go first.
        command.args(["taskset", "-c", core, "nice", "-n", "19"]);
        if self.realtime {
            command.args(["chrt", "--rr", "1"]);
        }
        command
    }

    /// Has a thread scheduled with this priority, where anything is.
    pub(super) fn hurry(&self, thread: i32, priority: &str) -> Result<()> {
        if self.realtime {
            let thread = thread.to_string();
            process::capture(Command::new("chrt").args(["--rr", "-p", priority, &thread]))?;
        }
        Ok(())
    }

    /// Where files may lie.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Packets that the device clients and floods come in through has taken.
    pub(super) fn taken(&self) -> Result<u64> {
        let text = self.tell("balancer", "statistics/rx_packets")?;
        text.parse().context("no number of packets")
    }

    /// The number of the device that floods leave through.
    pub(super) fn outside_number(&self) -> Result<u32> {
        let text = self.tell("outside", "ifindex")?;
        text.parse().context("no number of a device")
    }

    /// The hardware address of the device that they come in through.
    pub(super) fn balancer_mac(&self) -> Result<String> {
        self.tell("balancer", "address")
    }

    /// What the balancer's stack is set to against floods, which is what every machine begins with.
    pub(super) fn settings(&self) -> Result<String> {
        let names = [
            "net.ipv4.tcp_syncookies",
            "net.ipv4.tcp_max_syn_backlog",
            "net.core.somaxconn",
        ];
        let text = process::capture(self.inside("balancer").arg("sysctl").args(names))?;
        Ok(text.trim().replace('\n', ", "))
    }

    fn tell(&self, part: &str, what: &str) -> Result<String> {
        let path = format!("/sys/class/net/eth0/{what}");
        let text = process::capture(self.inside(part).args(["cat", &path]))?;
        Ok(text.trim().to_owned())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for name in NAMES {
            process::succeeds(Command::new("ip").args(["netns", "delete", &self.name(name)]));
        }
    }
}

/// The kernel's threads that poll devices.
fn pollers() -> Result<BTreeSet<i32>> {
    let mut pollers = BTreeSet::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if let Some(number) = number
            && name.starts_with("napi/")
        {
            pollers.insert(number);
        }
    }
    Ok(pollers)
}

/// The parts.
const NAMES: [&str; 3] = ["outside", "balancer", "server"];
/// Real-time priorities. Devices go before processes, as interrupts do.
const POLLERS: &str = "3";
pub(super) const PROCESSES: &str = "2";
/// The core of everything but the balancer.
pub(super) const WORLD: &str = "0";
/// The balancer's core.
pub(super) const BALANCER: &str = "1";
