//! Who gets new flows: every way to balance in `mode l4`, against the decision as a function.
//!
//! Clients are numbers; each begins flows to one service with `forward dsr`, so that the server of a packet is told by the
//! hardware address it leaves with. Configurations are read as users write them.

use std::collections::BTreeMap;

use tidegate::dataplane::trial::{Fate, InMemory};
use tidegate::state::{Admin, Operational, Running};

use super::fixtures::packet::{ACK, FIN, RST, SYN};
use super::fixtures::{NAT_PORTS, World, from_client, place};

/// A balancer with one service.
pub(crate) struct Balancer {
    pub(crate) trial: InMemory,
    running: Running,
}

/// What became of a packet: the server that got it, or the reason why none did.
pub(crate) type Fated = Result<u8, &'static str>;

impl Balancer {
    /// With these lines in its section, and these in `global`.
    pub(crate) fn new(lines: &str, global: &str) -> Self {
        let text = format!(
            "listen web\n    mode l4\n    forward dsr\n    bind 198.51.100.80:80\n    bind udp@198.51.100.80:80\n{lines}"
        );
        let world = World {
            config: text.leak(),
            nat_ports: NAT_PORTS,
        };
        let (compiled, running) = world.load(global);
        let trial = InMemory::new(&compiled, &running, place(world, CLIENT, SERVER));
        Self {
            trial: trial.expect("the tables fit"),
            running,
        }
    }

    /// A segment of a client's flow.
    pub(crate) fn send(&mut self, client: u32, flags: u8) -> Fated {
        let [_, b, c, d] = client.to_be_bytes();
        let from = format!("10.{b}.{c}.{d}:{}", 1024 + client % 60_000);
        self.send_from(&from, flags)
    }

    /// The same from anywhere.
    pub(crate) fn send_from(&mut self, from: &str, flags: u8) -> Fated {
        let frame = from_client(from, "198.51.100.80:80", flags).bytes();
        self.run(&frame)
    }

    fn run(&mut self, frame: &[u8]) -> Fated {
        let before = self.trial.drops();
        let outcome = self.trial.run(frame, CLIENT).expect("memory runs it");
        match outcome.fate {
            Fate::Redirect => Ok(outcome.frame[5]),
            fate => {
                let after = self.trial.drops();
                let counted = after
                    .iter()
                    .find(|(key, count)| before.get(key) != Some(count));
                let ((_, reason), _) = counted.unwrap_or_else(|| panic!("{fate:?}, not counted"));
                Err(reason)
            }
        }
    }

    /// Lets clients begin a flow each; how many each server got.
    pub(crate) fn begin(&mut self, clients: std::ops::Range<u32>) -> BTreeMap<u8, u32> {
        let mut servers = BTreeMap::new();
        for client in clients {
            let server = self.send(client, SYN).expect("a server for everybody");
            *servers.entry(server).or_default() += 1;
        }
        servers
    }

    /// Changes what is known about servers, as an operator or a check would.
    fn change(&mut self, server: &str, change: impl Fn(&tidegate::state::ServerState)) {
        let named = self.running.model.servers.iter();
        for known in named.filter(|known| known.name == server) {
            change(self.running.state.server(known.id));
        }
        self.trial.refresh().expect("the tables fit");
    }

    fn admin(&mut self, server: &str, admin: Admin) {
        self.change(server, |state| state.set_admin(admin));
    }

    fn weigh(&mut self, server: &str, weight: u16) {
        self.change(server, |state| {
            state.set_user_weight(weight);
            state.update_weight(None, tidegate::clock::now());
        });
    }

    fn operate(&mut self, server: &str, operational: Operational) {
        self.change(server, |state| {
            state.set_operational(operational, tidegate::clock::now());
        });
    }
}

/// Three servers.
const THREE: &str = "
    server s1 10.0.0.1
    server s2 10.0.0.2
    server s3 10.0.0.3
";

const ALL: [&str; 7] = [
    "maglev",
    "source",
    "hash src_port",
    "roundrobin",
    "static-rr",
    "leastconn",
    "random",
];

fn three(balance: &str) -> Balancer {
    // So many that no bucket is ever full.
    Balancer::new(
        &format!("    balance {balance}\n{THREE}"),
        "    xdp flows 1m\n",
    )
}

#[test]
fn servers_take_turns_as_often_as_their_weights_say() {
    for balance in ["roundrobin", "static-rr"] {
        let lines = format!(
            "    balance {balance}\n    server s1 10.0.0.1 weight 1\n    server s2 10.0.0.2 weight 2\n    \
             server s3 10.0.0.3 weight 3\n"
        );
        let mut balancer = Balancer::new(&lines, "");
        for round in 0..10 {
            let got = balancer.begin(round * 60..(round + 1) * 60);
            assert_eq!(
                got,
                BTreeMap::from([(1, 10), (2, 20), (3, 30)]),
                "{balance}"
            );
        }
    }
    let mut equal = three("roundrobin");
    let first: Vec<Fated> = (0..3).map(|client| equal.send(client, SYN)).collect();
    for client in 3..300 {
        assert_eq!(equal.send(client, SYN), first[client as usize % 3]);
    }
}

