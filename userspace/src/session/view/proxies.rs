//! Live numbers of frontends, backends and servers as expressions see them (manual §7.3.2).

use super::SessionView;
use crate::clock;
use crate::expr::{BackendNumber, FrontendNumber, ServerNumber};
use crate::state::ServerState;
use crate::types::{ProxyId, ServerId};

/// A number about a frontend, by name or the current one.
pub(super) fn frontend_number(
    view: &SessionView<'_>,
    name: Option<&str>,
    which: FrontendNumber,
) -> Option<i64> {
    let generation = &view.connection.generation;
    let id = name.map_or(Some(view.connection.frontend), |name| {
        generation.frontend_named(name)
    })?;
    let frontend = &generation.state().proxy(id).frontend;
    Some(match which {
        FrontendNumber::Exists => 1,
        FrontendNumber::Connections => frontend.current.current().into(),
        FrontendNumber::RequestRate => frontend.request_rate.read(clock::now()).into(),
        FrontendNumber::SessionRate => frontend.session_rate.read(clock::now()).into(),
    })
}

/// A number about a backend, by name or the current one.
pub(super) fn backend_number(
    view: &SessionView<'_>,
    name: Option<&str>,
    which: BackendNumber,
) -> Option<i64> {
    let generation = &view.connection.generation;
    let id = name.map_or_else(|| Some(view.proxy()), |name| generation.backend_named(name))?;
    let backend = &generation.state().proxy(id).backend;
    Some(match which {
        BackendNumber::Connections => backend.current.current().into(),
        BackendNumber::SessionRate => backend.rate.read(clock::now()).into(),
        BackendNumber::UsableServers => {
            let usable = generation.state().usable_servers(generation.model(), id);
            i64::from(if usable.active > 0 {
                usable.active
            } else {
                usable.backup
            })
        }
        BackendNumber::Queue => {
            let waiting =
                |server: ServerId| i64::from(generation.state().server(server).queue.current());
            i64::from(backend.queue.current())
                + generation
                    .proxy(id)
                    .servers
                    .iter()
                    .map(waiting)
                    .sum::<i64>()
        }
        BackendNumber::ConnectionsFree => free(view, id, |server, limit| {
            i64::from(limit) - i64::from(server.current.current())
        })?,
        BackendNumber::ConnectionSlots => slots(view, id)?,
    })
}

/// A number about a server of a backend, by name or the current one.
pub(super) fn server_number(
    view: &SessionView<'_>,
    backend: Option<&str>,
    name: &str,
    which: ServerNumber,
) -> Option<i64> {
    let generation = &view.connection.generation;
    let id = backend.map_or_else(|| Some(view.proxy()), |name| generation.backend_named(name))?;
    let server = generation.server_named(id, name)?;
    let state = generation.state().server(server);
    Some(match which {
        ServerNumber::Connections => state.current.current().into(),
        ServerNumber::ConnectionsFree => state.maxconn().map_or(-1, |limit| {
            (i64::from(limit) - i64::from(state.current.current())).max(0)
        }),
        ServerNumber::IsUp => i64::from(state.accepts_persistent()),
        ServerNumber::InitialWeight => state.initial_weight().into(),
        ServerNumber::UserWeight => state.user_weight().into(),
        ServerNumber::Weight => i64::from(
            state
                .effective_weight()
                .div_ceil(crate::state::WEIGHT_SCALE),
        ),
        ServerNumber::Queue => state.queue.current().into(),
        ServerNumber::SessionRate => state.rate.read(clock::now()).into(),
    })
}

/// The sum over the usable servers; -1 when one of them has no limit.
fn free(
    view: &SessionView<'_>,
    backend: ProxyId,
    of: impl Fn(&ServerState, u32) -> i64,
) -> Option<i64> {
    let generation = &view.connection.generation;
    let mut total = 0;
    for id in &generation.proxy(backend).servers {
        let state = generation.state().server(id);
        if !state.is_usable() {
            continue;
        }
        match state.maxconn() {
            Some(limit) => total += of(state, limit).max(0),
            None => return Some(-1),
        }
    }
    Some(total)
}

/// `connslots`: free connections and free places in queues of the usable servers.
fn slots(view: &SessionView<'_>, backend: ProxyId) -> Option<i64> {
    let generation = &view.connection.generation;
    let mut total = 0;
    for id in &generation.proxy(backend).servers {
        let state = generation.state().server(id);
        if !state.is_usable() {
            continue;
        }
        let (Some(limit), Some(queue)) = (state.maxconn(), generation.model().server(id).maxqueue)
        else {
            return Some(-1);
        };
        let free = i64::from(limit) - i64::from(state.current.current());
        let waiting = i64::from(queue) - i64::from(state.queue.current());
        total += free.max(0) + waiting.max(0);
    }
    Some(total)
}
