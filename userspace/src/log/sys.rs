//! The descriptors of `log fd@N`: the one place that trusts a number to be an open descriptor.
#![expect(unsafe_code, reason = "an inherited descriptor comes as a bare number")]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A duplicate of an inherited descriptor, closed on exec.
///
/// # Errors
/// The number is not an open descriptor.
pub(super) fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the borrow lasts for this call only and is used to duplicate, which the kernel refuses with EBADF when the
    // number is no open descriptor; nothing is closed.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned()
}
