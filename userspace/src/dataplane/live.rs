//! The flows servers have now, counted in the kernel's flow table.
//!
//! Input is the table as it lies in memory; output are numbers for statistics, and the correction of those the program
//! keeps for `leastconn`, `random` and `maxconn` ([`tidegate_common::load`]): flows that time out, or whose end it does not
//! see, leave its sums only here.

use serde::Serialize;
use tidegate_common::flow::FlowState;
use tidegate_common::server::ServerIndex;

use super::feedback::Feedback;

/// How many flows a server has, by how far they have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveFlows {
    /// TCP, in the handshake.
    pub opening: u64,
    /// TCP.
    pub established: u64,
    /// TCP, after a FIN or RST: no longer among those that `maxconn` and `leastconn` count.
    pub closing: u64,
    /// UDP.
    pub datagram: u64,
}

impl LiveFlows {
    /// Those that have not been seen to end.
    pub const fn live(self) -> u64 {
        self.opening + self.established + self.datagram
    }

    fn count(&mut self, state: FlowState) {
        match state {
            FlowState::OPENING | FlowState::ANSWERED => self.opening += 1,
            FlowState::ESTABLISHED => self.established += 1,
            FlowState::CLOSING | FlowState::RESET => self.closing += 1,
            FlowState::DATAGRAM => self.datagram += 1,
            _ => {}
        }
    }
}

/// What was counted in one go through the table.
pub(super) struct Count {
    servers: Vec<LiveFlows>,
    /// All flows, ended ones left out.
    pub(super) live: u64,
}

impl Count {
    /// Those of a server.
    pub(super) fn of(&self, server: Option<ServerIndex>) -> LiveFlows {
        let counted = server.and_then(|index| self.servers.get(usize::from(index.0)));
        counted.copied().unwrap_or_default()
    }
}

impl Feedback {
    /// Counts the flows that have not expired.
    pub(super) fn count_flows(&self) -> Count {
        let now = self.ticks.now();
        let mut count = Count {
            servers: vec![LiveFlows::default(); self.loads.len()],
            live: 0,
        };
        for entry in self.flows.iter().flat_map(|bucket| &bucket.entries) {
            let (state, track) = entry.read();
            if state == FlowState::NONE || track.has_expired(now) {
                continue;
            }
            count.live += u64::from(state.is_live());
            if let Some(server) = count.servers.get_mut(usize::from(track.server.0)) {
                server.count(state);
            }
        }
        count
    }

    /// Corrects what the program takes for the number of flows of each server.
    pub(super) fn correct_loads(&self) {
        // Flows that come or go while the table is counted are in the difference and perhaps in the count: an error of as
        // many, until the next time.
        let before: Vec<u64> = self.loads.iter().map(|load| load.difference()).collect();
        let count = self.count_flows();
        for ((load, counted), difference) in self.loads.iter().zip(&count.servers).zip(before) {
            load.rebase(counted.live(), difference);
        }
    }
}
