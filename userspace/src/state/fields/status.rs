//! The `status` column of servers and backends.

use std::borrow::Cow;

use crate::model::{Model, Server};
use crate::state::{Admin, Operational, State};
use crate::types::ProxyId;

/// `UP`, `DOWN 1/2`, `MAINT (via web/a)`, … (management.txt §9.1, column 17).
pub fn server_status(model: &Model, state: &State, server: &Server) -> Cow<'static, str> {
    let live = state.server(server.id);
    let admin = live.admin();
    if admin.has(Admin::MAINT) {
        return maintenance(model, server, admin);
    }
    let followed = followed(model, server);
    let watched = state.server(followed.id);
    let Some(check) = followed
        .check
        .as_ref()
        .filter(|_| watched.check.is_running())
    else {
        return match live.operational() {
            Operational::Stopped => "DOWN".into(),
            _ if admin.has(Admin::DRAIN) || live.user_weight() == 0 => "DRAIN".into(),
            Operational::Stopping => "NOLB".into(),
            _ => "no check".into(),
        };
    };
    let (health, rise, fall) = (watched.check.health(), check.rise, check.fall);
    let weakened = health < rise.saturating_add(fall).saturating_sub(1);
    let left = health.saturating_sub(rise).saturating_add(1);
    let word = match live.operational() {
        Operational::Stopped if live.agent.is_running() && live.agent.health() == 0 => {
            return "DOWN (agent)".into();
        }
        Operational::Stopped if health > 0 => return format!("DOWN {health}/{rise}").into(),
        Operational::Stopped => return "DOWN".into(),
        _ if admin.has(Admin::DRAIN) || live.user_weight() == 0 => "DRAIN",
        Operational::Stopping => "NOLB",
        _ => "UP",
    };
    if weakened {
        format!("{word} {left}/{fall}").into()
    } else {
        word.into()
    }
}

/// `UP` or `DOWN`.
pub fn backend_status(state: &State, proxy: ProxyId) -> &'static str {
    if state.proxy(proxy).backend.is_up() {
        "UP"
    } else {
        "DOWN"
    }
}

fn maintenance(model: &Model, server: &Server, admin: Admin) -> Cow<'static, str> {
    if admin.has(Admin::RESOLUTION_MAINT) {
        return "MAINT (resolution)".into();
    }
    match server.track.filter(|_| !admin.has(Admin::FORCED_MAINT)) {
        Some(tracked) => {
            let tracked = model.server(tracked);
            let backend = &model.proxy(tracked.proxy).name;
            format!("MAINT (via {backend}/{})", tracked.name).into()
        }
        None => "MAINT".into(),
    }
}

/// The server whose checks decide: the end of a chain of `track`. A chain is never longer than there are servers.
fn followed<'a>(model: &'a Model, server: &'a Server) -> &'a Server {
    let mut current = server;
    for _ in model.servers.iter() {
        match current.track {
            Some(next) => current = model.server(next),
            None => break,
        }
    }
    current
}
