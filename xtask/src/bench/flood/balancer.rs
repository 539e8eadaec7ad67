//! The balancers that are compared, and the server behind them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::ground::{BALANCER, Ground, WORLD};
use super::source::LISTED;
use crate::process;

/// Which balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// tidegate with source lists and SYN cookies from the driver.
    Guarded,
    /// tidegate with the same services and nothing against floods.
    Unguarded,
    /// Debian's haproxy.
    Haproxy,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Haproxy, Self::Unguarded, Self::Guarded];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Guarded => "tidegate, guard on",
            Self::Unguarded => "tidegate, guard off",
            Self::Haproxy => "haproxy",
        }
    }

    fn configuration(self, list: &Path, pins: &Path) -> String {
        let mut text = String::from("global\n    maxconn 4000\n");
        // What is forwarded needs the kernel part, with the guard and without.
        let (xdp, mode) = match self {
            Self::Guarded | Self::Unguarded => (true, "l4"),
            Self::Haproxy => (false, "tcp"),
        };
        // Writing to a String cannot fail, here and below.
        if xdp {
            let _ = writeln!(
                text,
                "    xdp interface eth0\n    xdp interface eth1\n    xdp pin {}\n    xdp flows 100000",
                pins.display()
            );
        }
        match self {
            // A second of it is enough to be told from what clients do.
            Self::Guarded => text.push_str("    xdp syn-cookies auto\n    xdp syn-rate 2000\n"),
            Self::Unguarded => text.push_str("    xdp syn-cookies off\n    xdp syn-rate 0\n"),
            Self::Haproxy => {}
        }
        let rule = match self {
            Self::Guarded | Self::Haproxy => {
                format!(
                    "    tcp-request connection reject if {{ src -f {} }}\n",
                    list.display()
                )
            }
            Self::Unguarded => String::new(),
        };
        let _ = write!(
            text,
            "defaults\n    timeout connect 3s\n    timeout client 10s\n    timeout server 10s\n\
             listen web\n    mode http\n    bind 198.51.100.1:8000\n{rule}    server s1 10.0.0.1:80\n\
             listen through\n    mode {mode}\n    bind 198.51.100.80:80\n{rule}    server s1 10.0.0.1:80\n"
        );
        text
    }
}

/// A running balancer with its server.
pub(super) struct Balancer {
    child: Child,
    server: Child,
    log: PathBuf,
    pins: PathBuf,
}

impl Balancer {
    /// Starts both.
    pub(super) fn start(ground: &Ground, kind: Kind, binary: &Path) -> Result<Self> {
        let directory = ground.directory();
        let file = |name: &str| directory.join(name);
        let (list, pins, log) = (file("listed"), file("bpf"), file("balancer.log"));
        fs::write(&list, listed())?;
        fs::create_dir_all(&pins)?;
        process::capture(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&pins))?;
        let configuration = file("balancer.cfg");
        fs::write(
            &configuration,
            kind.configuration(&list, &pins.join("tidegate")),
        )?;
        let server = ground
            .pinned("server", WORLD)
            .arg(std::env::current_exe()?)
            .args(["lab-origin", "--name", "s1"])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start the server")?;
        let output = File::create(&log)?;
        let program = if kind == Kind::Haproxy {
            Path::new("haproxy")
        } else {
            binary
        };
        let child = ground
            .pinned("balancer", BALANCER)
            .arg(program)
            .args(["-db", "-f"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn();
        let mut server = server;
        match child {
            Ok(child) => Ok(Self {
                child,
                server,
                log,
                pins,
            }),
            Err(error) => {
                end(&mut server);
                process::succeeds(Command::new("umount").arg(&pins));
                Err(error).context("cannot start the balancer")
            }
        }
    }

    /// Fails if it has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the balancer ended: {status}\n{}", self.told()),
        }
    }

    /// What it has printed.
    pub(super) fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        end(&mut self.child);
        end(&mut self.server);
        process::succeeds(Command::new("umount").arg(&self.pins));
    }
}

/// Ends a process that `ip netns exec` has become.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The list: the network that floods, among a hundred thousand others.
fn listed() -> String {
    let mut text = format!("# listed sources\n{}.0.0.0/8\n", LISTED);
    let mut random = 0x9e37_79b9_u32;
    for _ in 0..100_000 {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let [_, b, c, d] = random.to_be_bytes();
        let _ = writeln!(text, "{}.{b}.{c}.{d}", 101 + random % 60);
    }
    text
}
