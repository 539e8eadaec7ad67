//! `log` lines (manual §4.2 `log`, RFC 3164, RFC 5424).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::expr::LogFormat;
use crate::types::ProxyId;

/// One place traffic logs go to.
#[derive(Clone, Debug, PartialEq)]
pub struct LogTarget {
    /// Where lines are sent.
    pub address: LogAddress,
    /// `len`: longest line in bytes; 1024 by default.
    pub max_length: usize,
    /// `format`; `None` = the target's own, or that of a message passed on.
    pub format: Option<LogFormatKind>,
    /// `sample RANGES:SIZE`.
    pub sample: Option<LogSample>,
    /// The facility of the priority field.
    pub facility: Facility,
    /// Lines less important than this are not sent.
    pub level: Severity,
    /// Lines more important than this are sent as this one.
    pub min_level: Severity,
    /// `profile`: the name of the profile that decides what lines look like.
    pub profile: Option<String>,
}

/// A `log-profile` section (manual §8.3.5).
#[derive(Clone, Debug, Default)]
pub struct LogProfile {
    /// Its name.
    pub name: String,
    /// `log-tag`.
    pub tag: Option<String>,
    /// `on any`.
    pub any: Option<LogLine>,
    /// `on STEP`, for the other steps.
    pub steps: Vec<(LogStep, LogLine)>,
}

impl LogProfile {
    /// What it says of a step; `None` = nothing.
    pub fn line(&self, step: LogStep) -> Option<&LogLine> {
        let own = self.steps.iter().find(|(known, _)| *known == step);
        own.map(|(_, line)| line).or(self.any.as_ref())
    }
}

/// What a profile says of a line.
#[derive(Clone, Debug, Default)]
pub struct LogLine {
    /// `drop`: there is none.
    pub drop: bool,
    /// `format`: in place of the proxy's.
    pub format: Option<Arc<LogFormat>>,
    /// `sd`: in place of the proxy's structured data.
    pub structured: Option<Arc<LogFormat>>,
}

/// Why a line is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStep {
    /// A connection was accepted.
    Accept,
    /// A request came.
    Request,
    /// A connection to a server was made.
    Connect,
    /// A server's response came.
    Response,
    /// The transaction is over.
    #[default]
    Close,
    /// A connection failed before it became a transaction.
    Error,
    /// `do-log` in `tcp-request connection`.
    TcpRequestConnection,
    /// `do-log` in `tcp-request session`.
    TcpRequestSession,
    /// `do-log` in `tcp-request content`.
    TcpRequestContent,
    /// `do-log` in `tcp-response content`.
    TcpResponseContent,
    /// `do-log` in `http-request`.
    HttpRequest,
    /// `do-log` in `http-response`.
    HttpResponse,
    /// `do-log` in `http-after-response`.
    HttpAfterResponse,
}

impl LogStep {
    /// The word behind `on`, and what `%OG` shows.
    pub const NAMES: [(Self, &str, &str); 13] = [
        (Self::Accept, "accept", "txn_accept"),
        (Self::Request, "request", "txn_request"),
        (Self::Connect, "connect", "txn_connect"),
        (Self::Response, "response", "txn_response"),
        (Self::Close, "close", "txn_close"),
        (Self::Error, "error", "sess_error"),
        (Self::TcpRequestConnection, "tcp-req-conn", "tcp-req-conn"),
        (Self::TcpRequestSession, "tcp-req-sess", "tcp-req-sess"),
        (Self::TcpRequestContent, "tcp-req-cont", "tcp-req-cont"),
        (Self::TcpResponseContent, "tcp-res-cont", "tcp-res-cont"),
        (Self::HttpRequest, "http-req", "http-req"),
        (Self::HttpResponse, "http-res", "http-res"),
        (Self::HttpAfterResponse, "http-after-res", "http-after-res"),
    ];

    /// What `%OG` shows.
    pub fn origin(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(step, ..)| *step == self);
        known.map_or("unspec", |(_, _, origin)| origin)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Accept => 1,
            Self::Request => 2,
            Self::Connect => 4,
            Self::Response => 8,
            Self::Close => 16,
            _ => 0,
        }
    }
}

/// `log-steps`: the steps of a transaction at which a line is logged by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSteps(u8);

impl LogSteps {
    /// `all`.
    pub const ALL: Self = Self(31);

    /// Adds a step; false where lines are not logged by themselves at that step.
    pub fn insert(&mut self, step: LogStep) -> bool {
        self.0 |= step.bit();
        step.bit() != 0
    }

    /// Whether a step belongs to it.
    pub const fn contains(self, step: LogStep) -> bool {
        self.0 & step.bit() != 0
    }
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
    /// `ring@NAME`.
    Ring(String),
    /// `backend@NAME`: the servers of a backend in `mode log`.
    Backend(ProxyId),
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

impl Severity {
    /// The severity of a number, of which only the lowest three bits count.
    pub const fn from_number(number: u8) -> Self {
        match number & 7 {
            0 => Self::Emerg,
            1 => Self::Alert,
            2 => Self::Crit,
            3 => Self::Err,
            4 => Self::Warning,
            5 => Self::Notice,
            6 => Self::Info,
            _ => Self::Debug,
        }
    }
}
