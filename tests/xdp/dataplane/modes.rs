//! Every way to forward, in every pair of families it can, with real TCP and UDP.

use tidegate::dataplane::{Dataplane, Stop};
use tidegate::model::{Forward, Mode, XdpMode};

use super::configuration::Configuration;
use super::dns;
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
    let configuration = Configuration::new(lab.devices(), XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .forward(forward)
        .tcp(&at(vip, 80))
        .udp(&at(vip, 80))
        .server("s1", &at(server, 80))
        .compile();
    lab.start(&configuration)
}

/// Sends TCP and UDP through a service to a server that serves at `served`; a bulk of `bytes` bytes, both ways, among it.
fn works(lab: &Lab, (forward, vip, server, served): Route<'_>, bytes: usize) {
    let target = at(vip, 80);
    let dataplane = service(lab, forward, vip, server);
    let way = format!("{forward:?} from {vip} to {server}, served at {served}");
    for bytes in [bytes, 2_000_000, 1] {
        let mut session = lab
            .connect(&target)
            .unwrap_or_else(|error| panic!("{way}: {error}\n{:#?}", snapshot(&dataplane)));
        session
            .exchange(bytes)
            .unwrap_or_else(|error| panic!("{way}: {error}\n{:#?}", snapshot(&dataplane)));
    }
    for name in ["www.example.com", "a.b", "xn--nxasmq6b.example"] {
        let found = lab.client.inside(|| dns::ask(&target, name));
        assert_eq!(
            found.unwrap_or_else(|error| panic!("{way}: {error}")),
            dns::address_of(name),
            "{way}"
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
    let least = (bytes / 1500) as u64;
    assert!(packets > least, "{way}: the kernel forwarded them");
    dataplane.stop(Stop::Detach).expect("it detaches");
}

fn serve(lab: &Lab, address: &str) {
    lab.serve("s1", address);
    dns::serve(&lab.servers, address);
}

fn works_by_rewriting(lab: &Lab, bytes: usize) {
    serve(lab, "10.0.0.1:80");
    serve(lab, "[2001:db8:2::1]:80");
    for forward in [Forward::Nat, Forward::Dnat] {
        works(lab, (forward, VIP, "10.0.0.1", "10.0.0.1"), bytes);
        let six = "2001:db8:2::1";
        works(lab, (forward, VIP6, six, six), bytes);
    }
}

fn serve_services(lab: &Lab) {
    lab.own_services();
    serve(lab, &format!("{VIP}:80"));
    serve(lab, &format!("[{VIP6}]:80"));
}

fn works_on_the_link(lab: &Lab, bytes: usize) {
    serve_services(lab);
    for (vip, server) in [
        (VIP, "10.0.0.1"),
        (VIP6, "2001:db8:2::1"),
        (VIP, "2001:db8:2::1"),
    ] {
        works(lab, (Forward::Dsr, vip, server, vip), bytes);
    }
}

fn works_through_tunnels(lab: &Lab, bytes: usize, mode: XdpMode) {
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
        works(lab, (forward, vip, server, vip), bytes);
    }
    let counters = decap.stop().expect("it is taken off");
    assert!(counters.ipip > 1000 && counters.gue > 1000, "{counters:?}");
    assert_eq!(counters.refused, 0);
    assert!(!lab.servers.exec("ip link show dev sv0").contains("xdp"));
}

#[test]
fn nat_and_dnat_carry_tcp_and_udp_of_both_families() {
    let Some(lab) = Lab::new("mnat") else { return };
    works_by_rewriting(&lab, BULK);
}

#[test]
fn dsr_carries_tcp_and_udp_of_both_families() {
    let Some(lab) = Lab::new("mdsr") else { return };
    works_on_the_link(&lab, BULK);
}

#[test]
fn tunnels_carry_tcp_and_udp_of_both_families_in_both() {
    let Some(lab) = Lab::new("mtun") else { return };
    serve_services(&lab);
    lab.widen();
    works_through_tunnels(&lab, BULK, XdpMode::Native);
    works_through_tunnels(&lab, SOME, XdpMode::Generic);
}

#[test]
fn all_of_them_work_with_one_arm() {
    let Some(lab) = Lab::one_arm("arm") else {
        return;
    };
    works_by_rewriting(&lab, SOME);
    works_on_the_link(&lab, SOME);
    lab.widen();
    works_through_tunnels(&lab, SOME, XdpMode::Native);
}

/// The way to forward, the service's address, the server's, and the one it serves at.
type Route<'a> = (Forward, &'a str, &'a str, &'a str);

/// A transfer of some seconds on a real network.
const BULK: usize = 100_000_000;

/// A thousand packets and more.
const SOME: usize = 4_000_000;
