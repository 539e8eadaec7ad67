//! A check's report, in HAProxy's words.

use super::expect::rendered;
use super::{Place, Runner};
use crate::expr::{Sample, SampleType};
use crate::health::Limits;
use crate::health::dial::{self, DialError};
use crate::model::{CheckConnect, CheckSteps, Expect, ExpectMatch};
use crate::state::{CheckReport, CheckStatus, Operational, Running};

impl Runner<'_> {
    pub(super) fn success(&self) -> CheckReport {
        let code = self
            .response
            .as_ref()
            .filter(|r| r.has_head())
            .map(|r| r.head.status());
        if let Some(expect) = self.satisfied {
            let text = match &expect.on_success {
                Some(format) => lossy(rendered(format, &self.view())),
                None if self.is_http() => String::new(),
                None => "(tcp-check)".to_owned(),
            };
            let status = expect.ok_status.and_then(CheckStatus::named);
            let status = status.unwrap_or(CheckStatus::L7Ok);
            let code = self.status_code(expect).or(code);
            let shown = code.or_else(|| (status == CheckStatus::L7Ok).then_some(0));
            return CheckReport {
                status,
                code: shown,
                text,
                duration: None,
            };
        }
        let status = match (code.is_some() || self.spoke, self.encrypted) {
            (true, _) => CheckStatus::L7Ok,
            (false, true) => CheckStatus::L6Ok,
            (false, false) => CheckStatus::L4Ok,
        };
        let text = match self.spoke && !self.is_http() {
            true => "(tcp-check)".to_owned(),
            false => String::new(),
        };
        let code = code.or_else(|| (status == CheckStatus::L7Ok).then_some(0));
        CheckReport {
            status,
            code,
            text,
            duration: None,
        }
    }

    /// A 404 under `disable-on-404` asks for no new sessions, as long as the server is up.
    pub(super) fn stops_on_404(&self) -> Option<CheckReport> {
        let CheckSteps::Http {
            disable_on_404: true,
            ..
        } = self.check.steps
        else {
            return None;
        };
        let found = self
            .response
            .as_ref()
            .is_some_and(|response| response.head.status() == 404);
        let up = self.state.operational() != Operational::Stopped;
        (found && up).then(|| CheckReport {
            status: CheckStatus::L7OkConditional,
            code: Some(404),
            ..CheckReport::default()
        })
    }

    pub(super) fn bad_response(
        &self,
        expect: Option<&Expect>,
        unwanted: Option<bool>,
    ) -> CheckReport {
        let head = self.response.as_ref().map(|response| &response.head);
        let (status, code, text) = match unwanted {
            None => (
                CheckStatus::L7Status,
                head.map(|head| head.status()),
                head.map_or_else(String::new, |head| lossy(head.reason().to_vec())),
            ),
            Some(true) => (
                CheckStatus::L7Response,
                None,
                "HTTP check matched unwanted content".to_owned(),
            ),
            Some(false) => (
                CheckStatus::L7Response,
                None,
                "HTTP content check did not match".to_owned(),
            ),
        };
        let format = expect.and_then(|expect| expect.on_error.as_ref());
        let text = format.map_or(text, |format| lossy(rendered(format, &self.view())));
        CheckReport {
            status: expect
                .and_then(|expect| expect.error_status)
                .and_then(CheckStatus::named)
                .unwrap_or(status),
            code: expect.and_then(|expect| self.status_code(expect)).or(code),
            text: text + &self.comment_words(),
            duration: None,
        }
    }

    pub(super) fn invalid_response(&self) -> CheckReport {
        CheckReport {
            status: CheckStatus::L7Response,
            text: self.comment_words().trim_start().to_owned(),
            ..CheckReport::default()
        }
    }

    pub(super) fn http_timed_out(&self, status: Option<&'static str>) -> CheckReport {
        CheckReport {
            status: status
                .and_then(CheckStatus::named)
                .unwrap_or(CheckStatus::L7Timeout),
            text: self.comment_words().trim_start().to_owned(),
            ..CheckReport::default()
        }
    }

    pub(super) fn timed_out(&self, expect: &Expect) -> CheckReport {
        let status = expect.timeout_status.and_then(CheckStatus::named);
        let what = format!(" (expect {})", expect_words(&expect.matching));
        self.failure(status.unwrap_or(CheckStatus::L7Timeout), "", &what)
    }

    /// A failure at a rule, in the words of a `tcp-check`.
    pub(super) fn failure(&self, status: CheckStatus, text: &str, what: &str) -> CheckReport {
        let place = match self.is_http() {
            true => String::new(),
            false => format!(" at step {} of tcp-check{what}", self.step),
        };
        CheckReport {
            status,
            text: format!("{text}{place}{}", self.comment_words()),
            ..CheckReport::default()
        }
    }

    pub(super) fn comment_words(&self) -> String {
        match (&self.comment, self.is_http()) {
            (None, _) => String::new(),
            (Some(comment), true) => format!(" comment: {comment}"),
            (Some(comment), false) => format!(" comment: '{comment}'"),
        }
    }

    pub(super) fn not_connected(
        &self,
        error: &DialError,
        step: &CheckConnect,
        place: Place,
    ) -> CheckReport {
        let (status, mut text) = match error {
            DialError::Timeout => (CheckStatus::L4Timeout, String::new()),
            DialError::Connection(text) => (CheckStatus::L4Connection, text.clone()),
            DialError::Resource(text) => (CheckStatus::SocketError, text.clone()),
            DialError::TlsTimeout => (CheckStatus::L6Timeout, String::new()),
            DialError::Tls(text) => (CheckStatus::L6Response, text.clone()),
        };
        match place {
            Place::Plain => {}
            Place::Initial if self.is_http() => {}
            Place::Initial => text.push_str(" at initial connection step of tcp-check"),
            Place::Rule => {
                let what = match step.port {
                    Some(port) => format!("connect port {port}"),
                    None => "connect".to_owned(),
                };
                text.push_str(&format!(" at step {} of tcp-check ({what})", self.step));
                text.push_str(&self.comment_words());
            }
        }
        CheckReport {
            status,
            text,
            ..CheckReport::default()
        }
    }

    pub(super) fn status_code(&self, expect: &Expect) -> Option<u16> {
        let view = self.view();
        match expect
            .status_code
            .as_ref()?
            .eval(&view)?
            .cast(SampleType::Int)?
        {
            Sample::Int(code) => u16::try_from(code).ok(),
            _ => None,
        }
    }

    /// The value of `X-Haproxy-Server-State` (manual §4.2 `http-check send-state`).
    pub(super) fn server_state(&self) -> String {
        let Running { model, state } = self.running;
        let limits = Limits::of(self.check);
        let counter = self.state.check.health();
        let word = match self.state.operational() {
            Operational::Stopped => "DOWN",
            Operational::Stopping => "NOLB",
            Operational::Starting | Operational::Running => "UP",
        };
        let progress = match counter == limits.highest() || counter == 0 {
            true => String::new(),
            false if counter >= limits.needed() => {
                format!(" {}/{}", counter - limits.needed() + 1, limits.steps_down())
            }
            false => format!(" {counter}/{}", limits.needed()),
        };
        let (address, port) = match self.state.socket_address() {
            Some(address) => (address.ip().to_string(), address.port().to_string()),
            None => ("unix".to_owned(), "unix".to_owned()),
        };
        let backend = model.proxy(self.server.proxy);
        let all = || backend.servers.iter().map(|id| state.server(id));
        let weight: u32 = all()
            .filter(|server| server.is_usable())
            .map(|s| u32::from(s.user_weight()))
            .sum();
        let sessions: u32 = all().map(|server| server.current.current()).sum();
        format!(
            "{word}{progress}; address={address}; port={port}; name={}/{}; node={}; weight={}/{weight}; scur={}/{sessions}; qcur={}",
            backend.name,
            self.server.name,
            model.global.node.clone().unwrap_or_else(dial::node_name),
            self.state.user_weight(),
            self.state.current.current(),
            self.state.queue.current(),
        )
    }
}

