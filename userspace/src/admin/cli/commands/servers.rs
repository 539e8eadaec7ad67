//! Commands that change servers.

use std::net::IpAddr;

use super::{Answer, Call, Command};
use crate::admin::lookup;
use crate::health::{Cause, Mode};
use crate::model::{BalanceKind, Level, Model, Server, ServerAddress};
use crate::state::{CheckState, CheckTarget, Operational};
use crate::types::ServerId;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["set", "server"],
        usage: "set server <bk>/<srv> [opts]",
        doc: "change a server's state, weight or address",
        level: Level::Admin,
        run: set,
    },
    Command {
        words: &["set", "weight"],
        usage: "set weight <bk>/<srv>  (DEPRECATED)",
        doc: "change a server's weight (use 'set server' instead)",
        level: Level::Admin,
        run: |call| Answer::of(find(call).and_then(|server| weight(call, server, call.word(1)))),
    },
    Command {
        words: &["get", "weight"],
        usage: "get weight <bk>/<srv>",
        doc: "report a server's current weight",
        level: Level::User,
        run: current_weight,
    },
    Command {
        words: &["set", "maxconn", "server"],
        usage: "set maxconn server <bk>/<srv>",
        doc: "change a server's maxconn setting",
        level: Level::Admin,
        run: |call| Answer::of(find(call).and_then(|server| maxconn(call, server))),
    },
    Command {
        words: &["enable", "server"],
        usage: "enable server  (DEPRECATED)",
        doc: "enable a disabled server (use 'set server' instead)",
        level: Level::Admin,
        run: |call| mode(call, Mode::Ready),
    },
    Command {
        words: &["disable", "server"],
        usage: "disable server (DEPRECATED)",
        doc: "disable a server for maintenance (use 'set server' instead)",
        level: Level::Admin,
        run: |call| mode(call, Mode::Maintenance),
    },
    Command {
        words: &["enable", "health"],
        usage: "enable health <bk>/<srv>",
        doc: "enable health checks",
        level: Level::Admin,
        run: |call| Answer::of(find(call).and_then(|server| checks(call, server, true))),
    },
    Command {
        words: &["disable", "health"],
        usage: "disable health <bk>/<srv>",
        doc: "disable health checks",
        level: Level::Admin,
        run: |call| Answer::of(find(call).and_then(|server| checks(call, server, false))),
    },
    Command {
        words: &["enable", "agent"],
        usage: "enable agent <bk>/<srv>",
        doc: "enable agent checks",
        level: Level::Admin,
        run: |call| Answer::of(find(call).and_then(|server| agent(call, server, true))),
    },
    Command {
        words: &["disable", "agent"],
        usage: "disable agent <bk>/<srv>",
        doc: "disable agent checks",
        level: Level::Admin,
        run: |call| Answer::of(find(call).and_then(|server| agent(call, server, false))),
    },
];

fn find<'a>(call: &Call<'a>) -> Result<&'a Server, String> {
    lookup::server(&call.running().model, call.word(0))
}

fn set(call: &mut Call<'_>) -> Answer {
    let server = match find(call) {
        Ok(server) => server,
        Err(reason) => return Answer::error(reason),
    };
    let (what, value) = (call.word(1), call.word(2));
    match what {
        "state" => Answer::of(set_state(call, server, value)),
        "weight" => Answer::of(weight(call, server, value)),
        "health" => Answer::of(set_health(call, server, value)),
        "agent" => Answer::of(set_agent(call, server, value)),
        "addr" => set_address(call, server),
        "check-addr" | "check-port" => Answer::of(set_check_target(call, server)),
        "agent-addr" | "agent-port" => Answer::of(set_agent_target(call, server)),
        "fqdn" if server.resolution.is_none() => {
            Answer::error("set server <b>/<s> fqdn failed because no resolution is configured.")
        }
        "fqdn" => Answer::error("changing the FQDN of a server is not supported by this version."),
        "ssl" if server.tls.is_none() => Answer::error(
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings",
        ),
        "ssl" => Answer::error("'set server <srv> ssl' is not supported by this version."),
        _ => Answer::error(
            "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | check-addr | check-port | health | state | weight",
        ),
    }
}

fn set_state(call: &Call<'_>, server: &Server, value: &str) -> Result<(), String> {
    let mode = match value {
        "ready" => Mode::Ready,
        "drain" => Mode::Drain,
        "maint" => Mode::Maintenance,
        _ => {
            return Err(
                "'set server <srv> state' expects 'ready', 'drain' and 'maint'.".to_owned(),
            );
        }
    };
    call.life().set_mode(server.id, mode, call.now);
    Ok(())
}

