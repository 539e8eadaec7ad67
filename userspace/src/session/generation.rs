//! One configuration as the workers run it: the model, its live state, and what is derived from both for the data path.
//!
//! Built when a configuration is put in force, shared by all threads, dropped when its last session ends. It holds the
//! farms that [`crate::balance`] picks from and the waiting lines of [`crate::queue`]; it serves nobody itself.

use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::backend::Backend;
use super::http::applet::Applets;
use crate::dataplane::Dataplane;
use crate::log::Logs;
use crate::model::{BackendTarget, Model, Proxy, ProxyKind};
use crate::queue::LocalQueue;
use crate::state::{Running, State};
use crate::tls::Contexts;
use crate::types::{ProxyId, ServerId, TableId};

/// One configuration in force.
#[derive(Debug)]
pub struct Generation {
    running: Running,
    logs: Arc<Logs>,
    tls: Arc<Contexts>,
    /// Lines each frontend has logged (`%lc`), by [`ProxyId`].
    log_counters: Vec<AtomicU32>,
    /// By [`ProxyId`]; `None` for a proxy without servers' side.
    backends: Vec<Option<Backend>>,
    frontends_by_name: HashMap<String, ProxyId>,
    backends_by_name: HashMap<String, ProxyId>,
    tables_by_name: HashMap<String, TableId>,
    applets: OnceLock<Arc<dyn Applets>>,
    kernel: OnceLock<Arc<Dataplane>>,
}

/// One thread's hold on a generation, shared by the thread's sessions without touching a count that all threads share.
#[derive(Debug)]
pub struct LocalGeneration {
    shared: Arc<Generation>,
    queues: Vec<Option<LocalQueue>>,
}

/// The configuration of a session.
pub type Current = Rc<LocalGeneration>;

impl LocalGeneration {
    pub(super) fn new(shared: Arc<Generation>) -> Current {
        let queue = |backend: &Option<Backend>| Some(LocalQueue::new(backend.as_ref()?.queue()));
        let queues = shared.backends.iter().map(queue).collect();
        Rc::new(Self { shared, queues })
    }

    /// What all threads share of it.
    pub fn shared(&self) -> &Arc<Generation> {
        &self.shared
    }

    /// The waiting lines of a backend.
    pub fn queue(&self, backend: ProxyId) -> Option<&LocalQueue> {
        self.queues.get(backend.index())?.as_ref()
    }
}

impl Deref for LocalGeneration {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.shared
    }
}

impl Generation {
    /// Prepares a configuration. Sessions of `previous` that end give their slots to those who wait here.
    pub fn new(
        running: Running,
        logs: Arc<Logs>,
        tls: Arc<Contexts>,
        previous: Option<&Self>,
    ) -> Arc<Self> {
        let model = Arc::clone(&running.model);
        let backends = model
            .proxies
            .iter()
            .map(|proxy| {
                let has_backend = proxy.kind.has_backend() && !proxy.disabled;
                has_backend.then(|| Backend::new(&running, proxy, fullconn(&running, proxy)))
            })
            .collect();
        let named = |side: fn(ProxyKind) -> bool| {
            let proxies = model.proxies.iter().filter(|proxy| side(proxy.kind));
            proxies
                .map(|proxy| (proxy.name.clone(), proxy.id))
                .collect()
        };
        let generation = Self {
            running,
            logs,
            tls,
            log_counters: model.proxies.iter().map(|_| AtomicU32::new(0)).collect(),
            backends,
            frontends_by_name: named(ProxyKind::has_frontend),
            backends_by_name: named(ProxyKind::has_backend),
            tables_by_name: model
                .tables
                .iter()
                .map(|table| (table.name.clone(), table.id))
                .collect(),
            applets: OnceLock::new(),
            kernel: OnceLock::new(),
        };
        if let Some(previous) = previous {
            generation.succeed(previous);
        }
        Arc::new(generation)
    }

    /// Puts in place who answers for the statistics page and the services. Once only.
    pub fn set_applets(&self, applets: Arc<dyn Applets>) {
        let _already_set = self.applets.set(applets);
    }