pub(super) fn content_words(matching: &ExpectMatch) -> String {
    match matching {
        ExpectMatch::Bytes(bytes) => format!(" '{}'", lossy(bytes.clone())),
        ExpectMatch::Regex { binary: false, .. } => " (regex)".to_owned(),
        ExpectMatch::Regex { binary: true, .. } => " (binary regex)".to_owned(),
        ExpectMatch::Format { .. } => " (log-format string)".to_owned(),
        _ => String::new(),
    }
}

fn expect_words(matching: &ExpectMatch) -> String {
    match matching {
        ExpectMatch::Bytes(bytes) => format!("string '{}'", lossy(bytes.clone())),
        ExpectMatch::Regex { binary: false, .. } => "regex".to_owned(),
        ExpectMatch::Regex { binary: true, .. } => "binary regex".to_owned(),
        ExpectMatch::Format { binary: false, .. } => "log-format string".to_owned(),
        ExpectMatch::Format { binary: true, .. } => "log-format binary".to_owned(),
        ExpectMatch::Status(_) => "HTTP status codes".to_owned(),
        ExpectMatch::StatusRegex(_) => "HTTP status regex".to_owned(),
        ExpectMatch::Header { .. } => "HTTP header pattern".to_owned(),
    }
}

pub(super) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
