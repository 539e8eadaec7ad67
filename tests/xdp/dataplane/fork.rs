//! Two balancers behind a router that spreads connections over both (ECMP), which choose alike without knowing of each other.
//!
//! ```text
//!                       ┌─ ro1 ── in0 balancer out0 ─┐
//! client cl0 ── ro0 router                            switch ── sv0 server, three of them
//!                   │   └─ ro2 ── in0 balancer out0 ─┘ │
//!                   └─ ro3 ────────────────────────────┘
//! ```
//! Servers have the services' addresses and answer the router themselves.

use tidegate::dataplane::decap::Decap;
use tidegate::dataplane::{Dataplane, OBJECT, Stop};
use tidegate::model::{Forward, Mode, XdpMode};

use super::configuration::Configuration;
use super::crowd::{Crowd, MANY};
use super::l4::snapshot;
use super::lab::{VIP, VIP6};
use super::modes::{GUE, at};
use super::netns::{self, Namespace, eventually};
use super::pins::Mount;
use super::session::{Session, serve};

struct Fork {
    client: Namespace,
    router: Namespace,
    nodes: [Node; 2],
    servers: Vec<Namespace>,
    _switch: Namespace,
}

/// One of the balancers.
struct Node {
    namespace: Namespace,
    pins: Mount,
    /// Where the router finds it, by family.
    addresses: [&'static str; 2],
    port: &'static str,
}

impl Fork {
    /// `None` where it cannot be; then the reason has been said.
    fn new(label: &str) -> Option<Self> {
        if !netns::available() {
            return None;
        }
        if OBJECT.is_empty() {
            netns::skip("built without the kernel object");
            return None;
        }
        let named = |role: &str| Namespace::new(&format!("{label}{role}"));
        let (client, router, switch) = (named("c"), named("r"), named("w"));
        client.connect("cl0", &router, "ro0");
        let node = |name: &str, port, addresses| Node {
            namespace: named(name),
            pins: Mount::new(&format!("{label}{name}")),
            addresses,
            port,
        };
        let nodes = [
            node("a", "ro1", ["172.16.1.2", "2001:db8:11::2"]),
            node("b", "ro2", ["172.16.2.2", "2001:db8:12::2"]),
        ];
        switch.ip("link add sw type bridge");
        switch.ip("link set sw up");
        let plug = |namespace: &Namespace, device: &str, port: &str| {
            namespace.connect(device, &switch, port);
            switch.ip(&format!("link set {port} master sw"));
        };
        for (at, node) in nodes.iter().enumerate() {
            router.connect(node.port, &node.namespace, "in0");
            plug(&node.namespace, "out0", &format!("node{at}"));
            let (one, other) = (at + 1, 254 - at);
            let on_link = [
                format!("10.0.0.{other}/24"),
                format!("2001:db8:2::{other:x}/64"),
            ];
            for address in &on_link {
                node.namespace.address("out0", address);
            }
            for (address, length) in node.addresses.iter().zip([24, 64]) {
                node.namespace
                    .address("in0", &format!("{address}/{length}"));
            }
            router.address(node.port, &format!("172.16.{one}.1/24"));
            router.address(node.port, &format!("2001:db8:1{one}::1/64"));
        }
        plug(&router, "ro3", "router");
        for (namespace, device, address) in [
            (&client, "cl0", "192.0.2.10/24"),
            (&client, "cl0", "2001:db8:1::10/64"),
            (&router, "ro0", "192.0.2.1/24"),
            (&router, "ro0", "2001:db8:1::1/64"),
            (&router, "ro3", "10.0.0.250/24"),
            (&router, "ro3", "2001:db8:2::fa/64"),
        ] {
            namespace.address(device, address);
        }
        client.ip("route add default via 192.0.2.1");
        client.ip("route add default via 2001:db8:1::1");
        for setting in [
            "ipv4.ip_forward=1",
            "ipv6.conf.all.forwarding=1",
            "ipv4.fib_multipath_hash_policy=1",
            "ipv6.fib_multipath_hash_policy=1",
            "ipv4.conf.all.rp_filter=0",
        ] {
            router.exec(&format!("sysctl -qw net.{setting}"));
        }
        let server = |number: usize| {
            let server = named(&format!("s{number}"));
            plug(&server, "sv0", &format!("server{number}"));
            server.address("sv0", &format!("10.0.0.{number}/24"));
            server.address("sv0", &format!("2001:db8:2::{number}/64"));
            server.ip("route add default via 10.0.0.250");
            server.ip("route add default via 2001:db8:2::fa");
            server.ip(&format!("address add {VIP}/32 dev lo"));
            server.ip(&format!("address add {VIP6}/128 dev lo nodad"));
            server
        };
        let fork = Self {
            servers: (1..=3).map(server).collect(),
            client,
            router,
            nodes,
            _switch: switch,
        };
        fork.spread(&[0, 1]);
        Some(fork)
    }

