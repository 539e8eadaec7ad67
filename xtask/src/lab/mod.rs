//! `cargo xtask run`: the main job, shown on a network of namespaces or served on a real interface.
//!
//! Without arguments it builds everything, makes the lab ([`network`]), runs the balancer with the files of `conf/`, drives
//! real traffic through it, kills a server and brings it back, and ends with a summary of claims; with `--iface` it serves
//! a file on a NIC. It removes what it made, also on Ctrl-C and on failure.

mod certificate;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod network;
pub(crate) mod origin;
mod relay;
mod report;
mod traffic;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workspace::Workspace;
use crate::{build, process};
use daemon::Daemon;
use network::{Network, SERVERS};
use report::{Screen, Summary};
use traffic::{Stream, Traffic};

/// What `cargo xtask run` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Serve this interface instead of the lab
    #[arg(long, requires = "file")]
    iface: Option<String>,
    /// The configuration to serve with --iface
    #[arg(short, long, requires = "iface")]
    file: Option<PathBuf>,
    /// End the lab after this many seconds (at least 15); without it, on Ctrl-C
    #[arg(long, value_parser = clap::value_parser!(u64).range(15..))]
    seconds: Option<u64>,
    /// Build and run without optimisation
    #[arg(long)]
    debug: bool,
}

/// Runs it.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    network::check_requirements()?;
    let binary = build::daemon(
        workspace,
        if options.debug {
            build::Profile::Dev
        } else {
            build::Profile::Release
        },
    )?;
    match (&options.iface, &options.file) {
        (Some(interface), Some(file)) => serve(workspace, &binary, interface, file),
        _ => Lab::start(workspace, &binary)?.play(options.seconds.map(Duration::from_secs)),
    }
}

/// Serves a file on a real interface until Ctrl-C.
fn serve(workspace: &Workspace, binary: &Path, interface: &str, file: &Path) -> Result<()> {
    let extra = workspace.target().join("lab-interface.cfg");
    std::fs::write(&extra, format!("global\n    xdp interface {interface}\n"))?;
    let status = Command::new(binary)
        .args(["-db", "-V", "-f"])
        .arg(&extra)
        .arg("-f")
        .arg(file)
        .status()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(status.success(), "tidegate ended: {status}");
    Ok(())
}

/// The running lab. Fields are dropped in order: traffic ends before the balancer, the balancer before its network.
struct Lab {
    traffic: Traffic,
    screen: Screen,
    daemon: Daemon,
    servers: Vec<Server>,
    network: Network,
    stop: Arc<AtomicBool>,
    _directory: tempfile::TempDir,
}

/// One server process.
struct Server {
    name: String,
    namespace: String,
    child: Child,
}

