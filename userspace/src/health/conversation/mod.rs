//! One check from its first connection to its report.
//!
//! [`run`] follows the rules of an `option tcp-check` or `option httpchk` (or just connects) and says what came of it, in
//! HAProxy's words: step numbers, comments and all. Whether the report changes anything is [`super::life`]'s business.

mod expect;
mod expecting;
mod external;
mod http;
mod protocol;
mod report;
mod view;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use self::expect::{from_hexadecimal, rendered};
use self::http::Received;
use self::view::CheckView;
use super::dial::{self, DialError};
use super::schedule::Deadlines;
use crate::expr::{Sample, VariableMap, VariableName, View as _};
use crate::model::{
    Check, CheckConnect, CheckStep, CheckSteps, Expect, HttpSend, Server, ServerTls,
};
use crate::net::Stream;
use crate::state::{CheckReport, CheckStatus, Running, ServerState};
use crate::tls::Contexts;
use crate::types::ServerId;

/// Runs one check. It ends within the check's time limits.
pub(super) async fn run(
    running: &Running,
    contexts: &Contexts,
    id: ServerId,
    check: &Check,
) -> CheckReport {
    let started = Instant::now();
    let mut runner = Runner::new(running, contexts, id, check, started);
    let outcome = match &check.steps {
        CheckSteps::Connect => runner.connect(&CheckConnect::default(), Place::Plain).await,
        CheckSteps::Tcp(steps) | CheckSteps::Http { steps, .. } => runner.follow(steps).await,
        CheckSteps::Protocol(protocol) => Err(runner.converse(protocol).await),
        CheckSteps::External(external) => Err(runner.start(external).await),
    };
    let mut report = match outcome {
        Ok(()) => runner.success(),
        Err(report) => report,
    };
    report.duration = Some(started.elapsed().as_millis() as u64);
    if let Some(mut stream) = runner.stream.take().filter(|_| !runner.linger) {
        stream.reset_on_close();
    }
    report
}

/// Where a connection stands in the rules, for the words of its failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not part of any rules.
    Plain,
    /// Before the first rule of a `tcp-check`.
    Initial,
    /// A `connect` rule.
    Rule,
}

struct Runner<'a> {
    running: &'a Running,
    contexts: &'a Contexts,
    id: ServerId,
    server: &'a Server,
    state: &'a ServerState,
    check: &'a Check,
    limits: Deadlines,
    deadline: Instant,
    variables: VariableMap,
    stream: Option<Stream>,
    encrypted: bool,
    linger: bool,
    destination: Option<SocketAddr>,
    /// The number of the current rule, counted from 1; comments are not counted.
    step: usize,
    comment: Option<String>,
    received: Vec<u8>,
    closed: bool,
    response: Option<Received>,
    /// The last rule that was satisfied, for the report of success.
    satisfied: Option<&'a Expect>,
    spoke: bool,
}

impl<'a> Runner<'a> {
    fn new(
        running: &'a Running,
        contexts: &'a Contexts,
        id: ServerId,
        check: &'a Check,
        started: Instant,
    ) -> Self {
        let limits = Deadlines::of(check);
        Self {
            running,
            contexts,
            id,
            server: running.model.server(id),
            state: running.state.server(id),
            check,
            limits,
            deadline: started + limits.connect.duration(),
            variables: VariableMap::default(),
            stream: None,
            encrypted: false,
            linger: false,
            destination: None,
            step: 0,
            comment: None,
            received: Vec::new(),
            closed: false,
            response: None,
            satisfied: None,
            spoke: false,
        }
    }

    async fn follow(&mut self, steps: &'a [CheckStep]) -> Result<(), CheckReport> {
        let setup = |step: &&CheckStep| {
            matches!(
                step,
                CheckStep::Comment(_)
                    | CheckStep::SetVariable(..)
                    | CheckStep::SetVariableFormat(..)
                    | CheckStep::UnsetVariable(_)
            )
        };
        let connects = steps.iter().find(|step| !setup(step));
        if !matches!(connects, Some(CheckStep::Connect(_))) {
            self.connect(&CheckConnect::default(), Place::Initial)
                .await?;
        }
        for step in steps {
            if let CheckStep::Comment(comment) = step {
                self.comment = Some(comment.clone());
                continue;
            }
            self.step += 1;
            self.obey(step).await?;
            if !setup(&step) {
                self.comment = None;
            }
        }
        if self.is_http() {
            self.expect_success().await?;
        }
        Ok(())
    }

    async fn obey(&mut self, step: &'a CheckStep) -> Result<(), CheckReport> {
        match step {
            CheckStep::Connect(connect) => {
                self.remember(connect.comment.as_ref());
                self.connect(connect, Place::Rule).await
            }
            CheckStep::Send(bytes) => self.send(bytes).await,
            CheckStep::SendFormat { format, binary } => {
                let text = rendered(format, &self.view());
                let bytes = match binary {
                    false => Some(text),
                    true => from_hexadecimal(&text),
                };
                match bytes {
                    Some(bytes) => self.send(&bytes).await,
                    None => Err(self.failure(
                        CheckStatus::SocketError,
                        "TCPCHK send-binary-lf: not hexadecimal digits",
                        " (send)",
                    )),
                }
            }
            CheckStep::SendHttp(request) => {
                self.remember(request.comment.as_ref());
                self.send_request(request).await
            }
            CheckStep::Expect(expect) => {
                self.remember(expect.comment.as_ref());
                match self.is_http() {
                    true => self.expect_response(expect).await,
                    false => self.expect_bytes(expect).await,
                }
            }
            CheckStep::SetVariable(name, value) => {
                let value = value.eval(&self.view()).map(Sample::into_shared);
                self.set_variable(name, value);
                Ok(())
            }
            CheckStep::SetVariableFormat(name, format) => {
                let text = rendered(format, &self.view());
                self.set_variable(name, Some(Sample::str(text)));
                Ok(())
            }
            CheckStep::UnsetVariable(name) => {
                self.set_variable(name, None);
                Ok(())
            }
            CheckStep::Comment(_) => Ok(()),
        }
    }

