//! Which thread is counting: every counter has one cell per worker thread and one shared by all others.
//!
//! A worker calls [`enter`] once; after that its updates are plain loads and stores on its own cache line. Threads that
//! never entered (supervisor, tests) share cell 0 with atomic updates. Nothing here sums: readers do.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// Declares the calling thread to be worker number `index`, counted from 1.
///
/// No two live threads may use the same number: their updates would be lost, though nothing worse happens.
pub fn enter(index: usize) {
    INDEX.set(index);
}

/// The number of the calling worker; 0 outside the workers.
pub fn current() -> usize {
    INDEX.get()
}

/// The calling thread's right to write a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer(usize);

impl Writer {
    /// The cell the calling thread writes, when there are `cells` of them.
    pub(super) fn current(cells: usize) -> Self {
        let index = INDEX.get();
        Self(if index < cells { index } else { 0 })
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }

    /// Replaces the value of this writer's cell.
    pub(super) fn update(self, cell: &AtomicU64, change: impl Fn(u64) -> u64) {
        if self.0 == 0 {
            let _always_some = cell.fetch_update(Relaxed, Relaxed, |value| Some(change(value)));
        } else {
            cell.store(change(cell.load(Relaxed)), Relaxed);
        }
    }
}
