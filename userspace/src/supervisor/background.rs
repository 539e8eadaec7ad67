//! Going to the background: `-D` and `daemon`.
//!
//! The process forks before it has threads; the child does all the work of the start and reports through a pipe, so the
//! parent's exit status tells whether the service runs, and errors still reach the terminal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use super::sys::{self, Forked};

/// Which side of the fork this is.
pub(super) enum Side {
    /// The started process: its start succeeded or not, and it must exit accordingly.
    Parent {
        /// Whether the child came up.
        started: bool,
    },
    /// The daemon: it goes on and reports when it serves.
    Child(Report),
}

/// The daemon's way to say that it serves.
pub(super) struct Report {
    parent: OwnedFd,
    null: Null,
}

/// What stands in for the terminal. It is opened before `chroot` hides it.
pub(super) struct Null(File);

/// Forks. The parent returns once the child reported or died.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn fork() -> io::Result<Side> {
    let (reader, writer) = sys::pipe()?;
    match sys::fork()? {
        Forked::Child => Ok(Side::Child(Report {
            parent: writer,
            null: Null::open()?,
        })),
        Forked::Parent => {
            drop(writer);
            let mut byte = [0];
            let started = File::from(reader).read(&mut byte)? == 1;
            Ok(Side::Parent { started })
        }
    }
}

impl Report {
    /// Tells the parent that the service runs, and lets go of the terminal.
    ///
    /// # Errors
    /// The system is out of descriptors, or the parent is gone.
    pub(super) fn started(self) -> io::Result<()> {
        self.null.replace_terminal()?;
        File::from(self.parent).write_all(b"1")
    }
}

impl Null {
    /// # Errors
    /// `/dev/null` cannot be opened.
    pub(super) fn open() -> io::Result<Self> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        Ok(Self(null))
    }

    /// Nothing is read from or written to the terminal from now on.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub(super) fn replace_terminal(&self) -> io::Result<()> {
        rustix::stdio::dup2_stdin(&self.0)?;
        rustix::stdio::dup2_stdout(&self.0)?;
        rustix::stdio::dup2_stderr(&self.0)?;
        Ok(())
    }
}
