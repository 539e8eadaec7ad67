//! A worker thread: its runtime, its listeners, and what its sessions share.
//!
//! Every thread runs one single-threaded runtime and serves the connections its own listeners accept from the first byte to
//! the last. [`Workers`] starts the threads and tells them to take a new configuration, to finish, or to stop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::generation::{Current, Generation, LocalGeneration};

/// What the sessions of one thread share.
pub struct Worker {
    /// The thread's number, from 0.
    pub number: usize,
    current: RefCell<Current>,
    transactions: Cell<u32>,
    threads: u32,
}

impl Worker {
    pub(super) fn new(number: usize, threads: usize, generation: Arc<Generation>) -> Rc<Self> {
        Rc::new(Self {
            number,
            current: RefCell::new(LocalGeneration::new(generation)),
            transactions: Cell::new(number as u32),
            threads: threads.max(1) as u32,
        })
    }

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
}
