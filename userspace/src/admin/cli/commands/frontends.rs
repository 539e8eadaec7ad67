//! Commands that change frontends and the limits of the process.

use super::{Answer, Call, Command, number};
use crate::admin::lookup;
use crate::model::Level;
use crate::state::{FrontendStatus, ProcessRate};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["disable", "frontend"],
        usage: "disable frontend <frontend>",
        doc: "temporarily disable specific frontend",
        level: Level::Admin,
        run: |call| Answer::of(disable(call)),
    },
    Command {
        words: &["enable", "frontend"],
        usage: "enable frontend <frontend>",
        doc: "re-enable specific frontend",
        level: Level::Admin,
        run: |call| Answer::of(enable(call)),
    },
    Command {
        words: &["shutdown", "frontend"],
        usage: "shutdown frontend <frontend>",
        doc: "stop a specific frontend",
        level: Level::Admin,
        run: |call| Answer::of(shut_down(call)),
    },
    Command {
        words: &["set", "maxconn", "frontend"],
        usage: "set maxconn frontend <frontend> <value>",
        doc: "change a frontend's maxconn setting",
        level: Level::Admin,
        run: |call| Answer::of(maxconn_frontend(call)),
    },
    Command {
        words: &["set", "maxconn", "global"],
        usage: "set maxconn global <value>",
        doc: "change the per-process maxconn setting",
        level: Level::Admin,
        run: |call| Answer::of(maxconn_global(call)),
    },
    Command {
        words: &["set", "rate-limit"],
        usage: "set rate-limit <setting> <value>",
        doc: "change a rate limiting value",
        level: Level::Admin,
        run: |call| Answer::of(rate_limit(call)),
    },
];

fn disable(call: &Call<'_>) -> Result<(), String> {
    let frontend = lookup::frontend(&call.running().model, call.word(0))?;
    let state = &call.running().state;
    match state.proxy(frontend.id).frontend.status() {
        FrontendStatus::Open => state.set_frontend_status(frontend.id, FrontendStatus::Paused),
        FrontendStatus::Paused => return Err("All sockets are already disabled.".to_owned()),
        FrontendStatus::Stopped => {
            return Err("Frontend was previously shut down, cannot disable.".to_owned());
        }
    }
    Ok(())
}

fn enable(call: &Call<'_>) -> Result<(), String> {
    let frontend = lookup::frontend(&call.running().model, call.word(0))?;
    let state = &call.running().state;
    match state.proxy(frontend.id).frontend.status() {
        FrontendStatus::Open => return Err("All sockets are already enabled.".to_owned()),
        FrontendStatus::Paused => state.set_frontend_status(frontend.id, FrontendStatus::Open),
        FrontendStatus::Stopped => {
            return Err("Frontend was previously shut down, cannot enable.".to_owned());
        }
    }
    Ok(())
}

fn shut_down(call: &Call<'_>) -> Result<(), String> {
    let frontend = lookup::frontend(&call.running().model, call.word(0))?;
    let state = &call.running().state;
    if state.proxy(frontend.id).frontend.status() == FrontendStatus::Stopped {
        return Err("Frontend was already shut down.".to_owned());
    }
    state.set_frontend_status(frontend.id, FrontendStatus::Stopped);
    Ok(())
}

fn maxconn_frontend(call: &Call<'_>) -> Result<(), String> {
    let frontend = lookup::frontend(&call.running().model, call.word(0))?;
    let limit = number(call.word(1), "Integer value expected.", u32::MAX.into())?;
    let state = call.running().state.proxy(frontend.id);
    state.frontend.set_maxconn(limit as u32);
    Ok(())
}

fn maxconn_global(call: &Call<'_>) -> Result<(), String> {
    let limit = number(call.word(0), "Expects an integer value.", u32::MAX.into())?;
    match call.running().state.process.set_maxconn(limit as u32) {
        true => Ok(()),
        false => Err("Value out of range.".to_owned()),
    }
}

fn rate_limit(call: &Call<'_>) -> Result<(), String> {
    let rate = match (call.word(0), call.word(1)) {
        ("connections", "global") => ProcessRate::Connections,
        ("sessions", "global") => ProcessRate::Sessions,
        ("ssl-sessions", "global") => ProcessRate::TlsSessions,
        ("http-compression", "global") => ProcessRate::Compression,
        _ => return Err(RATE_LIMITS.to_owned()),
    };
    let limit = number(call.word(2), "Integer value expected.", u32::MAX.into())? as u32;
    let limit = match rate {
        ProcessRate::Compression => limit.saturating_mul(1024),
        _ => limit,
    };
    call.running().state.process.set_rate_limit(rate, limit);
    Ok(())
}

const RATE_LIMITS: &str = "'set rate-limit' only supports :\n   \
    - 'connections global' to set the per-process maximum connection rate\n   \
    - 'sessions global' to set the per-process maximum session rate\n   \
    - 'ssl-sessions global' to set the per-process maximum SSL session rate\n   \
    - 'http-compression global' to set the per-process maximum compression speed in kB/s\n";