    /// Lets the router spread connections over these nodes.
    fn spread(&self, nodes: &[usize]) {
        for (family, vip) in [VIP, VIP6].into_iter().enumerate() {
            let hops = nodes.iter().map(|node| {
                let Node {
                    addresses, port, ..
                } = &self.nodes[*node];
                format!(" nexthop via {} dev {port}", addresses[family])
            });
            let hops: String = hops.collect();
            self.router.ip(&format!("route replace {vip}{hops}"));
        }
    }

    /// Starts a node.
    fn start(&self, node: usize, forward: Forward, vip: &str) -> Dataplane {
        let Node {
            namespace, pins, ..
        } = &self.nodes[node];
        let pin = pins.path().join("tidegate");
        let mut configuration = Configuration::new(&["in0", "out0"], XdpMode::Native, &pin)
            .listen("web", Mode::L4)
            .forward(forward)
            .tcp(&at(vip, 80));
        for (number, name) in (1..).zip(NAMES) {
            configuration = configuration.server(name, &at(&server(vip, number), 80));
        }
        let (compiled, running) = configuration.compile();
        namespace.inside(|| {
            let dataplane = Dataplane::start(&compiled, &running)
                .expect("it starts")
                .expect("it is needed");
            dataplane.follow().expect("a thread can be started");
            dataplane
        })
    }

    /// Takes packets out of tunnels on the servers.
    fn decap(&self) -> Vec<Decap> {
        let starts = (1..).zip(&self.servers).map(|(number, namespace)| {
            let ends = [VIP, VIP6].map(|vip| server(vip, number).parse().unwrap());
            namespace.inside(|| Decap::start("sv0", XdpMode::Native, 6080, &ends))
        });
        starts.map(|decap| decap.expect("it starts")).collect()
    }

