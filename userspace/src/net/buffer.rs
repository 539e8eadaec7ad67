//! Relay buffers, kept per thread and lent only while bytes are in flight, so that an idle connection holds none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// A buffer of [`RELAY_BUFFER`] bytes; dropping it gives it back to the thread's pool.
pub struct Buffer(Option<Box<[u8]>>);

impl Buffer {
    /// Takes one from this thread's pool, or allocates it.
    pub fn take() -> Self {
        let pooled = POOL.with_borrow_mut(Vec::pop);
        Self(Some(
            pooled.unwrap_or_else(|| vec![0; RELAY_BUFFER].into_boxed_slice()),
        ))
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(bytes) = self.0.take() else { return };
        // The pool is gone when a buffer outlives its thread's storage; the memory is then simply freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED {
                pool.push(bytes);
            }
        });
    }
}

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Size of a relay buffer in bytes: 64 KiB halve the cost of a bulk relay compared with 8 KiB, and more gains nothing; the
/// rest lets a body of 64 KiB and its head move in one piece.
pub const RELAY_BUFFER: usize = 72 * 1024;

/// Most idle buffers a thread keeps (4.5 MiB).
const POOLED: usize = 64;
