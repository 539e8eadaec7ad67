//! Limits of the process: descriptors, and the connections they allow.
//!
//! A connection through the proxy takes two descriptors. With `maxconn` set, the soft limit is raised to what it needs;
//! without, `maxconn` becomes what the hard limit allows (manual §3.2 `maxconn`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::model::Model;

/// What is wrong with the limits; the process can run all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFewDescriptors {
    /// What the configuration would need.
    pub(super) needed: u64,
    /// What the system allows.
    pub(super) allowed: u64,
}

/// Raises the soft limit of descriptors as far as needed and fills in `global maxconn`.
pub(super) fn apply(model: &mut Model, threads: usize) -> Option<TooFewDescriptors> {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    let reserved = reserved(model, threads);
    let maxconn = match model.global.maxconn {
        Some(maxconn) => maxconn,
        None => connections(allowed, reserved),
    };
    model.global.maxconn = Some(maxconn);
    let needed = reserved + 2 * u64::from(maxconn);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = needed.min(allowed);
    if raised > current {
        // A refusal leaves the old limit, which the check below reports.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(raised),
                ..limit
            },
        );
    }
    let in_force = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (in_force < needed).then_some(TooFewDescriptors {
        needed,
        allowed: in_force,
    })
}

/// Bounds the address space (`-m`), in megabytes.
///
/// # Errors
/// The hard limit is lower.
pub(super) fn bound_memory(megabytes: u32) -> rustix::io::Result<()> {
    let bytes = u64::from(megabytes) << 20;
    setrlimit(
        Resource::As,
        Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        },
    )
}

/// Descriptors that are not connections: listeners, checks, logs, runtimes and the kernel's maps.
fn reserved(model: &Model, threads: usize) -> u64 {
    let threads = threads as u64;
    let listeners = model.binds.len() as u64 * threads;
    let checks = model
        .servers
        .iter()
        .filter(|server| server.check.is_some())
        .count() as u64;
    FIXED + PER_THREAD * threads + listeners + checks
}

fn connections(allowed: u64, reserved: u64) -> u32 {
    let most = allowed.saturating_sub(reserved) / 2;
    u32::try_from(most)
        .unwrap_or(u32::MAX)
        .clamp(1, MOST_BY_DEFAULT)
}

const FIXED: u64 = 64;
const PER_THREAD: u64 = 32;

/// A system without a limit is no reason to promise more connections than memory can hold.
const MOST_BY_DEFAULT: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_carry_one_connection() {
        assert_eq!(connections(20_000, 100), 9950);
        assert_eq!(connections(10, 100), 1);
        assert_eq!(connections(u64::MAX, 100), MOST_BY_DEFAULT);
    }

    #[test]
    fn maxconn_is_filled_in_and_a_configured_one_kept() {
        let mut model = Model::default();
        apply(&mut model, 1);
        assert!(model.global.maxconn.is_some_and(|maxconn| maxconn > 0));
        model.global.maxconn = Some(7);
        assert_eq!(apply(&mut model, 1), None);
        assert_eq!(model.global.maxconn, Some(7));
    }
}
