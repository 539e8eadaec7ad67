//! The sessions that are running, so that they can be listed and cut.
//!
//! A session registers when it starts and holds its [`SessionTicket`]; dropping the ticket removes it. Whoever cuts a session
//! only raises a flag with a reason: the session's own task ends it, logs it and sets the termination code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use slab::Slab;

use super::shard;
use crate::clock::Moment;
use crate::types::{ProxyId, ServerId};

/// Every running session of the process.
#[derive(Debug)]
pub struct Sessions {
    shards: Box<[Mutex<Slab<Arc<Session>>>]>,
    next: AtomicU64,
}

/// What is known about one running session.
#[derive(Debug)]
pub struct Session {
    /// Its number, unique in the process.
    pub id: u64,
    /// The generation of the configuration whose ids it uses.
    pub generation: u64,
    /// The frontend it came through.
    pub frontend: ProxyId,
    /// Where it came from; `None` for a Unix socket.
    pub client: Option<SocketAddr>,
    /// When it started.
    pub started: Moment,
    backend: AtomicU32,
    server: AtomicU32,
    cut: AtomicU8,
    waker: AtomicWaker,
}

/// Why a session is cut; the code is the first of the termination state (manual §8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CutReason {
    /// `K`: an operator shut it down.
    Killed = 1,
    /// `D`: its server went down (`on-marked-down shutdown-sessions`).
    ServerDown = 2,
    /// `U`: an active server came back (`on-marked-up shutdown-backup-sessions`).
    ServerUp = 3,
}

impl Sessions {
    pub(super) fn new(writers: usize) -> Self {
        Self {
            shards: (0..writers.max(1))
                .map(|_| Mutex::new(Slab::new()))
                .collect(),
            next: AtomicU64::new(1),
        }
    }

    /// Registers a session of the calling thread.
    pub fn register(
        self: &Arc<Self>,
        generation: u64,
        frontend: ProxyId,
        client: Option<SocketAddr>,
        now: Moment,
    ) -> SessionTicket {
        let session = Arc::new(Session {
            id: self.next.fetch_add(1, Relaxed),
            generation,
            frontend,
            client,
            started: now,
            backend: AtomicU32::new(NONE),
            server: AtomicU32::new(NONE),
            cut: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        let shard = shard::current() % self.shards.len();
        let slot = self.shards[shard].lock().insert(Arc::clone(&session));
        SessionTicket {
            sessions: Arc::clone(self),
            session,
            shard,
            slot,
        }
    }

    /// A copy of the list, in no particular order.
    pub fn list(&self) -> Vec<Arc<Session>> {
        self.shards
            .iter()
            .flat_map(|shard| {
                shard
                    .lock()
                    .iter()
                    .map(|(_, session)| Arc::clone(session))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Wakes every session of the calling thread that can be cut, so that it looks around: its thread is stopping. Those of
    /// other threads are not woken: they may not know it yet, and would go back to sleep without a waker.
    pub fn wake_own(&self) {
        let shard = &self.shards[shard::current() % self.shards.len()];
        for (_, session) in shard.lock().iter() {
            session.waker.wake();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Cuts the session of that number; false when there is none.
    pub fn cut(&self, id: u64, reason: CutReason) -> bool {
        self.list()
            .iter()
            .filter(|session| session.id == id)
            .map(|s| s.cut(reason))
            .count()
            > 0
    }

    /// Cuts every session of a generation on one of its servers; returns how many.
    pub fn cut_server(&self, generation: u64, server: ServerId, reason: CutReason) -> usize {
        self.list()
            .iter()
            .filter(|session| session.generation == generation && session.server() == Some(server))
            .map(|session| session.cut(reason))
            .count()
    }
}

impl Session {
    /// The backend it was given to.
    pub fn backend(&self) -> Option<ProxyId> {
        load(&self.backend).map(ProxyId)
    }

    /// The server it is on.
    pub fn server(&self) -> Option<ServerId> {
        load(&self.server).map(ServerId)
    }

    fn cut(&self, reason: CutReason) {
        self.cut.store(reason as u8, Relaxed);
        self.waker.wake();
    }

    fn reason(&self) -> Option<CutReason> {
        match self.cut.load(Relaxed) {
            1 => Some(CutReason::Killed),
            2 => Some(CutReason::ServerDown),
            3 => Some(CutReason::ServerUp),
            _ => None,
        }
    }
}

/// A session's place in the list, held by its task.
#[derive(Debug)]
pub struct SessionTicket {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
    shard: usize,
    slot: usize,
}

impl SessionTicket {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.session.id
    }

    /// Records which backend and server it is on now.
    pub fn assign(&self, backend: Option<ProxyId>, server: Option<ServerId>) {
        self.session
            .backend
            .store(backend.map_or(NONE, |id| id.0), Relaxed);
        self.session
            .server
            .store(server.map_or(NONE, |id| id.0), Relaxed);
    }

    /// Whether somebody cut it, and why.
    pub fn cut_reason(&self) -> Option<CutReason> {
        self.session.reason()
    }

    /// Ready once somebody cuts it; one task at a time is woken.
    pub fn poll_cut(&self, context: &mut Context<'_>) -> Poll<CutReason> {
        self.session.waker.register(context.waker());
        match self.session.reason() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    /// Waits for [`Self::poll_cut`].
    pub async fn cut(&self) -> CutReason {
        std::future::poll_fn(|context| self.poll_cut(context)).await
    }
}

impl Drop for SessionTicket {
    fn drop(&mut self) {
        self.sessions.shards[self.shard]
            .lock()
            .try_remove(self.slot);
    }
}

fn load(cell: &AtomicU32) -> Option<u32> {
    Some(cell.load(Relaxed)).filter(|id| *id != NONE)
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Arc<Sessions> {
        Arc::new(Sessions::new(2))
    }

    #[test]
    fn a_session_is_listed_until_its_ticket_is_dropped() {
        let sessions = sessions();
        let ticket = sessions.register(1, ProxyId(3), None, Moment(5));
        assert_eq!(sessions.list().len(), 1);
        assert_eq!(sessions.list()[0].frontend, ProxyId(3));
        drop(ticket);
        assert!(sessions.list().is_empty());
    }

    #[tokio::test]
    async fn cutting_a_server_wakes_its_sessions_only() {
        let sessions = sessions();
        let on_it = sessions.register(1, ProxyId(0), None, Moment(5));
        let elsewhere = sessions.register(1, ProxyId(0), None, Moment(5));
        let older = sessions.register(0, ProxyId(0), None, Moment(5));
        on_it.assign(Some(ProxyId(1)), Some(ServerId(7)));
        elsewhere.assign(Some(ProxyId(1)), Some(ServerId(8)));
        older.assign(Some(ProxyId(1)), Some(ServerId(7)));
        assert_eq!(
            sessions.cut_server(1, ServerId(7), CutReason::ServerDown),
            1
        );
        assert_eq!(on_it.cut().await, CutReason::ServerDown);
        assert_eq!(elsewhere.cut_reason(), None);
        assert_eq!(older.cut_reason(), None);
    }

    #[test]
    fn cutting_an_unknown_session_says_so() {
        let sessions = sessions();
        let ticket = sessions.register(1, ProxyId(0), None, Moment(5));
        assert!(sessions.cut(ticket.id(), CutReason::Killed));
        assert_eq!(ticket.cut_reason(), Some(CutReason::Killed));
        assert!(!sessions.cut(ticket.id() + 1, CutReason::Killed));
    }
}
