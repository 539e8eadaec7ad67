//! From a packet's destination to its service: the addresses and ports we answer for.
//!
//! Map `binds` is an array of 64-byte buckets with two entries each, in two halves of which one is in force. A packet
//! looks for its exact (address, port, protocol) first; if that is missing, for the entry of the address alone, which
//! leads to the port ranges of that address in map `ranges`;
//! then for the networks around the address, which lead to port ranges too. A packet for anyone else therefore costs two cache lines.
//! Every address of a bind has an address entry, also without ranges: it tells the normaliser (and later ICMP) that the
//! address is ours. A `bind` on all addresses is entered once for every address the machine has.

#[cfg(any(feature = "user", test))]
use alloc::vec;

use crate::address::Address;
use crate::hash::{Hasher, reduce};
use crate::parse::Packet;
use crate::server::ServerIndex;
use crate::service::ServiceIndex;
use crate::word::{Word, high, low};

/// The record of map `binds`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct BindBucket {
    /// Both ways.
    pub entries: [BindEntry; 2],
}

/// One way of a bucket.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct BindEntry {
    /// Destination address.
    pub address: [Word; 2],
    /// Port (network order), protocol, kind of target, target; 0 is an empty entry.
    pub target: Word,
    /// Zero.
    pub spare: Word,
}

/// The record of map `ranges`: up to eight port ranges. Row 0 is never used.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct RangeRow {
    /// First port, last port, service (16 bits each), protocol; 0 is an empty entry.
    pub ranges: [Word; RANGES_PER_ROW],
}

/// What an entry is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindKey {
    /// Destination address.
    pub address: Address,
    /// Destination port in network order; 0 for the address alone.
    pub port_be: [u8; 2],
    /// IP protocol number (6 or 17); 0 for the address alone.
    pub protocol: u8,
}

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An exact port: its service.
    Service(ServiceIndex),
    /// A server's address: what it sends may be the answer of a flow with `forward dnat`.
    Answers,
    /// The number of a server in connection ids: the server.
    Server(ServerIndex),
    /// An address: its port ranges are in `rows` rows of `ranges` from `first` on.
    Ranges {
        /// First row.
        first: u16,
        /// How many rows, up to [`RANGE_ROWS`].
        rows: u8,
        /// Whether it is no address of this machine, but one whose packets are forwarded: then nobody else answers for it.
        forwarded: bool,
    },
}

/// A run of ports of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port, included.
    pub last: u16,
    /// Their service.
    pub service: ServiceIndex,
    /// IP protocol number.
    pub protocol: u8,
}

impl BindKey {
    /// The key of an address alone.
    #[inline(always)]
    pub const fn address(address: Address) -> Self {
        Self {
            address,
            port_be: [0, 0],
            protocol: 0,
        }
    }

    /// The key of the address and port a packet is for.
    #[inline(always)]
    pub const fn exact(packet: &Packet) -> Self {
        Self {
            address: packet.network.destination,
            port_be: packet.transport.destination_port_be,
            protocol: packet.network.protocol,
        }
    }

    /// The key of a network, of which `bits` counts all 128 ([`Address::network`]).
    #[inline(always)]
    pub const fn network(network: Address, bits: u8) -> Self {
        Self {
            address: network,
            port_be: [bits, 1],
            protocol: NETWORK,
        }
    }

    /// The key of a server whose answers come back through here with the client's address as their destination.
    #[inline(always)]
    pub const fn answers(server: Address) -> Self {
        Self {
            address: server,
            port_be: [0, 0],
            protocol: ANSWERING,
        }
    }

    /// The key of a server of a service by the number it puts into connection ids ([`crate::quic`]).
    #[inline(always)]
    pub const fn server(service: ServiceIndex, number: u64) -> Self {
        Self {
            address: Address::from_words([service.0 as u64, number]),
            port_be: [0, 0],
            protocol: SERVER_NUMBER,
        }
    }

    /// The bucket this key lives in, within a half.
    #[inline(always)]
    pub fn bucket(self, seed: u32, buckets: u32) -> u32 {
        let [a, b] = self.port_be;
        let rest = u32::from_ne_bytes([a, b, self.protocol, 0]);
        // Nobody can aim at these buckets: what is in them was placed. The hash of the address is at hand, because it was
        // looked for in `Config::bound` before.
        let start = Hasher::new(self.address.scattered() ^ (seed as u64).wrapping_mul(EVERYWHERE));
        reduce(high(start.word(rest as u64).folded()), buckets)
    }
}

