//! Pipes for splice(2), kept per thread.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags};

/// A pipe that is empty whenever it changes hands.
pub(super) struct Pipe {
    ends: Option<(OwnedFd, OwnedFd)>,
    held: usize,
}

impl Pipe {
    /// Takes one from this thread's pool, or makes it. Fails when the process has no descriptors left.
    pub(super) fn take() -> io::Result<Self> {
        if let Some(ends) = POOL.with_borrow_mut(Vec::pop) {
            return Ok(Self {
                ends: Some(ends),
                held: 0,
            });
        }
        let ends = rustix::pipe::pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Without the right to a larger pipe the default 64 KiB serve as well, in more calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&ends.1, PIPE_SIZE);
        Ok(Self {
            ends: Some(ends),
            held: 0,
        })
    }

    /// Bytes waiting inside.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Moves at most `most` bytes from a socket into the pipe, which must be empty: 0 at the end of the stream.
    pub(super) fn fill(&mut self, from: impl AsFd, most: u64) -> io::Result<usize> {
        debug_assert_eq!(
            self.held, 0,
            "a full pipe would be mistaken for an empty socket"
        );
        let Some((_, entry)) = &self.ends else {
            return Ok(0);
        };
        let most = usize::try_from(most).map_or(PIPE_SIZE, |most| most.min(PIPE_SIZE));
        let moved = rustix::pipe::splice(from, None, entry, None, most, FLAGS)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves bytes from the pipe to a socket.
    pub(super) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let Some((exit, _)) = &self.ends else {
            return Ok(0);
        };
        let moved = rustix::pipe::splice(exit, None, to, None, self.held, FLAGS)?;
        self.held -= moved;
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        if self.held == 0 {
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < POOLED {
                    pool.push(ends);
                }
            });
        }
    }
}

thread_local! {
    static POOL: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Capacity asked for, in bytes: the measured optimum.
const PIPE_SIZE: usize = 256 * 1024;

/// Most idle pipes a thread keeps.
const POOLED: usize = 32;
