//! A worker thread: its runtime, its listeners, and what its sessions share.
//!
//! Every thread runs one single-threaded runtime and serves the connections its own listeners accept, from the first byte
//! to the last. Orders come from [`super::workers`]; sessions ask the [`Worker`] for the configuration in force, for numbers,
//! and whether the process is stopping.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::accept;
use super::generation::{Current, LocalGeneration};
use super::http::Attached;
use super::http::pool::{Pool, Shelves};
use super::keeper;
use super::mirror::Mirrors;
use super::reverse;
use super::workers::{Order, Phase};
use crate::state::shard;

/// What the sessions of one thread share.
pub struct Worker {
    /// The thread's number, from 0.
    pub number: usize,
    current: RefCell<Current>,
    orders: watch::Receiver<Order>,
    stopping: Cell<bool>,
    transactions: Cell<u32>,
    threads: u32,
    sessions: Cell<usize>,
    idle: Notify,
    /// Idle connections to servers.
    pub(super) pool: Pool,
    /// Copies of requests under way.
    pub(super) mirrors: Mirrors,
}

impl Worker {
    /// The configuration new connections get.
    pub fn current(&self) -> Current {
        Rc::clone(&self.current.borrow())
    }

    /// A number no other transaction of the process has (until 32 bits wrap).
    pub fn next_transaction(&self) -> u32 {
        let number = self.transactions.get();
        self.transactions.set(number.wrapping_add(self.threads));
        number
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.threads as usize
    }

    /// Whether the process no longer takes connections: idle ones are to be closed, busy ones after their response.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// From now on [`Worker::is_stopping`]; every session of this thread looks around.
    fn stop(&self) {
        self.stopping.set(true);
        self.current().state().sessions.wake_own();
    }

    /// A place in the count of sessions, for one that is about to start.
    pub(super) fn place(self: &Rc<Self>) -> Place {
        self.sessions.set(self.sessions.get() + 1);
        Place(Rc::clone(self))
    }

    /// Starts a session on this thread. A panic in it ends it alone. The session holds its [`Place`] itself: a future
    /// wrapped around it would take its room twice.
    pub(super) fn spawn(&self, session: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(session);
    }

    /// Waits until no session is left.
    async fn all_done(&self) {
        while self.sessions.get() > 0 {
            self.idle.notified().await;
        }
    }
}

/// Runs the thread until it is told to stop and may.
pub(super) fn run(
    number: usize,
    shelves: Shelves,
    attached: Arc<Attached>,
    orders: watch::Receiver<Order>,
) -> std::io::Result<()> {
    shard::enter(number + 1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let threads = shelves.len();
    let generation = Arc::clone(&orders.borrow().generation);
    let worker = Rc::new(Worker {
        number,
        current: RefCell::new(LocalGeneration::new(generation)),
        orders,
        stopping: Cell::new(false),
        transactions: Cell::new(number as u32),
        threads: threads.max(1) as u32,
        sessions: Cell::new(0),
        idle: Notify::new(),
        pool: Pool::new(number, shelves, attached),
        mirrors: Mirrors::default(),
    });
    // Dropping the runtime at the end drops every session that is still running.
    runtime.block_on(obey(worker));
    Ok(())
}

/// Follows orders until the last one: stop.
async fn obey(worker: Rc<Worker>) {
    let mut orders = worker.orders.clone();
    let mut tasks: Vec<Task> = Vec::new();
    // A new configuration does not end connections that were opened beforehand.
    let mut opened: Option<Vec<Task>> = None;
    loop {
        let order = orders.borrow_and_update().clone();
        match order.phase {
            Phase::Running => {
                tasks = start(&worker, &order);
                opened.get_or_insert_with(|| reverse::keep_open(&worker, &order.places));
            }
            Phase::Soft => {
                tasks.clear();
                opened = Some(Vec::new());
                worker.stop();
            }
            Phase::Now => return,
        }
        let finished = order.phase == Phase::Soft;
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            () = worker.all_done(), if finished => return,
        }
    }
}

/// Puts an order in force: its configuration for new connections, its listeners.
fn start(worker: &Rc<Worker>, order: &Order) -> Vec<Task> {
    if !Arc::ptr_eq(&order.generation, worker.current().shared()) {
        *worker.current.borrow_mut() = LocalGeneration::new(Arc::clone(&order.generation));
    }
    let mut tasks = Vec::new();
    for (bind, bound) in order.listeners.iter() {
        match bound.listener(worker.number) {
            Ok(listener) => {
                let accepting = accept::accept(
                    Rc::clone(worker),
                    *bind,
                    Arc::clone(bound),
                    listener,
                    Arc::clone(&order.places),
                );
                tasks.push(Task::new(accepting));
            }
            Err(error) => crate::log::notice::alert(format_args!(
                "cannot listen on thread {}: {error}",
                worker.number + 1
            )),
        }
    }
    let cleaned = Rc::clone(worker);
    tasks.push(Task::new(async move { cleaned.pool.keep_clean().await }));
    if worker.number == 0 {
        tasks.push(Task::new(keeper::keep(
            Arc::clone(&order.generation),
            Arc::clone(&order.listeners),
        )));
    }
    tasks
}

/// A task that ends with its owner.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn new(future: impl Future<Output = ()> + 'static) -> Self {
        Self(tokio::task::spawn_local(future).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A session's place in its thread's count.
pub(super) struct Place(Rc<Worker>);

impl Place {
    /// The thread.
    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.0.sessions.get() - 1;
        self.0.sessions.set(left);
        if left == 0 {
            self.0.idle.notify_one();
        }
    }
}
