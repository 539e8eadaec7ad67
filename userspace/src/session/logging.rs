//! The line a session leaves in the log: whether, how loud, and in which format.
//!
//! The format's text is rendered from a [`SessionView`] into a buffer of the thread and given to the frontend's targets.
//! What the line says was decided by then.

use std::time::Duration;

use super::connection::Connection;
use super::transaction::{LogLevel, Transaction};
use super::view::SessionView;
use crate::clock::LocalTime;
use crate::expr::LogFormat;
use crate::model::{LogProfile, LogStep, Mode, Proxy, Severity};

/// How a session ended, for those who log only some ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Normal,
    /// With an error, a timeout, a retry or a redispatch.
    Failed,
}

/// Logs a step of a session or request. Without `log-steps` there is one line: at the end, or early with `option logasap`;
/// `step` says which of the two this is.
pub fn finish(view: &SessionView<'_>, step: LogStep, ending: Ending) {
    let Some(transaction) = view.transaction else {
        return;
    };
    let frontend = view.connection.frontend();
    if frontend.dont_log_null && says_nothing(transaction) {
        return;
    }
    if frontend.dont_log_normal && ending == Ending::Normal {
        return;
    }
    let usual = match ending {
        Ending::Failed if frontend.log_separate_errors => Severity::Err,
        _ => Severity::Info,
    };
    send(view, frontend, step, usual, None);
}

/// Logs a step on the way, where `log-steps` asks for it; what it looks like is asked only then.
pub(super) fn step<'v>(
    connection: &Connection,
    step: LogStep,
    view: impl FnOnce() -> SessionView<'v>,
) {
    let frontend = connection.frontend();
    if frontend.log_steps.is_some_and(|steps| steps.contains(step)) {
        send(&view(), frontend, step, Severity::Info, None);
    }
}

/// Logs at once, whatever the outcome (`do-log`).
pub fn now(view: &SessionView<'_>, step: LogStep, profile: Option<&LogProfile>) {
    let frontend = view.connection.frontend();
    if frontend.log_format.is_some() {
        send(view, frontend, step, Severity::Info, profile);
    }
}

/// Logs the beginning of a session on a frontend without a log format (manual §8.2.1).
pub(super) fn begin(connection: &Connection) {
    let frontend = connection.frontend();
    step(connection, LogStep::Accept, || SessionView::of(connection));
    if frontend.log_format.is_some() || !frontend.mode.is_traffic() {
        return;
    }
    let logger = connection.generation.logs().proxy(frontend.id);
    if logger.wants(Severity::Info) {
        let ends = connection.ends.get();
        let place = |end: Option<std::net::SocketAddr>| {
            end.map_or_else(
                || "unix:1".to_owned(),
                |end| format!("{}:{}", end.ip(), end.port()),
            )
        };
        let mode = if frontend.mode == Mode::Http {
            "HTTP"
        } else {
            "TCP"
        };
        let (from, to) = (place(ends.source), place(ends.destination));
        let line = format!("Connect from {from} to {to} ({}/{mode})", frontend.name);
        logger.send(Severity::Info, line.as_bytes(), b"");
    }
}

/// Logs a connection that failed before it became a session: a PROXY header or a TLS handshake that went wrong.
pub(super) fn failed_connection(view: &SessionView<'_>, reason: &str) {
    let connection = view.connection;
    let frontend = connection.frontend();
    let logger = connection.generation.logs().proxy(frontend.id);
    let severity = if frontend.log_separate_errors {
        Severity::Err
    } else {
        Severity::Info
    };
    if !logger.wants(severity) {
        return;
    }
    // Manual §8.2.5: client, date, frontend and listener, reason.
    let source = connection.ends.get().source;
    let client = source.map_or_else(
        || "unix:1".to_owned(),
        |end| format!("{}:{}", end.ip(), end.port()),
    );
    let listener = connection.bind();
    let listener = listener
        .name
        .clone()
        .unwrap_or_else(|| listener.number.to_string());
    let stamp = log_date(connection.accept_date);
    let line = format!("{client} [{stamp}] {}/{listener}: {reason}", frontend.name);
    connection.log_step.set(LogStep::Error);
    for target in logger.targets().filter(|target| target.wants(severity)) {
        let profile = target.profile();
        let said = profile.and_then(|profile| profile.line(LogStep::Error));
        if said.is_some_and(|line| line.drop) {
            continue;
        }
        let own = frontend.error_log_format.as_deref();
        let looks = Looks {
            format: said.and_then(|line| line.format.as_deref()).or(own),
            structured: said.and_then(|line| line.structured.as_deref()),
            tag: profile
                .and_then(|profile| profile.tag.as_deref())
                .unwrap_or_else(|| logger.tag()),
        };
        match looks.format {
            Some(_) => {
                let (line, structured) = looks.render(view);
                target.send(severity, looks.tag, &line, &structured);
            }
            None => target.send(severity, looks.tag, line.as_bytes(), b""),
        }
    }
    connection.log_step.set(LogStep::default());
}

