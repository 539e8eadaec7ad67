//! Hundreds of connections that last, through all that operators and crashes do to the program.

use super::crowd::{Crowd, MANY};
use super::lab::{Lab, VIP};
use super::netns::eventually;
use super::process::Process;

/// A service with these servers.
fn web(numbers: &[u32]) -> String {
    let servers = numbers
        .iter()
        .map(|number| format!(" server s{number} 10.0.0.{number}:80\n"));
    let servers: String = servers.collect();
    format!("listen web\n mode l4\n bind {VIP}:80\n default-server check inter 200ms\n{servers}")
}

fn serve(lab: &Lab) {
    for (name, address) in [
        ("s1", "10.0.0.1:80"),
        ("s2", "10.0.0.2:80"),
        ("s3", "10.0.0.3:80"),
    ] {
        lab.serve(name, address);
    }
}

/// A server's number under a name of `show xdp json`.
fn told(process: &Process, server: &str, name: &str) -> Option<serde_json::Value> {
    let kernel: serde_json::Value = serde_json::from_str(&process.ask("show xdp json")).ok()?;
    let servers = kernel["services"][0]["servers"].as_array()?;
    let server = servers.iter().find(|known| known["name"] == server)?;
    Some(server[name].clone())
}

/// Waits until the kernel has been told a server's state.
fn becomes(process: &Process, server: &str, state: &str) {
    eventually(&format!("{server} is {state}"), || {
        (told(process, server, "state")? == state).then_some(())
    });
}

/// The servers that a few dozen new connections get.
fn new_ones(lab: &Lab, target: &str) -> Vec<String> {
    let mut servers: Vec<String> = (0..40)
        .map(|_| lab.connect(target).expect("a connection").server)
        .collect();
    servers.sort();
    servers.dedup();
    servers
}

#[test]
fn connections_survive_drain_maintenance_weights_and_a_reload_without_their_server() {
    let Some(lab) = Lab::new("long") else { return };
    serve(&lab);
    let target = format!("{VIP}:80");
    let process = Process::launch(&lab, &["-W"], "", &web(&[1, 2, 3]));
    let mut crowd = Crowd::connect(&lab.client, &target);
    assert_eq!(crowd.servers().len(), 3, "{:?}", crowd.servers());

    crowd.through("s1 drains", || {
        assert_eq!(process.ask("set server web/s1 state drain"), "\n");
        becomes(&process, "s1", "drain");
        assert_eq!(new_ones(&lab, &target), ["s2", "s3"]);
    });
    crowd.through("s1 is back, s2 in maintenance", || {
        process.ask("set server web/s1 state ready");
        process.ask("disable server web/s2");
        becomes(&process, "s1", "up");
        becomes(&process, "s2", "drain");
        assert_eq!(new_ones(&lab, &target), ["s1", "s3"]);
    });
    crowd.through("s2 is back, and the weights are others", || {
        process.ask("enable server web/s2");
        for (server, weight) in [("s1", 100), ("s2", 1), ("s3", 0)] {
            assert_eq!(
                process.ask(&format!("set server web/{server} weight {weight}")),
                "\n"
            );
        }
        eventually("no new ones go to s3", || {
            (!new_ones(&lab, &target).contains(&"s3".to_owned())).then_some(())
        });
    });
    crowd.through("a reload without s3", || {
        process.reload(&web(&[1, 2]));
        eventually("the new worker answers", || {
            let shown = process.ask("show xdp json");
            (!shown.contains("\"s3\"")).then_some(())
        });
        assert_eq!(told(&process, "s2", "state"), Some("up".into()));
    });
    crowd.through("a reload that brings s3 back", || {
        process.reload(&web(&[1, 2, 3]));
        eventually("s3 gets new ones", || {
            new_ones(&lab, &target)
                .contains(&"s3".to_owned())
                .then_some(())
        });
    });
}

#[test]
fn connections_survive_kill_9_and_a_successor() {
    let Some(lab) = Lab::new("kill9") else { return };
    serve(&lab);
    let target = format!("{VIP}:80");
    let sections = web(&[1, 2, 3]);
    let first = Process::start(&lab, "", &sections);
    let mut crowd = Crowd::connect(&lab.client, &target);
    crowd.through("no process at all", || {
        first.kill();
        assert!(lab.attached("lb0"), "the program is still on the wire");
        lab.connect(&target).expect("new connections work, too");
    });
    let second = crowd.through("the next process", || Process::start(&lab, "", &sections));
    let flows = |process: &Process| -> u64 {
        let servers = ["s1", "s2", "s3"].into_iter();
        let flows = servers.filter_map(|server| told(process, server, "flows")?.as_u64());
        flows.sum()
    };
    assert!(flows(&second) > MANY as u64, "the counters go on");
    let third = crowd.through("a successor takes over", || {
        let arguments = ["-sf", &second.number().to_string()];
        let third = Process::launch(&lab, &arguments, "", &sections);
        eventually("the one before is gone", || second.ended().then_some(()));
        third
    });
    assert!(flows(&third) > MANY as u64, "the counters still go on");
    crowd.through("new ones beside them", || {
        assert_eq!(new_ones(&lab, &target), ["s1", "s2", "s3"]);
    });
}
