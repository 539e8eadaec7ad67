//! A flow table that is full: nothing is dropped for it, nothing established leaves it, and it is counted.

use std::collections::BTreeMap;

use tidegate::dataplane::trial::{Fate, InMemory};

use super::choice::{Balancer, Fated};
use super::fixtures::packet::{ACK, SYN, tcp};
use super::fixtures::{LB1, NAT_PORTS, World, from_client, place, server_mac};

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

/// A service with `forward nat`, and clients that are numbers.
struct Nat(InMemory);

impl Nat {
    const SERVER: &str = "10.0.0.1:8080";

    fn new() -> Self {
        let world = World {
            config: "listen web\n    mode l4\n    bind 198.51.100.80:80\n    server s1 10.0.0.1:8080\n",
            nat_ports: NAT_PORTS,
        };
        let (compiled, running) = world.load("");
        let trial = InMemory::new(&compiled, &running, place(world, 7, 8));
        Self(trial.expect("the tables fit"))
    }

    /// A segment of a client; the source port the server sees, if it sees it.
    fn send(&mut self, client: u32, flags: u8) -> Option<u16> {
        let [_, b, c, d] = client.to_be_bytes();
        let from = format!("10.{b}.{c}.{d}:{}", 1024 + client % 60_000);
        let frame = from_client(&from, "198.51.100.80:80", flags).bytes();
        let outcome = self.0.run(&frame, 7).expect("memory runs it");
        (outcome.fate == Fate::Redirect)
            .then(|| u16::from_be_bytes([outcome.frame[34], outcome.frame[35]]))
    }

    /// The server's answer to whoever has this source port.
    fn answer(&mut self, port: u16, flags: u8) -> Fate {
        let to = format!("10.0.0.254:{port}");
        let answer = tcp(Self::SERVER, &to, flags).link(LB1, server_mac("10.0.0.1"));
        self.0.run(&answer.bytes(), 8).expect("memory runs it").fate
    }

    /// The whole handshake, nobody else in between.
    fn connect(&mut self, client: u32) -> Option<u16> {
        let port = self.send(client, SYN)?;
        assert_eq!(self.answer(port, SYN | ACK), Fate::Redirect);
        assert_eq!(self.send(client, ACK), Some(port));
        Some(port)
    }
}

#[test]
fn a_flood_of_spoofed_handshakes_takes_no_port_from_connections_nor_from_new_ones() {
    let mut nat = Nat::new();
    let connected: Vec<Option<u16>> = (0..1000).map(|client| nat.connect(client)).collect();
    assert!(connected.iter().all(Option::is_some));
    // More than there are mappings, and none of them goes on; the server answers half of them.
    for client in 100_000..150_000 {
        if let Some(port) = nat.send(client, SYN)
            && client % 2 == 0
        {
            assert_eq!(nat.answer(port, SYN | ACK), Fate::Redirect);
        }
    }
    assert!(nat.0.drops().is_empty(), "{:?}", nat.0.drops());
    assert!((2000..3000).all(|client| nat.connect(client).is_some()));
    for (client, port) in (0..).zip(connected) {
        assert_eq!(nat.send(client, ACK), port, "client {client} lost its port");
    }
}
