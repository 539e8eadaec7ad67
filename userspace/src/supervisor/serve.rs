//! A service from its start to its end.
//!
//! In: a checked model. Everything that can fail for good happens first and in the foreground: sockets, kernel part,
//! accounts. Then privileges go, threads start, and the main thread keeps the house (checks, Runtime API, kernel tables,
//! signals) until it is told to stop. Nothing here looks at traffic.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::background::{self, Null, Report as Parent, Side};
use super::drops;
use super::limits;
use super::link::Report;
use super::listeners::{self, Inherited};
use super::predecessor::Predecessor;
use super::privileges::{
    Identity, KernelPart, PrivilegeError, Sources, drop_privileges, raise_capabilities,
};
use super::worker::{self, Employment};
use crate::admin::applets::Statistics;
use crate::admin::cli::{self, ClosingIdle, Heirloom, Socket, World};
use crate::clock;
use crate::dataplane::{self, Chain, Dataplane, Stop, offload};
use crate::health;
use crate::lang::Foundry;
use crate::log::{self, Logs, notice};
use crate::model::Model;
use crate::session::generation::Generation;
use crate::session::workers::{Phase, Workers};
use crate::state::{Running, shard, threads_of};
use crate::syslog::{self, Inlet};
use crate::tls::Contexts;
use crate::types::Millis;

/// What the command line adds to the configuration.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The program's name: the default tag of its logs.
    pub program: String,
    /// Goes to the background, unless the configuration is overruled by `foreground`.
    pub daemon: bool,
    /// Stays in the foreground whatever the configuration says.
    pub foreground: bool,
    /// Overrides `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// Limit of the address space, in megabytes.
    pub memory: Option<u32>,
    /// Processes asked to finish once this one serves.
    pub finish: Vec<i32>,
    /// Processes told to stop once this one serves.
    pub terminate: Vec<i32>,
    /// The stats socket of a process to take the listening sockets over from (`-x`).
    pub transfer: Option<PathBuf>,
}

