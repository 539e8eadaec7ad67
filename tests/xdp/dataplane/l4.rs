//! Services that are forwarded in the kernel.

use std::collections::BTreeSet;

use tidegate::clock;
use tidegate::dataplane::{Dataplane, Snapshot, Stop};
use tidegate::model::{Forward, Mode, XdpMode};
use tidegate::state::{Operational, Running};
use tidegate::types::ServerId;

use super::configuration::Configuration;
use super::lab::{Lab, VIP, VIP6};
use super::netns::eventually;

fn web(lab: &Lab) -> Configuration {
    Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .tcp(&format!("[{VIP6}]:80"))
        .range(&format!("{VIP}:9000"), 9010)
        .server("s1", "10.0.0.1:80")
        .server("s2", "10.0.0.2:80")
        .server("s3", "10.0.0.3:80")
        .server("t1", "[2001:db8:2::1]:80")
        .server("t2", "[2001:db8:2::2]:80")
        .server("t3", "[2001:db8:2::3]:80")
}

fn serve_web(lab: &Lab) {
    for number in 1..=3 {
        let name = ["s1", "s2", "s3"][number - 1];
        lab.serve(name, &format!("10.0.0.{number}:80"));
        let name = ["t1", "t2", "t3"][number - 1];
        lab.serve(name, &format!("[2001:db8:2::{number}]:80"));
    }
}

/// The servers that answer many connections.
fn answering(lab: &Lab, target: &str, connections: usize) -> BTreeSet<String> {
    let one = |_| {
        let mut session = lab.connect(target).expect("a connection");
        session.ping().expect("an echo");
        session.server
    };
    (0..connections).map(one).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Marks a server up or down, as a health check would.
pub(crate) fn mark(dataplane: &Dataplane, running: &Running, server: u32, state: Operational) {
    running
        .state
        .server(ServerId(server))
        .set_operational(state, clock::now());
    dataplane.servers_changed();
}

pub(crate) fn snapshot(dataplane: &Dataplane) -> Snapshot {
    dataplane
        .feedback()
        .snapshot()
        .expect("the counters can be read")
}

fn server_state(dataplane: &Dataplane, name: &str) -> &'static str {
    let snapshot = snapshot(dataplane);
    let mut servers = snapshot
        .services
        .iter()
        .flat_map(|service| &service.servers);
    servers
        .find(|server| server.name == name)
        .expect("the server is known")
        .state
}

#[test]
fn nat_reaches_all_servers_and_back_in_both_families() {
    let Some(lab) = Lab::new("nat") else { return };
    serve_web(&lab);
    let configuration = web(&lab).compile();
    let dataplane = lab.start(&configuration);
    assert!(lab.attached("lb0") && lab.attached("lb1"));
    assert_eq!(
        answering(&lab, &format!("{VIP}:80"), 40),
        names(&["s1", "s2", "s3"])
    );
    assert_eq!(
        answering(&lab, &format!("[{VIP6}]:80"), 40),
        names(&["t1", "t2", "t3"])
    );
    assert_eq!(
        answering(&lab, &format!("{VIP}:9003"), 40).len(),
        3,
        "a port of the range leads to port 80, too"
    );

    let totals = eventually("the counters are complete", || {
        let snapshot = snapshot(&dataplane);
        let servers: Vec<_> = snapshot
            .services
            .iter()
            .flat_map(|service| &service.servers)
            .cloned()
            .collect();
        (servers
            .iter()
            .map(|server| server.counts.established)
            .sum::<u64>()
            == 120)
            .then_some(servers)
    });
    for server in &totals {
        assert!(
            server.counts.packets_in > 0 && server.counts.packets_out > 0,
            "{server:?}"
        );
        assert!(
            server.counts.bytes_in > 40 * server.counts.packets_in / 2,
            "{server:?}"
        );
    }
    assert_eq!(
        totals.iter().map(|server| server.counts.flows).sum::<u64>(),
        120
    );
    dataplane.stop(Stop::Detach).expect("it detaches");
    assert!(!lab.attached("lb0") && !lab.attached("lb1"));
    assert!(
        lab.connect(&format!("{VIP}:80")).is_err(),
        "nobody forwards any more"
    );
}

