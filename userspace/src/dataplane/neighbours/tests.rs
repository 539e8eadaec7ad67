use super::super::netns::{Namespace, available, eventually};
use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("a literal address")
}

/// A balancer and a server on one wire, with both families.
fn wire() -> (Namespace, Namespace) {
    let (balancer, server) = (Namespace::new("nb"), Namespace::new("ns"));
    balancer.connect("wire0", &server, "wire1");
    balancer.address("wire0", "192.0.2.1/24");
    balancer.address("wire0", "2001:db8::1/64");
    server.address("wire1", "192.0.2.2/24");
    server.address("wire1", "2001:db8::2/64");
    (balancer, server)
}

fn opened(names: &[&str]) -> Neighbours {
    let mut netlink = Netlink::open().unwrap();
    let attached = names
        .iter()
        .map(|name| {
            netlink
                .interface_named(name)
                .unwrap()
                .expect("the device exists")
                .index
        })
        .collect();
    Neighbours::open(attached).unwrap()
}

fn settled(neighbours: &mut Neighbours, target: IpAddr) -> Hop {
    eventually("the neighbour answers or not", || {
        neighbours.refresh().unwrap();
        match neighbours.hop(target) {
            Some(Hop::Unreachable(Obstacle::Asking(_))) => None,
            hop => hop.cloned(),
        }
    })
}

#[test]
fn server_on_the_link_is_asked_for_and_found() {
    if !available() {
        return;
    }
    let (balancer, _server) = wire();
    balancer.inside(|| {
        let mut neighbours = opened(&["wire0"]);
        for (server, own) in [("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")] {
            neighbours.follow([address(server)]);
            let Hop::Reachable(hop) = settled(&mut neighbours, address(server)) else {
                panic!("{server}: {:?}", neighbours.hop(address(server)));
            };
            assert_eq!(hop.source, Some(address(own)), "{server}");
            assert_eq!(hop.gateway, None, "{server}");
            assert_ne!(hop.mac, hop.source_mac, "{server}");
            assert_ne!(hop.mac, [0; 6], "{server}");
            assert_eq!(hop.mtu, 1500, "{server}");
        }
    });
}

#[test]
fn server_behind_a_router_takes_the_routers_hardware_address() {
    if !available() {
        return;
    }
    let (balancer, _server) = wire();
    balancer.ip("route add 198.51.100.0/24 via 192.0.2.2");
    balancer.ip("route add 203.0.113.0/24 via inet6 2001:db8::2");
    balancer.inside(|| {
        let mut neighbours = opened(&["wire0"]);
        neighbours.follow(["192.0.2.2", "198.51.100.7", "203.0.113.9"].map(address));
        let Hop::Reachable(router) = settled(&mut neighbours, address("192.0.2.2")) else {
            panic!("router")
        };
        for (server, via) in [
            ("198.51.100.7", "192.0.2.2"),
            ("203.0.113.9", "2001:db8::2"),
        ] {
            let Hop::Reachable(hop) = settled(&mut neighbours, address(server)) else {
                panic!("{server}")
            };
            assert_eq!(
                (hop.mac, hop.gateway),
                (router.mac, Some(address(via))),
                "{server}"
            );
        }
    });
}

#[test]
fn unreachable_servers_are_reported_with_the_reason() {
    if !available() {
        return;
    }
    let (balancer, _server) = wire();
    balancer.inside(|| {
        let mut neighbours = opened(&["wire0"]);
        neighbours.follow(["192.0.2.99", "192.0.2.1", "203.0.113.5"].map(address));
        let silent = eventually("ARP gives up", || {
            neighbours.refresh().unwrap();
            match neighbours.hop(address("192.0.2.99")) {
                Some(Hop::Unreachable(Obstacle::NoAnswer(via))) => Some(*via),
                _ => None,
            }
        });
        assert_eq!(silent, address("192.0.2.99"));
        assert!(neighbours.incomplete());
        assert_eq!(
            neighbours.hop(address("192.0.2.1")),
            Some(&Hop::Unreachable(Obstacle::Local))
        );
        assert_eq!(
            neighbours.hop(address("203.0.113.5")),
            Some(&Hop::Unreachable(Obstacle::NoRoute))
        );
    });
}

#[test]
fn route_through_an_interface_without_the_program_is_an_obstacle() {
    if !available() {
        return;
    }
    let (balancer, _server) = wire();
    balancer.inside(|| {
        let mut neighbours = opened(&["lo"]);
        neighbours.follow([address("192.0.2.2")]);
        neighbours.refresh().unwrap();
        let Some(Hop::Unreachable(obstacle)) = neighbours.hop(address("192.0.2.2")) else {
            panic!("reachable")
        };
        assert!(
            obstacle.to_string().contains("add 'xdp interface wire0'"),
            "{obstacle}"
        );
    });
}

#[test]
fn replaced_server_is_noticed_by_its_new_hardware_address() {
    if !available() {
        return;
    }
    let (balancer, server) = wire();
    balancer.inside(|| {
        let mut neighbours = opened(&["wire0"]);
        let target = address("192.0.2.2");
        neighbours.follow([target]);
        let Hop::Reachable(before) = settled(&mut neighbours, target) else {
            panic!("not found")
        };
        neighbours.drain_changes();
        server.ip("link set wire1 address 02:00:00:00:00:77");
        balancer.ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:77 dev wire0");
        eventually("a notification arrives", || {
            neighbours.drain_changes().then_some(())
        });
        assert_eq!(neighbours.refresh().unwrap(), [target]);
        let Some(Hop::Reachable(after)) = neighbours.hop(target) else {
            panic!("lost")
        };
        assert_ne!(before.mac, after.mac);
        assert_eq!(after.mac, [2, 0, 0, 0, 0, 0x77]);
    });
}

#[test]
fn machine_knows_its_own_addresses() {
    if !available() {
        return;
    }
    let (balancer, _server) = wire();
    for n in 0..300 {
        balancer.address("wire0", &format!("10.7.{}.{}/32", n / 256, n % 256));
    }
    let own = balancer.inside(|| Netlink::open().unwrap().addresses().unwrap());
    for expected in ["192.0.2.1", "2001:db8::1", "10.7.0.0", "10.7.1.43"] {
        assert!(own.contains(&address(expected)), "{expected}");
    }
    assert!(own.len() >= 303, "{}", own.len());
    assert!(own.iter().all(|address| !address.is_loopback()), "{own:?}");
}
