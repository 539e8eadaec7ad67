//! System calls of process life that have no safe wrapper: fork and identity.
//!
//! Everything here runs while the process has a single thread, before the workers start.

#![expect(
    unsafe_code,
    reason = "fork and process-wide setuid have no safe wrapper in rustix"
)]

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Gid, Uid};

/// Which process this is after [`fork`].
#[derive(Debug)]
pub(super) enum Forked {
    /// The one that was started.
    Parent,
    /// The new one, in a session of its own.
    Child,
}

/// Splits the process in two. The caller must not have started a thread.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn fork() -> io::Result<Forked> {
    // SAFETY: the caller has a single thread, so the child owns all locks and may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::setsid()?;
            Ok(Forked::Child)
        }
        _ => Ok(Forked::Parent),
    }
}

/// Gives up the supplementary groups, then takes the group, then the user, for the whole process.
///
/// # Errors
/// The kernel's refusal; what was already given up stays so, and the caller must not go on.
pub(super) fn become_user(uid: Option<Uid>, gid: Option<Gid>) -> io::Result<()> {
    // SAFETY: an empty list is valid for a length of zero.
    if unsafe { libc::setgroups(0, std::ptr::null()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if let Some(gid) = gid {
        // SAFETY: takes a number only.
        if unsafe { libc::setgid(gid.as_raw()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(uid) = uid {
        // SAFETY: takes a number only.
        if unsafe { libc::setuid(uid.as_raw()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A pipe whose ends close on exec.
///
/// # Errors
/// The process is out of descriptors.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}
