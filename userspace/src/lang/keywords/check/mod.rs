//! A backend's part of its health checks: `option httpchk` and its kin, `http-check`, `tcp-check` (manual §4.2).
//!
//! Lines become steps of one dialogue. Servers share it; what differs per server is on its own line.

mod expect;
mod hello;
mod keywords;
mod send;

use std::sync::Arc;

use super::args::{Args, Parsed};
use super::expressions::literal;
use crate::expr::LogFormat;
use crate::model::{CheckStep, CheckSteps, ExternalCheck, HttpSend};
use crate::proto::checks::Protocol;

pub(super) use keywords::KEYWORDS;

/// The backend's part of its servers' checks.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct CheckDraft {
    kind: Kind,
    tcp: Vec<CheckStep>,
    http: Vec<CheckStep>,
    /// The rules so far come from `defaults`: the first own rule replaces them.
    tcp_inherited: bool,
    http_inherited: bool,
    /// What `option httpchk` said.
    request: RequestLine,
    disable_on_404: bool,
    send_state: bool,
    /// `external-check command` and `path`.
    external: ExternalCheck,
    /// `option log-health-checks`
    pub log_all: bool,
}

/// Which dialogue is held.
#[derive(Clone, Debug, Default)]
enum Kind {
    /// A connection is enough.
    #[default]
    Connect,
    Tcp,
    Http,
    /// A protocol's own dialogue.
    BuiltIn(Protocol),
    /// A client hello of SSLv3, and whatever a TLS server says to it.
    Hello,
    /// A program.
    External,
}

/// The parts of a check's request that `option httpchk` gives.
#[derive(Clone, Debug, Default)]
struct RequestLine {
    method: Option<String>,
    uri: Option<LogFormat>,
    version: Option<String>,
    headers: Vec<(String, LogFormat)>,
}

impl CheckDraft {
    /// The dialogue all servers share.
    pub(crate) fn steps(&self) -> CheckSteps {
        match &self.kind {
            Kind::Connect => CheckSteps::Connect,
            Kind::Tcp => CheckSteps::Tcp(self.tcp.clone().into()),
            Kind::BuiltIn(protocol) => CheckSteps::Protocol(protocol.clone()),
            Kind::Hello => CheckSteps::Tcp(hello::steps().into()),
            Kind::External => CheckSteps::External(Arc::new(self.external.clone())),
            Kind::Http => CheckSteps::Http {
                steps: self.http_steps().into(),
                disable_on_404: self.disable_on_404,
                send_state: self.send_state,
            },
        }
    }

    /// Whether the dialogue says itself which port to connect to.
    pub(crate) fn has_own_ports(&self) -> bool {
        let steps = match &self.kind {
            Kind::Tcp => &self.tcp,
            Kind::Http => &self.http,
            Kind::External => return true,
            _ => return false,
        };
        let first = steps.iter().find_map(|step| match step {
            CheckStep::Connect(connect) => Some(connect),
            _ => None,
        });
        first.is_some_and(|connect| connect.port.is_some())
    }

    /// Whether a program checks the servers, and which: nothing where none is named.
    pub(crate) fn program(&self) -> Option<&str> {
        matches!(self.kind, Kind::External).then_some(&*self.external.command)
    }

    /// The rules; a request is sent even where no rule says so. Parts the first request does not give are those of
    /// `option httpchk`.
    fn http_steps(&self) -> Vec<CheckStep> {
        let mut steps = self.http.clone();
        let sends = steps
            .iter()
            .any(|step| matches!(step, CheckStep::SendHttp(_)));
        if !sends {
            let after_connect = steps
                .iter()
                .position(|step| matches!(step, CheckStep::Connect(_)));
            let at = after_connect.map_or(0, |index| index + 1);
            steps.insert(at, CheckStep::SendHttp(self.request.to_send()));
        }
        steps
    }

    fn push_http(&mut self, step: CheckStep, inheriting: bool) {
        if self.http_inherited && !inheriting {
            self.http.clear();
        }
        self.http_inherited = inheriting;
        self.http.push(step);
    }

    fn push_tcp(&mut self, step: CheckStep, inheriting: bool) {
        if self.tcp_inherited && !inheriting {
            self.tcp.clear();
        }
        self.tcp_inherited = inheriting;
        self.tcp.push(step);
    }

    /// A `send` rule with its `comment`.
    fn push_sent(&mut self, step: CheckStep, args: &mut Args<'_>, inheriting: bool) -> Parsed {
        if args.take_if("comment") {
            let comment = CheckStep::Comment(args.need("a comment")?.text.clone());
            self.push_tcp(comment, inheriting);
        }
        args.end()?;
        self.push_tcp(step, inheriting);
        Ok(())
    }
}

impl RequestLine {
    fn to_send(&self) -> HttpSend {
        HttpSend {
            method: self.method.clone().unwrap_or_else(|| "OPTIONS".to_owned()),
            uri: self.uri.clone().unwrap_or_else(|| literal("/")),
            version: self
                .version
                .clone()
                .unwrap_or_else(|| "HTTP/1.0".to_owned()),
            headers: self.headers.clone(),
            body: None,
            comment: None,
        }
    }
}
