//! `tidegate decap` as operators run it on a server.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tidegate::dataplane::Stop;
use tidegate::model::Forward;

use super::lab::{Lab, VIP, VIP6};
use super::modes::{GUE, at, service};
use super::netns::eventually;

/// The command in the servers' namespace.
fn decap(lab: &Lab, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{}", lab.servers.name()))
        .arg(env!("CARGO_BIN_EXE_tidegate"))
        .arg("decap")
        .args(words);
    command
}

/// One that runs.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it said when it was on the interface.
    ready: String,
}

impl Running {
    fn start(lab: &Lab, words: &[&str]) -> Self {
        let mut child = decap(lab, words).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        Self {
            child,
            output,
            ready,
        }
    }

    /// Ends it; what it said, and whether it succeeded.
    fn end(mut self, signal: Signal) -> (String, bool) {
        let number = Pid::from_child(&self.child);
        kill_process(number, signal).unwrap();
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        (said, self.child.wait().unwrap().success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_on(lab: &Lab) -> bool {
    lab.servers.exec("ip link show dev sv0").contains("xdp")
}

#[test]
fn it_takes_packets_out_until_it_is_told_to_stop_and_leaves_nothing_however_it_ends() {
    let Some(lab) = Lab::new("dcap") else { return };
    lab.own_services();
    lab.widen();
    lab.serve("s1", &at(VIP, 80));
    lab.serve("s1", &at(VIP6, 80));
    for (signal, port) in [
        (Signal::TERM, 6080),
        (Signal::INT, 7000),
        (Signal::KILL, 6080),
    ] {
        let running = Running::start(&lab, &["--interface", "sv0", "--port", &port.to_string()]);
        let start = format!("decap: on sv0 (native), IP in IP and GUE on port {port} to ");
        let ends = running.ready.strip_prefix(&start).expect(&running.ready);
        for own in ["10.0.0.1", "2001:db8:2::3"] {
            assert!(ends.split_whitespace().any(|end| end == own), "{ends}");
        }
        for (forward, vip, server) in [
            (Forward::Ipip, VIP, "10.0.0.1"),
            (Forward::Ipip, VIP6, "2001:db8:2::1"),
            (Forward::Gue { port }, VIP, "2001:db8:2::1"),
            (Forward::Gue { port }, VIP6, "10.0.0.1"),
        ] {
            let dataplane = service(&lab, forward, vip, server);
            let mut session = lab.connect(&at(vip, 80)).expect("it gets through");
            session.exchange(100_000).unwrap();
            dataplane.stop(Stop::Detach).unwrap();
        }
        let (said, succeeded) = running.end(signal);
        assert_eq!(succeeded, signal != Signal::KILL);
        if succeeded {
            let numbers: Vec<u64> = said
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            let [ipip, gue, bytes, refused] = numbers[..] else {
                panic!("{said}");
            };
            assert!(ipip > 50 && gue > 50 && bytes > 400_000, "{said}");
            assert_eq!(refused, 0, "{said}");
        }
        // The kernel takes its time after a kill.
        eventually("the program is gone", || (!is_on(&lab)).then_some(()));
    }
    let dataplane = service(&lab, GUE, VIP, "10.0.0.1");
    lab.connect(&at(VIP, 80))
        .map(drop)
        .expect_err("nobody takes packets out of tunnels any more");
    dataplane.stop(Stop::Detach).unwrap();
}

#[test]
fn what_is_in_its_way_is_told() {
    let Some(lab) = Lab::new("dbad") else { return };
    let told = |command: &mut Command| {
        let Output { status, stderr, .. } = command.output().unwrap();
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    };
    let refused = |words: &[&str], code: i32, text: &str| {
        let (status, said) = told(&mut decap(&lab, words));
        assert!(
            status == Some(code) && said.contains(text),
            "{words:?}: {said}"
        );
    };
    refused(&[], 2, "--interface <INTERFACE>");
    refused(&["-i", "sv9"], 1, "there is no interface 'sv9'");
    refused(&["-i", "sv0", "--port", "0"], 2, "0 is not in 1..=65535");
    refused(&["-i", "sv0", "--address", "x"], 2, "invalid IP address");
    let native = ["-i", "lo", "--mode", "native"];
    refused(
        &native,
        1,
        "interface 'lo' has no native XDP; use '--mode generic'",
    );

    let mut without = Command::new("setpriv");
    without.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
    without.arg(env!("CARGO_BIN_EXE_tidegate"));
    // Nobody gets this far with an interface of a namespace, so that of this one is asked for.
    without.args(["decap", "-i", "lo", "--address", "192.0.2.1"]);
    let (status, said) = told(&mut without);
    let needs = "needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
    assert!(status == Some(1) && said.contains(needs), "{said}");

    let running = Running::start(&lab, &["-i", "sv0", "--address", "10.0.0.1"]);
    refused(&["-i", "sv0"], 1, "'sv0' already runs another XDP program");
    assert!(is_on(&lab), "the first one is still there");
    assert!(running.end(Signal::TERM).1);
    let mut warned = decap(&lab, &["-i", "sv0", "--address", "203.0.113.9"]);
    let mut child = warned
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        line.contains("203.0.113.9 is no address of this machine"),
        "{line}"
    );
}
