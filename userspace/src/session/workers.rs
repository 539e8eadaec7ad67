//! The worker threads of the process, as the supervisor commands them.
//!
//! One order is in force at a time: a configuration with its listening sockets, and how far the process is on its way out.
//! Threads follow the latest one; sessions keep the configuration they began with.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::generation::Generation;
use super::http::Attached;
use super::http::pool::{Shelf, Shelves};
use super::limits::Places;
use super::worker;
use crate::net::Bound;
use crate::state::ServerState;
use crate::types::BindId;

/// The running threads.
pub struct Workers {
    orders: watch::Sender<Order>,
    shelves: Shelves,
    threads: Vec<JoinHandle<()>>,
}

/// Listening sockets by the bind of the model they serve.
pub type Listeners = Arc<[(BindId, Arc<Bound>)]>;

/// The configuration and the sockets that serve new connections.
#[derive(Clone)]
pub struct Serving {
    /// The configuration.
    pub generation: Arc<Generation>,
    /// None while the process is stopping.
    pub listeners: Listeners,
}

/// What the threads are to do.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) generation: Arc<Generation>,
    pub(super) listeners: Listeners,
    pub(super) places: Arc<Places>,
    pub(super) phase: Phase,
}

/// How far the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Running,
    /// It takes no new connections and ends when the last session does.
    Soft,
    /// It ends now, whatever is running.
    Now,
}

impl Workers {
    /// Starts as many threads as the state counts for.
    pub fn start(generation: Arc<Generation>, listeners: Listeners) -> io::Result<Self> {
        let threads = generation.state().threads();
        let order = Order {
            generation,
            listeners,
            places: Arc::default(),
            phase: Phase::Running,
        };
        let (orders, receiver) = watch::channel(order);
        let shelves: Shelves = (0..threads).map(|_| Shelf::default()).collect();
        let attached = Arc::<Attached>::default();
        let threads = (0..threads)
            .map(|number| {
                let receiver = receiver.clone();
                let shelves = Arc::clone(&shelves);
                let attached = Arc::clone(&attached);
                std::thread::Builder::new()
                    .name(format!("worker-{}", number + 1))
                    .spawn(move || {
                        if let Err(error) = worker::run(number, shelves, attached, receiver) {
                            crate::log::notice::alert(format_args!(
                                "cannot run thread {}: {error}",
                                number + 1
                            ));
                        }
                    })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            orders,
            shelves,
            threads,
        })
    }

    /// The configuration in force.
    pub fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.orders.borrow().generation)
    }

    /// A way to close the idle connections to a server at any time.
    pub fn closing_idle(&self) -> impl Fn(&ServerState) + Send + Sync + 'static {
        let shelves = Arc::clone(&self.shelves);
        move |server| shelves.iter().for_each(|shelf| shelf.clear(server))
    }

    /// A way to ask at any time what serves new connections.
    pub fn serving(&self) -> impl Fn() -> Serving + Send + Sync + 'static {
        let orders = self.orders.subscribe();
        move || {
            let order = orders.borrow();
            Serving {
                generation: Arc::clone(&order.generation),
                listeners: Arc::clone(&order.listeners),
            }
        }
    }

    /// Puts another configuration in force for new connections; listeners not in the list are closed.
    pub fn configure(&self, generation: Arc<Generation>, listeners: Listeners) {
        self.orders.send_modify(|order| {
            order.generation = generation;
            order.listeners = listeners;
        });
    }

    /// Begins to stop. Going back is not possible: a later phase replaces an earlier one.
    pub fn stop(&self, phase: Phase) {
        self.orders.send_if_modified(|order| {
            let later = phase as u8 > order.phase as u8;
            if later {
                order.phase = phase;
                // Closing the sockets is what tells clients and peers; the threads' own copies follow.
                order.listeners = Arc::new([]);
                order.generation.state().process.set_stopping();
            }
            later
        });
    }

    /// Whether every thread has ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for every thread to end. A soft stop may take as long as its longest session: bound it by
    /// [`Phase::Now`].
    pub fn join(self) {
        for thread in self.threads {
            // A thread that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}
