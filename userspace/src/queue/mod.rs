//! Waiting lines for servers that reached their `maxconn`: one per server, one per backend (manual §4.2 `timeout queue`,
//! §5.2 `maxconn`, `maxqueue`).
//!
//! A session asks for a [`Slot`] of one server, or of whichever server of the backend is free first; a slot is given back
//! by dropping it, and the longest-waiting session gets it, whatever thread either runs on. A session that stops waiting
//! drops its [`Place`]. Nothing here chooses servers ([`crate::balance`] does) or knows timeouts (the session does).

mod limit;
mod lines;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;
use crate::model::Server;
use crate::state::{Running, ServerState};
use crate::types::{ProxyId, Roster, ServerId};

use limit::Limits;
pub use lines::Priority;
use lines::{Lines, Rank, Which};

/// The waiting lines of one backend of one configuration.
#[derive(Debug)]
pub struct Queue {
    running: Running,
    backend: ProxyId,
    /// In the order of their ids.
    servers: Roster<Seat>,
    fullconn: u32,
    lines: Mutex<Lines<Arc<Waiter>>>,
    /// Sessions in all lines: lets a slot be given back without the lock while nobody waits.
    waiting: AtomicUsize,
    /// The same backend in the next configuration: slots given back here may be awaited there.
    successor: OnceLock<Arc<Self>>,
}

/// A server as its backend's lines see it.
#[derive(Debug)]
struct Seat {
    id: ServerId,
    minconn: u32,
    slowstart: Option<u64>,
    maxqueue: u32,
}

#[derive(Debug, Default)]
struct Waiter {
    /// [`WAITING`], [`AGAIN`], or the position of the server it was given a slot of.
    turn: AtomicU32,
    called: Notify,
}

/// One thread's hold on a [`Queue`]: what sessions ask, without touching a count that all threads share.
#[derive(Clone, Debug)]
pub struct LocalQueue(Rc<Hold>);

#[derive(Debug)]
struct Hold {
    queue: Arc<Queue>,
}

/// A server's time: the right to one of its connections. Dropping it gives it back.
#[derive(Debug)]
pub struct Slot {
    queue: LocalQueue,
    position: usize,
}

/// A place in a line. Dropping it leaves the line, or gives back the slot that was just assigned.
#[derive(Debug)]
pub struct Place {
    queue: LocalQueue,
    waiter: Arc<Waiter>,
    which: Which,
    rank: Rank,
    ahead: usize,
    settled: bool,
}

/// How waiting ended.
#[derive(Debug)]
pub enum Turn {
    /// A slot is ours.
    Slot(Slot),
    /// The server waited for went away: choose again.
    Again,
}

/// Why a session cannot even wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's queue is full")]
pub struct QueueFull;

impl Queue {
    /// The lines of a backend, all empty. `fullconn` is the one in force, configured or computed.
    pub fn new(running: &Running, backend: ProxyId, fullconn: u32) -> Arc<Self> {
        let members = running.model.proxy(backend).servers.iter();
        let servers: Roster<Seat> = members
            .map(|id| Seat::of(running.model.server(id)))
            .collect();
        Arc::new(Self {
            running: running.clone(),
            backend,
            fullconn,
            lines: Mutex::new(Lines::new(servers.len())),
            servers,
            waiting: AtomicUsize::new(0),
            successor: OnceLock::new(),
        })
    }

    /// Links the lines of the same backend in the next configuration.
    pub fn set_successor(&self, successor: Arc<Self>) {
        let _already_set = self.successor.set(successor);
    }

    /// The connection limit of a server now; 0 = none. `None` for a server of another backend.
    pub fn limit(&self, server: ServerId) -> Option<u32> {
        self.position(server)
            .map(|position| self.limit_at(position))
    }

    /// The `maxqueue` of a server; 0 = none.
    pub fn queue_limit(&self, server: ServerId) -> u32 {
        self.position(server)
            .map_or(0, |position| self.servers[position].maxqueue)
    }

    /// Serves whom a server can serve now: to be called when its limit or its state changed for the better.
    pub fn serve(self: &Arc<Self>, server: ServerId) {
        if let Some(position) = self.position(server) {
            self.dispatch(position);
        }
    }

