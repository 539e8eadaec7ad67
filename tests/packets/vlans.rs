//! Servers in a VLAN on the balancer's interface: packets to them are tagged, and answers from there leave as clients sent.

use std::net::IpAddr;

use tidegate::dataplane::trial::{Fate, InMemory};

use super::fixtures::packet::{ACK, SYN, tcp};
use super::fixtures::{LB1, NAT_PORTS, World, from_client, place, server_mac};

const WEB: &str = "198.51.100.80:80";
const TAG: u16 = 0x8100;

fn trial(forward: &str) -> InMemory {
    let config = format!(
        "listen web\n    mode l4\n    forward {forward}\n    bind 198.51.100.80:80\n    server s1 10.0.0.1\n"
    );
    let world = World {
        config: config.leak(),
        nat_ports: NAT_PORTS,
    };
    let (compiled, running) = world.load("");
    let mut place = place(world, CLIENT, SERVER);
    let server: IpAddr = "10.0.0.1".parse().unwrap();
    place.hops.get_mut(&server).unwrap().vlan = 100;
    InMemory::new(&compiled, &running, place).unwrap()
}

#[test]
fn packets_to_a_server_in_a_vlan_carry_its_tag() {
    for forward in ["nat", "dnat", "dsr", "ipip", "gue"] {
        let mut trial = trial(forward);
        // The first packet and one of a flow that is known, from clients without a tag and with two.
        for (from, tags) in [("203.0.113.1:1025", 0), ("203.0.113.2:1026", 2)] {
            for flags in [SYN, ACK, ACK] {
                let mut packet = from_client(from, WEB, flags);
                for outer in 0..tags {
                    packet = packet.tag(TAG, 7 + outer);
                }
                let outcome = trial.run(&packet.bytes(), CLIENT).unwrap();
                assert_eq!(outcome.fate, Fate::Redirect, "{forward}");
                assert_eq!(outcome.frame[..6], server_mac("10.0.0.1"));
                assert_eq!(outcome.frame[12..18], [0x81, 0, 0, 100, 8, 0], "{forward}");
                if flags == SYN && forward == "nat" {
                    let port = u16::from_be_bytes([outcome.frame[38], outcome.frame[39]]);
                    let to = format!("10.0.0.254:{port}");
                    let answer = tcp("10.0.0.1:80", &to, SYN | ACK)
                        .link(LB1, server_mac("10.0.0.1"))
                        .tag(TAG, 100);
                    let back = trial.run(&answer.bytes(), SERVER).unwrap();
                    assert_eq!(back.fate, Fate::Redirect);
                    let kind = 12 + 4 * usize::from(tags);
                    assert_eq!(back.frame[kind..kind + 2], [8, 0], "tagged as the client");
                }
            }
        }
    }
}

const CLIENT: u32 = 7;
const SERVER: u32 = 8;
