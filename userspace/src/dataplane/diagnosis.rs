//! What an operator should know of a configuration that runs, but perhaps not as was meant.
//!
//! Input are the plan, the interfaces the program is on, this machine's addresses and the ways to servers; output are
//! sentences, said at the start or when they become true, and by `show xdp`. Servers that cannot be reached are told of one by
//! one, when it happens, by the writer.

mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_common::tunnel::Tunnel;

use super::neighbours::NextHop;
use super::plan::{self, Delivery, Plan};

pub(super) use links::Seat;

/// Everything there is to say. `way` is how frames get to a server, and where that is.
pub(super) fn diagnose(
    plan: &Plan,
    seats: &[Seat<'_>],
    own: &[IpAddr],
    way: &dyn Fn(&plan::Server) -> Option<(IpAddr, NextHop)>,
) -> Vec<String> {
    let mut said: Vec<String> = seats.iter().flat_map(Seat::diagnose).collect();
    if seats.iter().all(|seat| seat.interface.name == LOOPBACK) {
        said.push("the program is on the loopback interface alone: packets from other machines do not meet it".to_owned());
    }
    let mut nowhere = BTreeSet::new();
    for service in &plan.services {
        let Delivery::Forward(forwarding) = &service.delivery else {
            continue;
        };
        let foreign = service.binds.iter().filter(|bind| {
            !bind.is_network() && !bind.is_wildcard() && !own.contains(&bind.address)
        });
        nowhere.extend(foreign.map(|bind| (&service.frontend, bind.address)));
        if forwarding.servers.is_empty() {
            said.push(format!(
                "'{}' listens in {}, for which backend '{}' has no server",
                service.frontend,
                service.family.name(),
                forwarding.backend
            ));
        }
    }
    said.extend(nowhere.into_iter().map(|(frontend, address)| {
        format!(
            "{address} of '{frontend}' is on no interface of this machine: nobody answers for it on the link, so its packets \
             come only if a router is told to send them here"
        )
    }));
    said.extend(narrow(plan, seats, way));
    said
}

/// Tunnels in which packets as long as most networks take them do not fit: of each backend, the worst on each interface.
fn narrow(
    plan: &Plan,
    seats: &[Seat<'_>],
    way: &dyn Fn(&plan::Server) -> Option<(IpAddr, NextHop)>,
) -> Vec<String> {
    let mut worst = BTreeMap::new();
    for service in &plan.services {
        let forwarding = service.delivery.forwarding();
        let Some(forwarding) = forwarding.filter(|forwarding| forwarding.method.tunnels()) else {
            continue;
        };
        let port = match forwarding.method {
            plan::Method::Gue { port } => port,
            _ => 0,
        };
        for (address, hop) in forwarding.servers.iter().filter_map(way) {
            let tunnel = Tunnel {
                destination: address.into(),
                port_be: port.to_be_bytes(),
                ..Tunnel::default()
            };
            let overhead = u32::from(tunnel.overhead());
            if hop.mtu < ORDINARY + overhead {
                let key = (&forwarding.backend, hop.interface);
                let most = worst
                    .entry(key)
                    .or_insert((overhead, forwarding.method, hop.mtu));
                most.0 = most.0.max(overhead);
            }
        }
    }
    let tell = |((backend, number), (overhead, method, mtu)): ((&String, u32), _)| {
        let mut seats = seats.iter().map(|seat| seat.interface);
        let name = &seats.find(|interface| interface.index == number)?.name;
        let method: plan::Method = method;
        let (fits, needed): (u32, u32) = (u32::saturating_sub(mtu, overhead), ORDINARY + overhead);
        Some(format!(
            "'forward {}' of '{backend}' puts {overhead} bytes in front of packets, and '{name}' takes {mtu}: packets of more \
             than {fits} bytes come back as too big; 'ip link set {name} mtu {needed}' here and at the servers makes room",
            method.name()
        ))
    };
    worst.into_iter().filter_map(tell).collect()
}

const LOOPBACK: &str = "lo";

/// What clients send at most, unless they know better: Ethernet's.
const ORDINARY: u32 = 1500;

#[cfg(test)]
mod tests;
