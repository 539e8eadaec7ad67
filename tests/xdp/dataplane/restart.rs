//! What survives a reload, a crash and a restart.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tidegate::dataplane::Stop;
use tidegate::model::{Mode, XdpMode};

use super::configuration::Configuration;
use super::l4::snapshot;
use super::lab::{Lab, VIP};
use super::netns::eventually;

fn web(pin: &std::path::Path) -> Configuration {
    Configuration::new(&["lb0", "lb1"], XdpMode::Native, pin)
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .server("s2", "10.0.0.2:80")
        .server("s3", "10.0.0.3:80")
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

/// A process of its own that runs the kernel tier until it is killed.
struct Daemon(Child);

impl Daemon {
    fn start(lab: &Lab) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restart::body_of_the_daemon", "--nocapture"])
            .env(PIN, lab.pin())
            .env(NAMESPACE, lab.balancer.name())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().contains(READY));
        assert!(ready, "the daemon starts");
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test by itself: what the process runs that other tests start and kill.
#[test]
#[expect(clippy::print_stdout, reason = "tells the test that it has started")]
fn body_of_the_daemon() {
    let Some(pin) = std::env::var_os(PIN) else {
        return;
    };
    let namespace = std::env::var(NAMESPACE).unwrap();
    super::netns::enter(&namespace);
    let (compiled, running) = web(pin.as_ref()).compile();
    let dataplane = tidegate::dataplane::Dataplane::start(&compiled, &running)
        .unwrap()
        .unwrap();
    dataplane.follow().unwrap();
    println!("{READY}");
    loop {
        std::thread::park();
        dataplane.servers_changed();
    }
}

#[test]
fn flows_survive_a_crash_and_the_next_process_takes_them_over() {
    let Some(lab) = Lab::new("crash") else { return };
    serve(&lab);
    let target = format!("{VIP}:80");
    let daemon = Daemon::start(&lab);
    let mut sessions: Vec<_> = (0..20).map(|_| lab.connect(&target).unwrap()).collect();
    daemon.kill();
    assert!(lab.attached("lb0"), "the program is still on the wire");
    for session in &mut sessions {
        session.ping().expect("packets flow without the process");
    }
    assert!(
        lab.connect(&target).is_ok(),
        "also those of new connections"
    );

    let configuration = web(&lab.pin()).compile();
    let dataplane = lab.start(&configuration);
    for session in &mut sessions {
        session.ping().expect("packets flow under the next process");
    }
    let flows: u64 = snapshot(&dataplane).services[0]
        .servers
        .iter()
        .map(|server| server.counts.flows)
        .sum();
    assert_eq!(flows, 21, "the counters go on");
    dataplane.stop(Stop::Detach).expect("it detaches");
    assert!(!lab.attached("lb0"));
    assert_eq!(lab.pins_left(), [] as [String; 0], "no pin is left");
}

#[test]
fn process_that_was_replaced_leaves_the_program_of_the_other_alone() {
    let Some(lab) = Lab::new("over") else { return };
    serve(&lab);
    let target = format!("{VIP}:80");
    let configuration = web(&lab.pin()).compile();
    let old = lab.start(&configuration);
    let mut session = lab.connect(&target).unwrap();
    let new = lab.start(&configuration);
    old.stop(Stop::Detach)
        .expect("it sees that the program is not its own");
    assert!(lab.attached("lb0"));
    session.ping().expect("the flow goes on");
    new.stop(Stop::Keep).expect("it leaves everything");
    assert!(lab.attached("lb0"));
    session
        .ping()
        .expect("the flow goes on without any process");
    lab.start(&configuration)
        .stop(Stop::Detach)
        .expect("the last one cleans up");
    assert!(!lab.attached("lb0"));
}

#[test]
fn reload_keeps_flows_and_takes_effect_as_a_whole() {
    let Some(lab) = Lab::new("load") else { return };
    serve(&lab);
    let target = format!("{VIP}:80");
    let configuration = web(&lab.pin()).compile();
    let dataplane = lab.start(&configuration);
    let mut sessions: Vec<_> = (0..20).map(|_| lab.connect(&target).unwrap()).collect();
    // Server s3 is gone, the list is new, and another port is served.
    let next = Configuration::new(&["lb0", "lb1"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .tcp(&format!("{VIP}:81"))
        .server("s1", "10.0.0.1:80")
        .server("s2", "10.0.0.2:80")
        .rule("reject if { src 192.0.2.11 }")
        .compile_after(&configuration.1);
    lab.balancer
        .inside(|| dataplane.apply(&next.0, &next.1))
        .expect("the new configuration is in force");
    for session in &mut sessions {
        session
            .ping()
            .unwrap_or_else(|error| panic!("flow to {}: {error}", session.server));
    }
    assert!(
        sessions.iter().any(|session| session.server == "s3"),
        "one of them is to the server that is gone"
    );
    for _ in 0..20 {
        assert_ne!(lab.connect(&target).unwrap().server, "s3");
    }
    assert!(lab.connect(&format!("{VIP}:81")).is_ok());
    assert!(
        lab.connect_from(Some("192.0.2.11".parse().unwrap()), &target)
            .is_err()
    );
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn pins_can_be_given_to_the_user_the_daemon_becomes() {
    use std::os::unix::fs::MetadataExt;
    let Some(lab) = Lab::new("give") else { return };
    let dataplane = lab.start(&web(&lab.pin()).compile());
    dataplane.give_to(4321, 4322).expect("root may");
    let mut seen = 0;
    let mut folders = vec![lab.pin()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let metadata = entry.as_ref().unwrap().metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (4321, 4322), "{entry:?}");
            seen += 1;
        }
        folders.extend(
            std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir()),
        );
    }
    assert!(seen > 20, "maps and links are pinned");
    dataplane.stop(Stop::Detach).expect("it detaches");
}

#[test]
fn configuration_that_fails_leaves_the_one_before_in_force() {
    let Some(lab) = Lab::new("fail") else { return };
    serve(&lab);
    let target = format!("{VIP}:80");
    let configuration = web(&lab.pin()).compile();
    let dataplane = lab.start(&configuration);
    let wrong = Configuration::new(&["lb0", "lb1", "nosuch0"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .compile_after(&configuration.1);
    let error = lab
        .balancer
        .inside(|| dataplane.apply(&wrong.0, &wrong.1))
        .expect_err("there is no such interface");
    assert!(
        error.to_string().contains("'xdp interface nosuch0'"),
        "{error}"
    );
    let loopback = Configuration::new(&["lb0", "lb1", "lo"], XdpMode::Native, &lab.pin())
        .listen("web", Mode::L4)
        .tcp(&format!("{VIP}:80"))
        .server("s1", "10.0.0.1:80")
        .compile_after(&configuration.1);
    lab.balancer
        .inside(|| dataplane.apply(&loopback.0, &loopback.1))
        .expect_err("the loopback device has no native XDP");
    assert!(lab.attached("lb0"));
    eventually("all three servers still get flows", || {
        (lab.connect(&target).unwrap().server == "s3").then_some(())
    });
    dataplane.stop(Stop::Detach).expect("it detaches");
}

const PIN: &str = "TIDEGATE_TEST_PIN";
const NAMESPACE: &str = "TIDEGATE_TEST_NAMESPACE";
const READY: &str = "the kernel tier runs";
