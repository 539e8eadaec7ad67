//! Housekeeping of the configuration in force, on the first thread only: once a second for the tables and rates, and
//! whenever a server or a frontend changes its state.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

use super::generation::Generation;
use super::workers::Listeners;
use crate::clock;
use crate::state::FrontendStatus;
use crate::types::{ProxyId, ServerId};

/// Keeps house until the task is ended.
pub(super) async fn keep(generation: Arc<Generation>, listeners: Listeners) {
    let state = generation.state();
    let mut servers = state.server_events();
    let mut frontends = state.listener_events();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = second.tick() => state.tick(clock::now()),
            changed = servers.recv() => match changed {
                Ok(server) => generation.server_changed(server),
                Err(RecvError::Lagged(_)) => {
                    (0..generation.model().servers.len() as u32).for_each(|id| generation.server_changed(ServerId(id)));
                }
                Err(RecvError::Closed) => return,
            },
            changed = frontends.recv() => match changed {
                Ok(frontend) => follow(&generation, &listeners, frontend),
                Err(RecvError::Lagged(_)) => {
                    (0..generation.model().proxies.len() as u32).for_each(|id| follow(&generation, &listeners, ProxyId(id)));
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Makes a frontend's listeners do what its status says.
fn follow(generation: &Generation, listeners: &Listeners, frontend: ProxyId) {
    let open = generation.state().proxy(frontend).frontend.status() == FrontendStatus::Open;
    for (bind, bound) in listeners.iter() {
        if generation.model().bind(*bind).proxy != frontend {
            continue;
        }
        let backlog = backlog(generation, frontend);
        if let Err(error) = bound.set_paused(!open, backlog) {
            let verb = if open { "resume" } else { "pause" };
            let name = &generation.proxy(frontend).name;
            crate::log::notice::warning(format_args!(
                "cannot {verb} a listener of proxy {name}: {error}"
            ));
        }
    }
}

/// The backlog of a frontend's listeners: its `backlog`, else its `maxconn` (manual §4.2).
pub(super) fn backlog(generation: &Generation, frontend: ProxyId) -> u32 {
    let limit = generation.state().proxy(frontend).frontend.maxconn();
    generation.proxy(frontend).backlog.unwrap_or(limit)
}
