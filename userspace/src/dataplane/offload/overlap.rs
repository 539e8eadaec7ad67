//! Makes sure that every address and port belongs to one service.
//!
//! The stack lets several sockets listen on the same address and port, and chooses between them as it likes; the kernel's
//! table leads to one service. Where two frontends of the userspace tier share a bind, neither's rules may be enforced
//! there, so the bind is left to userspace. Where a `mode l4` frontend is one of them, the configuration is refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Refusal;
use crate::dataplane::plan::{Bind, Delivery, Protocol, Service};
use crate::model::Model;

/// Removes shared binds from local services, and services without binds; refuses those of forwarded services.
pub(super) fn separate(model: &Model, services: &mut Vec<Service>, refusals: &mut Vec<Refusal>) {
    let shared = shared(services);
    for (one, other, bind) in &shared {
        let (one, other) = (&services[*one], &services[*other]);
        if [one, other]
            .iter()
            .any(|service| service.delivery != Delivery::Local)
        {
            let message = format!(
                "'{}' and '{}' both listen on {} {bind}",
                one.frontend,
                other.frontend,
                one.protocol.name()
            );
            refusals.push(Refusal {
                place: model.proxy(other.proxy).place.clone(),
                message,
            });
        }
    }
    for (one, other, bind) in shared {
        for service in [one, other] {
            services[service].binds.retain(|known| {
                !collide(known, &bind)
                    || (known.address, known.length) != (bind.address, bind.length)
            });
        }
    }
    services.retain(|service| !service.binds.is_empty());
}

/// Pairs of services with the same bind, or port ranges that overlap.
fn shared(services: &[Service]) -> Vec<(usize, usize, Bind)> {
    let mut by_address: BTreeMap<(Protocol, IpAddr, u8), Vec<(usize, Bind)>> = BTreeMap::new();
    let mut found = Vec::new();
    for (number, service) in services.iter().enumerate() {
        for bind in &service.binds {
            let known = by_address
                .entry((service.protocol, bind.address, bind.length))
                .or_default();
            for (other, earlier) in known.iter() {
                if collide(earlier, bind) && *other != number {
                    found.push((*other, number, *bind));
                }
            }
            known.push((number, *bind));
        }
    }
    found
}

/// One port goes before a range around it; two single ports collide when they are equal, two ranges when they overlap.
fn collide(one: &Bind, other: &Bind) -> bool {
    let single = |bind: &Bind| bind.first == bind.last;
    single(one) == single(other) && one.first <= other.last && other.first <= one.last
}