    /// Sends everybody in a server's line away to choose again: to be called when it stops taking sessions.
    pub fn dissolve(&self, server: ServerId) {
        let Some(position) = self.position(server) else {
            return;
        };
        let mut lines = self.lines.lock();
        for waiter in lines.drain(Which::Server(position)) {
            self.count_out(Which::Server(position));
            waiter.turn.store(AGAIN, Ordering::Relaxed);
            waiter.called.notify_one();
        }
    }

    /// Gives the server's free slots to those who wait longest.
    fn dispatch(self: &Arc<Self>, position: usize) {
        let mut lines = self.lines.lock();
        loop {
            let takes_new = self.state(position).is_usable();
            let Some((which, rank)) = lines.next_for(position, takes_new) else {
                return;
            };
            if !self.take_at(position) {
                return;
            }
            let Some(waiter) = lines.leave(which, rank) else {
                return;
            };
            self.count_out(which);
            waiter.turn.store(position as u32, Ordering::Relaxed);
            waiter.called.notify_one();
        }
    }

    /// One of a server's slots came free.
    fn released(self: &Arc<Self>, position: usize) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.dispatch(position);
        }
        if let Some(successor) = self.successor.get() {
            successor.serve_named(&self.running.model.server(self.servers[position].id).name);
        }
    }

    fn serve_named(self: &Arc<Self>, name: &str) {
        if self.waiting.load(Ordering::Relaxed) == 0 && self.successor.get().is_none() {
            return;
        }
        let found = |seat: &Seat| self.running.model.server(seat.id).name == name;
        if let Some(position) = self.servers.iter().position(found) {
            self.released(position);
        }
    }

    fn anyone_waits_for(&self, position: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
            && (self.state(position).queue.current() > 0
                || self
                    .running
                    .state
                    .proxy(self.backend)
                    .backend
                    .queue
                    .current()
                    > 0)
    }

    fn take_at(&self, position: usize) -> bool {
        let current = &self.state(position).current;
        match self.limit_at(position) {
            0 => {
                current.enter();
                true
            }
            limit => current.enter_below(limit),
        }
    }

    fn limit_at(&self, position: usize) -> u32 {
        let seat = &self.servers[position];
        let state = self.state(position);
        let maxconn = state.maxconn().unwrap_or(0);
        if maxconn == 0 && seat.minconn == 0 {
            return 0;
        }
        let percent = match seat.slowstart {
            None => 100,
            slowstart => state.throttle(slowstart, clock::now()).unwrap_or(100),
        };
        let load = self
            .running
            .state
            .proxy(self.backend)
            .backend
            .current
            .current();
        Limits {
            maxconn,
            minconn: seat.minconn,
            fullconn: self.fullconn,
            percent,
        }
        .at(load)
    }

    fn position(&self, server: ServerId) -> Option<usize> {
        // A backend's servers are declared together, so their ids follow each other.
        let first = self.servers.get(0).map_or(server, |seat| seat.id);
        let guess = server.0.checked_sub(first.0)? as usize;
        match self.servers.get(guess) {
            Some(seat) if seat.id == server => Some(guess),
            _ => self.position_of_added(server),
        }
    }

    #[cold]
    fn position_of_added(&self, server: ServerId) -> Option<usize> {
        if self.running.model.server(server).proxy != self.backend {
            return None;
        }
        let found = self.find(server);
        if found.is_some() {
            return found;
        }
        let lines = self.lines.lock();
        let count = self.servers.len();
        let last = count.checked_sub(1).map(|last| self.servers[last].id);
        let members = self.running.model.proxy(self.backend).servers.iter();
        for id in members.filter(|id| last.is_none_or(|last| *id > last)) {
            self.servers
                .add(Seat::of(self.running.model.server(id)))
                .ok()?;
        }
        drop(lines);
        self.find(server)
    }

    fn find(&self, server: ServerId) -> Option<usize> {
        let (mut from, mut to) = (0, self.servers.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.servers[middle].id.cmp(&server) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }

    fn state(&self, position: usize) -> &ServerState {
        self.running.state.server(self.servers[position].id)
    }

    fn count_in(&self, which: Which) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match which {
            Which::Backend => self.running.state.proxy(self.backend).backend.queue.enter(),
            Which::Server(position) => self.state(position).queue.enter(),
        };
    }

    fn count_out(&self, which: Which) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match which {
            Which::Backend => self.running.state.proxy(self.backend).backend.queue.leave(),
            Which::Server(position) => self.state(position).queue.leave(),
        }
    }
}

