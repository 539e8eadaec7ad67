//! The auxiliary agent (manual §5.2 `agent-check`): one line of words that set weight, limit, mode and side.
//!
//! The line is read from the network here and understood by [`crate::proto::checks::agent`].

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::announce::{self, Cause};
use super::dial;
use super::life::{Life, Mode};
use crate::clock::Moment;
use crate::model::{AgentCheck, Severity};
use crate::net::{self, ConnectError, Destination, Outgoing};
use crate::proto::checks::agent::{self, AgentMode, AgentReport, AgentSide, AgentWeight};
use crate::state::{CheckReport, CheckStatus, Running};
use crate::types::ServerId;

/// Asks an agent once; ends within its interval.
pub(super) async fn ask(
    running: &Running,
    id: ServerId,
    agent: &AgentCheck,
) -> Result<AgentReport, CheckReport> {
    let deadline = Instant::now() + agent.inter.duration();
    let state = running.state.server(id);
    let target = state.agent.target();
    let ip = target
        .address
        .or_else(|| agent.address.map(|address| address.ip()))
        .or_else(|| state.socket_address().map(|address| address.ip()));
    let Some(ip) = ip else {
        return Err(failure(
            CheckStatus::SocketError,
            "no address to connect to".to_owned(),
        ));
    };
    let port = target.port.unwrap_or(agent.port);
    let destination = Destination::Tcp((ip, port).into());
    let limit = deadline.saturating_duration_since(Instant::now());
    let mut stream = net::connect(&destination, Outgoing::default(), Some(limit))
        .await
        .map_err(|error| match error {
            ConnectError::TimedOut => failure(CheckStatus::L4Timeout, String::new()),
            ConnectError::Refused(error) => failure(CheckStatus::L4Connection, dial::words(&error)),
            ConnectError::Resource(error) => failure(CheckStatus::SocketError, dial::words(&error)),
        })?;
    let exchange = async {
        if let Some(send) = &agent.send {
            stream.write_all(send).await.ok()?;
        }
        let mut line = Vec::new();
        while line.len() < LONGEST_LINE && !line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            if stream.read_buf(&mut line).await.ok()? == 0 {
                break;
            }
        }
        Some(line)
    };
    match timeout_at(deadline, exchange).await {
        Err(_) => Err(failure(CheckStatus::L7Timeout, String::new())),
        Ok(None) => Err(failure(CheckStatus::L7Response, String::new())),
        Ok(Some(line)) => Ok(agent::parse(&line)),
    }
}

/// Applies what an agent said, or that it could not be asked.
pub(super) fn conclude(
    life: &Life<'_>,
    id: ServerId,
    answer: Result<AgentReport, CheckReport>,
    duration: u64,
    now: Moment,
) {
    let state = life.running.state.server(id);
    let answer = match answer {
        Ok(answer) => answer,
        Err(report) => {
            // "Failure to connect to the agent is not considered an error" (manual §5.2 agent-check).
            remember(
                life,
                id,
                CheckReport {
                    duration: Some(duration),
                    ..report
                },
            );
            return;
        }
    };
    match answer.weight {
        Some(AgentWeight::Absolute(weight)) => life.set_weight(id, weight.min(256), now),
        Some(AgentWeight::Percent(percent)) => {
            let weight = u32::from(state.initial_weight()) * percent.min(25_600) / 100;
            life.set_weight(id, weight.min(256) as u16, now);
        }
        None => {}
    }
    if let Some(limit) = answer.maxconn {
        state.set_maxconn(limit);
    }
    match answer.mode {
        Some(AgentMode::Ready) => life.set_mode(id, Mode::Ready, now),
        Some(AgentMode::Drain) => life.set_mode(id, Mode::Drain, now),
        Some(AgentMode::Maintenance) => life.set_mode(id, Mode::Maintenance, now),
        None => {}
    }
    let report = CheckReport {
        status: match answer.side {
            Some(AgentSide::Up) => CheckStatus::L7Ok,
            Some(AgentSide::Down) => CheckStatus::L7Status,
            None => CheckStatus::NoChange,
        },
        code: answer.side.map(|_| 0),
        duration: Some(duration),
        text: match (answer.side, answer.unknown) {
            (Some(_), _) => format!("via agent : {}", answer.words),
            (None, true) => format!("agent reports an error : {}", answer.words),
            (None, false) => String::new(),
        },
    };
    let side = answer.side.map(|side| u32::from(side == AgentSide::Up));
    if let Some(health) = side {
        state.agent.set_health(health);
    }
    remember(life, id, report.clone());
    let server = life.running.model.server(id);
    match answer.side {
        Some(AgentSide::Down) => {
            life.down(id, &Cause::Agent(report), now);
        }
        Some(AgentSide::Up) => {
            let checked = server.check.as_ref().filter(|_| state.check.is_running());
            let limits = checked.map(|check| super::Limits::of(check));
            if limits.is_none_or(|limits| state.check.health() >= limits.needed()) {
                life.up(id, &Cause::Agent(report), now);
            }
        }
        None => {}
    }
}

/// Keeps a report, and tells of it where the backend logs all checks.
fn remember(life: &Life<'_>, id: ServerId, report: CheckReport) {
    let state = life.running.state.server(id);
    let before = state.agent.report().status;
    let server = life.running.model.server(id);
    let log_all = server.agent.as_ref().is_some_and(|agent| agent.log_all);
    if log_all && before != report.status {
        let name = format!(
            "{}/{}",
            life.running.model.proxy(server.proxy).name,
            server.name
        );
        let progress = if state.agent.health() > 0 {
            "1/1 UP"
        } else {
            "0/1 DOWN"
        };
        let line = announce::result("Agent", &name, &report, progress);
        life.tell(server.proxy, Severity::Notice, &line);
    }
    state.agent.set_report(report);
}

fn failure(status: CheckStatus, text: String) -> CheckReport {
    CheckReport {
        status,
        text,
        ..CheckReport::default()
    }
}

/// Bytes of an agent's answer that are looked at.
const LONGEST_LINE: usize = 4096;
