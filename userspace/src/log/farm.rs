//! The servers of a backend in `mode log`, as the target of `log` lines (manual §4.2 `mode`, `balance`).
//!
//! A framed line comes in and goes to one server that is up: by turns, at random, by a hash of the line, or to the same
//! one for as long as it lasts. Servers that take datagrams get them at once; for the others lines wait in a ring, which
//! [`crate::syslog`] empties.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::sink::{Dropped, Sink, UdpSockets};
use crate::balance::{
    Affinity, AllBackups, BalanceFactor, Cursor, Farm as Choice, KeyHash, Load, Member, Method,
    Pick, Request, node_key, random,
};
use crate::expr::{Expression, NoView, Sample, SampleType};
use crate::model::{BalanceKind, Model, Proxy};
use crate::state::State;
use crate::types::ServerId;

/// One backend.
#[derive(Debug)]
pub(super) struct Farm {
    servers: Vec<Server>,
    all_backups: AllBackups,
    method: Method,
    sticky: bool,
    hash: Option<(Expression, KeyHash)>,
    cursor: Cursor,
    current: Mutex<Current>,
    state: Arc<State>,
}

#[derive(Debug)]
struct Server {
    id: ServerId,
    number: u32,
    backup: bool,
    way: Way,
}

/// How lines reach a server.
#[derive(Debug)]
pub(super) enum Way {
    /// As datagrams to where it is at the moment.
    Datagrams(UdpSockets),
    /// Some other way.
    Sink(Sink),
}

/// The servers that are up, and what was heard of their changes.
#[derive(Debug)]
struct Current {
    changes: Receiver<ServerId>,
    /// Indexes of usable servers: those up for longest first.
    order: Vec<usize>,
    choice: Choice,
}

impl Farm {
    /// The farm of a backend. `open` opens the way to a server.
    pub(super) fn new(
        model: &Model,
        proxy: &Proxy,
        state: &Arc<State>,
        mut open: impl FnMut(ServerId) -> Way,
    ) -> Self {
        let servers = proxy.servers.iter().map(|id| {
            let server = model.server(id);
            Server {
                id,
                number: server.number,
                backup: server.backup,
                way: open(id),
            }
        });
        let servers: Vec<_> = servers.collect();
        let (method, hash) = match &proxy.balance.kind {
            BalanceKind::LogHash(expression) => (
                Method::MapBased(Affinity::Always),
                Some((expression.clone(), proxy.balance.hash_type.into())),
            ),
            BalanceKind::Random { .. } => (
                Method::Random {
                    draws: 1,
                    factor: BalanceFactor(0),
                },
                None,
            ),
            _ => (Method::RoundRobin, None),
        };
        let all_backups = if proxy.all_backups {
            AllBackups::Yes
        } else {
            AllBackups::No
        };
        let farm = Self {
            servers,
            all_backups,
            method,
            sticky: matches!(proxy.balance.kind, BalanceKind::Sticky),
            hash,
            cursor: Cursor::default(),
            current: Mutex::new(Current {
                changes: state.server_events(),
                order: Vec::new(),
                choice: Choice::new(method, &[], all_backups),
            }),
            state: Arc::clone(state),
        };
        farm.recover(&mut farm.current.lock());
        farm
    }

    /// Sends a framed line to one of the servers.
    pub(super) fn send(&self, line: &[u8]) -> Result<(), Dropped> {
        let chosen = {
            let mut current = self.current.lock();
            self.follow(&mut current);
            self.choose(&current, line)
        };
        let server = &self.servers[chosen.ok_or(Dropped)?];
        match &server.way {
            Way::Sink(sink) => sink.send(line),
            Way::Datagrams(sockets) => {
                let address = self.state.server(server.id).socket_address();
                sockets.send_to(line, address.ok_or(Dropped)?)
            }
        }
    }

    fn choose(&self, current: &Current, line: &[u8]) -> Option<usize> {
        if self.sticky {
            let by_backup = |backup: bool| {
                let mut order = current.order.iter().copied();
                order.find(|index| self.servers[*index].backup == backup)
            };
            return by_backup(false).or_else(|| by_backup(true));
        }
        let hash = self.hash.as_ref().and_then(|(expression, hash)| {
            let line = Sample::Str(line.strip_suffix(b"\n").unwrap_or(line).into());
            let key = expression.convert(line, &NoView)?.cast(SampleType::Bin)?;
            match key {
                Sample::Bin(key) => Some(hash.of(&key)),
                _ => None,
            }
        });
        let idle = |_: ServerId| Load::default();
        let pick = current.choice.pick(&Request {
            hash,
            avoid: None,
            random: random(),
            cursor: &self.cursor,
            loads: &idle,
        });
        match pick {
            Pick::Server(id) => self.servers.iter().position(|server| server.id == id),
            Pick::Full | Pick::Nobody => None,
        }
    }

    /// Takes note of what happened to servers since the last line.
    fn follow(&self, current: &mut Current) {
        let mut changed = false;
        loop {
            match current.changes.try_recv() {
                Ok(id) => {
                    let index = self.servers.iter().position(|server| server.id == id);
                    if let Some(index) = index {
                        self.note(index, &mut current.order);
                        changed = true;
                    }
                }
                Err(TryRecvError::Lagged(_)) => {
                    self.recover(current);
                    changed = false;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if changed {
            self.rebuild(current);
        }
    }

    /// A server that came up goes to the end, one that went down is taken out.
    fn note(&self, index: usize, order: &mut Vec<usize>) {
        let is_up = self.state.server(self.servers[index].id).is_usable();
        match order.iter().position(|known| *known == index) {
            Some(at) if !is_up => {
                order.remove(at);
            }
            None if is_up => order.push(index),
            _ => {}
        }
    }

    /// Looks at every server.
    fn recover(&self, current: &mut Current) {
        (0..self.servers.len()).for_each(|index| self.note(index, &mut current.order));
        self.rebuild(current);
    }

    fn rebuild(&self, current: &mut Current) {
        let mut usable = current.order.clone();
        usable.sort_unstable();
        let members: Vec<_> = usable
            .iter()
            .map(|index| {
                let server = &self.servers[*index];
                let state = self.state.server(server.id);
                Member {
                    server: server.id,
                    number: server.number,
                    configured_weight: u32::from(state.initial_weight()),
                    weight: state.effective_weight(),
                    key: node_key(server.number),
                    backup: server.backup,
                }
            })
            .collect();
        current.choice = Choice::new(self.method, &members, self.all_backups);
    }
}