/// Why a service could not be started. What could be told line by line was told already.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Told already.
    #[error("some protocols failed to start their listeners! Exiting.")]
    Listeners,
    /// An account or a capability.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The kernel part.
    #[error("cannot start the kernel part: {}", Chain(.0))]
    Kernel(#[from] dataplane::StartError),
    /// Another step.
    #[error("cannot {0}: {1}")]
    Step(&'static str, #[source] io::Error),
    /// The background process ended before it served; it said why.
    #[error("the background process did not start")]
    Background,
}

/// Serves until told to stop.
///
/// # Errors
/// The service could not be started; nothing of it is left.
pub fn serve(
    mut model: Model,
    tls: Contexts,
    foundry: Foundry,
    start: &Start,
    mut employment: Option<Employment>,
) -> Result<(), StartError> {
    let background = match &employment {
        // The master is in the background already.
        Some(_) => None,
        None => go_to_background(&model, start)?,
    };
    let report = match background {
        Some(Side::Parent { started: true }) => return Ok(()),
        Some(Side::Parent { started: false }) => return Err(StartError::Background),
        Some(Side::Child(report)) => Some(report),
        None => None,
    };
    let in_background = (start.daemon || model.global.daemon) && !start.foreground;
    let null = (employment.is_some() && in_background)
        .then(Null::open)
        .transpose()
        .map_err(step("open /dev/null"))?;
    let threads = threads_of(&model);
    if let Some(short) = limits::apply(&mut model, threads) {
        notice::warning(format_args!(
            "the system allows {} descriptors, this configuration may need {}: lower 'maxconn' or raise the limit",
            short.allowed, short.needed
        ));
    }
    let identity = Identity::resolve(&model.global)?;
    raise_capabilities(&model.global)?;
    let mut predecessor = predecessor(employment.as_mut(), start)?;
    let mut inherited = match predecessor.as_mut().map(Predecessor::sockets) {
        None => Inherited::default(),
        Some(Ok(inherited)) => inherited,
        Some(Err(error)) => return Err(StartError::Step("take the sockets over", error)),
    };
    let sockets = listeners::bind(&model, threads, &mut inherited).map_err(|refused| {
        refused.iter().for_each(notice::alert);
        StartError::Listeners
    })?;
    let runtime_api =
        listeners::bind_runtime_api(&model.global.stats_sockets).map_err(|refused| {
            refused.iter().for_each(notice::alert);
            StartError::Listeners
        })?;
    let inlets = listeners::bind_inlets(&model).map_err(|refused| {
        refused.iter().for_each(notice::alert);
        StartError::Listeners
    })?;
    let compiled = offload::compile(&model);
    // What was taken over and has no place in this configuration is closed.
    drop(inherited);
    let running = Running::new(Arc::new(model), None);
    if let Some(memory) = predecessor.and_then(|predecessor| predecessor.memory().ok()) {
        running
            .state
            .remember(&running.model, &memory, clock::now());
    }
    let kernel = Dataplane::start(&compiled, &running)?.map(Arc::new);
    let global = &running.model.global;
    if let Some(path) = start.pidfile.as_deref().or(global.pidfile.as_deref())
        && employment.is_none()
    {
        write_pid(path).map_err(step("write the pid file"))?;
    }
    let kernel_part = match &kernel {
        Some(kernel) => {
            if let (Some(user), group) = identity.ids() {
                kernel.give_to(user, group.unwrap_or(0))?;
            }
            KernelPart::Attached
        }
        None => KernelPart::Absent,
    };
    let sources = Sources::of(&running.model);
    drop_privileges(global, identity, kernel_part, sources)?;
    if let Some(megabytes) = start.memory {
        limits::bound_memory(megabytes)
            .map_err(|errno| StartError::Step("limit the memory", errno.into()))?;
    }
    let logs = Logs::open(&running, &start.program)
        .map(Arc::new)
        .map_err(|error| StartError::Step("open the logs", io::Error::other(error)))?;
    let generation = Generation::new(running, logs, Arc::new(tls), None);
    if let Some(kernel) = &kernel {
        generation.set_kernel(Arc::clone(kernel));
        kernel.follow()?;
    }
    generation.set_applets(Arc::new(Statistics {
        kernel: kernel.clone(),
    }));
    shard::enter(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(step("start the main runtime"))?;
    let workers =
        Workers::start(generation, sockets.into()).map_err(step("start the worker threads"))?;
    let news = match employment {
        Some(employment) => News::Master(employment, null),
        None => News::Everybody(report),
    };
    let sockets = Sockets {
        runtime_api,
        inlets,
    };
    let house = keep_house(&workers, kernel.clone(), foundry, news, start, sockets);
    let outcome = LocalSet::new().block_on(&runtime, house);
    workers.stop(Phase::Now);
    workers.join();
    if let Some(kernel) = kernel
        && let Err(error) = kernel.stop(Stop::Detach)
    {
        notice::warning(format_args!(
            "cannot detach the kernel part: {}",
            Chain(&error)
        ));
    }
    log::flush(LOG_FLUSH);
    outcome.map_err(step("handle signals"))
}

/// The sockets that the main thread serves.
struct Sockets {
    /// Those of the Runtime API, each with its address for people.
    runtime_api: Vec<(String, Socket)>,
    /// Those that receive log messages.
    inlets: Vec<Inlet>,
}

/// Who waits to hear that the service runs.
enum News {
    /// The master of this worker.
    Master(Employment, Option<Null>),
    /// The service manager, the process this one was forked from, and those it replaces.
    Everybody(Option<Parent>),
}

/// The process to take the listening sockets over from, if there is one.
fn predecessor(
    employment: Option<&mut Employment>,
    start: &Start,
) -> Result<Option<Predecessor>, StartError> {
    let connection = employment.and_then(|employment| employment.predecessor.take());
    let transfer = start.transfer.as_deref();
    // `-x /dev/null` asks for sockets of its own (management.txt §3).
    if transfer == Some(Path::new("/dev/null")) {
        return Ok(None);
    }
    let connected = match (connection, transfer) {
        (Some(connection), _) => Predecessor::given(connection),
        (None, Some(path)) => Predecessor::connect(path),
        (None, None) => return Ok(None),
    };
    connected
        .map(Some)
        .map_err(step("connect to the process to be replaced"))
}

/// Runs beside the workers until they may go.
async fn keep_house(
    workers: &Workers,
    kernel: Option<Arc<Dataplane>>,
    foundry: Foundry,
    news: News,
    start: &Start,
    sockets: Sockets,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut finish = signal(SignalKind::user_defined1())?;
    let generation = workers.generation();
    let checks = health::run(
        generation.running().clone(),
        Arc::clone(generation.logs()),
        Arc::clone(generation.tls()),
    );
    tokio::task::spawn_local(checks);
    let (running, logs) = (generation.running(), generation.logs());
    let carrying = syslog::carry(
        running.clone(),
        Arc::clone(logs),
        Arc::clone(generation.tls()),
    );
    tokio::task::spawn_local(carrying);
    let receiving = syslog::receive(running.clone(), Arc::clone(logs), sockets.inlets);
    let receiving = tokio::task::spawn_local(receiving);
    if let Some(kernel) = &kernel {
        tokio::task::spawn_local(tell_kernel(Arc::clone(kernel), workers.generation()));
        let (logs, model) = (generation.logs(), &generation.running().model);
        let logging = drops::log(Arc::clone(kernel), Arc::clone(logs), Arc::clone(model));
        tokio::task::spawn_local(logging);
    }
    let (addresses, sockets): (Vec<_>, Vec<_>) = sockets
        .runtime_api
        .into_iter()
        .map(|(address, socket)| ((address, socket.level()), socket))
        .unzip();
    let mut world = World::new(
        generation.running().clone(),
        Arc::clone(generation.logs()),
        env!("CARGO_PKG_VERSION"),
        addresses,
    );
    world.kernel = kernel;
    let serving = workers.serving();
    world.heirloom = Some(Heirloom(Box::new(move || listeners::named(&serving()))));
    world.foundry = Some(foundry);
    world.closing_idle = Some(ClosingIdle(Box::new(workers.closing_idle())));
    world.tls.store(Some(Arc::clone(generation.tls())));
    let model = Arc::clone(&generation.running().model);
    let world = Arc::new(world);
    tokio::task::spawn_local(cli::serve(sockets, Arc::clone(&world), Arc::clone(&model)));
    let (lost, mut master_lost) = oneshot::channel::<()>();
    let _nobody_to_lose = match news {
        News::Master(employment, null) => {
            let link = employment.link()?;
            notice::end_of_start();
            link.report(&Report::Ready(notice::startup_logs()))?;
            if let Some(null) = null {
                null.replace_terminal()?;
            }
            let world = Arc::clone(&world);
            let model = Arc::clone(&model);
            tokio::task::spawn_local(async move {
                worker::obey(&link, world, model).await;
                drop(lost);
            });
            None
        }
        News::Everybody(report) => {
            ready(report, start)?;
            Some(lost)
        }
    };
    tokio::select! {
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        _ = finish.recv() => {}
        _ = &mut master_lost => notice::warning("the master is gone"),
    }
    if let Some(grace) = model.global.grace {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = tokio::time::sleep(grace.duration()) => {}
        }
    }
    notice::warning("stopping: no new connections are taken, running sessions finish");
    receiving.abort();
    let limit = generation.model().global.hard_stop_after;
    workers.stop(Phase::Soft);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = finished(workers) => {}
        () = after(limit) => notice::warning("hard-stop-after: the remaining sessions are cut"),
    }
    Ok(())
}

