//! Health checks as configured (manual §5.2 `check`, §4.2 `option httpchk`, `tcp-check`, `http-check`).

use std::net::SocketAddr;
use std::sync::Arc;

use regex::bytes::Regex;

use super::ServerTls;
use crate::expr::{Expression, LogFormat, VariableName};
use crate::proto::checks::Protocol;
use crate::types::Millis;

/// Everything one server's checks need; backend and server lines are already merged.
#[derive(Clone, Debug)]
pub struct Check {
    /// `addr`: where checks go instead of the server's address.
    pub address: Option<SocketAddr>,
    /// `port`: which port they go to instead of the server's.
    pub port: Option<u16>,
    /// `inter`: between two checks of a server in a settled state; 2 s by default.
    pub inter: Millis,
    /// `fastinter`: while the state is changing; `inter` by default.
    pub fast_inter: Option<Millis>,
    /// `downinter`: while the server is fully down; `inter` by default.
    pub down_inter: Option<Millis>,
    /// `timeout check`; by default connect and read are limited by `inter`.
    pub timeout: Option<Millis>,
    /// `timeout connect` of the backend.
    pub connect_timeout: Option<Millis>,
    /// `rise`: passed checks that bring a server up; 2 by default.
    pub rise: u32,
    /// `fall`: failed checks that take a server down; 3 by default.
    pub fall: u32,
    /// `window N threshold M` (this project's extension): replaces rise and fall.
    pub window: Option<Window>,
    /// `check-send-proxy`.
    pub send_proxy: bool,
    /// `check-via-socks4`, `via-socks4`.
    pub via_socks4: bool,
    /// `check-ssl`, or `ssl` on the server while checks go to its own port.
    pub tls: Option<Arc<ServerTls>>,
    /// What is sent and expected.
    pub steps: CheckSteps,
    /// `option log-health-checks`: every result is logged, not only changes.
    pub log_all: bool,
}

/// A server is up while at least `threshold` of its last `size` probes passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Probes remembered, 1 to 64.
    pub size: u8,
    /// Passed probes needed, 1 to `size`.
    pub threshold: u8,
}

/// The dialogue of a check.
#[derive(Clone, Debug)]
pub enum CheckSteps {
    /// A connection that opens is enough.
    Connect,
    /// `option tcp-check` with `tcp-check` rules, in order.
    Tcp(Arc<[CheckStep]>),
    /// `option smtpchk` and its kin: a protocol's own dialogue.
    Protocol(Protocol),
    /// `option external-check`: a program's exit status decides.
    External(Arc<ExternalCheck>),
    /// `option httpchk` with `http-check` rules, in order.
    Http {
        /// The rules; without any `expect` the status must be 2xx or 3xx.
        steps: Arc<[CheckStep]>,
        /// `http-check disable-on-404`.
        disable_on_404: bool,
        /// `http-check send-state`.
        send_state: bool,
    },
}

/// The program of `option external-check`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalCheck {
    /// `external-check command`.
    pub command: String,
    /// `external-check path`: the program's PATH.
    pub path: Option<String>,
}

/// One rule of a check's dialogue.
#[derive(Clone, Debug)]
pub enum CheckStep {
    /// `connect`: opens the (next) connection.
    Connect(CheckConnect),
    /// `send` / `send-binary`: bytes as they are.
    Send(Vec<u8>),
    /// `send-lf` / `send-binary-lf`.
    SendFormat {
        /// The format.
        format: LogFormat,
        /// The result is hexadecimal digits to be decoded.
        binary: bool,
    },
    /// `http-check send`.
    SendHttp(HttpSend),
    /// `expect`.
    Expect(Expect),
    /// `set-var(NAME) EXPR`.
    SetVariable(VariableName, Expression),
    /// `set-var-fmt(NAME) FMT`.
    SetVariableFormat(VariableName, LogFormat),
    /// `unset-var(NAME)`.
    UnsetVariable(VariableName),
    /// `comment` alone on a rule, shown when the next rule fails.
    Comment(String),
}

/// Options of a `connect` rule.
#[derive(Clone, Debug, Default)]
pub struct CheckConnect {
    /// `addr`.
    pub address: Option<SocketAddr>,
    /// `port`.
    pub port: Option<u16>,
    /// `send-proxy`.
    pub send_proxy: bool,
    /// `check-via-socks4`, `via-socks4`.
    pub via_socks4: bool,
    /// `ssl`, with `sni` and `alpn`.
    pub tls: Option<Arc<ServerTls>>,
    /// `linger`: close cleanly instead of resetting.
    pub linger: bool,
    /// `comment`.
    pub comment: Option<String>,
}

