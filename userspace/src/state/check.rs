//! What the last check of a server said, in HAProxy's words and numbers.
//!
//! [`CheckState`] holds one check's (or agent's) last report, its progress between down and up, and the settings the
//! Runtime API may change. The rules that move it are in [`crate::health`].

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The outcome of a check (management.txt §9.1, `check_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckStatus {
    /// `UNK`
    #[default]
    Unknown,
    /// `INI`: none finished yet.
    Initializing,
    /// `SOCKERR`
    SocketError,
    /// `L4OK`
    L4Ok,
    /// `L4TOUT`
    L4Timeout,
    /// `L4CON`
    L4Connection,
    /// `L6OK`
    L6Ok,
    /// `L6TOUT`
    L6Timeout,
    /// `L6RSP`
    L6Response,
    /// `L7OK`
    L7Ok,
    /// `L7OKC`
    L7OkConditional,
    /// `L7TOUT`
    L7Timeout,
    /// `L7RSP`
    L7Response,
    /// `L7STS`
    L7Status,
    /// `PROCERR`
    ProcessError,
    /// `PROCTOUT`
    ProcessTimeout,
    /// `PROCOK`
    ProcessOk,
    /// `CHECKED`: an agent that said nothing about the server's state.
    NoChange,
    /// `HANA`: taken down because of observed traffic (`on-error`).
    Observed,
}

impl CheckStatus {
    /// The number of `show servers state`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Initializing => 1,
            Self::NoChange => 3,
            Self::Observed => 4,
            Self::SocketError => 5,
            Self::L4Ok => 6,
            Self::L4Timeout => 7,
            Self::L4Connection => 8,
            Self::L6Ok => 9,
            Self::L6Timeout => 10,
            Self::L6Response => 11,
            Self::L7Timeout => 12,
            Self::L7Response => 13,
            Self::L7Ok => 15,
            Self::L7OkConditional => 16,
            Self::L7Status => 17,
            Self::ProcessError => 18,
            Self::ProcessTimeout => 19,
            Self::ProcessOk => 20,
        }
    }

    /// The short name of CSV and logs.
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// The description shown in logs and in `check_desc`.
    pub const fn description(self) -> &'static str {
        self.words().1
    }

    /// What the outcome means for the server.
    pub const fn result(self) -> CheckResult {
        match self {
            Self::Unknown | Self::Initializing => CheckResult::Unknown,
            Self::L4Ok | Self::L6Ok | Self::L7Ok | Self::ProcessOk => CheckResult::Passed,
            Self::L7OkConditional => CheckResult::Conditional,
            Self::NoChange => CheckResult::Neutral,
            _ => CheckResult::Failed,
        }
    }

    /// The status an `ok-status`, `error-status` or `tout-status` argument names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("UNK", "Unknown"),
            Self::Initializing => ("INI", "Initializing"),
            Self::SocketError => ("SOCKERR", "Socket error"),
            Self::L4Ok => ("L4OK", "Layer4 check passed"),
            Self::L4Timeout => ("L4TOUT", "Layer4 timeout"),
            Self::L4Connection => ("L4CON", "Layer4 connection problem"),
            Self::L6Ok => ("L6OK", "Layer6 check passed"),
            Self::L6Timeout => ("L6TOUT", "Layer6 timeout"),
            Self::L6Response => ("L6RSP", "Layer6 invalid response"),
            Self::L7Ok => ("L7OK", "Layer7 check passed"),
            Self::L7OkConditional => ("L7OKC", "Layer7 check conditionally passed"),
            Self::L7Timeout => ("L7TOUT", "Layer7 timeout"),
            Self::L7Response => ("L7RSP", "Layer7 invalid response"),
            Self::L7Status => ("L7STS", "Layer7 wrong status"),
            Self::ProcessError => ("PROCERR", "External check error"),
            Self::ProcessTimeout => ("PROCTOUT", "External check timeout"),
            Self::ProcessOk => ("PROCOK", "External check passed"),
            Self::NoChange => ("CHECKED", "No status change"),
            Self::Observed => ("HANA", "Health analyze"),
        }
    }

    const ALL: [Self; 19] = [
        Self::Unknown,
        Self::Initializing,
        Self::SocketError,
        Self::L4Ok,
        Self::L4Timeout,
        Self::L4Connection,
        Self::L6Ok,
        Self::L6Timeout,
        Self::L6Response,
        Self::L7Ok,
        Self::L7OkConditional,
        Self::L7Timeout,
        Self::L7Response,
        Self::L7Status,
        Self::ProcessError,
        Self::ProcessTimeout,
        Self::ProcessOk,
        Self::NoChange,
        Self::Observed,
    ];
}

/// What a check's outcome means for the server; the numbers are those of `show servers state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CheckResult {
    /// No result yet.
    #[default]
    Unknown = 0,
    /// Valid, but says nothing about the server's state.
    Neutral = 1,
    /// Failed.
    Failed = 2,
    /// Passed.
    Passed = 3,
    /// The server asks for no new sessions (`disable-on-404`).
    Conditional = 4,
}

/// What one finished check reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The outcome.
    pub status: CheckStatus,
    /// The HTTP status or another protocol's code.
    pub code: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration: Option<u64>,
    /// Details: an error, or the beginning of the answer. Control bytes are still in it.
    pub text: String,
}