fn mode(call: &Call<'_>, mode: Mode) -> Answer {
    Answer::of(find(call).map(|server| call.life().set_mode(server.id, mode, call.now)))
}

fn set_health(call: &Call<'_>, server: &Server, value: &str) -> Result<(), String> {
    if server.track.is_some() {
        return Err("cannot change health on a tracking server.".to_owned());
    }
    let side = match value {
        "up" => Operational::Running,
        "stopping" => Operational::Stopping,
        "down" => Operational::Stopped,
        _ => {
            return Err(
                "'set server <srv> health' expects 'up', 'stopping', or 'down'.".to_owned(),
            );
        }
    };
    call.life()
        .force_health(server.id, side, &Cause::Cli, call.now);
    Ok(())
}

fn set_agent(call: &Call<'_>, server: &Server, value: &str) -> Result<(), String> {
    let state = call.running().state.server(server.id);
    if !state.agent.has(CheckState::ENABLED) {
        return Err("agent checks are not enabled on this server.".to_owned());
    }
    let side = match value {
        "up" => Operational::Running,
        "down" => Operational::Stopped,
        _ => return Err("'set server <srv> agent' expects 'up' or 'down'.".to_owned()),
    };
    call.life()
        .force_agent(server.id, side, &Cause::Cli, call.now);
    Ok(())
}

fn checks(call: &Call<'_>, server: &Server, enabled: bool) -> Result<(), String> {
    if enabled && server.check.is_none() {
        return Err("Health check was not configured on this server, cannot enable.".to_owned());
    }
    if server.check.is_some() {
        call.life()
            .set_checks(server.id, enabled, &Cause::Cli, call.now);
    }
    Ok(())
}

fn agent(call: &Call<'_>, server: &Server, enabled: bool) -> Result<(), String> {
    if enabled && server.agent.is_none() {
        return Err("Agent was not configured on this server, cannot enable.".to_owned());
    }
    if server.agent.is_some() {
        let agent = &call.running().state.server(server.id).agent;
        agent.set(CheckState::ENABLED, enabled);
        agent.wake();
    }
    Ok(())
}

fn current_weight(call: &mut Call<'_>) -> Answer {
    match find(call) {
        Ok(server) => {
            let state = call.running().state.server(server.id);
            let (now, initial) = (state.user_weight(), state.initial_weight());
            Answer::Output(format!("{now} (initial {initial})"))
        }
        Err(reason) => Answer::error(reason),
    }
}

fn weight(call: &Call<'_>, server: &Server, word: &str) -> Result<(), String> {
    if word.is_empty() {
        return Err("Require <weight> or <weight%>.".to_owned());
    }
    let relative = word.strip_suffix('%');
    let digits = relative.unwrap_or(word);
    let Ok(value) = digits.parse::<i64>() else {
        let sign_or_digit = |byte: u8| byte.is_ascii_digit() || byte == b'-' || byte == b'+';
        return Err(match digits.bytes().next().is_some_and(sign_or_digit) {
            true => "Trailing garbage in weight string".to_owned(),
            false => "Empty weight string empty or preceded by garbage".to_owned(),
        });
    };
    let state = call.running().state.server(server.id);
    let initial = i64::from(state.initial_weight());
    let weight = match relative {
        Some(_) if value < 0 => return Err("Relative weight must be positive.".to_owned()),
        Some(_) => (initial.saturating_mul(value) / 100).min(256),
        None if !(0..=256).contains(&value) => {
            return Err("Absolute weight can only be between 0 and 256 inclusive.".to_owned());
        }
        None => value,
    };
    if is_static(&call.running().model, server.id) && weight != 0 && weight != initial {
        return Err(
            "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'."
                .to_owned(),
        );
    }
    call.life().set_weight(server.id, weight as u16, call.now);
    Ok(())
}

/// Whether the backend's algorithm cannot follow weights that change (manual §4.2 `balance`).
fn is_static(model: &Model, server: ServerId) -> bool {
    let balance = &model.proxy(model.server(server).proxy).balance;
    match balance.kind {
        BalanceKind::StaticRoundRobin => true,
        BalanceKind::Source
        | BalanceKind::Uri(_)
        | BalanceKind::UrlParameter { .. }
        | BalanceKind::Header { .. }
        | BalanceKind::RdpCookie(_)
        | BalanceKind::Hash(_)
        | BalanceKind::LogHash(_) => !balance.hash_type.consistent,
        BalanceKind::RoundRobin
        | BalanceKind::LeastConnections
        | BalanceKind::First
        | BalanceKind::Random { .. }
        | BalanceKind::Sticky
        | BalanceKind::Maglev => false,
    }
}