impl BindBucket {
    /// The target of `key`, if this bucket has it.
    #[inline(always)]
    pub fn find(&self, key: BindKey) -> Option<Target> {
        let [first, second] = &self.entries;
        match first.find(key) {
            None => second.find(key),
            found => found,
        }
    }
}

impl BindBucket {
    /// The service of `key`, if this bucket has it; [`Self::find`] for keys that can lead to nothing else.
    #[inline(always)]
    pub fn service(&self, key: BindKey) -> Option<ServiceIndex> {
        let [first, second] = &self.entries;
        match first.service(key) {
            None => second.service(key),
            found => found,
        }
    }
}

impl BindEntry {
    #[inline(always)]
    fn service(&self, key: BindKey) -> Option<ServiceIndex> {
        let [a, b] = key.port_be;
        let wanted = u32::from_ne_bytes([a, b, key.protocol, SERVICE]);
        let target = self.target.load();
        let is_it = low(target) == wanted && Address::load(&self.address) == key.address;
        is_it.then_some(ServiceIndex(high(target) as u16))
    }

    #[inline(always)]
    fn find(&self, key: BindKey) -> Option<Target> {
        let [a, b, protocol, kind, v, w, x, y] = self.target.bytes();
        if [a, b] != key.port_be
            || protocol != key.protocol
            || Address::load(&self.address) != key.address
        {
            return None;
        }
        match kind {
            SERVICE => Some(Target::Service(ServiceIndex(u16::from_ne_bytes([v, w])))),
            ANSWERS => Some(Target::Answers),
            SERVER => Some(Target::Server(ServerIndex(u16::from_ne_bytes([v, w])))),
            RANGES => Some(Target::Ranges {
                first: u16::from_ne_bytes([v, w]),
                rows: x,
                forwarded: y != 0,
            }),
            _ => None,
        }
    }

    /// Writes the entry; only into a half that is not in force.
    pub fn publish(&self, key: BindKey, target: Target) {
        let [a, b] = key.port_be;
        let (kind, [v, w], x, y) = match target {
            Target::Service(service) => (SERVICE, service.0.to_ne_bytes(), 0, 0),
            Target::Answers => (ANSWERS, [0, 0], 0, 0),
            Target::Server(server) => (SERVER, server.0.to_ne_bytes(), 0, 0),
            Target::Ranges {
                first,
                rows,
                forwarded,
            } => (RANGES, first.to_ne_bytes(), rows, forwarded as u8),
        };
        key.address.store(&self.address);
        self.target
            .store_bytes([a, b, key.protocol, kind, v, w, x, y]);
    }

    #[cfg(any(feature = "user", test))]
    fn clear(&self) {
        self.target.store(0);
    }
}

impl RangeRow {
    /// Writes the row, surplus ranges left out. Only a row that no half names may be written.
    pub fn publish(&self, ranges: &[PortRange]) {
        for (index, word) in self.ranges.iter().enumerate() {
            word.store(ranges.get(index).map_or(0, PortRange::word));
        }
    }

    /// The service of `port` (a number, not network order) in this row.
    #[inline(always)]
    pub fn find(&self, port: u16, protocol: u8) -> Option<ServiceIndex> {
        let mut at = 0;
        while at < RANGES_PER_ROW {
            let range = PortRange::from_word(self.ranges[at].load());
            if range.protocol == protocol && range.first <= port && port <= range.last {
                return Some(range.service);
            }
            at += 1;
        }
        None
    }
}

impl PortRange {
    fn word(&self) -> u64 {
        let ([a, b], [c, d]) = (self.first.to_ne_bytes(), self.last.to_ne_bytes());
        let [e, f] = self.service.0.to_ne_bytes();
        u64::from_ne_bytes([a, b, c, d, e, f, self.protocol, 0])
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, protocol, _] = word.to_ne_bytes();
        Self {
            first: u16::from_ne_bytes([a, b]),
            last: u16::from_ne_bytes([c, d]),
            service: ServiceIndex(u16::from_ne_bytes([e, f])),
            protocol,
        }
    }
}

/// Writes all binds into the half that is not in force and returns the seed they were placed with; then one store of
/// [`crate::config::BindView`] makes them the ones in force. Nothing is written unless all of them fit.
///
/// The result for two equal keys is the first of them.
#[cfg(any(feature = "user", test))]
pub fn place(half: &[BindBucket], binds: &[(BindKey, Target)]) -> Option<u32> {
    let count = u32::try_from(half.len()).ok()?;
    let seed = (1..=SEEDS).find(|&seed| fits(binds, seed, count))?;
    for entry in half.iter().flat_map(|bucket| &bucket.entries) {
        entry.clear();
    }
    for &(key, target) in binds {
        let bucket = &half[key.bucket(seed, count) as usize];
        if bucket.find(key).is_none()
            && let Some(entry) = bucket.entries.iter().find(|e| e.target.load() == 0)
        {
            entry.publish(key, target);
        }
    }
    Some(seed)
}

