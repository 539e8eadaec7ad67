//! What is said of a configuration that does not meet the machine as was meant, and that it is no longer said once it does.

use tidegate::dataplane::decap::Decap;
use tidegate::dataplane::{Dataplane, Stop};
use tidegate::model::{Forward, Mode, XdpMode};

use super::configuration::Configuration;
use super::l4::snapshot;
use super::lab::{Lab, VIP};
use super::netns::eventually;

fn notices(dataplane: &Dataplane) -> String {
    snapshot(dataplane).notices.join("\n")
}

/// Waits until something is said or is no longer said.
fn becomes(dataplane: &Dataplane, said: bool, text: &str) {
    eventually(&format!("'{text}' is said: {said}"), || {
        // What happens at the other end of a wire is not told; it is looked at when anything else happens.
        dataplane.servers_changed();
        (notices(dataplane).contains(text) == said).then_some(())
    });
}

fn tunnel(lab: &Lab, devices: &[&str]) -> Configuration {
    Configuration::new(devices, XdpMode::Auto, &lab.pin())
        .listen("web", Mode::L4)
        .forward(Forward::Ipip)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
}

#[test]
fn what_is_odd_about_interfaces_is_said_as_long_as_it_is_so() {
    let Some(lab) = Lab::new("odd") else { return };
    let dataplane = lab.start(&tunnel(&lab, &["lb0", "lb1", "lo"]).compile());
    let said = notices(&dataplane);
    assert!(
        said.contains("'lo' runs the program in generic mode")
            && said.contains("its driver refused the native mode (Operation not supported"),
        "{said}"
    );

    let narrow = "puts 20 bytes in front of packets, and 'lb1' takes 1500";
    assert!(said.contains(narrow), "{said}");
    assert!(said.contains("'ip link set lb1 mtu 1520'"), "{said}");
    lab.balancer.ip("link set lb1 mtu 1520");
    becomes(&dataplane, false, narrow);

    let lonely = "the other end of 'lb1', a veth device, runs no XDP program";
    assert!(said.contains(lonely), "{said}");
    assert!(!said.contains("the other end of 'lb0'"), "{said}");
    let started = lab.servers.inside(|| {
        let end = ["10.0.0.1".parse().unwrap()];
        Decap::start("sv0", XdpMode::Native, 6080, &end)
    });
    becomes(&dataplane, false, lonely);
    started.expect("it starts").stop().expect("it is taken off");
    becomes(&dataplane, true, lonely);

    let nowhere = format!("{VIP} of 'web' is on no interface");
    assert!(said.contains(&nowhere), "{said}");
    lab.balancer.address("lo", &format!("{VIP}/32"));
    becomes(&dataplane, false, &nowhere);

    lab.client.ip("link set cl0 down");
    becomes(&dataplane, true, "interface 'lb0' has no carrier");
    lab.balancer.ip("link set lb0 down");
    becomes(
        &dataplane,
        true,
        "interface 'lb0' is down; 'ip link set lb0 up'",
    );
    lab.client.ip("link set cl0 up");
    lab.balancer.ip("link set lb0 up");
    becomes(&dataplane, false, "interface 'lb0'");
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn servers_without_a_way_are_said_with_what_is_missing() {
    let Some(lab) = Lab::new("way") else { return };
    let configuration = tunnel(&lab, &["lb0"])
        .server("far", "203.0.113.7:80")
        .server("self", "192.0.2.1:80")
        .compile();
    let dataplane = lab.start(&configuration);
    let trouble = |name: &str| {
        let snapshot = snapshot(&dataplane);
        let mut servers = snapshot.services[0].servers.iter();
        let server = servers.find(|server| server.name == name).unwrap();
        (server.trouble.clone().unwrap_or_default(), server.state)
    };
    for (server, text) in [
        (
            "s1",
            "its route leaves through 'lb1'; add 'xdp interface lb1' to 'global'",
        ),
        ("far", "no route to it"),
        ("self", "it is an address of this machine"),
    ] {
        let (trouble, state) = trouble(server);
        assert_eq!((trouble.as_str(), state), (text, "absent"));
    }
    lab.balancer.ip("route add 203.0.113.0/24 via 192.0.2.10");
    eventually("there is a way to it now", || {
        (trouble("far") == (String::new(), "up")).then_some(())
    });
    dataplane.stop(Stop::Detach).expect("it detaches");
}