impl Server {
    fn start(name: String, namespace: String) -> Result<Self> {
        let child = Command::new("ip")
            .args(["netns", "exec", &namespace])
            .arg(std::env::current_exe()?)
            .args(["lab-origin", "--name", &name])
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start server {name}"))?;
        Ok(Self {
            name,
            namespace,
            child,
        })
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        *self = Self::start(self.name.clone(), self.namespace.clone())?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// When the killed server's absence was known, and when it served again.
struct Outage {
    killed: Instant,
    noticed: Instant,
}

impl Lab {
    fn start(workspace: &Workspace, binary: &Path) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let directory = tempfile::Builder::new().prefix("tidegate-lab-").tempdir()?;
        // The daemon gives up root: it must still reach its files.
        process::capture(Command::new("chmod").arg("755").arg(directory.path()))?;
        let tls = certificate::make(&directory.path().join("site.pem"))?;
        println!("lab: namespaces, links and {SERVERS} servers");
        let network = Network::new()?;
        let servers = (0..SERVERS)
            .map(|index| Server::start(format!("s{}", index + 1), network.server(index)))
            .collect::<Result<Vec<_>>>()?;
        println!("lab: tidegate -f conf/l4.cfg -f conf/tutorial.cfg -f conf/web.cfg");
        let daemon = Daemon::start(&network, binary, workspace.root(), directory.path())?;
        let page = relay::start(&network.balancer(), 8404)?;
        println!("lab: statistics   http://{page}/");
        println!(
            "lab: be a client  ip netns exec {} curl http://198.51.100.80/",
            network.client()
        );
        let mut lab = Self {
            traffic: Traffic::idle(),
            screen: Screen::new(),
            daemon,
            servers,
            network,
            stop,
            _directory: directory,
        };
        lab.until("all servers are up", |lines| {
            watch::everywhere(lines, &ALL_NAMES, true)
        })?;
        lab.traffic = Traffic::start(&lab.network.client(), &tls);
        Ok(lab)
    }

    /// The whole play: a third of the time quiet, a third with a server down, a third whole again.
    fn play(mut self, limit: Option<Duration>) -> Result<()> {
        let act = limit.unwrap_or(Duration::from_secs(30)) / 3;
        self.watch("all servers up", act)?;
        let mut outage = None;
        if !self.stopped() {
            outage = Some(self.kill_server()?);
            self.watch("server s2 killed", act)?;
            self.servers[VICTIM].restart()?;
            self.until("s2 is back", |lines| {
                watch::everywhere(lines, &VICTIM_NAMES, true)
            })?;
            self.watch("server s2 is back", act)?;
        }
        if limit.is_none() {
            while !self.stopped() {
                self.watch("running; Ctrl-C ends", Duration::from_secs(3600))?;
            }
        }
        self.traffic.stop();
        let summary = self.summary(outage.as_ref())?;
        let status = self.daemon.stop()?;
        ensure!(status.success(), "the balancer ended badly: {status}");
        if !summary.print() {
            bail!("not every claim holds");
        }
        Ok(())
    }

    fn kill_server(&mut self) -> Result<Outage> {
        self.servers[VICTIM].kill()?;
        // Only now is it gone: what it took until a moment ago was in flight on it.
        let killed = Instant::now();
        self.until("s2 is down", |lines| {
            watch::everywhere(lines, &VICTIM_NAMES, false)
        })?;
        Ok(Outage {
            killed,
            noticed: Instant::now(),
        })
    }

    fn watch(&mut self, headline: &str, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.stopped() {
            self.daemon.check_alive()?;
            let (kernel, lines) = (
                watch::kernel(&self.daemon)?,
                watch::statistics(&self.daemon)?,
            );
            self.screen.show(headline, &self.traffic, &kernel, &lines)?;
            let pause = Instant::now() + self.screen.pause();
            while Instant::now() < pause.min(end) && !self.stopped() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    fn until(&mut self, what: &str, holds: impl Fn(&[watch::Line]) -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds(&watch::statistics(&self.daemon)?) {
            self.daemon.check_alive()?;
            ensure!(
                Instant::now() < deadline,
                "waited 20 s in vain until {what}"
            );
            ensure!(!self.stopped(), "interrupted");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn summary(&self, outage: Option<&Outage>) -> Result<Summary> {
        let (kernel, lines) = (
            watch::kernel(&self.daemon)?,
            watch::statistics(&self.daemon)?,
        );
        let mut summary = Summary::default();
        let modes: Vec<String> = kernel
            .interfaces
            .iter()
            .map(|at| format!("{} {}", at.name, at.mode))
            .collect();
        let native =
            kernel.interfaces.len() == 2 && kernel.interfaces.iter().all(|at| at.mode == "native");
        summary.claim(native, format!("XDP is attached: {}", modes.join(", ")));
        for stream in Stream::ALL
            .into_iter()
            .filter(|stream| stream.must_succeed())
        {
            let tally = self.traffic.tally(stream);
            let excused: Vec<_> = tally
                .failed
                .iter()
                .filter(|(began, _)| outage.is_some_and(|outage| outage.excuses(stream, *began)))
                .collect();
            summary.claim_served(stream, &tally, &excused);
        }
        self.claim_refusals(&mut summary, &kernel, &lines);
        summary.claim(
            outage.is_some(),
            "a server was killed, noticed by the checks, and came back",
        );
        Ok(summary)
    }

    fn claim_refusals(&self, summary: &mut Summary, kernel: &watch::Kernel, lines: &[watch::Line]) {
        let drops = kernel.drops();
        let dropped = |reason: &str| drops.get(reason).copied().unwrap_or(0);
        let listed = self.traffic.tally(Stream::Blacklisted);
        let in_userspace: u64 = lines
            .iter()
            .filter(|line| line.text("svname") == "FRONTEND")
            .map(|line| line.number("dcon"))
            .sum();
        summary.claim(
            listed.total() == 0 && dropped(DENIED) >= listed.failed.len() as u64,
            format!(
                "blacklisted source: {} attempts, none answered; XDP dropped {} of its packets",
                listed.failed.len(),
                dropped(DENIED)
            ),
        );
        let abuser = self.traffic.tally(Stream::Abuser);
        summary.claim(
            dropped(LIMITED) > 0 && abuser.total() > 0 && abuser.failed.len() as u64 > abuser.total(),
            format!(
                "abuser above the connection rate: {} connections served, {} refused; XDP dropped {} packets",
                abuser.total(),
                abuser.failed.len(),
                dropped(LIMITED)
            ),
        );
        summary.claim(
            in_userspace == 0,
            format!("connections refused in userspace after passing XDP: {in_userspace}"),
        );
    }
}

impl Lab {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Outage {
    /// Whether a failure of a request begun at `began` is the killed server's own: it was in flight on it, or, in the
    /// kernel, went to it before the check noticed.
    fn excuses(&self, stream: Stream, began: Instant) -> bool {
        match stream {
            Stream::L4Tcp | Stream::L4Udp => {
                began + IN_FLIGHT >= self.killed && began <= self.noticed
            }
            _ => began + IN_FLIGHT >= self.killed && began <= self.killed,
        }
    }
}

/// The server that is killed.
const VICTIM: usize = 1;
/// Its names in `conf/`.
const VICTIM_NAMES: [&str; 3] = ["s2", "web2", "lamp2"];
/// Every server's names in `conf/`.
const ALL_NAMES: [&str; 8] = ["s1", "s2", "s3", "web1", "web2", "web3", "lamp1", "lamp2"];
/// How long a request may be under way.
const IN_FLIGHT: Duration = Duration::from_secs(6);
/// The kernel's drop reason for a listed source.
const DENIED: &str = "source-listed";
/// Its drop reason for a source over its connection rate.
const LIMITED: &str = "rate-exceeded";
