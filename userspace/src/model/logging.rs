//! `log` lines (manual §4.2 `log`, RFC 3164, RFC 5424).

use std::net::SocketAddr;
use std::path::PathBuf;

/// One place traffic logs go to.
#[derive(Clone, Debug, PartialEq)]
pub struct LogTarget {
    /// Where lines are sent.
    pub address: LogAddress,
    /// `len`: longest line in bytes; 1024 by default.
    pub max_length: usize,
    /// `format`.
    pub format: LogFormatKind,
    /// `sample RANGES:SIZE`.
    pub sample: Option<LogSample>,
    /// The facility of the priority field.
    pub facility: Facility,
    /// Lines less important than this are not sent.
    pub level: Severity,
    /// Lines more important than this are sent as this one.
    pub min_level: Severity,
}

/// Where log lines are sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogAddress {
    /// UDP datagrams.
    Udp(SocketAddr),
    /// A Unix datagram socket.
    Unix(PathBuf),
    /// `fd@N`, `stdout` (1) and `stderr` (2).
    Descriptor(i32),
}

/// How a line is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormatKind {
    /// `local`: RFC 3164 without the host name; the default for Unix and udp targets.
    #[default]
    Local,
    /// `rfc3164`.
    Rfc3164,
    /// `rfc5424`.
    Rfc5424,
    /// `priority`: the priority in brackets, then the message.
    Priority,
    /// `short`: the level as `<N>`, then the message.
    Short,
    /// `timed`: level, ISO date, then the message.
    Timed,
    /// `iso`: ISO date, then the message.
    Iso,
    /// `raw`: the message alone; the default for descriptors.
    Raw,
}

/// `sample`: which lines of each round are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSample {
    /// Positions that are sent, each `first..=last`, counted from 1.
    pub ranges: Vec<(u32, u32)>,
    /// Lines in a round.
    pub size: u32,
}

/// A syslog facility by its number (RFC 5424 §6.2.1), 0 to 23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub u8);

/// A syslog severity (RFC 5424 §6.2.1); smaller is more important.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 0
    Emerg,
    /// 1
    Alert,
    /// 2
    Crit,
    /// 3
    Err,
    /// 4
    Warning,
    /// 5
    Notice,
    /// 6
    Info,
    /// 7
    Debug,
}
