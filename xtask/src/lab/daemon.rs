//! The balancer of the lab: the tidegate process in its namespace, and its stats socket.
//!
//! In: the built binary and the files of `conf/`. Out: a running process that is stopped when dropped, and answers of its
//! Runtime API.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::network::Network;
use crate::process;

/// The running balancer.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    pins: PathBuf,
}

impl Daemon {
    /// Starts it and waits until its stats socket answers.
    pub(super) fn start(
        network: &Network,
        binary: &Path,
        root: &Path,
        directory: &Path,
    ) -> Result<Self> {
        let (socket, log, pins) = (
            directory.join("stats.sock"),
            directory.join("daemon.log"),
            directory.join("bpf"),
        );
        fs::create_dir_all(&pins)?;
        process::capture(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&pins))?;
        let output = File::create(&log)?;
        let child = Command::new("ip")
            .args(["netns", "exec", &network.balancer()])
            .arg(std::env::current_exe()?)
            .arg("lab-daemon")
            .arg(binary)
            .current_dir(root)
            .env("TIDEGATE_SOCKET", &socket)
            .env("TIDEGATE_PIN", pins.join("tidegate"))
            .env("TIDEGATE_CERT", directory.join("site.pem"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the balancer")?;
        let mut daemon = Self {
            child,
            socket,
            log,
            pins,
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// One command to its Runtime API.
    pub(super) fn ask(&self, command: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket)
            .with_context(|| format!("cannot connect to {}", self.socket.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Fails if it has ended, with the end of its log.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the balancer ended: {status}\n{}", self.last_lines(15)),
        }
    }

    /// Asks it to stop and waits for its end.
    pub(super) fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        Ok(self.child.wait()?)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while self.ask("show info").is_err() {
            self.check_alive()?;
            if Instant::now() > deadline {
                bail!(
                    "the balancer does not answer on its stats socket\n{}",
                    self.last_lines(15)
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn last_lines(&self, count: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        process::succeeds(Command::new("umount").arg(&self.pins));
    }
}

/// What the hidden `lab-daemon` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    binary: PathBuf,
}

/// Becomes the daemon, in the mount namespace `ip netns exec` made for it: the account that the tutorial names exists
/// there even where the machine has none, and nowhere else.
pub(crate) fn exec(options: &Options) -> Result<()> {
    lend_account("haproxy").context("cannot lend the account 'haproxy'")?;
    let error = Command::new(&options.binary)
        .args([
            "-db",
            "-f",
            "conf/l4.cfg",
            "-f",
            "conf/tutorial.cfg",
            "-f",
            "conf/web.cfg",
        ])
        .exec();
    Err(error).with_context(|| format!("cannot run {}", options.binary.display()))
}

fn lend_account(name: &str) -> Result<()> {
    for (file, entry) in [
        (
            "/etc/passwd",
            format!("{name}:x:64099:64099::/nonexistent:/usr/sbin/nologin\n"),
        ),
        ("/etc/group", format!("{name}:x:64099:\n")),
    ] {
        let text = fs::read_to_string(file)?;
        if text
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
        {
            continue;
        }
        let mut copy = tempfile::NamedTempFile::new()?;
        copy.write_all((text + &entry).as_bytes())?;
        fs::set_permissions(copy.path(), fs::metadata(file)?.permissions())?;
        process::capture(
            Command::new("mount")
                .arg("--bind")
                .arg(copy.path())
                .arg(file),
        )?;
    }
    Ok(())
}

const START_LIMIT: Duration = Duration::from_secs(20);
