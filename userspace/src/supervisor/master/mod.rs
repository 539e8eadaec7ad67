//! Master-worker mode: a process that serves no traffic, starts the one that does, and replaces it on request.
//!
//! The worker is this program started anew, so a reload reads the files as the master may, outside the worker's chroot, and
//! runs what is installed by then. A new worker takes the listening sockets and the memory of the old one over; only once
//! it serves is the old one asked to finish, and a worker that cannot start leaves everything as it was (management.txt §4).

mod cli;
mod show;
mod worker;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::background::{self, Report as Daemon, Side};
use super::listeners;
use super::serve::write_pid;
use crate::admin::cli::Socket;
use crate::clock::{self, Moment};
use crate::log::notice;
use crate::model::StatsSocket;
use worker::{Launch, Launched, Worker};

/// What a master is told.
#[derive(Debug)]
pub struct Mastery {
    /// The words of the command line, the program's name first; a worker is started with the same.
    pub words: Vec<String>,
    /// The program's version, for `show proc`.
    pub version: &'static str,
    /// Goes to the background.
    pub daemon: bool,
    /// Tells the service manager what happens (`-Ws`).
    pub notify: bool,
    /// Where the master's process id goes.
    pub pidfile: Option<PathBuf>,
    /// The master CLI (`-S`).
    pub sockets: Vec<StatsSocket>,
    /// Processes asked to finish once the first worker serves.
    pub finish: Vec<i32>,
    /// Processes told to stop once the first worker serves.
    pub terminate: Vec<i32>,
}