/// How many buckets a half needs so that [`place`] succeeds, for `binds` entries (address entries included).
#[cfg(any(feature = "user", test))]
pub fn buckets_for(binds: u32) -> u32 {
    // A bucket overflows at the third key: n³/6m² of them are expected. At most two thirds of one, here.
    let cubed = u64::from(binds).saturating_pow(3) / 4;
    u32::try_from(cubed.isqrt())
        .unwrap_or(u32::MAX)
        .max(SMALLEST_HALF)
}

#[cfg(any(feature = "user", test))]
fn fits(binds: &[(BindKey, Target)], seed: u32, count: u32) -> bool {
    let mut used = vec![0u8; count as usize];
    binds.iter().all(|(key, _)| {
        let slot = &mut used[key.bucket(seed, count) as usize];
        *slot += 1;
        *slot <= 2
    })
}

/// Ranges in one row.
pub const RANGES_PER_ROW: usize = 8;
/// Rows one address may have: 32 ranges.
pub const RANGE_ROWS: u8 = 4;

/// Repeats sixteen bits in all of a word.
const EVERYWHERE: u64 = 0x0001_0001_0001_0001;
const SERVICE: u8 = 1;
const RANGES: u8 = 2;
const ANSWERS: u8 = 3;
const SERVER: u8 = 4;
/// In place of a protocol; IANA has reserved this number.
const ANSWERING: u8 = 255;
/// The same; for experiments, and in no packet that gets this far.
const NETWORK: u8 = 254;
/// The same.
const SERVER_NUMBER: u8 = 253;
#[cfg(any(feature = "user", test))]
const SEEDS: u32 = 4096;
#[cfg(any(feature = "user", test))]
const SMALLEST_HALF: u32 = 1024;

const _: () = assert!(size_of::<BindBucket>() == 64);
const _: () = assert!(size_of::<RangeRow>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn key(number: u32) -> BindKey {
        BindKey {
            address: Ipv4Addr::from(0x0a00_0000 + number / 7).into(),
            port_be: (80 + (number % 7) as u16).to_be_bytes(),
            protocol: 6,
        }
    }

    fn half(buckets: u32) -> Vec<BindBucket> {
        (0..buckets).map(|_| BindBucket::default()).collect()
    }

    #[test]
    fn every_placed_bind_is_found_and_nothing_else() {
        for count in [0, 1, 100, 3000] {
            let binds: Vec<_> = (0..count)
                .map(|n| (key(n), Target::Service(ServiceIndex(n as u16 + 1))))
                .collect();
            let half = half(buckets_for(count));
            let seed = place(&half, &binds).expect("the recommended size suffices");
            let find = |key: BindKey| half[key.bucket(seed, half.len() as u32) as usize].find(key);
            for (key, target) in &binds {
                assert_eq!(find(*key), Some(*target));
                assert_eq!(
                    find(BindKey {
                        protocol: 17,
                        ..*key
                    }),
                    None
                );
            }
            assert_eq!(find(key(count)), None);
        }
    }

    #[test]
    fn too_many_binds_leave_the_half_untouched() {
        let half = half(2);
        half[0].entries[0].publish(key(9), Target::Service(ServiceIndex(9)));
        let binds: Vec<_> = (0..5)
            .map(|n| (key(n), Target::Service(ServiceIndex(1))))
            .collect();
        assert_eq!(place(&half, &binds), None);
        assert!(half[0].find(key(9)).is_some());
    }

    #[test]
    fn ranges_are_found_by_port_and_protocol() {
        let range = |first, last, service, protocol| PortRange {
            first,
            last,
            service: ServiceIndex(service),
            protocol,
        };
        let row = RangeRow::default();
        assert_eq!(row.find(0, 6), None);
        row.publish(&[range(1000, 2000, 5, 6), range(1, 65535, 6, 17)]);
        assert_eq!(row.find(999, 6), None);
        assert_eq!(row.find(1000, 6), Some(ServiceIndex(5)));
        assert_eq!(row.find(2000, 6), Some(ServiceIndex(5)));
        assert_eq!(row.find(2001, 6), None);
        assert_eq!(row.find(65535, 17), Some(ServiceIndex(6)));
    }
}
