//! Limits on simultaneous connections: the process's and each frontend's `maxconn`.
//!
//! A listener asks for a [`Pass`] before it accepts, so connections beyond the limit stay in the kernel's backlog, as
//! HAProxy leaves them there (manual §3.2 and §4.2 `maxconn`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// A number of places, shared by all threads.
#[derive(Debug)]
pub struct Gate {
    limit: AtomicU32,
    used: AtomicU32,
    freed: Notify,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Pass(Arc<Gate>);

impl Gate {
    /// A gate with that many places.
    pub fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicU32::new(limit),
            used: AtomicU32::new(0),
            freed: Notify::new(),
        })
    }

    /// Takes a place if one is free.
    pub fn try_enter(self: &Arc<Self>) -> Option<Pass> {
        let limit = self.limit.load(Ordering::Relaxed);
        let before = self.used.fetch_add(1, Ordering::Relaxed);
        if before < limit {
            return Some(Pass(Arc::clone(self)));
        }
        self.used.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Waits for a place.
    pub async fn enter(self: &Arc<Self>) -> Pass {
        loop {
            let freed = self.freed.notified();
            if let Some(pass) = self.try_enter() {
                return pass;
            }
            freed.await;
        }
    }

    /// Places taken.
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit (`set maxconn global|frontend`). Those inside stay.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
        self.freed.notify_waiters();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let before = self.0.used.fetch_sub(1, Ordering::Relaxed);
        if before >= self.0.limit.load(Ordering::Relaxed) {
            self.0.freed.notify_waiters();
        }
    }
}
