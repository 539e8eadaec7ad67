//! Live state shared by all tasks; the only room with atomics.
//!
//! Sessions, health checks and the Runtime API write it; load balancing, fetches, logs and the stats page read it. A
//! [`Running`] pairs it with the configuration it belongs to. Nothing here decides: rules, algorithms and checks are elsewhere.

mod cache;
pub mod check;
mod cookie;
pub mod counters;
pub mod fields;
pub mod freq;
mod memory;
mod observation;
pub mod process;
pub mod proxy;
pub mod server;
pub mod sessions;
pub mod shard;
pub mod stick;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::broadcast;

pub use cache::{Accepts, Cache, Encodings, Entry, Found, Reservation, Selecting, Shown, Vary};
pub use check::{CheckReport, CheckResult, CheckState, CheckStatus, CheckTarget};
pub use cookie::cookie_value;
pub use counters::{Counter, Counters, Gauge, Timing};
pub use observation::Observation;
pub use process::{KernelSyns, ProcessRate, ProcessState};
pub use proxy::{BackendState, FrontendState, FrontendStatus, ListenerState, ProxyState};
pub use server::{Admin, Operational, ServerState, WEIGHT_SCALE};
pub use sessions::{CutReason, Session, SessionTicket, Sessions};
pub use stick::{StickEvent, StickTable, Tracked};

use crate::clock::{self, Moment};
use crate::expr::{ProcessVariables, ProcessView, Sample, Variables as _};
use crate::model::{Model, ProcessValue, Proxy, Server, Table};
use crate::types::{BindId, ProxyId, Roster, RosterFull, ServerId, TableId};

/// One configuration in force, with its live state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Running {
    /// What was configured.
    pub model: Arc<Model>,
    /// What happens.
    pub state: Arc<State>,
}

impl Running {
    /// Starts a configuration; servers, proxies and tables that keep their name keep their state.
    pub fn new(model: Arc<Model>, previous: Option<&Self>) -> Self {
        let state = Arc::new(State::new(&model, previous.map(|running| &*running.state)));
        Self { model, state }
    }
}

/// The live state of one configuration.
#[derive(Debug)]
pub struct State {
    /// The process, the same for every configuration.
    pub process: Arc<ProcessState>,
    /// The running sessions, the same for every configuration.
    pub sessions: Arc<Sessions>,
    /// Variables of scope `proc`, the same for every configuration.
    pub variables: Arc<ProcessVariables>,
    /// Which configuration this is, counted from 1 up.
    pub generation: u64,
    threads: usize,
    proxies: Vec<Arc<ProxyState>>,
    listeners: Vec<Arc<ListenerState>>,
    servers: Roster<Arc<ServerState>>,
    /// Held while a server is added or removed.
    changing: Mutex<()>,
    tables: Vec<Arc<StickTable>>,
    caches: Vec<Arc<Cache>>,
    servers_epoch: AtomicU64,
    server_events: broadcast::Sender<ServerId>,
    additions: broadcast::Sender<ServerId>,
    listener_events: broadcast::Sender<ProxyId>,
    observations: broadcast::Sender<(ServerId, Observation)>,
}

