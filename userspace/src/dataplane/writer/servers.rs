//! Server records: which numbers are in use, and what each change of a server's state or next hop writes.
//!
//! A number stands for one address of one service, also in the flow table and across restarts; a server that moves gets
//! another. A number that falls out of use first lets its flows finish, then is marked absent, and is given to another
//! server only when no flow can remember it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use tidegate_common::address::Address;
use tidegate_common::load::Load;
use tidegate_common::ring::Share;
use tidegate_common::server::{Bounds, Endpoint, Hop as HopWord, Server, ServerIndex, ServerState};
use tidegate_common::service::ServiceIndex;
use tidegate_common::tick::Tick;
use xxhash_rust::xxh3::xxh3_64;

use super::way::{Way, way};
use super::{Hops, Notice, Standing, Standings, WriteError, Writer, nature};
use crate::balance::WEIGHT_SCALE;
use crate::dataplane::neighbours::Obstacle;
use crate::dataplane::plan::{self, Family, Forwarding};
use crate::dataplane::tables::Tables;
use crate::types::ServerId;

/// One server of one service.
pub(super) struct ServerRecord {
    plan: plan::Server,
    /// Its number and what that stands for, once it could be reached.
    entry: Option<Entry>,
    state: ServerState,
    /// What is in its way now.
    trouble: Option<Obstacle>,
    /// The same as it was told last.
    told: Option<Obstacle>,
}

/// A server as the statistics see it.
pub(crate) struct ServerView<'a> {
    /// The service's number.
    pub service: ServiceIndex,
    /// The server in the model.
    pub id: ServerId,
    /// Its name.
    pub name: &'a str,
    /// Its number in the maps.
    pub index: Option<ServerIndex>,
    /// What it may be given.
    pub state: ServerState,
    /// Why the kernel cannot reach it.
    pub trouble: Option<&'a Obstacle>,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    index: ServerIndex,
    pub(super) address: SocketAddr,
    /// The local address it sees.
    pub(super) source: Option<IpAddr>,
    /// The VLAN it is in, 0 if in none.
    pub(super) vlan: u16,
    pub(super) bounds: Bounds,
    pub(super) hop: HopWord,
}

/// The numbers of servers.
pub(super) struct ServerNumbers {
    free: BTreeSet<ServerIndex>,
    /// Found in the maps at the start and not used yet, by service.
    known: BTreeMap<ServiceIndex, Vec<ServerIndex>>,
    /// In no ring any more: since when, and how long their flows may last.
    leaving: Vec<Leaving>,
}

struct Leaving {
    index: ServerIndex,
    since: Tick,
    lasting: u32,
    absent: bool,
}

impl ServerRecord {
    pub(super) fn new(plan: plan::Server) -> Self {
        Self {
            plan,
            entry: None,
            state: ServerState::Absent,
            trouble: None,
            told: None,
        }
    }

    /// Whether it is this server of the model.
    pub(super) fn is(&self, id: ServerId) -> bool {
        self.plan.id == id
    }

    /// Its number in the maps.
    pub(super) fn index(&self) -> Option<ServerIndex> {
        self.entry.map(|entry| entry.index)
    }

    /// Where it is.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.entry.map(|entry| entry.address.ip())
    }

    /// Its number in connection ids, and in the maps.
    pub(super) fn numbers(&self) -> Option<(u32, ServerIndex)> {
        Some((self.plan.number, self.entry?.index))
    }

    pub(super) fn view(&self, service: ServiceIndex) -> ServerView<'_> {
        ServerView {
            service,
            id: self.plan.id,
            name: &self.plan.name,
            index: self.entry.map(|entry| entry.index),
            state: self.state,
            trouble: self.trouble.as_ref(),
        }
    }
}

/// The services that servers in the maps belong to; their numbers are taken as long as those servers are there.
pub(super) fn named_services(tables: &Tables) -> BTreeSet<ServiceIndex> {
    tables
        .servers
        .iter()
        .filter(|server| is_there(server))
        .map(|server| endpoint(server).service)
        .collect()
}

