//! What the program counts. Every CPU has its own row; readers add them up.

use crate::pod::pod;
use crate::server::ServerIndex;
use crate::service::ServiceIndex;
use crate::verdict::{DROP_REASONS, DropReason};

/// The record of per-CPU map `counters`, indexed by server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(
        zerocopy::FromBytes,
        zerocopy::IntoBytes,
        zerocopy::KnownLayout,
        zerocopy::Immutable
    )
)]
pub struct ServerCounters {
    /// Packets to the server.
    pub packets_in: u64,
    /// Bytes of those, counted from the IP header on.
    pub bytes_in: u64,
    /// Packets from the server to clients; only NAT sees them.
    pub packets_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Flows given to the server: SYNs of new TCP flows and first packets of UDP flows.
    pub flows: u64,
    /// TCP flows whose handshake was completed, as far as it is seen.
    pub established: u64,
    /// Flows given to the server that found no room in the flow table: they follow the ring, packet by packet.
    pub unremembered: u64,
}

pod!(ServerCounters);

impl ServerCounters {
    /// Adds to all of them.
    #[inline(always)]
    pub fn add(&mut self, delta: Self) {
        self.packets_in += delta.packets_in;
        self.bytes_in += delta.bytes_in;
        self.packets_out += delta.packets_out;
        self.bytes_out += delta.bytes_out;
        self.flows += delta.flows;
        self.established += delta.established;
        self.unremembered += delta.unremembered;
    }
}

/// Where drops of `service` for `reason` are counted in per-CPU map `drops` (values are `u64`).
#[inline(always)]
pub const fn drop_index(service: ServiceIndex, reason: DropReason) -> u32 {
    service.0 as u32 * DROP_REASONS + reason as u32
}

/// Where a server's row is in `counters`.
#[inline(always)]
pub const fn server_index(server: ServerIndex) -> u32 {
    server.0 as u32
}
