//! The backend side of a proxy on the data path: which servers it balances over, in what order, and who waits for them.
//!
//! The farm is rebuilt when a server changed since it was built; picking takes no lock. What the key of a hash is made of
//! is read from a [`View`] in [`key`].

mod key;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::balance::{
    Affinity, AllBackups, BalanceFactor, Cursor, Farm, KeyHash, Load, Member, Method, Pick,
    Request, node_key, random,
};
use crate::clock;
use crate::expr::View;
use crate::model::{self, Balance, BalanceKind, Proxy};
use crate::queue::Queue;
use crate::state::Running;
use crate::types::{ProxyId, ServerId};

/// One backend of one configuration.
#[derive(Debug)]
pub struct Backend {
    running: Running,
    id: ProxyId,
    method: Method,
    key_hash: KeyHash,
    all_backups: AllBackups,
    farm: ArcSwap<Built>,
    cursor: Cursor,
    queue: Arc<Queue>,
}

/// A farm, and the state of the servers it was built from.
#[derive(Debug)]
struct Built {
    epoch: u64,
    farm: Farm,
}

impl Backend {
    pub(super) fn new(running: &Running, proxy: &Proxy, fullconn: u32) -> Self {
        let (method, key_hash) = method(&proxy.balance);
        let all_backups = if proxy.all_backups {
            AllBackups::Yes
        } else {
            AllBackups::No
        };
        let nothing = Built {
            epoch: 0,
            farm: Farm::new(method, &[], all_backups),
        };
        Self {
            running: running.clone(),
            id: proxy.id,
            method,
            key_hash,
            all_backups,
            farm: ArcSwap::from_pointee(nothing),
            cursor: Cursor::default(),
            queue: Queue::new(running, proxy.id, fullconn),
        }
    }

    /// Its proxy.
    pub const fn id(&self) -> ProxyId {
        self.id
    }

    /// Its waiting lines.
    pub const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The hash that chooses a server for what `view` shows; `None` when the method needs none or the key is not there.
    pub fn hash(&self, view: &dyn View) -> Option<u32> {
        key::hash(&self.proxy().balance.kind, self.key_hash, view)
    }

    /// Whether the method leads the same key to the same server, so that a busy server is waited for.
    pub const fn is_hashing(&self) -> bool {
        matches!(self.method, Method::MapBased(_) | Method::Consistent(..))
    }

    /// Chooses a server by load balancing, preferring another than `avoid`.
    pub fn pick(&self, hash: Option<u32>, avoid: Option<ServerId>) -> Pick {
        let built = self.built();
        let counts_rate = matches!(self.method, Method::Random { .. });
        let loads = |server: ServerId| {
            let state = self.running.state.server(server);
            Load {
                active: state.current.current(),
                queued: state.queue.current(),
                limit: self.queue.limit(server).unwrap_or(0),
                queue_limit: self.queue.queue_limit(server),
                rate: if counts_rate {
                    state.rate.read(clock::now())
                } else {
                    0
                },
            }
        };
        built.farm.pick(&Request {
            hash,
            avoid,
            random: random(),
            cursor: &self.cursor,
            loads: &loads,
        })
    }

    fn proxy(&self) -> &Proxy {
        self.running.model.proxy(self.id)
    }

    /// The farm of the servers as they are now.
    fn built(&self) -> arc_swap::Guard<Arc<Built>> {
        let epoch = self.running.state.servers_epoch();
        let built = self.farm.load();
        if built.epoch == epoch {
            return built;
        }
        // Two threads may build the same farm; the later one only repeats the work.
        let farm = Farm::new(self.method, &self.members(), self.all_backups);
        self.farm.store(Arc::new(Built { epoch, farm }));
        self.farm.load()
    }

    fn members(&self) -> Vec<Member> {
        let state = &self.running.state;
        self.proxy()
            .servers
            .iter()
            .filter(|id| state.server(*id).is_usable())
            .map(|id| {
                let server = self.running.model.server(id);
                Member {
                    server: id,
                    number: server.number,
                    configured_weight: u32::from(state.server(id).initial_weight()),
                    weight: state.server(id).effective_weight(),
                    key: node_key(server.number),
                    backup: server.backup,
                }
            })
            .collect()
    }
}

/// The method of a `balance` line and the hash of its keys.
fn method(balance: &Balance) -> (Method, KeyHash) {
    let factor = BalanceFactor(balance.balance_factor);
    let affinity = match balance.affinity {
        model::Affinity::Always => Affinity::Always,
        model::Affinity::Maxconn => Affinity::Maxconn,
        model::Affinity::Maxqueue => Affinity::Maxqueue,
    };
    let hash_type = balance.hash_type;
    let hashing = if hash_type.consistent {
        Method::Consistent(affinity, factor)
    } else {
        Method::MapBased(affinity)
    };
    let method = match &balance.kind {
        BalanceKind::RoundRobin => Method::RoundRobin,
        BalanceKind::StaticRoundRobin => Method::StaticRoundRobin,
        BalanceKind::LeastConnections => Method::LeastConn,
        BalanceKind::First => Method::First,
        BalanceKind::Random { draws } => Method::Random {
            draws: *draws,
            factor,
        },
        BalanceKind::Source
        | BalanceKind::Uri(_)
        | BalanceKind::UrlParameter { .. }
        | BalanceKind::Header { .. }
        | BalanceKind::RdpCookie(_)
        | BalanceKind::Hash(_)
        | BalanceKind::LogHash(_)
        | BalanceKind::Sticky
        | BalanceKind::Maglev => hashing,
    };
    (method, hash_type.into())
}
