//! Commands that list backends and servers.

use super::{Answer, Call, Command};
use crate::admin::lookup;
use crate::model::{Level, Proxy, Server};
use crate::state::CheckState;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "backend"],
        usage: "show backend",
        doc: "list backends in the current running config",
        level: Level::User,
        run: backends,
    },
    Command {
        words: &["show", "servers", "state"],
        usage: "show servers state [<backend>]",
        doc: "dump volatile server information (all or for a single backend)",
        level: Level::User,
        run: |call| list(call, &format!("1\n{STATE_HEADER}\n"), state_line),
    },
    Command {
        words: &["show", "servers", "conn"],
        usage: "show servers conn [<backend>]",
        doc: "dump server connections status (all or for a single backend)",
        level: Level::User,
        run: |call| list(call, &format!("{CONNECTIONS_HEADER}\n"), connections_line),
    },
];

fn backends(call: &mut Call<'_>) -> Answer {
    let proxies = call.running().model.proxies.iter();
    let names = proxies.filter(|proxy| proxy.kind.has_backend() && !proxy.disabled);
    Answer::Output(names.fold("# name\n".to_owned(), |text, proxy| {
        text + &proxy.name + "\n"
    }))
}

fn list(call: &Call<'_>, header: &str, line: fn(&Call<'_>, &Proxy, &Server) -> String) -> Answer {
    let model = &call.running().model;
    let wanted = match call.words.first() {
        None => None,
        Some(name) => match lookup::backend_of(model, name) {
            Some(backend) => Some(backend.id),
            None => return Answer::error("Can't find backend."),
        },
    };
    let mut text = header.to_owned();
    for proxy in model
        .proxies
        .iter()
        .filter(|proxy| wanted.is_none_or(|id| id == proxy.id))
    {
        for id in &proxy.servers {
            text.push_str(&line(call, proxy, model.server(id)));
        }
    }
    Answer::Output(text)
}

fn state_line(call: &Call<'_>, proxy: &Proxy, server: &Server) -> String {
    let state = call.running().state.server(server.id);
    let address = state.socket_address();
    let report = state.check.report();
    let (check, agent) = (state.check.target(), state.agent.target());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let configured_port = server.check.as_ref().and_then(|check| check.port);
    let agent_flags = match state.agent.has(CheckState::CONFIGURED) {
        true => state.agent.flags(),
        false => 0,
    };
    format!(
        "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} 0 0 {} {} - {} {} {} {} {}\n",
        proxy.number,
        proxy.name,
        server.number,
        server.name,
        or_dash(address.map(|address| address.ip().to_string())),
        state.operational() as u8,
        state.admin().0,
        state.user_weight(),
        state.initial_weight(),
        call.now.since(state.last_change()) / 1000,
        report.status.number(),
        report.status.result() as u8,
        state.check.health(),
        state.check.flags(),
        agent_flags,
        or_dash(server.hostname.clone()),
        address.map_or(0, |address| address.port()),
        u8::from(server.tls.is_some()),
        check.port.or(configured_port).unwrap_or(0),
        or_dash(check.address.map(|address| address.to_string())),
        or_dash(agent.address.map(|address| address.to_string())),
        agent
            .port
            .or_else(|| server.agent.as_ref().map(|agent| agent.port))
            .unwrap_or(0),
    )
}

fn connections_line(call: &Call<'_>, proxy: &Proxy, server: &Server) -> String {
    let state = call.running().state.server(server.id);
    let address = state.socket_address();
    let connections = &state.connections;
    let (idle_unsafe, idle_safe) = (
        connections.idle_unsafe.current(),
        connections.idle_safe.current(),
    );
    format!(
        "{}/{} {}/{} {} {} - {} {} {} {} {} {idle_unsafe} {idle_safe} {} {}\n",
        proxy.name,
        server.name,
        proxy.number,
        server.number,
        address.map_or_else(|| "unix".to_owned(), |address| address.ip().to_string()),
        address.map_or(0, |address| address.port()),
        server.pool_purge_delay.0,
        connections.used.current(),
        connections.used.current(),
        connections.used.highest(),
        connections.used.highest(),
        server.pool_max.map_or(-1, i64::from),
        idle_unsafe + idle_safe,
    )
}

const STATE_HEADER: &str = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";

const CONNECTIONS_HEADER: &str = "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur";
