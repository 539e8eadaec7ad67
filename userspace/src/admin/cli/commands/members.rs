//! Servers that come and go while the process runs: `add server`, `del server`, and waiting until one can go.

use super::{Answer, Call, Command};
use crate::admin::cli::World;
use crate::admin::lookup;
use crate::dataplane::{Chain, offload};
use crate::lang::Foundry;
use crate::model::{Balance, BalanceKind, Level, Mode, Model, Proxy, Server};
use crate::state::{Admin, Running};
use crate::types::ServerId;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["add", "server"],
        usage: "add server <bk>/<srv>",
        doc: "create a new server",
        level: Level::Admin,
        run: |call| {
            if call.word(0) == "help" {
                return Answer::Output(help());
            }
            match add(call) {
                Ok(()) => Answer::info("New server registered."),
                Err(reason) => Answer::error(reason),
            }
        },
    },
    Command {
        words: &["del", "server"],
        usage: "del server <bk>/<srv>",
        doc: "remove a dynamically added server",
        level: Level::Admin,
        run: |call| match remove(call) {
            Ok(()) => Answer::info("Server deleted."),
            Err(reason) => Answer::error(reason),
        },
    },
];

fn help() -> String {
    let mut text = String::from("List of keywords supported for dynamic servers:\n");
    for (name, args) in Foundry::options() {
        text.push_str(name);
        if !args.is_empty() {
            text.push(' ');
            text.push_str(args);
        }
        text.push('\n');
    }
    text
}

fn add(call: &Call<'_>) -> Result<(), String> {
    let running = call.running();
    let model = &running.model;
    let Some((backend, name)) = call.word(0).split_once('/') else {
        return Err("Require 'backend/server'.".to_owned());
    };
    let backend = lookup::backend_of(model, backend).ok_or("No such backend.")?;
    takes_servers(backend)?;
    let foundry = call.world.foundry.as_ref();
    let foundry = foundry.ok_or("servers cannot be added to this process")?;
    let mut words = vec![name.to_owned()];
    words.extend_from_slice(&call.words[1..]);
    if words.len() < 2 {
        return Err("'server' expects <name> and <addr>[:<port>] as arguments.".to_owned());
    }
    if model.server_named(&backend.name, name).is_some() {
        return Err("Already exists a server with the same name in backend.".to_owned());
    }
    let server = foundry.server(model, backend, &words)?;
    let tls = call.world.tls.load_full();
    let contexts = tls.as_ref().map(|tls| tls.prepare(&server)).transpose()?;
    let full = |error: crate::types::RosterFull| error.to_string();
    let id = running
        .state
        .add_server(model, server, call.now)
        .map_err(full)?;
    if let Some((tls, contexts)) = tls.zip(contexts) {
        tls.add(id, contexts).map_err(full)?;
    }
    if backend.mode == Mode::L4 {
        forward(call, id)?;
    }
    Ok(())
}

/// Whether servers can be added to a backend (management.txt `add server`).
fn takes_servers(backend: &Proxy) -> Result<(), String> {
    if backend.disabled {
        return Err(format!("backend '{}' is disabled.", backend.name));
    }
    match backend.mode {
        Mode::L4 => Ok(()),
        Mode::Tcp | Mode::Http if is_dynamic(&backend.balance) => Ok(()),
        Mode::Tcp | Mode::Http => Err(format!(
            "backend '{}' uses a non dynamic load balancing method",
            backend.name
        )),
        Mode::Log | Mode::Syslog => {
            Err("servers of logs cannot be added while the process runs".to_owned())
        }
    }
}

/// Whether the method takes changes of its servers as they come (manual §4.2 `balance`).
fn is_dynamic(balance: &Balance) -> bool {
    match balance.kind {
        BalanceKind::StaticRoundRobin => false,
        BalanceKind::RoundRobin
        | BalanceKind::LeastConnections
        | BalanceKind::First
        | BalanceKind::Random { .. } => true,
        _ => balance.hash_type.consistent,
    }
}

