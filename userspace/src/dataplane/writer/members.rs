//! Which servers there are, and those that come and go while the program runs.
//!
//! Input is a plan, or one that differs from the one in force in nothing but its servers; output are their addresses, and the
//! numbers that leave. What comes gets its number with the next refresh.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tidegate_common::server::ServerIndex;

use super::servers::{LONGEST_DRAIN, ServerRecord};
use super::{ServiceRecord, Standings, Writer};
use crate::dataplane::plan::{self, Plan};

impl Writer {
    /// Every address servers are at, whose next hops are needed.
    pub(in crate::dataplane) fn server_addresses(
        plan: &Plan,
        standings: &dyn Standings,
    ) -> BTreeSet<IpAddr> {
        let forwardings = plan
            .services
            .iter()
            .filter_map(|service| service.delivery.forwarding());
        let servers = forwardings.flat_map(|forwarding| &forwarding.servers);
        servers
            .filter_map(|server| standings.standing(server.id).address.or(server.address))
            .map(|address| address.ip())
            .collect()
    }

    /// Takes over which servers the services of another plan have; everything else stays as it is. [`Self::refresh`] enters
    /// those that are new.
    pub(in crate::dataplane) fn set_members(&mut self, plan: &Plan) {
        let services = self.plan.services.iter_mut().zip(&mut self.services);
        for ((known, record), wanted) in services.zip(&plan.services) {
            let wanted = wanted.delivery.forwarding().map(|it| &it.servers);
            let known = known.delivery.forwarding_mut();
            let planned = record.plan.delivery.forwarding_mut();
            let (Some(known), Some(planned), Some(wanted)) = (known, planned, wanted) else {
                continue;
            };
            known.servers.clone_from(wanted);
            planned.servers.clone_from(wanted);
            let lasting = self.ticks.span(planned.idle.established.min(LONGEST_DRAIN));
            let gone = record.set_servers(wanted);
            for index in gone {
                let now = self.ticks.now();
                self.servers.leave(&self.tables, index, now, lasting);
            }
        }
    }
}

impl ServiceRecord {
    /// Has these servers from now on; returns the numbers of those that are gone.
    fn set_servers(&mut self, wanted: &[plan::Server]) -> Vec<ServerIndex> {
        let mut before = std::mem::take(&mut self.servers);
        for server in wanted {
            let known = before.iter().position(|known| known.is(server.id));
            self.servers.push(match known {
                Some(at) => before.swap_remove(at),
                None => ServerRecord::new(server.clone()),
            });
        }
        before.iter().filter_map(ServerRecord::index).collect()
    }
}