    /// Serves at the service's address, or with NAT at the servers' own.
    fn serve(&self, forward: Forward, vip: &str) {
        for (number, (name, namespace)) in (1..).zip(NAMES.into_iter().zip(&self.servers)) {
            let own = server(vip, number);
            let served = if forward == Forward::Nat { &own } else { vip };
            serve(namespace, name, &at(served, 80));
        }
    }
}

/// A server's own address, of the service's family.
fn server(vip: &str, number: usize) -> String {
    match vip.contains(':') {
        true => format!("2001:db8:2::{number}"),
        false => format!("10.0.0.{number}"),
    }
}

/// Packets that a node has sent to servers.
fn sent(node: &Dataplane) -> u64 {
    let snapshot = snapshot(node);
    let servers = snapshot
        .services
        .iter()
        .flat_map(|service| &service.servers);
    servers.map(|server| server.counts.packets_in).sum()
}

#[test]
fn connections_survive_the_loss_of_one_of_two_balancers_and_its_return() {
    for (forward, vip) in [(Forward::Dsr, VIP), (Forward::Ipip, VIP6), (GUE, VIP)] {
        let Some(fork) = Fork::new("fork") else {
            return;
        };
        let way = format!("{forward:?} of {vip}");
        let _decap = fork.decap();
        fork.serve(forward, vip);
        let [one, other] = [0, 1].map(|node| fork.start(node, forward, vip));
        let mut crowd = Crowd::connect(&fork.client, &at(vip, 80));
        assert_eq!(crowd.servers().len(), 3, "{way}: {:?}", crowd.servers());
        for node in [&one, &other] {
            assert!(sent(node) > MANY as u64, "{way}: each has its share");
        }
        crowd.through(&format!("{way}: a node is lost"), || {
            one.stop(Stop::Detach).expect("it detaches");
            let router = &fork.nodes[0].namespace;
            router.ip("link set in0 down");
            fork.spread(&[1]);
        });
        let again = crowd.through(&format!("{way}: it returns and knows of no flow"), || {
            let node = &fork.nodes[0];
            node.namespace.ip("link set in0 up");
            // Those of IPv6 went with the link.
            let [_, address] = node.addresses;
            let shown = node.namespace.exec("ip -6 address show dev in0");
            if !shown.contains(address) {
                node.namespace.address("in0", &format!("{address}/64"));
            }
            let again = fork.start(0, forward, vip);
            fork.spread(&[0, 1]);
            again
        });
        assert!(sent(&again) > 100, "{way}: it has its share again");
        for node in [other, again] {
            node.stop(Stop::Detach).expect("it detaches");
        }
    }
}

#[test]
fn flows_go_on_by_the_ring_under_a_program_of_another_layout() {
    for (forward, vip) in [(Forward::Dsr, VIP), (Forward::Ipip, VIP)] {
        let Some(fork) = Fork::new("anew") else {
            return;
        };
        let _decap = fork.decap();
        fork.serve(forward, vip);
        fork.spread(&[0]);
        let old = fork.start(0, forward, vip);
        let mut crowd = Crowd::connect(&fork.client, &at(vip, 80));
        super::upgrade::pretend_other_layout(fork.nodes[0].pins.path());
        let new = crowd.through(&format!("{forward:?}: another layout"), || {
            fork.start(0, forward, vip)
        });
        assert_eq!(snapshot(&new).flows, 0, "{forward:?}: it knows of no flow");
        old.stop(Stop::Detach)
            .expect("it sees that it was replaced");
        new.stop(Stop::Detach).expect("it detaches");
    }
}

/// Ports of NAT are a node's own: what it knew of them goes with it, and its connections end. The rest goes on.
#[test]
fn connections_through_nat_go_with_their_balancer() {
    let Some(fork) = Fork::new("solo") else {
        return;
    };
    fork.serve(Forward::Nat, VIP);
    let [one, other] = [0, 1].map(|node| fork.start(node, Forward::Nat, VIP));
    let target = at(VIP, 80);
    let open = || fork.client.inside(|| Session::open(None, &target));
    let mut sessions: Vec<_> = (0..40).map(|_| open().expect("a connection")).collect();
    let flows = |node: &Dataplane| -> u64 {
        let snapshot = snapshot(node);
        let servers = snapshot
            .services
            .iter()
            .flat_map(|service| &service.servers);
        servers.map(|server| server.counts.flows).sum()
    };
    assert!(flows(&one) > 0 && flows(&other) > 0);
    assert_eq!(flows(&one) + flows(&other), 40);
    one.stop(Stop::Detach).expect("it detaches");
    fork.spread(&[1]);
    for session in &mut sessions {
        session.say().expect("nobody has told the client yet");
    }
    eventually("those of the other node are unknown here", || {
        let snapshot = snapshot(&other);
        let drops = &snapshot.services[0].drops;
        drops
            .iter()
            .find(|drop| drop.reason == "unknown-flow")
            .map(drop)
    });
    assert!(open().is_ok(), "new ones are served");
    other.stop(Stop::Detach).expect("it detaches");
}

const NAMES: [&str; 3] = ["s1", "s2", "s3"];