/// Tells the kernel of a server that was added; one that the kernel cannot forward to is removed again.
fn forward(call: &Call<'_>, id: ServerId) -> Result<(), String> {
    let running = call.running();
    let compiled = offload::compile(&running.model);
    if let Some(refusal) = compiled.refusals.last() {
        running.state.remove_server(&running.model, id, call.now);
        return Err(refusal.message.clone());
    }
    follow(call.world).inspect_err(|_| {
        running.state.remove_server(&running.model, id, call.now);
    })
}

fn follow(world: &World) -> Result<(), String> {
    let Some(kernel) = &world.kernel else {
        return Ok(());
    };
    kernel
        .follow_members()
        .map_err(|error| format!("the kernel cannot follow: {}", Chain(&error)))
}

fn remove(call: &Call<'_>) -> Result<(), String> {
    let running = call.running();
    let server = lookup::server(&running.model, call.word(0))?;
    match obstacle(call.world, running, server) {
        None => {}
        Some(Obstacle::Lasting(reason) | Obstacle::Passing(reason)) => {
            return Err(reason.to_owned());
        }
    }
    running
        .state
        .remove_server(&running.model, server.id, call.now);
    if let Some(tls) = call.world.tls.load().as_ref() {
        tls.release(server);
    }
    if running.model.proxy(server.proxy).mode == Mode::L4 {
        follow(call.world)?;
    }
    Ok(())
}

/// Why a server cannot be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin::cli) enum Obstacle {
    /// Something has to be changed first.
    Lasting(&'static str),
    /// It may end by itself.
    Passing(&'static str),
}

/// What keeps a server from being removed; idle connections to one that could be are closed (management.txt `del server`).
fn obstacle(world: &World, running: &Running, server: &Server) -> Option<Obstacle> {
    let state = running.state.server(server.id);
    if server.fixed || is_followed(&running.model, running, server.id) {
        return Some(Obstacle::Lasting(
            "This server cannot be removed at runtime due to other configuration elements pointing to it.",
        ));
    }
    if !state.admin().has(Admin::MAINT) {
        return Some(Obstacle::Lasting(
            "Only servers in maintenance mode can be deleted.",
        ));
    }
    if let Some(close) = &world.closing_idle {
        (close.0)(state);
    }
    let flows = world
        .kernel
        .as_ref()
        .map_or(0, |kernel| kernel.feedback().live_flows(server.id));
    (!state.is_idle() || flows > 0).then_some(Obstacle::Passing(
        "Server still has connections attached to it, cannot remove it.",
    ))
}

/// Whether another server follows this one.
fn is_followed(model: &Model, running: &Running, id: ServerId) -> bool {
    let mut servers = model.servers.iter();
    servers.any(|server| server.track == Some(id) && !running.state.server(server.id).is_removed())
}

/// Something that `wait` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::admin::cli) enum Condition {
    /// `srv-removable <backend>/<server>`.
    Removable(String),
}

impl Condition {
    /// The condition of these words.
    pub(super) fn of(words: &[String]) -> Result<Self, String> {
        match words.first().map(String::as_str) {
            Some("srv-removable") => match words {
                [_, server] => Ok(Self::Removable(server.clone())),
                _ => Err("Require 'backend/server'.".to_owned()),
            },
            _ => Err("Unknown condition.".to_owned()),
        }
    }

    /// Whether it holds, or why it never will.
    pub(in crate::admin::cli) fn holds(&self, world: &World) -> Result<bool, String> {
        let Self::Removable(name) = self;
        let served = world.served.load();
        let running = &served.running;
        let server = lookup::server(&running.model, name)?;
        match obstacle(world, running, server) {
            None => Ok(true),
            Some(Obstacle::Passing(_)) => Ok(false),
            Some(Obstacle::Lasting(reason)) => Err(reason.to_owned()),
        }
    }
}
