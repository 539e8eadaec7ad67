//! The line a session leaves in the log: whether, how loud, and in which format.
//!
//! The format's text is rendered from a [`SessionView`] into a buffer of the thread and given to the frontend's targets.
//! What the line says was decided by then.

use std::cell::RefCell;
use std::time::Duration;

use super::connection::Connection;
use super::transaction::{LogLevel, Transaction};
use super::view::SessionView;
use crate::clock::LocalTime;
use crate::expr::LogFormat;
use crate::model::{Mode, Proxy, Severity};

/// How a session ended, for those who log only some ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Normal,
    /// With an error, a timeout, a retry or a redispatch.
    Failed,
}

/// Logs the end of a session or request, or its response's head with `option logasap`.
pub fn finish(view: &SessionView<'_>, ending: Ending) {
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
    let Some(format) = frontend.log_format.as_deref() else {
        return;
    };
    let usual = match ending {
        Ending::Failed if frontend.log_separate_errors => Severity::Err,
        _ => Severity::Info,
    };
    send(view, transaction, frontend, format, usual);
}

/// Logs at once, whatever the outcome (`do-log`).
pub fn now(view: &SessionView<'_>) {
    let frontend = view.connection.frontend();
    if let (Some(transaction), Some(format)) = (view.transaction, frontend.log_format.as_deref()) {
        send(view, transaction, frontend, format, Severity::Info);
    }
}

/// Logs the beginning of a session on a frontend without a log format (manual §8.2.1).
pub(super) fn begin(connection: &Connection) {
    let frontend = connection.frontend();
    if frontend.log_format.is_some() {
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
    if let Some(format) = &frontend.error_log_format {
        render(format, view, |line| logger.send(severity, line, b""));
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
    logger.send(severity, line.as_bytes(), b"");
}

fn send(
    view: &SessionView<'_>,
    transaction: &Transaction,
    frontend: &Proxy,
    format: &LogFormat,
    usual: Severity,
) {
    let severity = match transaction.log_level.get() {
        LogLevel::Silent => return,
        LogLevel::At(severity) => severity,
        LogLevel::Default => usual,
    };
    let generation = &view.connection.generation;
    let logger = generation.logs().proxy(frontend.id);
    if !logger.wants(severity) {
        return;
    }
    transaction
        .log_counter
        .set(generation.next_log_number(frontend.id));
    let mut structured = Vec::new();
    if let Some(format) = &frontend.log_format_sd {
        format.render(view, &mut structured);
    }
    render(format, view, |line| {
        logger.send(severity, line, &structured)
    });
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

/// Renders into a buffer the thread keeps.
fn render(format: &LogFormat, view: &SessionView<'_>, use_line: impl FnOnce(&[u8])) {
    thread_local! {
        static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    // Taken out while rendering: an expression that logs (`do-log` cannot, but a future one might) gets its own.
    let mut line = LINE.take();
    line.clear();
    format.render(view, &mut line);
    use_line(&line);
    LINE.set(line);
}
