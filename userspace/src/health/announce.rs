//! The words of server events, as HAProxy writes them to the logs and to standard error.
//!
//! Events come from [`super::life`] and from finished checks; out go lines that tools have parsed for years. Nothing here
//! decides anything.

use std::fmt::Write as _;

use super::automaton::Limits;
use crate::log::printable;
use crate::state::{CheckReport, UsableServers};

/// Why something happened to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A check, whose report is given.
    Check(CheckReport),
    /// A check whose result was already logged (`option log-health-checks`).
    LoggedCheck,
    /// The Runtime API.
    Cli,
    /// The statistics page.
    StatsPage,
    /// The agent, with what it said.
    Agent(CheckReport),
    /// The server it tracks, as `backend/server`.
    Tracked(String),
    /// Its name: what the name servers said.
    Name(&'static str),
}

impl Cause {
    /// What is appended to the event.
    fn words(&self) -> String {
        match self {
            Self::Check(report) | Self::Agent(report) => format!(", {}", reason(report)),
            Self::LoggedCheck => String::new(),
            Self::Cli => ", changed from CLI".to_owned(),
            Self::StatsPage => ", changed from stats page".to_owned(),
            Self::Tracked(server) => format!(" via {server}"),
            Self::Name(status) => format!(" ({status})"),
        }
    }

    fn via(&self) -> String {
        match self {
            Self::Tracked(server) => format!(" via {server}"),
            _ => String::new(),
        }
    }
}

/// `reason: Layer4 connection problem, info: "…", check duration: 0ms`.
pub(super) fn reason(report: &CheckReport) -> String {
    let mut words = format!("reason: {}", report.status.description());
    if let Some(code) = report.code {
        write_to(&mut words, format_args!(", code: {code}"));
    }
    if !report.text.is_empty() {
        write_to(
            &mut words,
            format_args!(", info: \"{}\"", printable(&report.text)),
        );
    }
    if let Some(duration) = report.duration {
        write_to(&mut words, format_args!(", check duration: {duration}ms"));
    }
    words
}

/// `1/2 DOWN` or `3/3 UP`: how far the counter has come on its side.
pub(super) fn progress(counter: u32, limits: &Limits) -> String {
    if counter >= limits.needed() {
        format!(
            "{}/{} UP",
            counter - limits.needed() + 1,
            limits.steps_down()
        )
    } else {
        format!("{counter}/{} DOWN", limits.needed())
    }
}

/// The line of one check's result.
pub(super) fn result(kind: &str, server: &str, report: &CheckReport, progress: &str) -> String {
    use crate::state::CheckResult;
    let outcome = match report.status.result() {
        CheckResult::Passed => "succeeded",
        CheckResult::Conditional => "conditionally succeeded",
        _ => "failed",
    };
    format!(
        "{kind} check for server {server} {outcome}, {}, status: {progress}.",
        reason(report)
    )
}

pub(super) fn down(server: &str, cause: &Cause, left: Left) -> String {
    format!("Server {server} is DOWN{}.{left}", cause.words())
}

pub(super) fn maintenance(server: &str, cause: &Cause, left: Left) -> String {
    format!(
        "Server {server} is going DOWN for maintenance{}.{left}",
        cause.via()
    )
}

pub(super) fn up(server: &str, cause: &Cause, online: Online) -> String {
    format!("Server {server} is UP{}.{online}", cause.words())
}

pub(super) fn stopping(server: &str, cause: &Cause, online: Online) -> String {
    format!("Server {server} is stopping{}.{online}", cause.words())
}

pub(super) fn drain(server: &str, cause: &Cause, online: Online) -> String {
    format!("Server {server} enters drain state{}.{online}", cause.via())
}

pub(super) fn left_maintenance(server: &str, up: bool, drained: bool, forced: bool) -> String {
    let side = if up { "UP" } else { "DOWN" };
    let mode = if drained { "DRAIN" } else { "READY" };
    let which = if forced {
        "forced maintenance"
    } else {
        "maintenance"
    };
    format!("Server {server} is {side}/{mode} (leaving {which}).")
}

pub(super) fn left_drain(server: &str, up: bool) -> String {
    let side = if up { "UP" } else { "DOWN" };
    format!("Server {server} is {side} (leaving forced drain).")
}

pub(super) fn no_server(backend: &str) -> String {
    format!("backend {backend} has no server available!")
}

/// What is left after a server went away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) usable: UsableServers,
    pub(super) sessions: u32,
    pub(super) requeued: u32,
}

impl std::fmt::Display for Left {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let UsableServers { active, backup } = self.usable;
        let on_backup = if active == 0 && backup > 0 {
            " Running on backup."
        } else {
            ""
        };
        write!(
            formatter,
            " {active} active and {backup} backup servers left.{on_backup} {} sessions active, {} requeued, 0 remaining in queue.",
            self.sessions, self.requeued
        )
    }
}

/// What is there while a server comes back or winds down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Online {
    pub(super) usable: UsableServers,
    pub(super) requeued: u32,
    pub(super) queued: u32,
}

impl std::fmt::Display for Online {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let UsableServers { active, backup } = self.usable;
        let on_backup = if active == 0 && backup > 0 {
            " Running on backup."
        } else {
            ""
        };
        write!(
            formatter,
            " {active} active and {backup} backup servers online.{on_backup} {} sessions requeued, {} total in queue.",
            self.requeued, self.queued
        )
    }
}

fn write_to(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more)
        .expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::CheckStatus;

    const NONE_LEFT: Left = Left {
        usable: UsableServers {
            active: 0,
            backup: 0,
        },
        sessions: 2,
        requeued: 1,
    };

    fn refused() -> CheckReport {
        CheckReport {
            status: CheckStatus::L4Connection,
            code: None,
            duration: Some(0),
            text: "ECONNREFUSED returned by OS".to_owned(),
        }
    }

    #[test]
    fn lines_read_as_haproxys() {
        let bad_status = CheckReport {
            status: CheckStatus::L7Status,
            code: Some(503),
            duration: Some(3),
            text: "Try\r\nlater".to_owned(),
        };
        let limits = Limits {
            rise: 2,
            fall: 3,
            window: None,
        };
        insta::assert_snapshot!(
            [
                down("be/s1", &Cause::Check(refused()), NONE_LEFT),
                down("be/s1", &Cause::Cli, NONE_LEFT),
                down("be/t1", &Cause::Tracked("be/s1".to_owned()), NONE_LEFT),
                down(
                    "be/s1",
                    &Cause::LoggedCheck,
                    Left {
                        usable: UsableServers {
                            active: 0,
                            backup: 1
                        },
                        ..NONE_LEFT
                    }
                ),
                maintenance("be/t1", &Cause::Tracked("be/s1".to_owned()), NONE_LEFT),
                up(
                    "be/s1",
                    &Cause::Cli,
                    Online {
                        usable: UsableServers {
                            active: 1,
                            backup: 0
                        },
                        requeued: 0,
                        queued: 0,
                    }
                ),
                left_maintenance("be/s1", true, false, true),
                left_drain("be/s1", true),
                result("Health", "be/s1", &bad_status, &progress(1, &limits)),
                result("Health", "be/s1", &refused(), &progress(3, &limits)),
                no_server("be"),
            ]
            .join("\n")
        );
    }
}