#[test]
fn a_flow_keeps_the_server_its_turn_gave_it() {
    for balance in ALL {
        let mut balancer = three(balance);
        let servers: Vec<Fated> = (0..300).map(|client| balancer.send(client, SYN)).collect();
        for flags in [SYN, ACK, ACK, FIN | ACK, ACK] {
            for (client, server) in (0..).zip(&servers) {
                assert_eq!(
                    balancer.send(client, flags),
                    *server,
                    "{balance} {client} {flags}"
                );
            }
        }
    }
}

#[test]
fn the_least_loaded_server_gets_the_next_flow() {
    let mut balancer = three("leastconn");
    let servers: Vec<Fated> = (0..300).map(|client| balancer.send(client, SYN)).collect();
    let of = |server: u8| {
        (0..)
            .zip(&servers)
            .filter(move |(_, it)| **it == Ok(server))
    };
    assert_eq!([1, 2, 3].map(|server| of(server).count()), [100; 3]);
    // All of one server's flows end: by a FIN, by an RST.
    for (client, _) in of(2) {
        let flags = if client % 2 == 0 { FIN | ACK } else { RST };
        assert_eq!(balancer.send(client, ACK), Ok(2));
        assert_eq!(balancer.send(client, flags), Ok(2));
    }
    assert_eq!(balancer.begin(1000..1100), BTreeMap::from([(2, 100)]));
    assert_eq!(
        balancer.begin(1100..1400),
        BTreeMap::from([(1, 100), (2, 100), (3, 100)])
    );
}

#[test]
fn the_load_counts_in_proportion_to_the_weight() {
    let lines = "    balance leastconn\n    server s1 10.0.0.1 weight 50\n    server s2 10.0.0.2 weight 100\n    \
                 server s3 10.0.0.3 weight 256\n";
    let mut balancer = Balancer::new(lines, "");
    let got = balancer.begin(0..406);
    for (server, weight) in [(1, 50_u32), (2, 100), (3, 256)] {
        assert!(got[&server].abs_diff(weight) <= 1, "{got:?}");
    }
}

#[test]
fn two_draws_end_near_the_mean() {
    let got = three("random(2)").begin(0..30_000);
    let spread = got.values().max().unwrap() - got.values().min().unwrap();
    // With one draw it would be 140, give or take.
    assert!(spread <= 30, "{got:?}");
    let mut distinct = three("random");
    let servers: Vec<Fated> = (0..50).map(|client| distinct.send(client, SYN)).collect();
    assert!(
        servers.windows(4).any(|four| four[0] == four[1]),
        "no turns"
    );
}

#[test]
fn a_hash_looks_at_what_it_was_told_and_at_nothing_else() {
    let same = |balance: &str, one: &str, other: &str| {
        let mut balancer = three(balance);
        (0..64).all(|number| {
            let at = |from: &str| from.replace('#', &number.to_string());
            let first = balancer.send_from(&at(one), SYN);
            assert!(first.is_ok());
            first == balancer.send_from(&at(other), SYN)
        })
    };
    let (here, elsewhere) = ("203.0.113.#:1025", "203.0.113.#:2049");
    assert!(same("source", here, elsewhere));
    assert!(same("hash src", here, elsewhere));
    assert!(!same("maglev", here, elsewhere));
    assert!(!same("hash src_port", here, elsewhere));
    assert!(same("hash src_port", "203.0.113.7:20#", "192.0.2.9:20#"));
    assert!(!same("hash src", "203.0.113.7:20#", "192.0.2.#:20#"));
    assert!(same(
        "hash src,ipmask(24,64)",
        "203.0.113.#:1025",
        "203.0.113.9:1025"
    ));
    assert!(!same(
        "hash src,ipmask(24,64)",
        "203.0.#.1:1025",
        "203.0.113.9:1025"
    ));
    assert!(same("hash dst", "203.0.#.1:1025", "192.0.#.9:77"));
    assert!(same("hash dst_port", "203.0.#.1:1025", "192.0.#.9:77"));
}

