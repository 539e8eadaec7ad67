//! MODEL → KERNEL: everything that knows the word "XDP".
//!
//! [`offload`] compiles a model into a [`plan::Plan`] and says for every rule where it runs; [`Dataplane`] loads the
//! kernel's program, tells it the plan, keeps it up to date while servers and the network change, and reads its counters.
//! No client's connection passes through here: what the kernel does not decide goes on into the stack, to the sockets of
//! [`crate::net`].

mod attach;
mod capture;
pub mod decap;
mod diagnosis;
mod engine;
pub mod explain;
mod features;
mod feedback;
mod floods;
mod flows;
mod inheritance;
mod lists;
mod live;
mod loader;
mod mmap;
mod nat_ports;
mod neighbours;
mod netlink;
pub mod offload;
mod pins;
pub mod plan;
mod predecessor;
mod progress;
mod sizes;
mod snapshot;
pub mod source_rules;
mod sources;
mod stack;
mod sys;
mod tables;
mod ticks;
pub mod trial;
mod writer;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tidegate_common::maps::Sizes;

pub use attach::AttachError;
pub use capture::{Capture, CaptureError, Captured, Wish};
use engine::Engine;
pub use engine::StartError;
pub use feedback::Feedback;
pub use flows::FlowSnapshot;
pub use loader::{LoadError, OBJECT};
pub use snapshot::{
    DropCount, InterfaceSnapshot, ServerCounts, ServerSnapshot, ServiceSnapshot, Snapshot,
    SynSnapshot,
};
pub use sources::SourceCount;

use crate::clock;
use crate::log::notice;
use crate::model::XdpGlobal;
use crate::state::Running;
use offload::Compiled;

/// The kernel tier at work.
///
/// One thread of its own follows the network and the servers; everything else may be called from any thread. Dropping it
/// leaves the program on the wire where it is pinned, as a crash would.
pub struct Dataplane {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What happens to packets when the daemon stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The program is taken off the wire.
    Detach,
    /// It goes on with what it was told last, and the next process takes it over.
    Keep,
}

struct Shared {
    object: &'static [u8],
    engine: Mutex<Option<Engine>>,
    feedback: ArcSwap<Feedback>,
    /// Counted up to wake the thread.
    wake: OwnedFd,
    ended: AtomicBool,
}

impl Dataplane {
    /// Starts the kernel tier for a configuration that needs it: `None` where no address is looked after by the kernel.
    /// Runs in the calling thread's network namespace and needs its privileges; [`Self::follow`] comes after those are
    /// given up. On an error, what ran before still runs.
    pub fn start(compiled: &Compiled, running: &Running) -> Result<Option<Self>, StartError> {
        Self::start_with(OBJECT, compiled, running)
    }

