//! Which server a session belongs to before load balancing has a say: `use-server` and `stick` rules (manual §4.2).
//!
//! Cookies are HTTP's own; everything here serves both modes. Keys to be stored are collected while the request is at hand and
//! stored once the server that took it is known.

use std::sync::Arc;

use smallvec::SmallVec;

use super::server::Persistent;
use super::view::SessionView;
use crate::clock;
use crate::expr::StickKey;
use crate::model::{Proxy, ServerTarget, StickRule};
use crate::types::{ProxyId, ServerId, TableId};

/// Whether a server that is down may be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// No.
    No,
    /// `option persist` or a `force-persist` rule.
    Yes,
    /// An `ignore-persist` rule: there is no persistence at all.
    Ignored,
}

/// What `option persist`, `force-persist` and `ignore-persist` say of this session.
pub fn force(proxy: &Proxy, view: &SessionView<'_>) -> Force {
    let rule = proxy
        .persist_rules
        .iter()
        .find(|(_, condition)| condition.matches(view));
    match rule {
        Some((true, _)) => Force::Yes,
        Some((false, _)) => Force::Ignored,
        None if proxy.persist => Force::Yes,
        None => Force::No,
    }
}

/// The server of the first `use-server` rule that applies and whose server may be used.
pub fn use_server(backend: ProxyId, force: Force, view: &SessionView<'_>) -> Option<Persistent> {
    let generation = &view.connection.generation;
    for rule in &generation.proxy(backend).use_servers {
        if !rule
            .condition
            .as_ref()
            .is_none_or(|condition| condition.matches(view))
        {
            continue;
        }
        let server = match &rule.target {
            ServerTarget::Fixed(server) => Some(*server),
            ServerTarget::Dynamic(format) => {
                let mut name = Vec::new();
                format.render(view, &mut name);
                std::str::from_utf8(&name)
                    .ok()
                    .and_then(|name| generation.server_named(backend, name))
            }
        };
        if let Some(persistent) = server.and_then(|server| usable(server, force, view)) {
            return Some(persistent);
        }
    }
    None
}

/// The server a `stick match` or `stick on` rule remembers for this session.
pub fn sticky(backend: ProxyId, force: Force, view: &SessionView<'_>) -> Option<Persistent> {
    if force == Force::Ignored {
        return None;
    }
    let rules = &view.connection.generation.proxy(backend).stick_rules;
    rules
        .iter()
        .filter(|rule| rule.matches && applies(rule, view))
        .filter_map(|rule| remembered(rule, backend, view))
        .find_map(|server| usable(server, force, view))
}

/// Keys whose entries are to remember the server.
#[derive(Debug, Default)]
pub struct Stores(SmallVec<[(TableId, StickKey); 2]>);

impl Stores {
    /// Collects the keys of the `store-request` rules.
    pub fn of_request(backend: ProxyId, view: &SessionView<'_>) -> Self {
        Self::collect(backend, view, |rule| rule.stores)
    }

    /// Collects the keys of the `store-response` rules.
    pub fn of_response(backend: ProxyId, view: &SessionView<'_>) -> Self {
        Self::collect(backend, view, |rule| rule.stores_response)
    }

    /// Makes the entries remember a server.
    pub fn store(self, server: ServerId, view: &SessionView<'_>) {
        if self.0.is_empty() {
            return;
        }
        let generation = &view.connection.generation;
        let chosen = generation.model().server(server);
        if chosen.non_stick {
            return;
        }
        let name: Arc<str> = Arc::from(chosen.name.as_str());
        let now = clock::now();
        for (table, key) in self.0 {
            if let Some(entry) = generation.state().table(table).entry(&key, now) {
                entry.set_server(chosen.number, &name, now);
            }
        }
    }

    /// Only the first key of a table is stored, and eight at most (manual §4.2 `stick store-request`).
    fn collect(backend: ProxyId, view: &SessionView<'_>, wanted: fn(&StickRule) -> bool) -> Self {
        let generation = &view.connection.generation;
        let mut stores = Self::default();
        for rule in generation
            .proxy(backend)
            .stick_rules
            .iter()
            .filter(|rule| wanted(rule))
        {
            let known = stores.0.iter().any(|(table, _)| *table == rule.table);
            if known || stores.0.len() == MOST_STORES || !applies(rule, view) {
                continue;
            }
            if let Some(key) = key_of(rule, view) {
                stores.0.push((rule.table, key));
            }
        }
        stores
    }
}

fn applies(rule: &StickRule, view: &SessionView<'_>) -> bool {
    rule.condition
        .as_ref()
        .is_none_or(|condition| condition.matches(view))
}

fn key_of(rule: &StickRule, view: &SessionView<'_>) -> Option<StickKey> {
    let sample = rule.key.eval(view)?;
    view.connection
        .generation
        .state()
        .table(rule.table)
        .key_of(&sample)
}

/// The server an entry remembers, found by name, else by number. Looking it up keeps the entry alive.
fn remembered(rule: &StickRule, backend: ProxyId, view: &SessionView<'_>) -> Option<ServerId> {
    let generation = &view.connection.generation;
    let now = clock::now();
    let entry = generation
        .state()
        .table(rule.table)
        .lookup(&key_of(rule, view)?, now)?;
    entry.touch(now);
    let (number, name) = entry.server()?;
    let by_name = name.and_then(|name| generation.server_named(backend, &name));
    by_name.or_else(|| {
        let servers = &generation.proxy(backend).servers;
        servers
            .iter()
            .find(|id| generation.model().server(*id).number == number)
    })
}

fn usable(server: ServerId, force: Force, view: &SessionView<'_>) -> Option<Persistent> {
    let forced = force == Force::Yes;
    let up = view
        .connection
        .generation
        .state()
        .server(server)
        .accepts_persistent();
    (up || forced).then_some(Persistent { server, forced })
}

const MOST_STORES: usize = 8;