    fn set_variable(&self, name: &VariableName, value: Option<Sample<'static>>) {
        let view = self.view();
        let Some(store) = view.variables(name.scope()) else {
            return;
        };
        match value {
            Some(value) => {
                let _full = store.write(name, value);
            }
            None => store.remove(name),
        }
    }

    async fn connect(&mut self, step: &CheckConnect, place: Place) -> Result<(), CheckReport> {
        self.stream = None;
        self.received.clear();
        self.response = None;
        self.closed = false;
        self.linger = step.linger;
        if place == Place::Rule && self.step > 1 {
            self.deadline = Instant::now() + self.limits.connect.duration();
        }
        let tls = match place {
            Place::Rule => step.tls.as_ref(),
            Place::Plain | Place::Initial => self.check.tls.as_ref(),
        };
        let tls = match tls {
            None => None,
            Some(settings) => match self.contexts.check_connector(settings) {
                Some(connector) => Some((connector, self.server_name(settings, place))),
                None => {
                    let error = DialError::Tls("no TLS context for this check".to_owned());
                    return Err(self.not_connected(&error, step, place));
                }
            },
        };
        let encrypted = tls.is_some();
        let dialled = dial::Dial {
            proxy: self.running.model.proxy(self.server.proxy),
            server: self.server,
            state: self.state,
            check: self.check,
            step,
            tls,
            proxy_header: match place {
                Place::Rule => step.send_proxy,
                Place::Plain | Place::Initial => self.check.send_proxy,
            },
            via_socks4: match place {
                Place::Rule => step.via_socks4,
                Place::Plain | Place::Initial => self.check.via_socks4,
            },
        };
        self.encrypted = encrypted;
        match dialled.open(self.deadline).await {
            Ok((stream, destination)) => {
                self.stream = Some(stream);
                self.destination = destination;
                self.satisfied = None;
                if let Some(read) = self.limits.read {
                    self.deadline = Instant::now() + read.duration();
                }
                Ok(())
            }
            Err(error) => Err(self.not_connected(&error, step, place)),
        }
    }

    /// The name sent to a TLS server: `check-sni`, or a rule's own `sni`.
    fn server_name(&self, settings: &ServerTls, place: Place) -> Option<String> {
        let own = settings.sni.as_ref().filter(|_| place == Place::Rule);
        let view = self.view();
        let evaluated = || {
            let sample = own?.eval(&view)?;
            Some(String::from_utf8_lossy(&sample.to_text()).into_owned())
        };
        settings.check_sni.clone().or_else(evaluated)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), CheckReport> {
        self.received.clear();
        self.spoke = true;
        let Some(stream) = &mut self.stream else {
            return Err(self.failure(CheckStatus::SocketError, "", " (send)"));
        };
        let sent = timeout_at(self.deadline, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let text = dial::words(&error);
                Err(self.failure(CheckStatus::SocketError, &text, " (send)"))
            }
            Err(_) => Err(self.failure(CheckStatus::L7Timeout, "", " (send)")),
        }
    }

    async fn send_request(&mut self, request: &'a HttpSend) -> Result<(), CheckReport> {
        let state = match self.check.steps {
            CheckSteps::Http {
                send_state: true, ..
            } => Some(self.server_state()),
            _ => None,
        };
        let bytes = http::request(request, state.as_deref(), &self.view());
        self.response = Some(Received::new(&request.method));
        self.satisfied = None;
        self.send(&bytes).await
    }

    /// Reads once; an error of the connection counts as its end. Fails at the deadline.
    async fn read(&mut self) -> Result<(), ()> {
        let room = self
            .most()
            .saturating_sub(self.received.len())
            .clamp(1, 16_384);
        let Some(stream) = &mut self.stream else {
            self.closed = true;
            return Ok(());
        };
        let mut buffer = vec![0; room];
        match timeout_at(self.deadline, stream.read(&mut buffer)).await {
            Err(_) => return Err(()),
            Ok(Ok(0) | Err(_)) => self.closed = true,
            Ok(Ok(count)) => self.received.extend_from_slice(&buffer[..count]),
        }
        Ok(())
    }

    fn remember(&mut self, comment: Option<&String>) {
        if let Some(comment) = comment {
            self.comment = Some(comment.clone());
        }
    }

    fn view(&self) -> CheckView<'_> {
        CheckView {
            running: self.running,
            server: self.id,
            variables: &self.variables,
            destination: self.destination,
            response: self.response.as_ref(),
            received: &self.received,
            making_id: false,
        }
    }

    fn is_http(&self) -> bool {
        matches!(self.check.steps, CheckSteps::Http { .. })
    }

    /// The most bytes of a response that are looked at (manual: `tune.bufsize`).
    fn most(&self) -> usize {
        self.running.model.global.tune.bufsize
    }
}

#[cfg(test)]
mod tests;