impl State {
    /// The state a configuration starts with. What `previous` knew under the same name is kept: counters, weights,
    /// addresses and maintenance set at run time, stick tables.
    pub fn new(model: &Model, previous: Option<&Self>) -> Self {
        let now = clock::now();
        let threads = previous.map_or_else(|| threads_of(model), |state| state.threads);
        let writers = threads + 1;
        let maxconn = model.global.maxconn.unwrap_or(DEFAULT_MAXCONN);
        let known = Known::of(previous);
        let proxies = model
            .proxies
            .iter()
            .map(|proxy| known.proxy(proxy, maxconn, writers, now))
            .collect();
        let servers = model
            .servers
            .iter()
            .map(|server| {
                let backend = &model.proxy(server.proxy).name;
                match known.servers.get(&(backend.as_str(), server.name.as_str())) {
                    Some(state) => {
                        state.reconfigure(server);
                        Arc::clone(state)
                    }
                    None => Arc::new(ServerState::new(server, backend, writers, now)),
                }
            })
            .collect();
        let process = match previous {
            Some(state) => {
                state.process.reset_maxconn(maxconn);
                Arc::clone(&state.process)
            }
            None => Arc::new(ProcessState::new(maxconn, writers)),
        };
        let compressed = model.global.maxcomprate.saturating_mul(1024);
        process.set_rate_limit(ProcessRate::Compression, compressed);
        process.set_rate_limit(ProcessRate::Connections, model.global.maxconnrate);
        process.set_rate_limit(ProcessRate::Sessions, model.global.maxsessrate);
        process.set_rate_limit(ProcessRate::TlsSessions, model.global.maxsslrate);
        let state = Self {
            process,
            sessions: previous.map_or_else(
                || Arc::new(Sessions::new(writers)),
                |s| Arc::clone(&s.sessions),
            ),
            variables: variables(model, previous),
            generation: previous.map_or(1, |state| state.generation + 1),
            threads,
            proxies,
            listeners: model
                .binds
                .iter()
                .map(|_| Arc::new(ListenerState::new(writers)))
                .collect(),
            servers,
            changing: Mutex::new(()),
            tables: model
                .tables
                .iter()
                .map(|table| known.table(table, now))
                .collect(),
            caches: caches(model, previous),
            servers_epoch: AtomicU64::new(1),
            server_events: broadcast::Sender::new(EVENTS_KEPT),
            additions: broadcast::Sender::new(EVENTS_KEPT),
            listener_events: broadcast::Sender::new(EVENTS_KEPT),
            observations: broadcast::Sender::new(EVENTS_KEPT),
        };
        state.inherit_tracked(model, now);
        for proxy in &model.proxies {
            state.refresh_backend(proxy, now);
        }
        state
    }

    /// Worker threads; each counts in its own cells after [`shard::enter`].
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The proxy of an id of this configuration.
    pub fn proxy(&self, id: ProxyId) -> &ProxyState {
        &self.proxies[id.index()]
    }

    /// A cache by its place among the model's.
    pub fn cache(&self, index: usize) -> Option<&Arc<Cache>> {
        self.caches.get(index)
    }

    /// All caches.
    pub fn caches(&self) -> &[Arc<Cache>] {
        &self.caches
    }

    /// The listener of an id of this configuration.
    pub fn listener(&self, id: BindId) -> &ListenerState {
        &self.listeners[id.index()]
    }

    /// The server of an id of this configuration.
    pub fn server(&self, id: ServerId) -> &ServerState {
        &self.servers[id.index()]
    }

    /// The server's state as a handle that outlives this configuration.
    pub fn server_handle(&self, id: ServerId) -> Arc<ServerState> {
        Arc::clone(&self.servers[id.index()])
    }

    /// The stick table of an id of this configuration.
    pub fn table(&self, id: TableId) -> &Arc<StickTable> {
        &self.tables[id.index()]
    }

    /// The stick table of a name.
    pub fn table_named(&self, name: &str) -> Option<&Arc<StickTable>> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Housekeeping, to be called about once a second: expires stick-table entries and keeps the highest rates exact.
    pub fn tick(&self, now: Moment) {
        for table in &self.tables {
            table.purge_expired(now);
        }
        for proxy in &self.proxies {
            proxy.read_rates(now);
        }
        for server in self.servers.iter() {
            server.rate.read(now);
        }
        self.process.read_rates(now);
    }

    /// How many active and backup servers of a backend can take new sessions.
    pub fn usable_servers(&self, model: &Model, proxy: ProxyId) -> UsableServers {
        let mut usable = UsableServers::default();
        for id in &model.proxy(proxy).servers {
            if self.server(id).is_usable() {
                match model.server(id).backup {
                    true => usable.backup += 1,
                    false => usable.active += 1,
                }
            }
        }
        usable
    }

    /// Announces that a server's usability, weight, limit or address changed: recomputes its backend's state, and tells
    /// the kernel's rings. True when the backend went up or down by it.
    pub fn server_changed(&self, model: &Model, id: ServerId, now: Moment) -> bool {
        self.servers_epoch.fetch_add(1, Relaxed);
        let backend_changed = self.refresh_backend(model.proxy(model.server(id).proxy), now);
        let _nobody_listens = self.server_events.send(id);
        backend_changed
    }