impl ServerNumbers {
    /// Sorts the numbers into those that are free and those that services may go on with.
    pub(super) fn new(tables: &Tables, services: impl Iterator<Item = ServiceIndex>) -> Self {
        let mut known: BTreeMap<_, _> = services.map(|service| (service, Vec::new())).collect();
        let mut numbers = Self {
            free: BTreeSet::new(),
            known: BTreeMap::new(),
            leaving: Vec::new(),
        };
        for (index, server) in (0..=u16::MAX)
            .map(ServerIndex)
            .zip(tables.servers.iter())
            .skip(1)
        {
            if !is_there(server) {
                numbers.free.insert(index);
            } else {
                known
                    .entry(endpoint(server).service)
                    .or_default()
                    .push(index);
            }
        }
        numbers.known = known;
        numbers
    }

    /// The program before has gone: what it used and nobody took over leaves.
    pub(super) fn settle(&mut self, tables: &Tables, now: Tick) {
        for index in std::mem::take(&mut self.known).into_values().flatten() {
            self.leave(tables, index, now, LEFT_BEHIND);
        }
    }

    /// Lets a number go: flows go on for at most `lasting` ticks.
    pub(super) fn leave(&mut self, tables: &Tables, index: ServerIndex, now: Tick, lasting: u32) {
        set_state(tables, index, ServerState::Drain);
        self.leaving.push(Leaving {
            index,
            since: now,
            lasting,
            absent: false,
        });
    }

    /// Marks absent what has drained, and gives free what has been absent for long enough.
    pub(super) fn retire(&mut self, tables: &Tables, now: Tick) {
        for leaving in &mut self.leaving {
            if !leaving.absent && now.since(leaving.since) >= leaving.lasting {
                set_state(tables, leaving.index, ServerState::Absent);
                (leaving.absent, leaving.since) = (true, now);
            }
        }
        let over =
            |leaving: &Leaving| leaving.absent && now.since(leaving.since) >= leaving.lasting;
        self.free.extend(
            self.leaving
                .iter()
                .filter(|leaving| over(leaving))
                .map(|leaving| leaving.index),
        );
        self.leaving.retain(|leaving| !over(leaving));
    }

    /// The number a server had in the maps at the start.
    fn known(
        &mut self,
        tables: &Tables,
        service: ServiceIndex,
        address: SocketAddr,
    ) -> Option<Entry> {
        let known = self.known.get_mut(&service)?;
        let at = known.iter().position(|index| {
            let server = &tables.servers[usize::from(index.0)];
            Address::load(&server.address) == address.ip().into()
                && endpoint(server).port_be == address.port().to_be_bytes()
        })?;
        let index = known.swap_remove(at);
        let server = &tables.servers[usize::from(index.0)];
        let source = Some(IpAddr::from(Address::load(&server.source)))
            .filter(|source| !source.is_unspecified());
        Some(Entry {
            index,
            address,
            source,
            vlan: endpoint(server).vlan,
            bounds: Bounds::from_word(server.bounds.load()),
            hop: HopWord::from_word(server.hop.load()),
        })
    }

    fn take(&mut self, tables: &mut Tables) -> Result<ServerIndex, WriteError> {
        let index = self.free.pop_first().ok_or(WriteError::Full("servers"))?;
        tables.others.clear_counters(index)?;
        Ok(index)
    }
}

impl Writer {
    /// Brings one service's servers and ring up to date.
    pub(super) fn refresh_service(
        &mut self,
        at: usize,
        standings: &dyn Standings,
        hops: &dyn Hops,
    ) -> Result<Vec<Notice>, WriteError> {
        let Some(forwarding) = self.services[at].plan.delivery.forwarding().cloned() else {
            return Ok(Vec::new());
        };
        let mut servers = std::mem::take(&mut self.services[at].servers);
        let result = self.refresh_servers(at, &forwarding, &mut servers, standings, hops);
        self.services[at].servers = servers;
        result
    }

