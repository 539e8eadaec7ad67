//! ICMP and fragments, in every way to forward that they behave differently in.

use std::io::ErrorKind;

use tidegate::dataplane::{Dataplane, Stop};
use tidegate::model::{Forward, XdpMode};

use super::l4::snapshot;
use super::lab::{CLOSE, Lab, VIP, VIP6};
use super::modes::{GUE, at, service};
use super::netns::eventually;

/// Ways to forward with the service's address and the server's, and where the server takes what is sent.
const WAYS: [(Forward, &str, &str, &str); 9] = [
    (Forward::Nat, VIP, "10.0.0.1", "10.0.0.1"),
    (Forward::Nat, VIP6, "2001:db8:2::1", "2001:db8:2::1"),
    (Forward::Dnat, VIP, "10.0.0.1", "10.0.0.1"),
    (Forward::Dnat, VIP6, "2001:db8:2::1", "2001:db8:2::1"),
    (Forward::Dsr, VIP, "10.0.0.1", VIP),
    (Forward::Ipip, VIP, "10.0.0.1", VIP),
    (Forward::Ipip, VIP6, "2001:db8:2::1", VIP6),
    (GUE, VIP, "2001:db8:2::1", VIP),
    (GUE, VIP6, "10.0.0.1", VIP6),
];

/// Runs `test` in every way, each in a lab of its own; `wide` makes room for outer headers.
fn each(label: &str, wide: bool, test: impl Fn(&Lab, &Dataplane, &str, &str, &str)) {
    for (forward, vip, server, served) in WAYS {
        let Some(lab) = Lab::new(label) else { return };
        if served == vip {
            lab.own_services();
        }
        let decap = matches!(forward, Forward::Ipip | Forward::Gue { .. })
            .then(|| lab.decap(XdpMode::Native));
        if wide && decap.is_some() {
            lab.widen();
        }
        let dataplane = service(&lab, forward, vip, server);
        let way = format!("{forward:?} from {vip} to {server}");
        test(&lab, &dataplane, &at(vip, 80), &at(served, 80), &way);
        dataplane.stop(Stop::Detach).expect("it detaches");
        drop(decap);
    }
}

#[test]
fn fragments_follow_their_first_one_both_ways() {
    each("frag", true, |lab, dataplane, target, served, way| {
        let _outcome = lab.serve_echo(served);
        for length in [1400, 4000, 20_000] {
            let sent: Vec<u8> = (0..length).map(|byte| (byte % 191) as u8).collect();
            let back = lab.echo_udp(target, &sent).unwrap_or_else(|error| {
                panic!("{way}: {length}: {error}\n{:#?}", snapshot(dataplane))
            });
            assert!(
                back == sent,
                "{way}: {length} bytes come back as they were sent"
            );
        }
    });
}

#[test]
fn errors_about_what_clients_sent_reach_them() {
    each("unre", false, |lab, _, target, _, way| {
        // Nobody takes it at the server, whose host says so.
        let error = lab.echo_udp(target, b"anybody?").expect_err(way);
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{way}");
    });
}

#[test]
fn errors_about_what_servers_sent_reach_them() {
    each("gone", false, |lab, dataplane, target, served, way| {
        let outcome = lab.serve_echo(served);
        lab.echo_udp(target, &[CLOSE]).expect(way);
        let error = outcome
            .recv()
            .expect("the server tells")
            .expect_err(&format!("{way}\n{:#?}", snapshot(dataplane)));
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{way}");
    });
}

#[test]
fn senders_learn_what_fits_into_a_tunnel() {
    for (forward, vip, server, served) in WAYS {
        if !matches!(forward, Forward::Ipip | Forward::Gue { .. }) {
            continue;
        }
        let Some(lab) = Lab::new("pmtu") else { return };
        lab.own_services();
        let decap = lab.decap(XdpMode::Native);
        lab.serve("s1", &at(served, 80));
        let dataplane = service(&lab, forward, vip, server);
        let mut session = lab.connect(&at(vip, 80)).unwrap();
        session
            .exchange(1_000_000)
            .unwrap_or_else(|error| panic!("{forward:?} {vip}: {error}"));
        let drops = snapshot(&dataplane).services;
        let drops: Vec<_> = drops.iter().flat_map(|service| &service.drops).collect();
        assert!(
            drops.iter().any(|drop| drop.reason == "too-big"),
            "{forward:?} {vip}: {drops:?}"
        );
        dataplane.stop(Stop::Detach).expect("it detaches");
        drop(decap);
    }
}

#[test]
fn service_addresses_answer_echo_requests_and_neighbours_stay_the_stacks() {
    let Some(lab) = Lab::new("ping") else { return };
    let dataplane = service(&lab, Forward::Nat, VIP, "10.0.0.1");
    // Nobody has this address: without the program there is no answer.
    assert!(lab.ping(VIP));
    // The stack's own addresses are the stack's.
    assert!(lab.ping("192.0.2.1"));
    dataplane.stop(Stop::Detach).expect("it detaches");
    // The kernel takes its time to do so.
    eventually("nobody answers", || (!lab.ping(VIP)).then_some(()));
    let dataplane = service(&lab, Forward::Nat, VIP6, "2001:db8:2::1");
    assert!(lab.ping(VIP6));
    assert!(lab.ping("2001:db8:1::1"));
    lab.client.ip("neigh flush dev cl0");
    assert!(lab.ping("192.0.2.1"), "ARP still works");
    assert!(lab.ping("2001:db8:1::1"), "and neighbour discovery");
    dataplane.stop(Stop::Detach).expect("it detaches");
}
