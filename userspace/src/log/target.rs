//! One `log` line at work: which messages it takes, how it frames them, and the way out.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::sink::Sink;
use crate::clock::{self, LocalTime};
use crate::model::{HostStrategy, LogFormatKind, LogProfile, LogTarget, Severity};
use crate::proto::syslog::{Format, Header, Message, Origin};
use crate::state::{Counter, ProcessState, State};

/// One target.
#[derive(Debug)]
pub struct Target {
    settings: LogTarget,
    format: Format,
    profile: Option<Arc<LogProfile>>,
    host: Option<Arc<str>>,
    pid: String,
    sink: Sink,
    /// The position in the sampling round, from 0.
    position: Mutex<u32>,
    process: Arc<ProcessState>,
}

impl Target {
    /// A target behind an open sink. `host` is the name to send, if any.
    pub(super) fn new(
        settings: LogTarget,
        sink: Sink,
        profile: Option<Arc<LogProfile>>,
        host: Option<Arc<str>>,
        state: &State,
    ) -> Self {
        let format = match settings.format {
            // Manual §4.2 `log`: "log-send-hostname" switches the default to rfc3164.
            None if host.is_some() => Format::Rfc3164,
            None => Format::Local,
            Some(format) => framed(format),
        };
        Self {
            settings,
            format,
            profile,
            host,
            pid: std::process::id().to_string(),
            sink,
            position: Mutex::new(0),
            process: Arc::clone(&state.process),
        }
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
        self.write(
            &Header {
                format: self.format,
                facility: self.settings.facility.0,
                severity: severity.max(self.settings.min_level) as u8,
                wall,
                local: local_time(wall),
                stamp: None,
                host: self.host.as_deref(),
                tag,
                pid: &self.pid,
                message_id: "",
                structured,
            },
            message,
        );
    }

    /// Passes on a received message, if it is wanted and its turn comes in the sample.
    pub fn relay(&self, message: &Message<'_>, sender: Option<IpAddr>, strategy: HostStrategy) {
        let severity = Severity::from_number(message.severity);
        if !self.wants(severity) || !self.is_sampled() {
            return;
        }
        let format = self.settings.format.map_or_else(|| kept(message), framed);
        let is_modern = format == Format::Rfc5424;
        let keeps_stamp = match message.origin {
            Origin::Rfc5424 => is_modern,
            Origin::Rfc3164 => !is_modern,
            Origin::Bare => false,
        };
        let host = sent_host(message.host, sender, strategy);
        let wall = clock::wall();
        self.write(
            &Header {
                format,
                facility: message.facility.unwrap_or(self.settings.facility.0),
                severity: severity.max(self.settings.min_level) as u8,
                wall,
                local: local_time(wall),
                stamp: Some(message.stamp).filter(|stamp| keeps_stamp && !stamp.is_empty()),
                host: host.as_deref(),
                tag: message.tag,
                pid: message.pid,
                message_id: message.message_id,
                structured: message.structured,
            },
            message.text,
        );
    }

    fn write(&self, header: &Header<'_>, message: &[u8]) {
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

/// The framing of a format of the configuration.
const fn framed(format: LogFormatKind) -> Format {
    match format {
        LogFormatKind::Local => Format::Local,
        LogFormatKind::Rfc3164 => Format::Rfc3164,
        LogFormatKind::Rfc5424 => Format::Rfc5424,
        LogFormatKind::Priority => Format::Priority,
        LogFormatKind::Short => Format::Short,
        LogFormatKind::Timed => Format::Timed,
        LogFormatKind::Iso => Format::Iso,
        LogFormatKind::Raw => Format::Raw,
    }
}

/// The simplest format in which nothing of a received message is lost.
const fn kept(message: &Message<'_>) -> Format {
    if !message.structured.is_empty() {
        Format::Rfc5424
    } else if !message.host.is_empty() {
        Format::Rfc3164
    } else {
        Format::Local
    }
}

/// The host name a message is passed on with (manual §12.6 `option host`).
fn sent_host(own: &str, sender: Option<IpAddr>, strategy: HostStrategy) -> Option<Cow<'_, str>> {
    let own = Some(own).filter(|own| !own.is_empty());
    let sender = sender.map(|sender| sender.to_string());
    match (strategy, own, sender) {
        (HostStrategy::Keep, own, _) | (_, own, None) => own.map(Cow::from),
        (HostStrategy::Append, Some(own), Some(sender)) => Some(format!("{own},{sender}").into()),
        (HostStrategy::Fill, Some(own), _) => Some(own.into()),
        (HostStrategy::Replace, _, Some(sender))
        | (HostStrategy::Fill | HostStrategy::Append, None, Some(sender)) => Some(sender.into()),
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