    /// The same with another kernel object.
    pub fn start_with(
        object: &'static [u8],
        compiled: &Compiled,
        running: &Running,
    ) -> Result<Option<Self>, StartError> {
        if compiled.plan.services.is_empty() {
            return Ok(None);
        }
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| StartError::Thread(error.into()))?;
        let engine = Engine::start(object, compiled.plan.clone(), running.clone(), None)?;
        let shared = Arc::new(Shared {
            object,
            feedback: ArcSwap::new(Arc::clone(engine.feedback())),
            engine: Mutex::new(Some(engine)),
            wake,
            ended: AtomicBool::new(false),
        });
        Ok(Some(Self {
            shared,
            thread: Mutex::new(None),
        }))
    }

    /// Gives the pins to the user this process is going to be, so that it can still replace and remove them.
    pub fn give_to(&self, user: u32, group: u32) -> Result<(), StartError> {
        let engine = self.shared.engine.lock();
        Ok(engine
            .as_ref()
            .map_or(Ok(()), |engine| engine.give_to(user, group))?)
    }

    /// Starts the thread that keeps the maps up to date, if it does not run yet. Apart from the start, because privileges
    /// are given up in between, while the process has a single thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn follow(&self) -> Result<(), StartError> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let own = Arc::clone(&self.shared);
            let named = std::thread::Builder::new().name("dataplane".to_owned());
            let spawned = named.spawn(move || own.follow());
            *thread = Some(spawned.map_err(StartError::Thread)?);
        }
        Ok(())
    }

    /// Puts another configuration in force, as a whole. Flows and counts go on where they still have a meaning. On an
    /// error the one before stays in force.
    pub fn apply(&self, compiled: &Compiled, running: &Running) -> Result<(), StartError> {
        let mut engine = self.shared.engine.lock();
        let next = Engine::start(
            self.shared.object,
            compiled.plan.clone(),
            running.clone(),
            engine.as_mut(),
        )?;
        self.shared.feedback.store(Arc::clone(next.feedback()));
        *engine = Some(next);
        Ok(())
    }

    /// Says that the state, weight or address of some server has changed. Returns at once; the rings follow within
    /// milliseconds, many changes together.
    pub fn servers_changed(&self) {
        self.shared.wake();
    }

    /// Follows the pattern lists that connection rules use; when this returns, what they say now is in force. Until then
    /// what they said before is, for each address by itself: who is refused before and after is refused all the time.
    pub fn follow_lists(&self) -> Result<(), StartError> {
        self.shared.follow_lists()
    }

    /// Follows servers that were added or removed; when this returns, they are entered or leaving. Flows of a server that
    /// was removed go on where they are.
    ///
    /// # Errors
    /// The tables have no room and another program could not be started; what was in force still is.
    pub fn follow_members(&self) -> Result<(), StartError> {
        self.shared.follow_members()
    }

    /// What the kernel counts. Cheap; keep it no longer than for one answer, because a reload makes another.
    pub fn feedback(&self) -> arc_swap::Guard<Arc<Feedback>> {
        self.shared.feedback.load()
    }

    /// Ends the kernel tier of this process.
    pub fn stop(&self, what: Stop) -> Result<(), LoadError> {
        self.end_thread();
        match (self.shared.engine.lock().take(), what) {
            (Some(engine), Stop::Detach) => engine.stop(),
            (_, Stop::Keep) | (None, _) => Ok(()),
        }
    }

    fn end_thread(&self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl Shared {
    /// The thread's life: waits for something to change, then brings the maps up to date.
    fn follow(&self) {
        let mut failed = false;
        let mut refreshed = clock::now();
        while !self.ended.load(Ordering::Acquire) {
            let happened = self.wait();
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            // Floods are looked at more often than the network.
            let due = clock::now().since(refreshed) >= self.patience().as_millis() as u64;
            if !happened && !due {
                if let Some(engine) = self.engine.lock().as_mut() {
                    engine.look_for_floods();
                }
                continue;
            }
            refreshed = clock::now();
            let followed = self.catch_up();
            if let (Err(error), false) = (&followed, failed) {
                notice::warning(format_args!(
                    "The kernel tier cannot follow a change: {}.",
                    Chain(error)
                ));
            }
            failed = followed.is_err();
        }
    }

    /// Brings the maps up to date once.
    fn catch_up(&self) -> Result<(), StartError> {
        let mut engine = self.engine.lock();
        let Some(current) = engine.as_mut() else {
            return Ok(());
        };
        current.refresh()?;
        current.look_for_floods();
        self.replace_lists(&mut engine)
    }

    fn follow_lists(&self) -> Result<(), StartError> {
        self.replace_lists(&mut self.engine.lock())
    }

    fn replace_lists(&self, engine: &mut Option<Engine>) -> Result<(), StartError> {
        let outgrown = engine.as_mut().and_then(Engine::follow_lists);
        self.replace(engine, outgrown)
    }

    fn follow_members(&self) -> Result<(), StartError> {
        let mut engine = self.engine.lock();
        let Some(current) = engine.as_mut() else {
            return Ok(());
        };
        let outgrown = current.follow_members()?;
        self.replace(&mut engine, outgrown)
    }

    /// Puts another program in the place of one that has been outgrown.
    fn replace(
        &self,
        engine: &mut Option<Engine>,
        outgrown: Option<(Compiled, Running)>,
    ) -> Result<(), StartError> {
        if let Some((compiled, running)) = outgrown {
            let next = Engine::start(self.object, compiled.plan, running, engine.as_mut())?;
            self.feedback.store(Arc::clone(next.feedback()));
            *engine = Some(next);
        }
        Ok(())
    }

    /// How long the network is not looked at while nothing is said to have changed.
    fn patience(&self) -> Duration {
        match self.engine.lock().as_ref() {
            Some(engine) if engine.incomplete() => SOON,
            Some(engine) if engine.counts_flows() => EVERY_SECOND,
            _ => LATE,
        }
    }

    /// Returns when something may have changed, at the latest after a few seconds; says whether it has. Changes that come
    /// close together count as one.
    fn wait(&self) -> bool {
        let (changes, most) = match self.engine.lock().as_ref() {
            Some(engine) => (
                engine.changes().try_clone_to_owned(),
                if engine.incomplete() || engine.may_be_flooded() {
                    SOON
                } else if engine.counts_flows() {
                    EVERY_SECOND
                } else {
                    LATE
                },
            ),
            None => return false,
        };
        let Ok(changes) = changes else {
            std::thread::sleep(SOON);
            return true;
        };
        let mut sources = [
            PollFd::new(&self.wake, PollFlags::IN),
            PollFd::new(&changes, PollFlags::IN),
        ];
        let most = Timespec {
            tv_sec: most.as_secs() as i64,
            tv_nsec: i64::from(most.subsec_nanos()),
        };
        // Interrupted or not, the tables are looked at again.
        let _ = poll(&mut sources, Some(&most));
        let by_network = sources[1].revents().contains(PollFlags::IN);
        let happened = by_network || sources[0].revents().contains(PollFlags::IN);
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
        if by_network && !self.ended.load(Ordering::Acquire) {
            std::thread::sleep(TOGETHER);
        }
        happened
    }

    fn wake(&self) {
        // It only fails when it is already awake a few billion times.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl std::fmt::Debug for Dataplane {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Dataplane")
    }
}

/// What `-vv` says of the kernel part of this build.
pub fn describe_build() -> String {
    match OBJECT.len() {
        0 => "absent (build it with `cargo xtask build`)".to_owned(),
        bytes => format!(
            "embedded, {bytes} bytes; modes native, generic; services l4, guard; tables lock {} MiB with {} flows",
            default_memory() >> 20,
            XdpGlobal::default().flows
        ),
    }
}

/// What the tables lock with `mode l4` services and no `xdp flows` line, in bytes.
fn default_memory() -> u64 {
    let flows = XdpGlobal::default().flows;
    let sizes = Sizes {
        flow_buckets: Sizes::flow_buckets_for(flows),
        nat_entries: flows.saturating_mul(2),
        ..Sizes::SMALLEST
    };
    tables::locked(&tables::layout(&sizes, loader::Keeping::Fresh))
}

/// An error with all its causes, in one line.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// How long the thread sleeps at most.
const LATE: Duration = Duration::from_secs(5);

/// The same where flows are counted per server: how old a correction of the counts may be.
const EVERY_SECOND: Duration = Duration::from_secs(1);

/// The same while some server's hardware address is being asked for, and how often floods are looked for.
const SOON: Duration = Duration::from_millis(500);

/// How long notifications of the network are collected.
const TOGETHER: Duration = Duration::from_millis(50);

#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests, which use other parts of it"
)]
#[path = "../../../tests/support/netns.rs"]
mod netns;
