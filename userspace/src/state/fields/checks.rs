//! How the values about health checks and agents are read.

use super::{Object, Row, Value};
use crate::state::CheckState;

type Read<'a> = Value<'a>;

pub(super) fn check_status<'a>(row: &Row<'a>) -> Read<'a> {
    check(row).map_or(Value::None, |check| {
        let running = if check.has(CheckState::IN_PROGRESS) {
            "* "
        } else {
            ""
        };
        Value::Text(format!("{running}{}", check.report().status.name()).into())
    })
}

pub(super) fn check_code<'a>(row: &Row<'a>) -> Read<'a> {
    let code = check(row).and_then(|check| check.report().code);
    code.map_or(Value::None, |code| Value::U32(code.into()))
}

pub(super) fn check_duration<'a>(row: &Row<'a>) -> Read<'a> {
    let duration = check(row).and_then(|check| check.report().duration);
    duration.map_or(Value::None, Value::U64)
}

pub(super) fn last_check<'a>(row: &Row<'a>) -> Read<'a> {
    let text = check(row)
        .map(|check| check.report().text)
        .filter(|text| !text.is_empty());
    text.map_or(Value::None, |text| Value::Text(text.into()))
}

pub(super) fn check_description<'a>(row: &Row<'a>) -> Read<'a> {
    check(row).map_or(Value::None, |check| {
        Value::Text(check.report().status.description().into())
    })
}

pub(super) fn check_rise<'a>(row: &Row<'a>) -> Read<'a> {
    configured_check(row).map_or(Value::None, |check| Value::U32(check.rise))
}

pub(super) fn check_fall<'a>(row: &Row<'a>) -> Read<'a> {
    configured_check(row).map_or(Value::None, |check| Value::U32(check.fall))
}

pub(super) fn check_health<'a>(row: &Row<'a>) -> Read<'a> {
    check(row).map_or(Value::None, |check| Value::U32(check.health()))
}

pub(super) fn agent_status<'a>(row: &Row<'a>) -> Read<'a> {
    agent(row).map_or(Value::None, |agent| {
        Value::Text(agent.report().status.name().into())
    })
}

pub(super) fn agent_code<'a>(row: &Row<'a>) -> Read<'a> {
    let code = agent(row).and_then(|agent| agent.report().code);
    code.map_or(Value::None, |code| Value::U32(code.into()))
}

pub(super) fn agent_duration<'a>(row: &Row<'a>) -> Read<'a> {
    let duration = agent(row).and_then(|agent| agent.report().duration);
    duration.map_or(Value::None, Value::U64)
}

pub(super) fn last_agent<'a>(row: &Row<'a>) -> Read<'a> {
    let text = agent(row)
        .map(|agent| agent.report().text)
        .filter(|text| !text.is_empty());
    text.map_or(Value::None, |text| Value::Text(text.into()))
}

pub(super) fn agent_description<'a>(row: &Row<'a>) -> Read<'a> {
    agent(row).map_or(Value::None, |agent| {
        Value::Text(agent.report().status.description().into())
    })
}

pub(super) fn agent_rise<'a>(row: &Row<'a>) -> Read<'a> {
    configured_agent(row).map_or(Value::None, |agent| Value::U32(agent.rise))
}

pub(super) fn agent_fall<'a>(row: &Row<'a>) -> Read<'a> {
    configured_agent(row).map_or(Value::None, |agent| Value::U32(agent.fall))
}

pub(super) fn agent_health<'a>(row: &Row<'a>) -> Read<'a> {
    agent(row).map_or(Value::None, |agent| Value::U32(agent.health()))
}

fn check<'a>(row: &Row<'a>) -> Option<&'a CheckState> {
    match row.object {
        Object::Server(server) => {
            Some(&row.running.state.server(server.id).check).filter(|check| check.is_running())
        }
        _ => None,
    }
}

fn agent<'a>(row: &Row<'a>) -> Option<&'a CheckState> {
    match row.object {
        Object::Server(server) => {
            Some(&row.running.state.server(server.id).agent).filter(|agent| agent.is_running())
        }
        _ => None,
    }
}

fn configured_check<'a>(row: &Row<'a>) -> Option<&'a crate::model::Check> {
    match row.object {
        Object::Server(server) => server.check.as_deref(),
        _ => None,
    }
}

fn configured_agent<'a>(row: &Row<'a>) -> Option<&'a crate::model::AgentCheck> {
    match row.object {
        Object::Server(server) => server.agent.as_deref(),
        _ => None,
    }
}