    /// Who answers for the statistics page and the services.
    pub fn applets(&self) -> Option<&dyn Applets> {
        self.applets.get().map(|applets| &**applets)
    }

    /// Puts the kernel tier in place, whose counts accepted connections are charged to. Once only.
    pub fn set_kernel(&self, kernel: Arc<Dataplane>) {
        let _already_set = self.kernel.set(kernel);
    }

    /// The kernel tier, where there is one.
    pub fn kernel(&self) -> Option<&Dataplane> {
        self.kernel.get().map(|kernel| &**kernel)
    }

    /// The configuration and its state.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// What was configured.
    pub fn model(&self) -> &Model {
        &self.running.model
    }

    /// What happens.
    pub fn state(&self) -> &State {
        &self.running.state
    }

    /// Where traffic is logged.
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// The TLS contexts of bind lines and servers.
    pub fn tls(&self) -> &Arc<Contexts> {
        &self.tls
    }

    /// The number of a frontend's next log line, from 1.
    pub fn next_log_number(&self, frontend: ProxyId) -> u32 {
        self.log_counters[frontend.index()]
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
    }

    /// The proxy of an id.
    pub fn proxy(&self, id: ProxyId) -> &Proxy {
        self.running.model.proxy(id)
    }

    /// The backend side of a proxy.
    pub fn backend(&self, id: ProxyId) -> Option<&Backend> {
        self.backends.get(id.index())?.as_ref()
    }

    /// The proxy with a frontend side of that name.
    pub fn frontend_named(&self, name: &str) -> Option<ProxyId> {
        self.frontends_by_name.get(name).copied()
    }

    /// The proxy with a backend side of that name.
    pub fn backend_named(&self, name: &str) -> Option<ProxyId> {
        self.backends_by_name.get(name).copied()
    }

    /// The server of that name in a backend.
    pub fn server_named(&self, backend: ProxyId, name: &str) -> Option<ServerId> {
        let model = self.model();
        let named = |id: &ServerId| model.server(*id).name == name;
        model.proxy(backend).servers.iter().find(named)
    }

    /// The stick table of that name.
    pub fn table_named(&self, name: &str) -> Option<TableId> {
        self.tables_by_name.get(name).copied()
    }

    /// The backend a server belongs to.
    pub fn backend_of(&self, server: ServerId) -> Option<&Backend> {
        self.backend(self.running.model.server(server).proxy)
    }

    /// Takes note of a change of a server's state, weight or limits: those who wait for it are served or sent elsewhere.
    pub fn server_changed(&self, server: ServerId) {
        let Some(backend) = self.backend_of(server) else {
            return;
        };
        if self.state().server(server).accepts_persistent() {
            backend.queue().serve(server);
        } else {
            backend.queue().dissolve(server);
        }
    }

    fn succeed(&self, previous: &Self) {
        for old in previous.backends.iter().flatten() {
            let name = &previous.proxy(old.id()).name;
            let new = self.backend_named(name).and_then(|id| self.backend(id));
            if let Some(new) = new {
                old.queue().set_successor(Arc::clone(new.queue()));
            }
        }
    }
}

/// The `fullconn` in force: as configured, else a tenth of the `maxconn`s of the frontends that lead here by a fixed name
/// (manual §4.2).
fn fullconn(running: &Running, backend: &Proxy) -> u32 {
    if let Some(fullconn) = backend.fullconn {
        return fullconn;
    }
    let leads_here = |frontend: &&Proxy| {
        let by_rule = frontend.use_backends.iter().any(
            |rule| matches!(&rule.target, BackendTarget::Fixed(target) if *target == backend.id),
        );
        frontend.kind.has_frontend()
            && (by_rule
                || frontend.id == backend.id
                || frontend.default_backend == Some(backend.id))
    };
    let total: u64 = running
        .model
        .proxies
        .iter()
        .filter(leads_here)
        .map(|frontend| u64::from(running.state.proxy(frontend.id).frontend.maxconn()))
        .sum();
    (total / 10).clamp(1, u64::from(u32::MAX)) as u32
}