fn maxconn(call: &Call<'_>, server: &Server) -> Result<(), String> {
    let word = call.word(1);
    if word.is_empty() {
        return Err("Require <maxconn>.".to_owned());
    }
    let limit = word
        .parse::<u32>()
        .map_err(|_| match word.as_bytes()[0].is_ascii_digit() {
            true => "Trailing garbage in maxconn string",
            false => "maxconn string empty or preceded by garbage",
        })?;
    let state = &call.running().state;
    state.server(server.id).set_maxconn(limit);
    state.server_changed(&call.running().model, server.id, call.now);
    Ok(())
}

fn set_address(call: &Call<'_>, server: &Server) -> Answer {
    let (word, port) = (call.word(2), call.words.get(4));
    let who = "by 'stats socket command'";
    let Ok(ip) = word.parse::<IpAddr>() else {
        return Answer::error(format!("Invalid addr '{word}' {who}"));
    };
    let port = match (call.word(3), port.map(|port| port.parse::<u16>())) {
        ("", _) => None,
        ("port", Some(Ok(port))) if port > 0 => Some(port),
        ("port", _) => return Answer::error(format!("Invalid port {who}")),
        _ => {
            return Answer::error(
                "set server <b>/<s> addr requires an address and optionally a port.",
            );
        }
    };
    let state = call.running().state.server(server.id);
    if matches!(
        state.address(),
        ServerAddress::Unix(_)
            | ServerAddress::Abstract(_)
            | ServerAddress::AbstractUnpadded(_)
            | ServerAddress::Reverse
    ) {
        return Answer::error(
            "Update for the current server address family is only supported through configuration file.",
        );
    }
    let before = state.socket_address();
    state.set_address(Some(ip), port);
    let mut changes = Vec::new();
    match before.map(|address| address.ip()) {
        Some(old) if old == ip => changes.push("no need to change the addr".to_owned()),
        Some(old) => changes.push(format!("IP changed from '{old}' to '{ip}'")),
        None => changes.push(format!("IP changed from '(none)' to '{ip}'")),
    }
    if let Some(port) = port {
        match before.map_or(0, |address| address.port()) {
            old if old == port => changes.push("no need to change the port".to_owned()),
            old => changes.push(format!("port changed from '{old}' to '{port}'")),
        }
    }
    if state.socket_address() != before {
        call.life()
            .address_changed(server.id, before, "stats socket command", call.now);
    }
    Answer::info(format!("{} {who}", changes.join(", ")))
}

fn set_check_target(call: &Call<'_>, server: &Server) -> Result<(), String> {
    let check = &call.running().state.server(server.id).check;
    if !check.has(CheckState::CONFIGURED) {
        return Err("health checks are not enabled on this server".to_owned());
    }
    check.set_target(target(call, check.target(), call.word(1) == "check-port")?);
    Ok(())
}

fn set_agent_target(call: &Call<'_>, server: &Server) -> Result<(), String> {
    let agent = &call.running().state.server(server.id).agent;
    if !agent.has(CheckState::CONFIGURED) {
        return Err("agent checks are not enabled on this server".to_owned());
    }
    agent.set_target(target(call, agent.target(), call.word(1) == "agent-port")?);
    Ok(())
}

/// `PORT`, or `ADDR [port PORT]`.
fn target(call: &Call<'_>, before: CheckTarget, only_port: bool) -> Result<CheckTarget, String> {
    let port = |word: &str| match word.parse::<i64>() {
        Ok(port @ 1..=65_535) => Ok(Some(port as u16)),
        Ok(_) => Err("provided port is not valid".to_owned()),
        Err(_) => Err("provided port is not an integer".to_owned()),
    };
    if only_port {
        return Ok(CheckTarget {
            port: port(call.word(2))?,
            ..before
        });
    }
    let address = call
        .word(2)
        .parse()
        .map_err(|_| "provided address is not valid".to_owned())?;
    Ok(CheckTarget {
        address: Some(address),
        port: match call.word(3) {
            "port" => port(call.word(4))?,
            "" => before.port,
            _ => return Err("only 'port' may follow the address".to_owned()),
        },
    })
}
