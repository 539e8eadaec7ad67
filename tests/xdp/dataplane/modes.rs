//! Every way to forward, in every pair of families it can, with real TCP and UDP.

use tidegate::dataplane::{Dataplane, Stop};
use tidegate::model::{Forward, Mode, XdpMode};

use super::configuration::Configuration;
use super::l4::snapshot;
use super::lab::{Lab, VIP, VIP6};

pub(crate) const GUE: Forward = Forward::Gue { port: 6080 };

/// An address and port in one word.
pub(crate) fn at(address: &str, port: u16) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    }
}

/// A TCP and a UDP service on one address, forwarded to one server.
pub(crate) fn service(lab: &Lab, forward: Forward, vip: &str, server: &str) -> Dataplane {
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .forward(forward)
        .tcp(&at(vip, 80))
        .udp(&at(vip, 80))
        .server("s1", &at(server, 80))
        .compile();
    lab.start(&configuration)
}

/// Sends TCP and UDP through a service to a server that serves at `served`.
fn works(lab: &Lab, forward: Forward, vip: &str, server: &str, served: &str) {
    let target = at(vip, 80);
    let dataplane = service(lab, forward, vip, server);
    let way = format!("{forward:?} from {vip} to {server}, served at {served}");
    for _ in 0..3 {
        let mut session = lab
            .connect(&target)
            .unwrap_or_else(|error| panic!("{way}: {error}\n{:#?}", snapshot(&dataplane)));
        session
            .exchange(2_000_000)
            .unwrap_or_else(|error| panic!("{way}: {error}\n{:#?}", snapshot(&dataplane)));
        assert_eq!(
            lab.ask_udp(&target)
                .unwrap_or_else(|error| panic!("{way}: {error}")),
            "s1"
        );
    }
    let snapshot = snapshot(&dataplane);
    let totals = snapshot
        .services
        .iter()
        .flat_map(|service| &service.servers);
    let (packets, flows) = totals.fold((0, 0), |(packets, flows), server| {
        (
            packets + server.counts.packets_in,
            flows + server.counts.flows,
        )
    });
    assert_eq!(flows, 6, "{way}: three of each transport");
    assert!(packets > 3 * 1000, "{way}: the kernel forwarded them");
    dataplane.stop(Stop::Detach).expect("it detaches");
}

fn serve(lab: &Lab, address: &str) {
    lab.serve("s1", address);
    lab.serve_udp("s1", address);
}

#[test]
fn nat_and_dnat_carry_tcp_and_udp_of_both_families() {
    let Some(lab) = Lab::new("mnat") else { return };
    serve(&lab, "10.0.0.1:80");
    serve(&lab, "[2001:db8:2::1]:80");
    for forward in [Forward::Nat, Forward::Dnat] {
        works(&lab, forward, VIP, "10.0.0.1", "10.0.0.1");
        works(&lab, forward, VIP6, "2001:db8:2::1", "2001:db8:2::1");
    }
}

#[test]
fn dsr_carries_tcp_and_udp_of_both_families() {
    let Some(lab) = Lab::new("mdsr") else { return };
    lab.own_services();
    serve(&lab, &format!("{VIP}:80"));
    serve(&lab, &format!("[{VIP6}]:80"));
    works(&lab, Forward::Dsr, VIP, "10.0.0.1", VIP);
    works(&lab, Forward::Dsr, VIP6, "2001:db8:2::1", VIP6);
    works(&lab, Forward::Dsr, VIP, "2001:db8:2::1", VIP);
}

#[test]
fn tunnels_carry_tcp_and_udp_of_both_families_in_both() {
    let Some(lab) = Lab::new("mtun") else { return };
    lab.own_services();
    lab.widen();
    serve(&lab, &format!("{VIP}:80"));
    serve(&lab, &format!("[{VIP6}]:80"));
    for mode in [XdpMode::Native, XdpMode::Generic] {
        let decap = lab.decap(mode);
        for (forward, vip, server) in [
            (Forward::Ipip, VIP, "10.0.0.1"),
            (Forward::Ipip, VIP, "2001:db8:2::1"),
            (Forward::Ipip, VIP6, "2001:db8:2::1"),
            (GUE, VIP, "10.0.0.1"),
            (GUE, VIP, "2001:db8:2::1"),
            (GUE, VIP6, "10.0.0.1"),
            (GUE, VIP6, "2001:db8:2::1"),
        ] {
            works(&lab, forward, vip, server, vip);
        }
        let counters = decap.stop().expect("it is taken off");
        assert!(counters.ipip > 1000 && counters.gue > 1000, "{counters:?}");
        assert_eq!(counters.refused, 0);
        assert!(!lab.servers.exec("ip link show dev sv0").contains("xdp"));
    }
}
