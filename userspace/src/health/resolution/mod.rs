//! Server names resolved while the process runs (manual §5.3): servers follow their name's addresses.
//!
//! Servers of one backend with the same name are one [`Group`]; each group is a task that asks, gives every server its
//! address, and puts those without one into maintenance. Who is asked is [`ask`]'s, who gets what
//! [`assign`]'s.

mod assign;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::sleep;

use self::assign::{Known, Place};
use super::life::Life;
use crate::clock::{self, Moment};
use crate::log::Logs;
use crate::model::{Model, Resolution};
use crate::net::resolver::{self as ask, Status, Told};
use crate::proto::dns::Service;
use crate::state::Running;
use crate::types::{Millis, ProxyId, ServerId};

/// Servers of a backend that share a name.
#[derive(Clone, Debug)]
pub(super) struct Group {
    resolution: Arc<Resolution>,
    servers: Vec<ServerId>,
}

/// The groups of all backends that are in service.
pub(super) fn groups(model: &Model) -> Vec<Group> {
    let mut groups: Vec<(ProxyId, Group)> = Vec::new();
    for server in model.servers.iter() {
        let Some(resolution) = &server.resolution else {
            continue;
        };
        if model.proxy(server.proxy).disabled || resolution.resolvers.nameservers.is_empty() {
            continue;
        }
        let same = groups
            .iter_mut()
            .find(|(proxy, group)| *proxy == server.proxy && group.resolution == *resolution);
        match same {
            Some((_, group)) => group.servers.push(server.id),
            None => groups.push((
                server.proxy,
                Group {
                    resolution: Arc::clone(resolution),
                    servers: vec![server.id],
                },
            )),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Keeps a group's servers at their name's addresses until dropped.
pub(super) async fn follow(running: &Running, logs: &Logs, group: Group) {
    let mut memory = Memory::default();
    loop {
        round(running, logs, &group, &mut memory).await;
        let pause = group.resolution.resolvers.resolve.max(SHORTEST_PAUSE);
        sleep(pause.duration()).await;
    }
}

/// What a group remembers between two rounds.
#[derive(Default)]
struct Memory {
    addresses: Known<IpAddr>,
    places: Known<(SocketAddr, u16)>,
    last_valid: Option<Moment>,
}

async fn round(running: &Running, logs: &Logs, group: &Group, memory: &mut Memory) {
    let resolution = &*group.resolution;
    let resolvers = &*resolution.resolvers;
    let told = if resolution.is_service() {
        ask::services(resolvers, &resolution.name).await
    } else {
        ask::addresses(resolvers, &resolution.name, resolution.prefer_v6).await
    };
    let told = match told {
        Ok(told) => told,
        Err(status) => {
            let now = clock::now();
            let life = Life::new(running, logs);
            if !is_held(resolution, status, memory.last_valid, now) {
                for id in &group.servers {
                    life.unresolved(*id, status.words(), now);
                }
            }
            return;
        }
    };
    let by = format!("{}/{}", resolvers.name, told.by.name);
    let places = if resolution.is_service() {
        Some(located(resolution, &told).await)
    } else {
        None
    };
    let now = clock::now();
    let obsolete = resolvers.hold.obsolete.0;
    memory.last_valid = Some(now);
    let life = Life::new(running, logs);
    match places {
        Some(places) => {
            memory.places.learn(&places, now, obsolete);
            let current: Vec<Place> = memory
                .places
                .current()
                .into_iter()
                .map(|(address, weight)| Place { address, weight })
                .collect();
            place_services(&life, running, group, &current, &by, now);
        }
        None => {
            memory
                .addresses
                .learn(&told.answer.addresses, now, obsolete);
            place_addresses(&life, running, group, &memory.addresses.current(), &by, now);
        }
    }
}

/// Whether an earlier valid answer outweighs a failure (`hold`).
fn is_held(resolution: &Resolution, status: Status, last: Option<Moment>, now: Moment) -> bool {
    let hold = &resolution.resolvers.hold;
    let period = match status {
        Status::NoSuchName => hold.nx,
        Status::Refused => hold.refused,
        Status::Timeout => hold.timeout,
        Status::Other => hold.other,
    };
    last.is_some_and(|last| now.since(last) < period.0)
}

/// Where the servers of a service are: names told beside the answer are not asked for again.
async fn located(resolution: &Resolution, told: &Told<'_>) -> Vec<(SocketAddr, u16)> {
    let services = || told.answer.services.iter().take(MOST_SERVICES);
    let found = services().map(|service| async move {
        let beside = told
            .answer
            .additional
            .iter()
            .filter(|(name, _)| *name == service.target);
        let preferred = beside
            .clone()
            .find(|(_, ip)| ip.is_ipv6() == resolution.prefer_v6);
        match preferred.or_else(|| beside.clone().next()) {
            Some((_, ip)) => Some(*ip),
            None => address_of(resolution, service).await,
        }
    });
    let found = join_all(found).await;
    services()
        .zip(found)
        .filter_map(|(service, ip)| Some((SocketAddr::new(ip?, service.port), service.weight)))
        .collect()
}

async fn address_of(resolution: &Resolution, service: &Service) -> Option<IpAddr> {
    let told = ask::addresses(&resolution.resolvers, &service.target, resolution.prefer_v6);
    let told = told.await.ok()?;
    assign::addresses(resolution, &told.answer.addresses, &[None])
        .first()
        .copied()
        .flatten()
}

fn place_addresses(
    life: &Life<'_>,
    running: &Running,
    group: &Group,
    current: &[IpAddr],
    by: &str,
    now: Moment,
) {
    let has: Vec<Option<IpAddr>> = group
        .servers
        .iter()
        .map(|id| running.state.server(*id).socket_address())
        .map(|address| address.map(|address| address.ip()))
        .collect();
    let given = assign::addresses(&group.resolution, current, &has);
    for (id, ip) in group.servers.iter().zip(given) {
        match ip {
            Some(ip) => life.resolved(*id, ip, None, by, now),
            None => life.unresolved(*id, NO_ADDRESS, now),
        }
    }
}

fn place_services(
    life: &Life<'_>,
    running: &Running,
    group: &Group,
    current: &[Place],
    by: &str,
    now: Moment,
) {
    let has: Vec<Option<SocketAddr>> = group
        .servers
        .iter()
        .map(|id| running.state.server(*id).socket_address())
        .collect();
    for (id, place) in group.servers.iter().zip(assign::places(current, &has)) {
        let Some(place) = place else {
            life.unresolved(*id, NO_ADDRESS, now);
            continue;
        };
        if !group.resolution.ignore_weight {
            // 0 to 65535 onto 1 to 256: what has no weight in DNS still takes part.
            life.set_weight(*id, place.weight / 256 + 1, now);
        }
        life.resolved(*id, place.address.ip(), Some(place.address.port()), by, now);
    }
}

const NO_ADDRESS: &str = "No IP for server";

/// Servers of one service that are looked at.
const MOST_SERVICES: usize = 256;

/// Name servers are not asked more often than this, whatever `timeout resolve` says.
const SHORTEST_PAUSE: Millis = Millis(10);