#[test]
fn udp_is_balanced_too() {
    let Some(lab) = Lab::new("udp") else { return };
    for number in 1..=3 {
        let name = ["s1", "s2", "s3"][number - 1];
        lab.serve_udp(name, &format!("10.0.0.{number}:53"));
        let name = ["t1", "t2", "t3"][number - 1];
        lab.serve_udp(name, &format!("[2001:db8:2::{number}]:53"));
    }
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("dns", Mode::L4)
        .udp(&format!("{VIP}:53"))
        .udp(&format!("[{VIP6}]:53"))
        .server("s1", "10.0.0.1:53")
        .server("s2", "10.0.0.2:53")
        .server("s3", "10.0.0.3:53")
        .server("t1", "[2001:db8:2::1]:53")
        .server("t2", "[2001:db8:2::2]:53")
        .server("t3", "[2001:db8:2::3]:53")
        .compile();
    let dataplane = lab.start(&configuration);
    let answers = |target: &str| -> BTreeSet<String> {
        (0..40)
            .map(|_| lab.ask_udp(target).expect("an answer"))
            .collect()
    };
    assert_eq!(answers(&format!("{VIP}:53")), names(&["s1", "s2", "s3"]));
    assert_eq!(answers(&format!("[{VIP6}]:53")), names(&["t1", "t2", "t3"]));
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn dsr_hands_packets_over_unchanged() {
    let Some(lab) = Lab::new("dsr") else { return };
    // The server has the service's address itself, and answers the client past the balancer's program.
    lab.servers.ip(&format!("address add {VIP}/32 dev lo"));
    lab.serve("s1", &format!("{VIP}:80"));
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .forward(Forward::Dsr)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .compile();
    let dataplane = lab.start(&configuration);
    assert_eq!(answering(&lab, &format!("{VIP}:80"), 5), names(&["s1"]));
    let snapshot = snapshot(&dataplane);
    let server = &snapshot.services[0].servers[0];
    assert_eq!(server.counts.flows, 5);
    assert_eq!(
        server.counts.packets_out, 0,
        "answers do not pass through the program"
    );
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn server_that_goes_down_gets_no_new_flows_and_keeps_its_old_ones() {
    let Some(lab) = Lab::new("down") else { return };
    serve_web(&lab);
    let configuration = web(&lab).compile();
    let dataplane = lab.start(&configuration);
    let running = &configuration.1;
    let target = format!("{VIP}:80");
    let mut old = (0..50)
        .map(|_| lab.connect(&target).unwrap())
        .find(|session| session.server == "s2")
        .unwrap();
    mark(&dataplane, running, 1, Operational::Stopped);
    eventually("the ring changes", || {
        (server_state(&dataplane, "s2") == "drain").then_some(())
    });
    assert_eq!(answering(&lab, &target, 30), names(&["s1", "s3"]));
    old.ping().expect("an established flow goes on");
    mark(&dataplane, running, 1, Operational::Running);
    eventually("the ring changes back", || {
        (server_state(&dataplane, "s2") == "up").then_some(())
    });
    eventually("it gets flows again", || {
        (lab.connect(&target).unwrap().server == "s2").then_some(())
    });
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn flows_of_a_dead_server_are_cut_where_the_configuration_says_so() {
    let Some(lab) = Lab::new("cut") else { return };
    serve_web(&lab);
    let configuration = web(&lab).cut_when_down().compile();
    let dataplane = lab.start(&configuration);
    let target = format!("{VIP}:80");
    let mut old = (0..50)
        .map(|_| lab.connect(&target).unwrap())
        .find(|session| session.server == "s2")
        .unwrap();
    mark(&dataplane, &configuration.1, 1, Operational::Stopped);
    eventually("the server is down in the kernel", || {
        (server_state(&dataplane, "s2") == "down").then_some(())
    });
    old.ping().expect_err("its flow is cut");
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn server_without_answer_to_arp_is_reported_and_left_out() {
    let Some(lab) = Lab::new("arp") else { return };
    lab.serve("s1", "10.0.0.1:80");
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .server("ghost", "10.0.0.99:80")
        .compile();
    let dataplane = lab.start(&configuration);
    assert_eq!(answering(&lab, &format!("{VIP}:80"), 20), names(&["s1"]));
    // Until then it is said to be waited for.
    eventually("it is found to be silent", || {
        let snapshot = snapshot(&dataplane);
        let mut servers = snapshot.services[0].servers.iter();
        let ghost = servers.find(|server| server.name == "ghost")?;
        let trouble = ghost.trouble.as_deref()?;
        trouble.contains("10.0.0.99 does not answer").then_some(())
    });
    // It comes to life: the ring takes it in without anybody asking.
    lab.servers.address("sv0", "10.0.0.99/24");
    lab.serve("gh", "10.0.0.99:80");
    eventually("it gets flows", || {
        (lab.connect(&format!("{VIP}:80")).unwrap().server == "gh").then_some(())
    });
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn start_waits_for_the_first_server_of_every_service() {
    let Some(lab) = Lab::new("wait") else { return };
    let configuration = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("near", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .listen("late", Mode::L4)
        .tcp(&format!("{VIP}:81"))
        .server("s9", "10.0.0.99:80")
        .server("s8", "10.0.0.98:80")
        .compile();
    let asked = || {
        lab.balancer
            .exec("ip neigh show 10.0.0.99")
            .contains("INCOMPLETE")
    };
    let dataplane = std::thread::scope(|scope| {
        let starting = scope.spawn(|| lab.start(&configuration));
        // The first question meets nobody; the kernel asks again after a second.
        eventually("it is asked for", || asked().then_some(()));
        lab.servers.address("sv0", "10.0.0.99/24");
        starting.join().unwrap()
    });
    assert_eq!(server_state(&dataplane, "s9"), "up");
    assert_eq!(server_state(&dataplane, "s1"), "up");
    dataplane.stop(Stop::Detach).expect("it detaches");
}
