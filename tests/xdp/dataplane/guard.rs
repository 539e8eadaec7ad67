//! Source lists and connection rates, enforced before the stack and before forwarding.

use std::net::{IpAddr, TcpListener};

use tidegate::dataplane::{Dataplane, Stop};
use tidegate::model::{Mode, XdpMode};
use tidegate::types::TableId;

use super::configuration::Configuration;
use super::l4::snapshot;
use super::lab::{Lab, VIP, VIP6};
use super::netns::eventually;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn drops(dataplane: &Dataplane, reason: &str) -> u64 {
    let snapshot = snapshot(dataplane);
    let drops = snapshot.services.iter().flat_map(|service| &service.drops);
    drops
        .filter(|drop| drop.reason == reason)
        .map(|drop| drop.packets)
        .sum()
}

#[test]
fn listed_source_is_dropped_and_counted_and_others_pass() {
    let Some(lab) = Lab::new("list") else { return };
    lab.serve("s1", "10.0.0.1:80");
    lab.serve("t1", "[2001:db8:2::1]:80");
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .tcp(&format!("[{VIP6}]:80"))
        .server("s1", "10.0.0.1:80")
        .server("t1", "[2001:db8:2::1]:80")
        .rule("accept if { src 192.0.2.66/32 }")
        .rule("reject if { src 192.0.2.64/26 192.0.2.11 2001:db8:1::66 }")
        .compile();
    let dataplane = lab.start(&configuration);
    let from = |source: &str, target: &str| lab.connect_from(Some(address(source)), target);
    assert!(from("192.0.2.10", &format!("{VIP}:80")).is_ok());
    assert!(
        from("192.0.2.66", &format!("{VIP}:80")).is_ok(),
        "the first rule that matches counts"
    );
    assert!(from("2001:db8:1::10", &format!("[{VIP6}]:80")).is_ok());
    assert_eq!(drops(&dataplane, "source-listed"), 0);
    assert!(from("192.0.2.11", &format!("{VIP}:80")).is_err());
    let after_v4 = drops(&dataplane, "source-listed");
    assert!(after_v4 > 0);
    assert!(from("2001:db8:1::66", &format!("[{VIP6}]:80")).is_err());
    assert!(drops(&dataplane, "source-listed") > after_v4);
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn source_over_its_rate_is_refused_and_others_are_not() {
    let Some(lab) = Lab::new("rate") else { return };
    lab.serve("s1", "10.0.0.1:80");
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .rate_table(60_000)
        .rule("accept if { src 192.0.2.66 }")
        .rule("track-sc0 src")
        .rule("reject if { sc0_conn_rate gt 5 }")
        .compile();
    let dataplane = lab.start(&configuration);
    let target = format!("{VIP}:80");
    let from = |source: &str| lab.connect_from(Some(address(source)), &target);
    for number in 1..=5 {
        assert!(from("192.0.2.10").is_ok(), "connection {number} of 5");
    }
    let counted = |source: &str| {
        let sources = dataplane
            .feedback()
            .sources(TableId(0))
            .expect("the kernel counts this table");
        sources
            .into_iter()
            .find(|count| count.address == address(source))
            .map_or(0, |count| count.rate)
    };
    eventually("all five are counted", || {
        (counted("192.0.2.10") == 5).then_some(())
    });
    assert!(from("192.0.2.10").is_err(), "the sixth is one too many");
    assert!(drops(&dataplane, "rate-exceeded") > 0);
    assert!(counted("192.0.2.10") > 5, "refused ones count, too");
    assert!(
        from("192.0.2.11").is_ok(),
        "another source has its own count"
    );
    for _ in 0..8 {
        assert!(
            from("192.0.2.66").is_ok(),
            "an accepted source is past the limit"
        );
    }
    assert!(
        dataplane
            .feedback()
            .clear_sources(TableId(0), Some(address("192.0.2.10")))
    );
    assert!(from("192.0.2.10").is_ok(), "forgotten is forgiven");
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn service_terminated_here_is_guarded_and_charged_by_the_accept_path() {
    let Some(lab) = Lab::new("local") else { return };
    let listener = lab
        .balancer
        .inside(|| TcpListener::bind("192.0.2.1:8080"))
        .unwrap();
    let configuration = Configuration::new(&["lb0"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::Tcp)
        .tcp("0.0.0.0:8080")
        .rate_table(60_000)
        .rule("reject if { src 192.0.2.11 }")
        .rule("track-sc0 src")
        .rule("reject if { sc0_conn_rate gt 3 }")
        .compile();
    let dataplane = lab.start(&configuration);
    let connect = |source: &str| {
        let source = address(source);
        lab.client.inside(move || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.bind(&std::net::SocketAddr::new(source, 0).into())?;
            let target: std::net::SocketAddr = "192.0.2.1:8080".parse().unwrap();
            socket.connect_timeout(&target.into(), std::time::Duration::from_secs(2))
        })
    };
    assert!(connect("192.0.2.11").is_err());
    assert_eq!(drops(&dataplane, "source-listed").min(1), 1);
    for _ in 0..3 {
        connect("192.0.2.10").expect("under the limit");
        let (_, peer) = listener.accept().unwrap();
        dataplane.feedback().charge(TableId(0), peer.ip());
    }
    assert_eq!(
        dataplane.feedback().rate(TableId(0), address("192.0.2.10")),
        Some(3)
    );
    assert!(
        connect("192.0.2.10").is_err(),
        "the kernel enforces what the accept path charged"
    );
    assert!(drops(&dataplane, "rate-exceeded") > 0);
    dataplane.stop(Stop::Detach).expect("it detaches");
}
