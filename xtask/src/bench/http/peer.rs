//! A proxy under test, or the origin behind it: its process, its ports, its processor time and memory.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, KeyPair};

use super::configs;
use super::rows::Port;
use crate::process;

/// Who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Kind {
    Tidegate,
    Haproxy,
    Nginx,
}

impl Kind {
    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// Debian's light nginx has no listener for bytes.
    fn can_serve(self, port: Port) -> bool {
        self != Self::Nginx || port != Port::Tcp
    }
}

/// A running process with its listeners; dropping it ends it.
pub(in crate::bench) struct Peer {
    kind: Kind,
    child: Child,
    ports: Vec<(Port, u16)>,
}

impl Peer {
    /// The origin, on the generators' core; its one port counts as [`Port::Http`].
    pub(super) fn origin(directory: &Path) -> Result<Self> {
        let home = directory.join("origin");
        let files = home.join("files");
        fs::create_dir_all(&files)?;
        // The workers of nginx give up root: they must still reach the files.
        for path in [directory, &home, &files] {
            process::capture(Command::new("chmod").arg("755").arg(path))?;
        }
        for (name, length) in [("small", 128), ("64k", 64 << 10), ("1m", 1 << 20)] {
            fs::write(files.join(name), configs::prose(length))?;
        }
        let port = free_port()?;
        let config = home.join("nginx.conf");
        fs::write(&config, configs::origin(port, &home))?;
        let command = nginx_command(&config, &home);
        Self::spawn(
            Kind::Nginx,
            command,
            LOAD_CORE,
            vec![(Port::Http, port)],
            &home,
        )
    }

    /// A proxy in front of the origin, on the core under test.
    pub(super) fn start(
        kind: Kind,
        binary: &Path,
        wanted: &[Port],
        origin: &Self,
        directory: &Path,
    ) -> Result<Self> {
        let home = directory.join(kind.name());
        fs::create_dir_all(&home)?;
        let certificate = home.join("site.pem");
        certify(&certificate)?;
        let ports = wanted
            .iter()
            .filter(|port| kind.can_serve(**port))
            .map(|port| Ok((*port, free_port()?)))
            .collect::<Result<Vec<_>>>()?;
        let behind = origin.ports[0].1;
        let config = home.join("proxy.cfg");
        let command = match kind {
            Kind::Tidegate | Kind::Haproxy => {
                fs::write(&config, configs::haproxy(&ports, behind, &certificate))?;
                proxy_command(kind, binary, &config)
            }
            Kind::Nginx => {
                fs::write(&config, configs::nginx(&ports, behind, &certificate, &home))?;
                nginx_command(&config, &home)
            }
        };
        Self::spawn(kind, command, PROXY_CORE, ports, &home)
    }

    /// A proxy with a configuration of its own, made for the port it gets.
    pub(in crate::bench) fn serving(
        kind: Kind,
        binary: &Path,
        config: impl FnOnce(u16) -> String,
        directory: &Path,
    ) -> Result<Self> {
        let home = directory.join(kind.name());
        fs::create_dir_all(&home)?;
        let port = free_port()?;
        let file = home.join("proxy.cfg");
        fs::write(&file, config(port))?;
        let command = proxy_command(kind, binary, &file);
        Self::spawn(kind, command, PROXY_CORE, vec![(Port::Http, port)], &home)
    }

    fn spawn(
        kind: Kind,
        mut command: Command,
        core: &str,
        ports: Vec<(Port, u16)>,
        home: &Path,
    ) -> Result<Self> {
        let log = home.join("log");
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", kind.name()))?;
        let mut peer = Self { kind, child, ports };
        peer.pin(core)?;
        peer.wait_until_it_listens(&log)?;
        Ok(peer)
    }

    /// All threads that are there; later ones inherit.
    fn pin(&self, core: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        process::capture(Command::new("taskset").args(["-a", "-p", "-c", core, &pid]))?;
        Ok(())
    }

    fn wait_until_it_listens(&mut self, log: &Path) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        for (_, port) in &self.ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err() {
                let ended = self.child.try_wait()?;
                if ended.is_some() || Instant::now() > deadline {
                    let said = fs::read_to_string(log).unwrap_or_default();
                    bail!("{} does not listen: {}", self.kind.name(), said.trim());
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    pub(in crate::bench) fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens for this; `None` if it cannot do it.
    pub(super) fn address(&self, port: Port) -> Option<SocketAddr> {
        let (_, number) = self.ports.iter().find(|(kind, _)| *kind == port)?;
        Some((Ipv4Addr::LOCALHOST, *number).into())
    }

    /// Processor time of all its threads so far, as the scheduler counts it.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().context("an empty schedstat")?;
            total += first.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Memory of its own, in bytes (proportional set size).
    pub(super) fn memory(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .context("smaps_rollup has no Pss")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// haproxy, or the daemon under test, on the core of the proxies.
fn proxy_command(kind: Kind, binary: &Path, config: &Path) -> Command {
    let program = match kind {
        Kind::Tidegate => binary,
        Kind::Haproxy | Kind::Nginx => Path::new("haproxy"),
    };
    let mut command = Command::new("taskset");
    command.args(["-c", PROXY_CORE]).arg(program);
    command.args(["-db", "-f"]).arg(config);
    command
}

fn nginx_command(config: &Path, home: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-c").arg(config).arg("-p").arg(home);
    command
}

fn certify(file: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["bench.example".to_owned()])?.self_signed(&key)?;
    fs::write(file, certificate.pem() + &key.serialize_pem())?;
    Ok(())
}

/// A port that was free a moment ago; nothing else is started meanwhile.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// The core of the proxies.
const PROXY_CORE: &str = "0";
/// The core of the generators and the origin.
pub(super) const LOAD_CORE: &str = "1";
const START_LIMIT: Duration = Duration::from_secs(20);