/// Runs the master until it is told to stop and its workers are gone.
pub fn run(mastery: Mastery) -> ExitCode {
    let daemon = match mastery.daemon.then(background::fork) {
        None => None,
        Some(Ok(Side::Child(report))) => Some(report),
        Some(Ok(Side::Parent { started: true })) => return ExitCode::SUCCESS,
        Some(Ok(Side::Parent { started: false })) => return ExitCode::FAILURE,
        Some(Err(error)) => {
            notice::alert(format_args!("cannot go to the background: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let sockets = match listeners::bind_runtime_api(&mastery.sockets) {
        Ok(sockets) => sockets,
        Err(refused) => {
            refused.iter().for_each(notice::alert);
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| {
        let sockets = sockets.into_iter().map(|(_, socket)| socket).collect();
        LocalSet::new().block_on(&runtime, reign(mastery, sockets, daemon))
    });
    outcome.unwrap_or_else(|error| {
        notice::alert(format_args!("the master cannot go on: {error}"));
        ExitCode::FAILURE
    })
}

/// What the master knows, shared with the sessions of its CLI.
pub(super) struct Realm {
    pub(super) version: &'static str,
    pub(super) started: Moment,
    pub(super) state: RefCell<State>,
    reloads: mpsc::Sender<Reload>,
}

/// What changes.
#[derive(Default)]
pub(super) struct State {
    /// The one that serves, and those on their way out, the newest first.
    pub(super) workers: Vec<Worker>,
    /// The process that is about to become one.
    newcomer: Option<Pid>,
    pub(super) reloads: u32,
    pub(super) failed: u32,
    /// The last reload failed: the worker still runs an earlier configuration.
    pub(super) last_failed: bool,
    /// What the last start printed.
    pub(super) lines: String,
}

impl State {
    /// The worker that takes new connections.
    pub(super) fn current(&self) -> Option<&Worker> {
        self.workers.iter().find(|worker| !worker.leaving)
    }

    fn signal_all(&self, signal: Signal) {
        for worker in &self.workers {
            worker.signal(signal);
        }
        if let Some(newcomer) = self.newcomer {
            send(newcomer, signal);
        }
    }
}

/// A reload somebody asked for on the CLI, and where the answer goes.
pub(super) struct Reload {
    pub(super) farewell: Signal,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// How a reload went, with what was printed.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) success: bool,
    pub(super) lines: String,
}

async fn reign(
    mastery: Mastery,
    sockets: Vec<Socket>,
    daemon: Option<Daemon>,
) -> io::Result<ExitCode> {
    let mut reload = signal(SignalKind::user_defined2())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut finish = signal(SignalKind::user_defined1())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut child = signal(SignalKind::child())?;
    let (reloads, mut asked) = mpsc::channel(1);
    let realm = Rc::new(Realm {
        version: mastery.version,
        started: clock::now(),
        state: RefCell::default(),
        reloads,
    });
    let launch = Launch::new(&mastery.words);
    let mut first = true;
    let mut wanted = Some(Reload::silent(Signal::USR1));
    let mut ending: Option<u8> = None;
    for socket in sockets {
        tokio::task::spawn_local(cli::listen(Rc::clone(&realm), socket));
    }
    let mut daemon = daemon;
    loop {
        let launching = wanted.is_some();
        let idle = !launching && ending.is_none();
        let starting = start(&realm, &launch, wanted.take(), first);
        tokio::pin!(starting);
        // Signals are obeyed while a worker starts, by that one too: the master outlives it.
        let outcome = loop {
            tokio::select! {
                outcome = &mut starting => break outcome,
                _ = terminate.recv() => ending = Some(end(&realm, Signal::TERM)),
                _ = interrupt.recv() => ending = Some(end(&realm, Signal::INT)),
                _ = finish.recv() => ending = Some(end(&realm, Signal::USR1)),
                _ = child.recv() => ending = reap(&realm, ending).or(ending),
                _ = reload.recv(), if idle => break Done::Wanted(Reload::silent(Signal::USR1)),
                _ = hang_up.recv(), if idle => break Done::Wanted(Reload::silent(Signal::USR1)),
                Some(reload) = asked.recv(), if idle => break Done::Wanted(reload),
            }
            if ending.is_some() && !launching {
                break Done::Nothing;
            }
        };
        match outcome {
            Done::Nothing => {}
            Done::Started(_) if ending.is_some() => {}
            Done::Wanted(reload) => {
                if mastery.notify {
                    tell(&[
                        NotifyState::Reloading,
                        NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Reloading),
                        NotifyState::Status("Reloading Configuration."),
                    ]);
                }
                wanted = Some(reload);
            }
            Done::Started(true) if first => {
                first = false;
                serving(&mastery, daemon.take())?;
            }
            Done::Started(false) if first => return Ok(ExitCode::FAILURE),
            Done::Started(success) => {
                if mastery.notify {
                    let status = if success { "Ready." } else { "Reload failed!" };
                    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
                }
            }
        }
        if let Some(code) = ending
            && realm.state.borrow().workers.is_empty()
        {
            notice::warning(format_args!("All workers exited. Exiting... ({code})"));
            return Ok(ExitCode::from(code));
        }
    }
}

/// What one round of the master's life came to.
enum Done {
    Nothing,
    /// Somebody wants a reload.
    Wanted(Reload),
    /// A worker was to start: whether it serves.
    Started(bool),
}

impl Reload {
    fn silent(farewell: Signal) -> Self {
        Self {
            farewell,
            answer: oneshot::channel().0,
        }
    }
}

/// Starts a worker if one is wanted, and sends its predecessors home; waits for ever if none is.
async fn start(realm: &Realm, launch: &Launch, wanted: Option<Reload>, first: bool) -> Done {
    let Some(wanted) = wanted else {
        return std::future::pending().await;
    };
    if !first {
        notice::notice("Reloading: a new worker is started");
    }
    let predecessor = realm.state.borrow().current().map(Worker::link);
    let known = |newcomer| realm.state.borrow_mut().newcomer = newcomer;
    let launched = launch.worker(predecessor.as_deref(), first, known).await;
    let mut state = realm.state.borrow_mut();
    state.newcomer = None;
    if !first {
        state.reloads += 1;
    }
    let outcome = match launched {
        Launched::Serves(worker, lines) => {
            for old in &mut state.workers {
                old.leaving = true;
                old.reloads += 1;
                old.signal(wanted.farewell);
            }
            state.workers.insert(0, worker);
            state.last_failed = false;
            notice::notice("Loading success.");
            Outcome {
                success: true,
                lines: lines + &notice::shown(notice::NoticeLevel::Notice, "Loading success."),
            }
        }
        Launched::Failed(lines) => {
            state.failed += 1;
            state.last_failed = true;
            let verdict = match first {
                true => "Failed to load worker!",
                false => "Loading failure! The former configuration stays in force.",
            };
            notice::warning(verdict);
            Outcome {
                success: false,
                lines: lines + &notice::shown(notice::NoticeLevel::Warning, verdict),
            }
        }
    };
    state.lines.clone_from(&outcome.lines);
    let success = outcome.success;
    // Whoever asked may have gone.
    let _ = wanted.answer.send(outcome);
    Done::Started(success)
}

/// The first worker serves: tells everybody who waits for it.
fn serving(mastery: &Mastery, daemon: Option<Daemon>) -> io::Result<()> {
    if let Some(path) = &mastery.pidfile {
        write_pid(path)?;
    }
    if mastery.notify {
        tell(&[
            NotifyState::Ready,
            NotifyState::MainPid(std::process::id()),
            NotifyState::Status("Ready."),
        ]);
    }
    super::serve::signal_processes(&mastery.finish, Signal::USR1);
    super::serve::signal_processes(&mastery.terminate, Signal::TERM);
    match daemon {
        Some(daemon) => {
            notice::set_quiet(true);
            daemon.started()
        }
        None => Ok(()),
    }
}

/// Passes a signal on. The code the master ends with, after its last worker.
fn end(realm: &Realm, signal: Signal) -> u8 {
    realm.state.borrow().signal_all(signal);
    match signal {
        Signal::USR1 => 0,
        other => 128 + other.as_raw() as u8,
    }
}

/// Takes note of workers that are gone. The exit code of the master when it cannot go on without one of them.
fn reap(realm: &Realm, ending: Option<u8>) -> Option<u8> {
    let mut state = realm.state.borrow_mut();
    let mut lost = None;
    state.workers.retain_mut(|worker| {
        let Some(code) = worker.ended() else {
            return true;
        };
        let pid = worker.pid();
        if worker.leaving || ending.is_some() {
            notice::notice(format_args!(
                "Former worker ({pid}) exited with code {code}"
            ));
        } else {
            notice::alert(format_args!(
                "Current worker ({pid}) exited with code {code}"
            ));
            lost = Some(code);
        }
        false
    });
    if lost.is_some() {
        notice::alert("exit-on-failure: killing every processes with SIGTERM");
        state.signal_all(Signal::TERM);
    }
    lost
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(states);
}

/// Longest start of a worker: a configuration with very large lists takes seconds.
pub(super) const LONGEST_START: Duration = Duration::from_secs(300);

/// Sends a signal to a process of ours.
fn send(pid: Pid, signal: Signal) {
    // It may be gone already.
    let _ = kill_process(pid, signal);
}
