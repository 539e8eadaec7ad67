//! A flow table that is full: nothing is dropped for it, nothing established leaves it, and it is counted.

use std::collections::BTreeMap;

use super::choice::{Balancer, Fated};
use super::fixtures::packet::{ACK, SYN};

/// `xdp flows` as the example has it, and four times as many flows.
const FLOWS: u32 = 262_144;
const ESTABLISHED: u32 = 200_000;
const MANY: u32 = 1_000_000;

#[test]
fn a_million_flows_against_a_quarter_of_the_room_lose_no_established_one_and_none_is_dropped() {
    let mut balancer = Balancer::new(
        "    balance roundrobin\n    server s1 10.0.0.1\n    server s2 10.0.0.2\n    server s3 10.0.0.3\n",
        &format!("    xdp flows {FLOWS}\n"),
    );
    // Clients that complete the handshake. Four ways to a bucket: a few of them find theirs full and are not remembered.
    let established: Vec<Fated> = (0..ESTABLISHED)
        .map(|client| {
            let server = balancer.send(client, SYN);
            assert_eq!(balancer.send(client, ACK), server, "client {client}");
            server
        })
        .collect();
    let unremembered = |balancer: &Balancer| -> u64 {
        let counts = balancer.trial.counters();
        counts.iter().map(|row| row.unremembered).sum()
    };
    let before = unremembered(&balancer);
    // Others only ask, or make it all the way; there is no room for most of them.
    let mut servers: BTreeMap<u8, u32> = BTreeMap::new();
    for client in ESTABLISHED..MANY {
        let server = balancer.send(client, SYN);
        if client % 2 == 0 {
            assert_eq!(balancer.send(client, ACK), server, "client {client}");
        }
        *servers.entry(server.expect("never dropped")).or_default() += 1;
    }
    let after = unremembered(&balancer);
    for (client, server) in (0..).zip(&established) {
        assert_eq!(balancer.send(client, ACK), *server, "client {client} moved");
    }
    assert!(
        balancer.trial.drops().is_empty(),
        "{:?}",
        balancer.trial.drops()
    );
    println!(
        "not remembered: {before} of the first {ESTABLISHED}, {after} of all {MANY}; servers {servers:?}"
    );
    assert!(before < u64::from(ESTABLISHED) / 8, "{before}");
    assert!(after > u64::from(MANY) / 4, "{after}");
    // Whatever is in the ring shares as well as whoever takes turns.
    assert!(
        servers
            .values()
            .all(|count| (240_000..=290_000).contains(count)),
        "{servers:?}"
    );
}