#[test]
fn a_drained_server_keeps_its_flows_and_gets_no_new_ones() {
    let maint = |balancer: &mut Balancer| {
        balancer.admin("s1", Admin::FORCED_MAINT);
        balancer.operate("s1", Operational::Stopped);
    };
    let drain = |balancer: &mut Balancer| balancer.admin("s1", Admin::FORCED_DRAIN);
    let weigh = |balancer: &mut Balancer| balancer.weigh("s1", 0);
    let ready = |balancer: &mut Balancer| {
        balancer.admin("s1", Admin::default());
        balancer.operate("s1", Operational::Running);
        balancer.weigh("s1", 1);
    };
    for balance in ALL {
        let mut balancer = three(balance);
        let servers: Vec<Fated> = (0..120).map(|client| balancer.send(client, SYN)).collect();
        assert!(servers.contains(&Ok(1)), "{balance}");
        for (round, leave) in (1..).zip([&maint as &dyn Fn(&mut Balancer), &drain, &weigh]) {
            leave(&mut balancer);
            for (client, server) in (0..).zip(&servers) {
                assert_eq!(
                    balancer.send(client, ACK),
                    *server,
                    "{balance}: {client} moved"
                );
            }
            let begun = balancer.begin(round * 1000..round * 1000 + 120);
            assert_eq!(
                begun.keys().copied().collect::<Vec<_>>(),
                [2, 3],
                "{balance}"
            );
            ready(&mut balancer);
            let begun = balancer.begin(round * 1000 + 500..round * 1000 + 740);
            assert_eq!(begun.len(), 3, "{balance}: back again: {begun:?}");
        }
    }
}

#[test]
fn backups_serve_when_nobody_else_can_and_only_the_first_unless_all_shall() {
    for balance in ALL {
        let lines = format!(
            "    balance {balance}\n    server s1 10.0.0.1\n    server s2 10.0.0.2 backup\n    server s3 10.0.0.3 backup\n"
        );
        let mut first = Balancer::new(&lines, "");
        let mut all = Balancer::new(&format!("    option allbackups\n{lines}"), "");
        for balancer in [&mut first, &mut all] {
            assert_eq!(balancer.begin(0..90).len(), 1, "{balance}");
            balancer.operate("s1", Operational::Stopped);
        }
        assert_eq!(
            first.begin(100..190),
            BTreeMap::from([(2, 90)]),
            "{balance}"
        );
        let shared = all.begin(100..190);
        assert_eq!(
            shared.keys().copied().collect::<Vec<_>>(),
            [2, 3],
            "{balance}"
        );
        first.operate("s2", Operational::Stopped);
        assert_eq!(
            first.begin(200..290),
            BTreeMap::from([(3, 90)]),
            "{balance}"
        );
        first.operate("s1", Operational::Running);
        assert_eq!(
            first.begin(300..390),
            BTreeMap::from([(1, 90)]),
            "{balance}"
        );
    }
}

#[test]
fn a_server_that_starts_slowly_gets_little_at_first() {
    for balance in ["maglev", "roundrobin", "random"] {
        let lines =
            format!("    balance {balance}\n    default-server slowstart 100s weight 100\n{THREE}");
        let mut balancer = Balancer::new(&lines, "");
        balancer.operate("s3", Operational::Stopped);
        balancer.change("s3", |state| {
            let now = tidegate::clock::now();
            state.set_operational(Operational::Starting, now);
            state.update_weight(Some(100_000), now);
        });
        let few = balancer.begin(0..600).get(&3).copied().unwrap_or_default();
        assert!(few <= 20, "{balance}: {few} of 600 at one percent");
        balancer.change("s3", |state| {
            let now = tidegate::clock::now();
            state.set_operational(Operational::Running, now);
            state.update_weight(Some(100_000), now);
        });
        let share = balancer.begin(1000..1600)[&3];
        assert!(
            (140..=420).contains(&share),
            "{balance}: {share} of 600 later"
        );
    }
}

#[test]
fn no_server_gets_more_flows_than_its_maxconn() {
    for balance in ALL {
        let lines = format!("    balance {balance}\n    default-server maxconn 10\n{THREE}");
        let mut balancer = Balancer::new(&lines, "");
        let full = BTreeMap::from([(1, 10), (2, 10), (3, 10)]);
        assert_eq!(balancer.begin(0..30), full, "{balance}");
        for client in 30..40 {
            assert_eq!(balancer.send(client, SYN), Err("servers-full"), "{balance}");
        }
        // Who is there goes on, and makes room by leaving.
        assert!(balancer.send(7, SYN).is_ok());
        let server = balancer.send(7, ACK);
        assert_eq!(balancer.send(7, FIN | ACK), server);
        assert_eq!(balancer.send(50, SYN), server, "{balance}");
        assert_eq!(balancer.send(51, SYN), Err("servers-full"), "{balance}");
        // An operator may set another limit, or none.
        balancer.change("s2", |state| state.set_maxconn(11));
        assert_eq!(balancer.send(52, SYN), Ok(2), "{balance}");
        assert_eq!(balancer.send(53, SYN), Err("servers-full"), "{balance}");
        balancer.change("s2", |state| state.set_maxconn(0));
        assert_eq!(
            balancer.begin(100..140),
            BTreeMap::from([(2, 40)]),
            "{balance}"
        );
    }
}

const CLIENT: u32 = 7;
const SERVER: u32 = 8;
