//! The real program with the capabilities that the systemd unit leaves it, and then as nobody in a `chroot`.

use super::lab::{Lab, VIP};
use super::netns::eventually;
use super::process::Process;

/// Starts a program with the capabilities that the unit allows the service, and no others.
fn bounded() -> Vec<String> {
    let unit = include_str!("../../../conf/tidegate.service");
    let (_, rest) = unit
        .split_once("CapabilityBoundingSet=")
        .expect("the unit has it");
    let names = rest.lines().next().unwrap().split_whitespace();
    let names: Vec<String> = names
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let bounding = format!("--bounding-set=-all,{}", names.join(","));
    ["setpriv", &bounding, "--inh-caps=-all", "--no-new-privs"]
        .map(str::to_owned)
        .to_vec()
}

fn program(lab: &Lab) -> String {
    lab.balancer.exec("ip -details link show lb0")
}

/// Lists that outgrow their tables need another program, and the end takes it off the wire: both without a path to the pins.
#[test]
fn nobody_in_a_chroot_replaces_and_removes_the_program() {
    let Some(lab) = Lab::new("nobody") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let jail = tempfile::tempdir().unwrap();
    let list = jail.path().join("listed");
    std::fs::write(&list, "2001:db8:1::66\n").unwrap();
    let starter = bounded();
    let starter: Vec<&str> = starter.iter().map(String::as_str).collect();
    let process = Process::launch_by(
        &lab,
        &starter,
        &["-db"],
        &format!(
            " user nobody\n group nogroup\n chroot {}",
            jail.path().display()
        ),
        &format!(
            "listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80\n \
             tcp-request connection reject if {{ src -f {} }}",
            list.display()
        ),
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.number())).unwrap();
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        found.expect("every process has it").trim().to_owned()
    };
    // CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF of linux/capability.h.
    let kept = (1_u64 << 12) | (1 << 38) | (1 << 39);
    assert_eq!(line("CapEff:"), format!("{kept:016x}"));
    assert_ne!(line("Uid:").split_whitespace().next(), Some("0"));

    let from = |source: &str| lab.connect_from(Some(source.parse().unwrap()), &format!("{VIP}:80"));
    from("192.0.2.66").expect("it is not listed yet");
    let before = program(&lab);
    let file = list.display();
    process.ask(&format!("prepare acl {file}"));
    // More than there is room for beside what was listed at the start.
    let networks: Vec<String> = (0..1_100)
        .map(|number| format!("add acl @1 {file} 2001:db8:ff:{number:x}::/64"))
        .collect();
    for some in networks.chunks(100) {
        process.ask(&some.join("; "));
    }
    process.ask(&format!(
        "add acl @1 {file} 192.0.2.66; commit acl @1 {file}"
    ));
    assert_ne!(program(&lab), before, "larger tables need another program");
    from("192.0.2.66").map(drop).expect_err("it is listed");
    from("192.0.2.10").expect("others are not");

    process.stop();
    for device in lab.devices() {
        assert!(!lab.attached(device), "{device} runs no program any more");
    }
    let left = || std::fs::read_dir(lab.pin()).map_or(0, Iterator::count);
    eventually("no pin is left", || (left() == 0).then_some(()));
}
