//! `clear counters`.

use super::{Answer, Call, Command};
use crate::admin::lookup;
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["clear", "counters"],
        usage: "clear counters [all]",
        doc: "clear max statistics counters (or all counters)",
        level: Level::Operator,
        run: clear,
    },
    Command {
        words: &["clear", "counters", "server"],
        usage: "clear counters server <bk>/<srv> [force]",
        doc: "clear all statistics counters of one server",
        level: Level::Admin,
        run: clear_server,
    },
];

fn clear(call: &mut Call<'_>) -> Answer {
    let all = call.word(0) == "all";
    if all && call.session.level < Level::Admin {
        return Answer::error("Permission denied");
    }
    let (model, state) = (&call.running().model, &call.running().state);
    for proxy in model.proxies.iter().map(|proxy| state.proxy(proxy.id)) {
        if all {
            proxy.clear();
        } else {
            proxy.clear_maxima();
        }
    }
    for server in model.servers.iter().map(|server| state.server(server.id)) {
        if all {
            server.clear();
        } else {
            server.clear_maxima();
        }
    }
    for listener in model.binds.iter().map(|bind| state.listener(bind.id)) {
        listener.current.clear_highest();
        if all {
            listener.counters.clear();
        }
    }
    state.process.clear_maxima();
    Answer::Done
}

fn clear_server(call: &mut Call<'_>) -> Answer {
    if !matches!(call.word(1), "" | "force") {
        return Answer::error("only 'force' may follow the server");
    }
    match lookup::server(&call.running().model, call.word(0)) {
        Ok(server) => {
            call.running().state.server(server.id).clear();
            Answer::info("Server counters cleared.")
        }
        Err(reason) => Answer::error(reason),
    }
}