    fn refresh_servers(
        &mut self,
        at: usize,
        forwarding: &Forwarding,
        servers: &mut [ServerRecord],
        standings: &dyn Standings,
        hops: &dyn Hops,
    ) -> Result<Vec<Notice>, WriteError> {
        let (service, family) = (self.services[at].index, self.services[at].plan.family);
        let mut notices = Vec::new();
        let mut wanted = Vec::new();
        let mut left = Vec::new();
        let mut limited = forwarding.is_limited();
        for server in servers.iter_mut() {
            let standing = standings.standing(server.plan.id);
            let address = standing.address.or(server.plan.address);
            let address = address
                .filter(|address| forwarding.method.reaches(family, Family::of(address.ip())));
            if server.entry.is_none() {
                server.entry =
                    address.and_then(|address| self.servers.known(&self.tables, service, address));
            }
            let port = address.map_or(0, |address| address.port());
            let way = match self.services[at].plan.reaches_port(port) {
                true => way(forwarding.method, address, server.entry, hops),
                false => Err(Obstacle::OwnPort(port)),
            };
            let trouble = way.as_ref().err().cloned();
            // Being asked for is not worth a word at once; the answer, or its absence, is.
            if trouble != server.told && !matches!(trouble, Some(Obstacle::Asking(_))) {
                notices.push(Notice {
                    backend: forwarding.backend.clone(),
                    server: server.plan.name.clone(),
                    trouble: trouble.clone(),
                });
                server.told.clone_from(&trouble);
            }
            server.trouble = trouble;
            let way = way
                .ok()
                .map(|way| way.bounded(forwarding.method, family, address));
            left.extend(self.entry(service, server, address, way)?);
            if let Some(entry) = server.entry {
                let load = &self.tables.loads[usize::from(entry.index.0)];
                load.limit.store(u64::from(standing.limit));
                load.price.store(Load::price_of(standing.weight));
            }
            limited |= standing.limit != 0;
            wanted.push(state(&server.plan, standing, server.entry));
        }
        self.store_states(servers, &wanted, takes_less);
        self.store_states(servers, &wanted, |_, _| true);
        let shares = shares(forwarding, servers, standings);
        let turns = turns(forwarding, &shares);
        self.set_ring(at, shares)?;
        self.set_choice(at, nature::choice(forwarding, limited), turns)?;
        let lasting = self
            .ticks
            .span(forwarding.idle.established.min(LONGEST_DRAIN));
        for index in left {
            self.servers
                .leave(&self.tables, index, self.ticks.now(), lasting);
        }
        Ok(notices)
    }

    /// Gives a server the number for where it is, and returns the one it had for elsewhere.
    fn entry(
        &mut self,
        service: ServiceIndex,
        server: &mut ServerRecord,
        address: Option<SocketAddr>,
        way: Option<Way>,
    ) -> Result<Option<ServerIndex>, WriteError> {
        let moved = server
            .entry
            .is_some_and(|entry| Some(entry.address) != address);
        let (Some(address), Some(way)) = (address, way) else {
            if let Some(entry) = &mut server.entry {
                entry.hop.mac = [0; 6];
            }
            return Ok(if moved {
                server.entry.take().map(|entry| entry.index)
            } else {
                None
            });
        };
        let interface = (way.interface % self.interface_modulus) as u8;
        match &mut server.entry {
            Some(entry) if !moved && (entry.source, entry.vlan) == (way.source, way.vlan) => {
                (entry.hop.mac, entry.hop.interface) = (way.mac, interface);
                if entry.bounds != way.bounds {
                    entry.bounds = way.bounds;
                    let record = &self.tables.servers[usize::from(entry.index.0)];
                    record.bounds.store(way.bounds.word());
                }
                Ok(None)
            }
            _ => {
                let index = self.servers.take(&mut self.tables)?;
                let hop = HopWord {
                    mac: way.mac,
                    interface,
                    state: ServerState::Absent,
                };
                let endpoint = Endpoint {
                    port_be: address.port().to_be_bytes(),
                    service,
                    vlan: way.vlan,
                };
                let source = way.source.map_or_else(Address::default, Address::from);
                // Whose number it was has no flows any more.
                let load = &self.tables.loads[usize::from(index.0)];
                load.rebase(0, load.difference());
                let record = &self.tables.servers[usize::from(index.0)];
                record.publish(endpoint, address.ip().into(), source, way.bounds, hop);
                let entry = Entry {
                    index,
                    address,
                    source: way.source,
                    vlan: way.vlan,
                    bounds: way.bounds,
                    hop,
                };
                Ok(server.entry.replace(entry).map(|entry| entry.index))
            }
        }
    }

