//! What a process tells the one that replaces it: the state of servers, and the entries of stick tables.
//!
//! Text, one thing a line, with times as ages, because the two processes' clocks began at different moments. What the new
//! configuration has no place for is left out; a line that cannot be read is skipped. Written by [`State::recall`], read by
//! [`State::remember`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{Admin, CheckState, Operational, ServerState, State, StickTable};
use crate::clock::Moment;
use crate::model::Model;
use crate::types::ServerId;

impl State {
    /// Everything another process would want to know.
    pub fn recall(&self, now: Moment) -> String {
        let mut text = String::new();
        for server in self.servers.iter().filter(|server| !server.is_removed()) {
            let shown = |address: Option<SocketAddr>| {
                address.map_or_else(|| "-".to_owned(), |address| address.to_string())
            };
            let address = shown(server.socket_address());
            let configured = shown(server.configured_address());
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "server {} {} {} {} {} {} {} {} {address} {configured}",
                server.backend,
                server.name,
                server.operational() as u8,
                server.admin().0,
                server.initial_weight(),
                server.user_weight(),
                server.check.health(),
                now.since(server.last_change()),
            );
        }
        for table in &self.tables {
            let _ = writeln!(text, "table {} {:?}", table.name, table.key);
            table.recall(&mut text, now);
        }
        text
    }

    /// Takes over what another process told.
    pub fn remember(&self, model: &Model, text: &str, now: Moment) {
        let ids: HashMap<(&str, &str), ServerId> = model
            .servers
            .iter()
            .map(|server| {
                let backend = model.proxy(server.proxy).name.as_str();
                ((backend, server.name.as_str()), server.id)
            })
            .collect();
        let mut table: Option<&StickTable> = None;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["server", backend, name, rest @ ..] => {
                    if let Some(id) = ids.get(&(*backend, *name)) {
                        restore(self.server(*id), rest, now);
                    }
                }
                ["table", name, kind] => {
                    let known = self.table_named(name).map(|table| &**table);
                    table = known.filter(|table| format!("{:?}", table.key) == *kind);
                }
                ["entry", rest @ ..] => {
                    if let Some(table) = table {
                        table.remember(rest, now);
                    }
                }
                _ => {}
            }
        }
        for server in model.servers.iter() {
            let state = self.server(server.id);
            state.update_weight(server.slowstart.map(|time| time.0), now);
        }
        for proxy in &model.proxies {
            self.refresh_backend(proxy, now);
        }
    }
}

/// What an operator or a check decided stays decided; what the configuration says anew is left as it says.
fn restore(server: &ServerState, words: &[&str], now: Moment) -> Option<()> {
    let [
        operational,
        admin,
        initial,
        user,
        health,
        age,
        address,
        configured,
    ] = words
    else {
        return None;
    };
    let admin = Admin(admin.parse().ok()?);
    let kept = admin.without(Admin::CONFIG_MAINT.with(Admin::RESOLUTION_MAINT));
    let was_configured_down = admin.has(Admin::CONFIG_MAINT);
    let is_configured_down = server.admin().has(Admin::CONFIG_MAINT);
    if was_configured_down == is_configured_down {
        let configured = server.admin().0 & (Admin::CONFIG_MAINT.0 | Admin::RESOLUTION_MAINT.0);
        server.set_admin(kept.with(Admin(configured)));
    }
    let in_maintenance = server.admin().has(Admin::MAINT);
    server.check.set(CheckState::PAUSED, in_maintenance);
    if initial.parse() == Ok(server.initial_weight()) {
        server.set_user_weight(user.parse().ok()?);
    }
    if let (Ok(address), Ok(configured)) = (address.parse::<SocketAddr>(), configured.parse())
        && server.configured_address() == Some(configured)
    {
        server.set_address(Some(address.ip()), Some(address.port()));
    }
    let operational = match operational.parse::<u8>().ok()? {
        0 => Operational::Stopped,
        1 => Operational::Starting,
        3 => Operational::Stopping,
        _ => Operational::Running,
    };
    let checked =
        server.check.has(CheckState::CONFIGURED) || server.agent.has(CheckState::CONFIGURED);
    if checked || in_maintenance {
        server.check.set_health(health.parse().ok()?);
        let age = age.parse().ok()?;
        server.set_operational(operational, Moment(now.0.saturating_sub(age)));
    }
    Some(())
}
