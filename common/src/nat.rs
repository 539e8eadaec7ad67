//! The NAT table: from a server's answer back to the client.
//!
//! Map `nat` is one array for all CPUs, an entry per cache line. What the server sees (its own address and port, our
//! source port, the protocol) gives exactly one place by a secret hash, so one such tuple can never be held twice; a port
//! whose place is taken is skipped for the next candidate. Only the program writes the array.

use crate::word::Word;

/// The record of map `nat`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct NatEntry {
    /// Last packet (tick), source port, flow state, protocol; 0 is a free entry. Written last, checked first and last.
    pub head: Word,
    /// Client port, service port (both network order), server.
    pub ends: Word,
    /// The client.
    pub client: [Word; 2],
    /// The address the client used.
    pub service: [Word; 2],
    /// The client's next hop: hardware address, interface index, VLAN tags in use.
    pub hop: Word,
    /// The flow's entry in `flows` (bucket, then way in the low two bits), then both VLAN tags.
    pub flow: Word,
}

const _: () = assert!(size_of::<NatEntry>() == 64);