    /// Writes states and next hops where `which` says so of the old state and the new one.
    fn store_states(
        &self,
        servers: &mut [ServerRecord],
        wanted: &[ServerState],
        which: impl Fn(ServerState, ServerState) -> bool,
    ) {
        for (server, wanted) in servers.iter_mut().zip(wanted) {
            let Some(entry) = &mut server.entry else {
                server.state = ServerState::Absent;
                continue;
            };
            if which(entry.hop.state, *wanted) {
                entry.hop.state = *wanted;
                server.state = *wanted;
                self.tables.servers[usize::from(entry.index.0)]
                    .hop
                    .store(entry.hop.word());
            }
        }
    }
}

fn state(server: &plan::Server, standing: Standing, entry: Option<Entry>) -> ServerState {
    if entry.is_none_or(|entry| !entry.hop.is_known()) || !standing.usable {
        if standing.stopped && server.cut_when_down {
            ServerState::Down
        } else {
            ServerState::Drain
        }
    } else {
        ServerState::Up
    }
}

/// Who gets new flows, and how many of them: the active servers, or else the backups (manual §5.2 `backup`,
/// `option allbackups`). Those that cannot take any now are told as well: their places are theirs again later.
fn shares(
    forwarding: &Forwarding,
    servers: &[ServerRecord],
    standings: &dyn Standings,
) -> Vec<Share> {
    let share = |server: &ServerRecord| {
        let standing = standings.standing(server.plan.id);
        let address = server.entry.map(|entry| entry.address);
        let address = address.or(standing.address).or(server.plan.address)?;
        let usable = server.state == ServerState::Up && standing.weight > 0;
        Some(Share {
            server: server.entry.map_or(ServerIndex(0), |entry| entry.index),
            weight: match standing.weight {
                0 => u32::from(server.plan.weight) * WEIGHT_SCALE,
                weight => weight,
            },
            key: xxh3_64(address.to_string().as_bytes()),
            usable: usable && server.entry.is_some(),
        })
    };
    let of = |backup: bool| -> Vec<Share> {
        let servers = servers.iter().filter(|server| server.plan.backup == backup);
        servers.filter_map(share).collect()
    };
    let active = of(false);
    if active.iter().any(|share| share.usable) {
        return active;
    }
    let backups = of(true);
    if forwarding.all_backups {
        backups
    } else {
        let mut usable = backups.into_iter().filter(|share| share.usable);
        usable.next().into_iter().collect()
    }
}

/// Who takes turns, where anybody does. Where flows are compared or limited every server has one turn in a round: weights
/// are in the comparison, or chose the server that was full.
fn turns(forwarding: &Forwarding, shares: &[Share]) -> Option<Vec<Share>> {
    let by_weight = forwarding.choice.takes_turns() && !forwarding.choice.compares();
    let turn = |share: &Share| Share {
        weight: if by_weight { share.weight } else { 1 },
        ..*share
    };
    forwarding
        .needs_schedule()
        .then(|| shares.iter().map(turn).collect())
}

/// Whether a server may be given less than before: such a change is written first.
fn takes_less(before: ServerState, after: ServerState) -> bool {
    before == ServerState::Up && after != ServerState::Up || after == ServerState::Down
}

fn is_there(server: &Server) -> bool {
    HopWord::from_word(server.hop.load()).state != ServerState::Absent
}

fn endpoint(server: &Server) -> Endpoint {
    Endpoint::from_word(server.endpoint.load())
}

fn set_state(tables: &Tables, index: ServerIndex, state: ServerState) {
    let record = &tables.servers[usize::from(index.0)].hop;
    record.store(
        HopWord {
            state,
            ..HopWord::from_word(record.load())
        }
        .word(),
    );
}

/// How long flows of a server that has left may last, in milliseconds, where their timeouts say longer or never.
pub(super) const LONGEST_DRAIN: u64 = 3_600_000;

/// The same for servers found in the maps that no service has, in ticks: whatever the clock, minutes to hours.
const LEFT_BEHIND: u32 = 360_000;
