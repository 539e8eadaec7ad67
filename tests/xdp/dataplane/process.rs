//! The real program: `tidegate -f FILE` in the balancer's namespace, asked through its stats socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::lab::Lab;
use super::netns::eventually;

/// The running program; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Process {
    /// Starts it with these lines behind a `global` section for the lab, and waits until it answers.
    pub(crate) fn start(lab: &Lab, global: &str, sections: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let text = format!(
            "global\n xdp interface lb0 mode native\n xdp interface lb1 mode native\n xdp pin {}\n \
             stats socket {} level admin\n{global}\ndefaults\n timeout connect 2s\n timeout client 1m\n \
             timeout server 1m\n{sections}\n",
            lab.pin().display(),
            socket.display()
        );
        let file = directory.path().join("lab.cfg");
        std::fs::write(&file, text).unwrap();
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", lab.balancer.name()))
            .arg(env!("CARGO_BIN_EXE_tidegate"))
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nsenter exists");
        let mut process = Self {
            child,
            socket,
            _directory: directory,
        };
        eventually("the program answers", || {
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "it runs: {ended:?}");
            process.try_ask("show info").ok().map(drop)
        });
        process
    }

    /// A command of the Runtime API and its answer.
    pub(crate) fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("the program answers")
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than any command takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