/// The request of an HTTP check.
#[derive(Clone, Debug)]
pub struct HttpSend {
    /// `meth`; OPTIONS by default.
    pub method: String,
    /// `uri` or `uri-lf`; `/` by default.
    pub uri: LogFormat,
    /// `ver`, as `HTTP/1.0`.
    pub version: String,
    /// `hdr NAME FMT`, in order.
    pub headers: Vec<(String, LogFormat)>,
    /// `body` or `body-lf`.
    pub body: Option<LogFormat>,
    /// `comment`.
    pub comment: Option<String>,
}

/// One `expect` rule.
#[derive(Clone, Debug)]
pub struct Expect {
    /// `!`: the rule fails when it matches.
    pub negated: bool,
    /// What is looked at.
    pub matching: ExpectMatch,
    /// `min-recv`: bytes needed before a mismatch counts.
    pub min_recv: Option<usize>,
    /// `ok-status`, `error-status`, `tout-status`: names shown in the check's status.
    pub ok_status: Option<ExpectStatus>,
    /// Status on a mismatch.
    pub error_status: Option<ExpectStatus>,
    /// Status on a timeout.
    pub timeout_status: Option<ExpectStatus>,
    /// `on-success`: message.
    pub on_success: Option<LogFormat>,
    /// `on-error`: message.
    pub on_error: Option<LogFormat>,
    /// `status-code`.
    pub status_code: Option<Expression>,
    /// `comment`.
    pub comment: Option<String>,
}

/// A check status an `expect` rule can be given, as `L7OK`.
pub type ExpectStatus = &'static str;

/// What an `expect` rule compares.
#[derive(Clone, Debug)]
pub enum ExpectMatch {
    /// `string` / `binary`: the bytes occur.
    Bytes(Vec<u8>),
    /// `string-lf` / `binary-lf`.
    Format {
        /// The format.
        format: LogFormat,
        /// The result is hexadecimal digits to be decoded.
        binary: bool,
    },
    /// `rstring` / `rbinary`.
    Regex {
        /// The expression.
        regex: Regex,
        /// Matched against the hexadecimal dump.
        binary: bool,
    },
    /// `status`: ranges of codes, both ends included.
    Status(Vec<(u16, u16)>),
    /// `rstatus`.
    StatusRegex(Regex),
    /// `hdr name … value …`.
    Header {
        /// Name matching.
        name: HeaderMatch,
        /// Value matching; `None` = the field exists.
        value: Option<HeaderMatch>,
        /// `fhdr`: the whole field instead of each list element.
        full: bool,
    },
}

/// How a header name or value is matched.
#[derive(Clone, Debug)]
pub enum HeaderMatch {
    /// `-m str`.
    Exact(LogFormat),
    /// `-m beg`.
    Begins(LogFormat),
    /// `-m end`.
    Ends(LogFormat),
    /// `-m sub`.
    Contains(LogFormat),
    /// `-m reg`.
    Regex(Regex),
}

/// `agent-check` (manual §5.2).
#[derive(Clone, Debug)]
pub struct AgentCheck {
    /// `agent-addr`.
    pub address: Option<SocketAddr>,
    /// `agent-port`.
    pub port: u16,
    /// `agent-inter`.
    pub inter: Millis,
    /// `agent-send`.
    pub send: Option<Vec<u8>>,
    /// `rise` and `fall` of the agent: 1 each.
    pub rise: u32,
    /// See `rise`.
    pub fall: u32,
    /// `option log-health-checks` of the backend.
    pub log_all: bool,
}

/// `observe`, `error-limit` and `on-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnError {
    /// True for `observe layer7`, false for `layer4`.
    pub layer7: bool,
    /// Consecutive errors that count.
    pub limit: u32,
    /// What then happens.
    pub reaction: ErrorReaction,
}

/// What `on-error` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorReaction {
    /// `fastinter`: checks go faster.
    FastInter,
    /// `fail-check`: counts as one failed check.
    FailCheck,
    /// `sudden-death`: one more failed check takes the server down.
    SuddenDeath,
    /// `mark-down`: down at once.
    MarkDown,
}

/// What `on-marked-down` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMarkedDown {
    /// `shutdown-sessions`: its sessions are cut.
    ShutdownSessions,
}

/// What `on-marked-up` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMarkedUp {
    /// `shutdown-backup-sessions`: the backup servers' sessions are cut.
    ShutdownBackupSessions,
}
