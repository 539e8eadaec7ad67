//! One worker as its master sees it: the process, the link to it, and how it is started.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::rc::Rc;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal};

use super::super::link::{Link, Report, Rights};
use super::super::worker::{Employment, VARIABLE};
use super::LONGEST_START;
use crate::clock::{self, Moment};
use crate::log::notice;
use crate::model::Level;
use crate::net::handover;

/// A running worker.
pub(in crate::supervisor) struct Worker {
    process: Child,
    link: Rc<Link>,
    pub(in crate::supervisor) started: Moment,
    /// It finishes what it has begun.
    pub(in crate::supervisor) leaving: bool,
    /// How many reloads it has survived.
    pub(in crate::supervisor) reloads: u32,
}

impl Worker {
    pub(in crate::supervisor) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The way to hand it a connection.
    pub(in crate::supervisor) fn link(&self) -> Rc<Link> {
        Rc::clone(&self.link)
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = pid_of(&self.process) {
            super::send(pid, signal);
        }
    }

    /// Its exit code once it is gone, 128 more than the signal that killed it.
    pub(super) fn ended(&mut self) -> Option<u8> {
        let status = self.process.try_wait().ok()??;
        let code = status.code().or_else(|| Some(128 + status.signal()?));
        Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

/// How a worker's start went.
pub(super) enum Launched {
    Serves(Worker, String),
    Failed(String),
}

/// How workers are started.
pub(super) struct Launch {
    program: PathBuf,
    words: Vec<String>,
}

impl Launch {
    pub(super) fn new(words: &[String]) -> Self {
        Self {
            program: program(words),
            words: words.to_vec(),
        }
    }

    /// Starts a worker, says which process it is, and waits until it serves or says why not. It takes over what its
    /// predecessor has.
    pub(super) async fn worker(
        &self,
        predecessor: Option<&Link>,
        told: bool,
        known: impl FnOnce(Option<Pid>),
    ) -> Launched {
        let (mut process, link) = match self.spawn(predecessor, told) {
            Ok(spawned) => spawned,
            Err(error) => return Launched::Failed(format!("cannot start a worker: {error}\n")),
        };
        known(pid_of(&process));
        notice::notice(format_args!("New worker ({}) forked", process.id()));
        let reported = tokio::time::timeout(LONGEST_START, link.reported()).await;
        match reported {
            Ok(Some(Report::Ready(lines))) => Launched::Serves(
                Worker {
                    process,
                    link: Rc::new(link),
                    started: clock::now(),
                    leaving: false,
                    reloads: 0,
                },
                lines,
            ),
            Ok(Some(Report::Failed(lines))) => {
                // It is ending by itself.
                let _ = process.wait();
                Launched::Failed(lines)
            }
            Ok(None) | Err(_) => {
                let _ = process.kill();
                let ended = process.wait();
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                Launched::Failed(format!("the new worker ended before it served ({how})\n"))
            }
        }
    }

    fn spawn(&self, predecessor: Option<&Link>, told: bool) -> io::Result<(Child, Link)> {
        let (ours, theirs) = handover::message_pair()?;
        let link = Link::new(ours)?;
        let succession = predecessor.and_then(succession);
        let number = |end: &OwnedFd| end.as_raw_fd();
        let description =
            Employment::describe(number(&theirs), succession.as_ref().map(number), told);
        for end in [Some(&theirs), succession.as_ref()].into_iter().flatten() {
            // The child inherits these two; they are closed here as soon as it runs.
            fcntl_setfd(end, FdFlags::empty())?;
        }
        let name = self.words.first().map_or("tidegate", String::as_str);
        let process = Command::new(&self.program)
            .arg0(name)
            .args(self.words.get(1..).unwrap_or_default())
            .env(VARIABLE, description)
            .spawn()?;
        Ok((process, link))
    }
}

fn pid_of(process: &Child) -> Option<Pid> {
    i32::try_from(process.id()).ok().and_then(Pid::from_raw)
}

/// A connection to a running worker, for the one that is to replace it.
fn succession(predecessor: &Link) -> Option<OwnedFd> {
    let (ours, theirs) = handover::stream_pair().ok()?;
    let rights = Rights {
        level: Level::Admin,
        expert: false,
        experimental: false,
    };
    predecessor.hand_down(&theirs, rights).ok()?;
    Some(ours)
}

/// The program to run: what lies where this one was started from, which an upgrade may have replaced.
fn program(words: &[String]) -> PathBuf {
    let named = || PathBuf::from(words.first().map_or("tidegate", String::as_str));
    let Ok(path) = std::env::current_exe() else {
        return named();
    };
    match path
        .to_str()
        .and_then(|path| path.strip_suffix(" (deleted)"))
    {
        Some(replaced) => PathBuf::from(replaced),
        None => path,
    }
}