/// Where checks go instead of where the configuration says (`set server … check-addr|check-port`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckTarget {
    /// The address; `None` = as configured.
    pub address: Option<IpAddr>,
    /// The port; `None` = as configured.
    pub port: Option<u16>,
}

/// One check or agent of one server.
#[derive(Debug, Default)]
pub struct CheckState {
    flags: AtomicU8,
    health: AtomicU32,
    report: Mutex<CheckReport>,
    target: Mutex<CheckTarget>,
    wake: Notify,
}

impl CheckState {
    /// A check that is configured and enabled or not, at the given point between down and up.
    pub(super) fn new(configured: bool, agent: bool, health: u32) -> Self {
        let mut flags = 0;
        if configured && agent {
            flags |= Self::AGENT;
        }
        if configured {
            flags |= Self::CONFIGURED | Self::ENABLED;
        }
        let status = CheckStatus::Initializing;
        Self {
            flags: AtomicU8::new(flags),
            health: AtomicU32::new(health),
            report: Mutex::new(CheckReport {
                status,
                ..CheckReport::default()
            }),
            target: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The bits of `srv_check_state` in `show servers state`.
    pub fn flags(&self) -> u8 {
        self.flags.load(Relaxed)
    }

    /// Whether any of these bits is set.
    pub fn has(&self, bits: u8) -> bool {
        self.flags() & bits != 0
    }

    /// Sets or clears bits.
    pub fn set(&self, bits: u8, on: bool) {
        if on {
            self.flags.fetch_or(bits, Relaxed);
        } else {
            self.flags.fetch_and(!bits, Relaxed);
        }
    }

    /// Configured, not disabled, not paused: checks run.
    pub fn is_running(&self) -> bool {
        self.flags() & (Self::CONFIGURED | Self::ENABLED | Self::PAUSED)
            == Self::CONFIGURED | Self::ENABLED
    }

    /// The counter between 0 (surely down) and rise + fall - 1 (surely up).
    pub fn health(&self) -> u32 {
        self.health.load(Relaxed)
    }

    /// Moves the counter.
    pub fn set_health(&self, health: u32) {
        self.health.store(health, Relaxed);
    }

    /// The last report.
    pub fn report(&self) -> CheckReport {
        self.report.lock().clone()
    }

    /// Replaces the last report.
    pub fn set_report(&self, report: CheckReport) {
        *self.report.lock() = report;
    }

    /// The run-time target.
    pub fn target(&self) -> CheckTarget {
        *self.target.lock()
    }

    /// Changes the run-time target.
    pub fn set_target(&self, target: CheckTarget) {
        *self.target.lock() = target;
    }

    /// Asks for a check now instead of at its time.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until somebody asks for a check now. One waiter at a time.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// A check is under way.
    pub const IN_PROGRESS: u8 = 0x01;
    /// The configuration asks for checks.
    pub const CONFIGURED: u8 = 0x02;
    /// Not disabled at run time.
    pub const ENABLED: u8 = 0x04;
    /// Paused because of maintenance.
    pub const PAUSED: u8 = 0x08;
    /// It is an agent check.
    pub const AGENT: u8 = 0x10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_found_by_its_name() {
        for status in CheckStatus::ALL {
            assert_eq!(CheckStatus::named(status.name()), Some(status));
        }
        assert_eq!(CheckStatus::named("L8OK"), None);
    }

    #[test]
    fn a_check_runs_only_when_configured_enabled_and_not_paused() {
        let check = CheckState::new(true, false, 2);
        assert!(check.is_running());
        check.set(CheckState::PAUSED, true);
        assert!(!check.is_running());
        check.set(CheckState::PAUSED, false);
        check.set(CheckState::ENABLED, false);
        assert!(!check.is_running());
        assert!(!CheckState::new(false, false, 0).is_running());
    }
}