impl Seat {
    fn of(server: &Server) -> Self {
        Self {
            id: server.id,
            minconn: server.minconn.unwrap_or(0),
            slowstart: server.slowstart.map(|time| time.0),
            maxqueue: server.maxqueue.unwrap_or(0),
        }
    }
}

impl LocalQueue {
    /// This thread's hold.
    pub fn new(queue: &Arc<Queue>) -> Self {
        Self(Rc::new(Hold {
            queue: Arc::clone(queue),
        }))
    }

    /// Takes a slot at once, unless the server is full or others wait for it.
    pub fn try_take(&self, server: ServerId) -> Option<Slot> {
        let position = self.position(server)?;
        let limited = self.limit_at(position) > 0;
        if limited && self.anyone_waits_for(position) {
            return None;
        }
        self.take_at(position).then(|| self.slot(position))
    }

    /// Takes a slot whatever the limit: for sessions that already hold a connection of the server.
    pub fn take_regardless(&self, server: ServerId) -> Option<Slot> {
        let position = self.position(server)?;
        self.state(position).current.enter();
        Some(self.slot(position))
    }

    /// Waits in the line of one server.
    pub fn wait_for_server(
        &self,
        server: ServerId,
        priority: Priority,
    ) -> Result<Place, QueueFull> {
        let position = self.position(server).ok_or(QueueFull)?;
        let limit = self.servers[position].maxqueue;
        if limit > 0 && self.state(position).queue.current() >= limit {
            return Err(QueueFull);
        }
        Ok(self.join(Which::Server(position), priority))
    }

    /// Waits for any server of the backend.
    pub fn wait_for_any(&self, priority: Priority) -> Place {
        self.join(Which::Backend, priority)
    }

    fn join(&self, which: Which, priority: Priority) -> Place {
        let waiter = Arc::new(Waiter::default());
        waiter.turn.store(WAITING, Ordering::Relaxed);
        let (rank, ahead) = {
            let mut lines = self.lines.lock();
            let ahead = lines.waiting(which);
            let rank = lines.join(which, priority, clock::now().0, Arc::clone(&waiter));
            self.count_in(which);
            (rank, ahead)
        };
        let place = Place {
            queue: self.clone(),
            waiter,
            which,
            rank,
            ahead,
            settled: false,
        };
        // A slot given back before we counted ourselves in was not offered to us: look once ourselves.
        fence(Ordering::SeqCst);
        match which {
            Which::Server(position) => self.dispatch(position),
            Which::Backend => (0..self.servers.len()).for_each(|position| self.dispatch(position)),
        }
        place
    }

    fn slot(&self, position: usize) -> Slot {
        Slot {
            queue: self.clone(),
            position,
        }
    }
}

impl Deref for LocalQueue {
    type Target = Arc<Queue>;

    fn deref(&self) -> &Arc<Queue> {
        &self.0.queue
    }
}

impl Slot {
    /// Whose slot it is.
    pub fn server(&self) -> ServerId {
        self.queue.servers[self.position].id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queue.state(self.position).current.leave();
        self.queue.released(self.position);
    }
}

impl Place {
    /// How many waited in the same line before us (`%sq`, `%bq`).
    pub const fn ahead(&self) -> usize {
        self.ahead
    }

    /// Whether it is a server's line, not the backend's.
    pub const fn is_for_one_server(&self) -> bool {
        matches!(self.which, Which::Server(_))
    }

    /// Waits for a slot. Cancel-safe: dropping the future keeps the place, dropping the place leaves the line.
    pub async fn turn(&mut self) -> Turn {
        loop {
            match self.waiter.turn.load(Ordering::Acquire) {
                WAITING => self.waiter.called.notified().await,
                AGAIN => {
                    self.settled = true;
                    return Turn::Again;
                }
                position => {
                    self.settled = true;
                    return Turn::Slot(self.queue.slot(position as usize));
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut lines = self.queue.lines.lock();
        if lines.leave(self.which, self.rank).is_some() {
            self.queue.count_out(self.which);
            return;
        }
        drop(lines);
        match self.waiter.turn.load(Ordering::Acquire) {
            WAITING | AGAIN => {}
            position => drop(self.queue.slot(position as usize)),
        }
    }
}

const WAITING: u32 = u32::MAX;
const AGAIN: u32 = u32::MAX - 1;
