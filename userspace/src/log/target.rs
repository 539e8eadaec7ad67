//! One `log` line at work: which messages it takes, how it frames them, and the way out.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::sink::Sink;
use crate::clock::{self, LocalTime};
use crate::model::{LogFormatKind, LogProfile, LogTarget, Severity};
use crate::proto::syslog::{Format, Header};
use crate::state::{Counter, ProcessState, State};

/// One target.
#[derive(Debug)]
pub struct Target {
    settings: LogTarget,
    format: Format,
    profile: Option<Arc<LogProfile>>,
    host: Option<Arc<str>>,
    pid: u32,
    sink: Sink,
    /// The position in the sampling round, from 0.
    position: Mutex<u32>,
    process: Arc<ProcessState>,
}

impl Target {
    /// Opens a target. `host` is the name to send, if any.
    ///
    /// # Errors
    /// The descriptor of the target is not open.
    pub fn open(
        settings: &LogTarget,
        profile: Option<Arc<LogProfile>>,
        host: Option<Arc<str>>,
        state: &State,
    ) -> io::Result<Self> {
        let format = match settings.format {
            // Manual §4.2 `log`: "log-send-hostname" switches the default to rfc3164.
            LogFormatKind::Local if host.is_some() => Format::Rfc3164,
            LogFormatKind::Local => Format::Local,
            LogFormatKind::Rfc3164 => Format::Rfc3164,
            LogFormatKind::Rfc5424 => Format::Rfc5424,
            LogFormatKind::Priority => Format::Priority,
            LogFormatKind::Short => Format::Short,
            LogFormatKind::Timed => Format::Timed,
            LogFormatKind::Iso => Format::Iso,
            LogFormatKind::Raw => Format::Raw,
        };
        Ok(Self {
            settings: settings.clone(),
            format,
            profile,
            host,
            pid: std::process::id(),
            sink: Sink::open(&settings.address, state.threads() + 1)?,
            position: Mutex::new(0),
            process: Arc::clone(&state.process),
        })
    }

    /// What its lines look like, where that is not what the proxy says.
    pub fn profile(&self) -> Option<&LogProfile> {
        self.profile.as_deref()
    }

    /// Whether lines of that severity are sent.
    pub fn wants(&self, severity: Severity) -> bool {
        severity <= self.settings.level
    }

    /// Frames and sends one message, if it is wanted and its turn comes in the sample.
    pub fn send(&self, severity: Severity, tag: &str, message: &[u8], structured: &[u8]) {
        if !self.wants(severity) || !self.is_sampled() {
            return;
        }
        let wall = clock::wall();
        let header = Header {
            format: self.format,
            facility: self.settings.facility.0,
            severity: severity.max(self.settings.min_level) as u8,
            wall,
            local: local_time(wall),
            host: self.host.as_deref(),
            tag,
            pid: self.pid,
            structured,
        };
        LINE.with_borrow_mut(|line| {
            line.clear();
            header.write_line(message, self.settings.max_length, line);
            if self.sink.send(line).is_err() {
                self.process.counters.count(Counter::DroppedLogs);
            }
        });
    }

    fn is_sampled(&self) -> bool {
        let Some(sample) = &self.settings.sample else {
            return true;
        };
        let mut position = self.position.lock();
        *position = *position % sample.size.max(1) + 1;
        sample
            .ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&*position))
    }
}

/// Local time, computed once a second per thread: the C library takes a lock for it.
fn local_time(wall: Duration) -> LocalTime {
    LOCAL.with_borrow_mut(|cached| match cached {
        Some((second, local)) if *second == wall.as_secs() => *local,
        _ => {
            let local = LocalTime::of(wall);
            *cached = Some((wall.as_secs(), local));
            local
        }
    })
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static LOCAL: RefCell<Option<(u64, LocalTime)>> = const { RefCell::new(None) };
}