/// Makes each target its line: the proxy's formats, or what the target's profile has in their place.
fn send(
    view: &SessionView<'_>,
    frontend: &Proxy,
    step: LogStep,
    usual: Severity,
    chosen: Option<&LogProfile>,
) {
    let severity = match view
        .transaction
        .map(|transaction| transaction.log_level.get())
    {
        Some(LogLevel::Silent) => return,
        Some(LogLevel::At(severity)) => severity,
        Some(LogLevel::Default) | None => usual,
    };
    let generation = &view.connection.generation;
    let logger = generation.logs().proxy(frontend.id);
    if !logger.wants(severity) {
        return;
    }
    if let Some(transaction) = view.transaction {
        let number = generation.next_log_number(frontend.id);
        transaction.log_counter.set(number);
    }
    view.connection.log_step.set(step);
    let own = Looks {
        format: frontend.log_format.as_deref(),
        structured: frontend.log_format_sd.as_deref(),
        tag: logger.tag(),
    };
    // The line of targets without a profile is the same for all of them.
    let mut common = None;
    for target in logger.targets().filter(|target| target.wants(severity)) {
        let profile = chosen.or_else(|| target.profile());
        let said = profile.and_then(|profile| profile.line(step));
        if said.is_some_and(|line| line.drop) {
            continue;
        }
        if profile.is_none() {
            let (line, structured) = common.get_or_insert_with(|| own.render(view));
            if own.format.is_some() {
                target.send(severity, own.tag, line, structured);
            }
            continue;
        }
        let looks = Looks {
            format: said.and_then(|line| line.format.as_deref()).or(own.format),
            structured: said
                .and_then(|line| line.structured.as_deref())
                .or(own.structured),
            tag: profile
                .and_then(|profile| profile.tag.as_deref())
                .unwrap_or(own.tag),
        };
        if looks.format.is_some() {
            let (line, structured) = looks.render(view);
            target.send(severity, looks.tag, &line, &structured);
        }
    }
    view.connection.log_step.set(LogStep::default());
}

/// What a line is made with.
#[derive(Clone, Copy)]
struct Looks<'a> {
    format: Option<&'a LogFormat>,
    structured: Option<&'a LogFormat>,
    tag: &'a str,
}

impl Looks<'_> {
    /// The line and its structured data.
    fn render(&self, view: &SessionView<'_>) -> (Vec<u8>, Vec<u8>) {
        let rendered = |format: Option<&LogFormat>| {
            let mut text = Vec::new();
            if let Some(format) = format {
                format.render(view, &mut text);
            }
            text
        };
        (rendered(self.format), rendered(self.structured))
    }
}

/// A date as `%t` shows it: `22/Nov/2026:10:31:00.123`.
fn log_date(wall: Duration) -> String {
    let local = LocalTime::of(wall);
    format!(
        "{:02}/{}/{:04}:{:02}:{:02}:{:02}.{:03}",
        local.day,
        local.month_name(),
        local.year,
        local.hour,
        local.minute,
        local.second,
        wall.subsec_millis()
    )
}

/// A connection that sent nothing and was told nothing (`option dontlognull`).
fn says_nothing(transaction: &Transaction) -> bool {
    transaction.bytes.from_client.get() == 0
        && transaction.bytes.to_client.get() == 0
        && transaction.status.get() == 0
}
