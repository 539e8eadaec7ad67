//! A working directory of a thread's own: the one system call of this room that has no safe wrapper.

#![expect(unsafe_code, reason = "unshare has no safe wrapper in rustix")]

use rustix::io::Result;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling thread a working directory, a root directory and a file mode mask of its own: what it changes of them
/// from now on is not changed for the process's other threads (unshare(2), `CLONE_FS`).
pub(super) fn own_working_directory() -> Result<()> {
    // SAFETY: unsafe are file descriptors that not all threads share; this flag leaves descriptors shared.
    unsafe { unshare_unsafe(UnshareFlags::FS) }
}