    /// A number that grows with every change of any server, to tell cheaply that nothing changed.
    pub fn servers_epoch(&self) -> u64 {
        self.servers_epoch.load(Relaxed)
    }

    /// The stream of changed servers. A receiver that falls more than 1024 behind gets `Lagged` and must look at all.
    pub fn server_events(&self) -> broadcast::Receiver<ServerId> {
        self.server_events.subscribe()
    }

    /// Changes whether a frontend takes connections, and tells its listeners.
    pub fn set_frontend_status(&self, id: ProxyId, status: FrontendStatus) {
        self.proxy(id).frontend.set_status(status);
        let _nobody_listens = self.listener_events.send(id);
    }

    /// The stream of frontends whose [`FrontendStatus`] changed.
    pub fn listener_events(&self) -> broadcast::Receiver<ProxyId> {
        self.listener_events.subscribe()
    }

    /// Tells what traffic showed about a server with `observe`. At the limit of consecutive errors the health checks hear
    /// of it and the count starts again.
    pub fn observe(&self, server: &Server, observation: Observation) {
        let Some(settings) = server.observe else {
            return;
        };
        if !observation.concerns(settings.layer7) {
            return;
        }
        let errors = &self.server(server.id).observed_errors;
        if !observation.is_error() {
            if errors.load(Relaxed) != 0 {
                errors.store(0, Relaxed);
            }
            return;
        }
        if errors.fetch_add(1, Relaxed) + 1 >= settings.limit {
            errors.store(0, Relaxed);
            let _nobody_listens = self.observations.send((server.id, observation));
        }
    }

    /// The stream of servers that reached their limit of consecutive errors, each with the last error.
    pub fn observations(&self) -> broadcast::Receiver<(ServerId, Observation)> {
        self.observations.subscribe()
    }

    /// Adds a server, in maintenance and with its checks disabled (management.txt `add server`). Its id is given here.
    ///
    /// # Errors
    /// The process has added as many as it can.
    pub fn add_server(
        &self,
        model: &Model,
        mut server: Server,
        now: Moment,
    ) -> Result<ServerId, RosterFull> {
        let _one_at_a_time = self.changing.lock();
        let (proxy, backend) = (server.proxy, &model.proxy(server.proxy).name);
        let state = ServerState::added(&server, backend, self.threads + 1, now);
        // Whoever sees the server finds its state.
        let id = ServerId(self.servers.add(Arc::new(state))? as u32);
        (server.id, server.added) = (id, true);
        model.servers.add(server)?;
        self.inherit(model.server(id), now);
        model.proxy(proxy).servers.push(id);
        self.server_changed(model, id, now);
        let _nobody_listens = self.additions.send(id);
        Ok(id)
    }

    /// Removes a server that nobody uses any more. What it was can still be looked up by its id.
    pub fn remove_server(&self, model: &Model, id: ServerId, now: Moment) {
        let _one_at_a_time = self.changing.lock();
        model.proxy(model.server(id).proxy).servers.remove(id);
        self.server(id).set_removed();
        self.server_changed(model, id, now);
    }

    /// The stream of added servers.
    pub fn additions(&self) -> broadcast::Receiver<ServerId> {
        self.additions.subscribe()
    }

    fn refresh_backend(&self, proxy: &Proxy, now: Moment) -> bool {
        let up =
            proxy.servers.is_empty() || proxy.servers.iter().any(|id| self.server(id).is_usable());
        let backend = &self.proxy(proxy.id).backend;
        let changed = backend.set_up(up, now);
        if changed && !up {
            backend.counters.count(Counter::WentDown);
        }
        changed
    }

    /// Servers that track another one start in its state.
    fn inherit_tracked(&self, model: &Model, now: Moment) {
        for server in model.servers.iter() {
            self.inherit(server, now);
        }
    }

