//! The real program: `tidegate -f FILE` in the balancer's namespace, asked through its stats socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::lab::Lab;
use super::netns::eventually;

/// The running program; it is killed when this is dropped.
pub(crate) struct Process {
    child: Mutex<Child>,
    socket: PathBuf,
    /// What comes before the sections.
    global: String,
    directory: tempfile::TempDir,
}

impl Process {
    /// Starts it with these lines behind a `global` section for the lab, and waits until it answers.
    pub(crate) fn start(lab: &Lab, global: &str, sections: &str) -> Self {
        Self::launch(lab, &["-db"], global, sections)
    }

    /// The same with these flags; with `-W` it is a master with its worker.
    pub(crate) fn launch(lab: &Lab, flags: &[&str], global: &str, sections: &str) -> Self {
        Self::launch_by(lab, &[], flags, global, sections)
    }

    /// The same, started by another program.
    pub(crate) fn launch_by(
        lab: &Lab,
        starter: &[&str],
        flags: &[&str],
        global: &str,
        sections: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let global = format!(
            "global\n xdp interface lb0 mode native\n xdp interface lb1 mode native\n xdp pin {}\n \
             stats socket {} level admin\n{global}\ndefaults\n timeout connect 2s\n timeout client 1m\n \
             timeout server 1m\n",
            lab.pin().display(),
            socket.display()
        );
        let file = directory.path().join("lab.cfg");
        std::fs::write(&file, format!("{global}{sections}\n")).unwrap();
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", lab.balancer.name()))
            .args(starter)
            .arg(env!("CARGO_BIN_EXE_tidegate"))
            .args(flags)
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nsenter exists");
        let process = Self {
            child: Mutex::new(child),
            socket,
            global,
            directory,
        };
        eventually("the program answers", || {
            assert!(!process.ended(), "it runs");
            process.try_ask("show info").ok().map(drop)
        });
        process
    }

    /// Tells a master to start a worker with these lines instead. It has not done so yet when this returns.
    pub(crate) fn reload(&self, sections: &str) {
        let file = self.directory.path().join("lab.cfg");
        std::fs::write(file, format!("{}{sections}\n", self.global)).unwrap();
        let master = rustix::process::Pid::from_raw(self.number() as i32).unwrap();
        rustix::process::kill_process(master, rustix::process::Signal::USR2).unwrap();
    }

    /// Its process number.
    pub(crate) fn number(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Where its Runtime API listens.
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Whether it has ended.
    pub(crate) fn ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// A command of the Runtime API and its answer.
    pub(crate) fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("the program answers")
    }

    /// Ends it in order.
    pub(crate) fn stop(self) {
        let process = rustix::process::Pid::from_raw(self.number() as i32).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        eventually("it ends", || self.ended().then_some(()));
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(self) {
        drop(self);
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
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Longer than any command takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