/// Passes on that servers changed, so that the kernel's rings follow.
async fn tell_kernel(kernel: Arc<Dataplane>, generation: Arc<Generation>) {
    let mut events = generation.state().server_events();
    while !matches!(events.recv().await, Err(RecvError::Closed)) {
        // Which server it was does not matter, nor whether some were missed: all are looked at.
        kernel.servers_changed();
    }
}

async fn finished(workers: &Workers) {
    while !workers.is_finished() {
        tokio::time::sleep(LOOK).await;
    }
}

async fn after(limit: Option<Millis>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit.duration()).await,
        None => std::future::pending().await,
    }
}

fn go_to_background(model: &Model, start: &Start) -> Result<Option<Side>, StartError> {
    if start.foreground || !(start.daemon || model.global.daemon) {
        return Ok(None);
    }
    background::fork()
        .map(Some)
        .map_err(step("go to the background"))
}

/// Tells everybody who waits that the service runs: the service manager, the parent, the processes it replaces.
fn ready(report: Option<Parent>, start: &Start) -> io::Result<()> {
    notice::end_of_start();
    // Without a service manager there is nobody to tell, and one that cannot be told will find out.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    signal_processes(&start.finish, Signal::USR1);
    signal_processes(&start.terminate, Signal::TERM);
    match report {
        Some(report) => {
            notice::set_quiet(true);
            report.started()
        }
        None => Ok(()),
    }
}

/// Sends a signal to other processes.
pub(super) fn signal_processes(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // It may be gone already, which is what was wanted.
        let _ = kill_process(pid, signal);
    }
}

pub(super) fn write_pid(path: &Path) -> io::Result<()> {
    std::fs::write(path, format!("{}\n", std::process::id()))
}

fn step(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::Step(what, error)
}

/// How often the end of a soft stop is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// How long the last log lines may take.
const LOG_FLUSH: Duration = Duration::from_millis(200);