    fn inherit(&self, server: &Server, now: Moment) {
        let Some(tracked) = server.track.map(|id| self.server(id)) else {
            return;
        };
        let state = self.server(server.id);
        let inherited = if tracked.admin().has(Admin::MAINT) {
            Admin::INHERITED_MAINT
        } else if tracked.admin().has(Admin::DRAIN) {
            Admin::INHERITED_DRAIN
        } else {
            Admin::default()
        };
        let own = state
            .admin()
            .without(Admin::INHERITED_MAINT.with(Admin::INHERITED_DRAIN));
        state.set_admin(own.with(inherited));
        let operational = match state.admin().has(Admin::MAINT) {
            true => Operational::Stopped,
            false => tracked.operational(),
        };
        if state.operational() != operational {
            state.set_operational(operational, now);
        }
    }
}

/// How many servers of a backend can take new sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsableServers {
    /// Without `backup`.
    pub active: u32,
    /// With `backup`.
    pub backup: u32,
}

/// What the previous configuration knows, by name.
#[derive(Default)]
struct Known<'a> {
    proxies: HashMap<&'a str, &'a Arc<ProxyState>>,
    servers: HashMap<(&'a str, &'a str), &'a Arc<ServerState>>,
    tables: HashMap<&'a str, &'a Arc<StickTable>>,
}

impl<'a> Known<'a> {
    fn of(previous: Option<&'a State>) -> Self {
        let Some(previous) = previous else {
            return Self::default();
        };
        Self {
            proxies: previous
                .proxies
                .iter()
                .map(|proxy| (proxy.name.as_str(), proxy))
                .collect(),
            servers: previous
                .servers
                .iter()
                .filter(|server| !server.is_removed())
                .map(|server| ((server.backend.as_str(), server.name.as_str()), server))
                .collect(),
            tables: previous
                .tables
                .iter()
                .map(|table| (table.name.as_str(), table))
                .collect(),
        }
    }

    fn table(&self, table: &Table, now: Moment) -> Arc<StickTable> {
        match self.tables.get(table.name.as_str()) {
            Some(known) => known.succeed(table, now),
            None => Arc::new(StickTable::new(table)),
        }
    }

    fn proxy(&self, proxy: &Proxy, maxconn: u32, writers: usize, now: Moment) -> Arc<ProxyState> {
        let limit = proxy.maxconn.unwrap_or(maxconn);
        match self.proxies.get(proxy.name.as_str()) {
            Some(state) => {
                state.frontend.set_maxconn(limit);
                Arc::clone(state)
            }
            None => {
                let state = ProxyState::new(&proxy.name, limit, writers, now);
                state.backend.set_published(!proxy.unpublished);
                Arc::new(state)
            }
        }
    }
}

/// The variables of the process with the values `global` gives them, in order: each may use those before it.
fn variables(model: &Model, previous: Option<&State>) -> Arc<ProcessVariables> {
    let variables = previous.map_or_else(Arc::default, |state| Arc::clone(&state.variables));
    let view = ProcessView(&variables);
    for (name, value) in &model.global.variables {
        let value = match value {
            ProcessValue::Sample(expression) => expression.eval(&view),
            ProcessValue::Format(format) => {
                let mut text = Vec::new();
                format.render(&view, &mut text);
                Some(Sample::str(text))
            }
        };
        if let Some(value) = value {
            variables.write(name, value.into_shared());
        }
    }
    variables
}

/// Worker threads a configuration asks for: `nbthread`, or one per usable core.
pub fn threads_of(model: &Model) -> usize {
    model.global.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    )
}

/// Used while the model carries no `maxconn`; the supervisor puts the one the descriptors allow into the model.
const DEFAULT_MAXCONN: u32 = 2000;
const EVENTS_KEPT: usize = 1024;

/// The caches of a configuration; those whose settings did not change keep what is in them.
fn caches(model: &Model, previous: Option<&State>) -> Vec<Arc<Cache>> {
    let known = previous.map_or(&[][..], State::caches);
    let kept = |settings: &Arc<crate::model::Cache>| {
        let same = known.iter().find(|cache| cache.settings() == settings);
        same.map_or_else(|| Cache::new(settings), Arc::clone)
    };
    model.caches.iter().map(kept).collect()
}

#[cfg(test)]
mod tests;
