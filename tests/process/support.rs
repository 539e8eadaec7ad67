//! A running program, its configuration file and its sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate::clock;

use crate::ports::Port;

/// A program that is stopped when the test is over.
pub(crate) struct Program {
    pub(crate) directory: TempDir,
    pub(crate) address: SocketAddr,
    process: Child,
    _port: Port,
}

impl Program {
    /// Starts it with a frontend that answers `text`, and waits until it serves.
    pub(crate) fn start(flags: &[&str], text: &str) -> Self {
        let program = Self::start_with(flags, text, &[]);
        until("it serves", || program.get().is_some());
        program
    }

    /// The same with variables in its environment, without waiting.
    pub(crate) fn start_with(flags: &[&str], text: &str, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = Port::new();
        let address = port.address();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("cfg"), configuration(address, text)).expect("written");
        let process = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["-f", "cfg", "-p", "pid"])
            .args(flags)
            .envs(variables.iter().copied())
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        Self {
            directory,
            address,
            process,
            _port: port,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.path("cfg"), configuration(self.address, text)).expect("written");
    }

    /// Starts another process that takes the listening sockets over and asks this one to finish.
    pub(crate) fn successor(&self, text: &str) -> Child {
        self.configure(text);
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["-f", "cfg", "-x", "./stats", "-sf", &self.pid().to_string()])
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program")
    }

    /// What the frontend answers; `None` when the request fails in any way.
    pub(crate) fn get(&self) -> Option<String> {
        get(self.address)
    }

    /// One line to a socket, and the whole answer.
    pub(crate) fn ask(&self, socket: &str, line: &str) -> String {
        let mut stream = UnixStream::connect(self.path(socket)).expect("it listens");
        writeln!(stream, "{line}").expect("open");
        stream.shutdown(Shutdown::Write).expect("open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill").success());
    }

    /// The exit code, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.process.try_wait().expect("a child")?.code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.signal("TERM");
            until("it ended", || {
                self.process.try_wait().is_ok_and(|status| status.is_some())
            });
        }
    }
}

pub(crate) fn get(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1) == Some("200")).then(|| body.to_owned())
}

/// Waits for a condition, up to twenty seconds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = clock::now().after(20_000);
    while !holds() {
        assert!(clock::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn configuration(address: SocketAddr, text: &str) -> String {
    format!(
        "global
  nbthread 2
  stats socket unix@stats level admin expose-fd listeners
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend web
  bind {address}
  stick-table type ip size 100 expire 1h store gpc0,http_req_rate(1h)
  {text}
backend app
  balance roundrobin
  server one 127.0.0.1:9 weight 10
"
    )
}
