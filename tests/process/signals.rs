//! Signals, exit codes, and what the service manager is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Program, until};

#[test]
fn a_master_exits_with_the_number_of_the_signal_that_ended_it() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("USR1", 0)] {
        let mut program = Program::start(
            &["-W"],
            "http-request return content-type text/plain string x",
        );
        program.signal(signal);
        let mut ended = None;
        until("the master is gone", || {
            ended = program.ended();
            ended.is_some()
        });
        assert_eq!(ended, Some(code), "after SIG{signal}");
        assert_eq!(program.get(), None, "after SIG{signal}");
    }
}

#[test]
fn the_service_manager_is_told_once_the_worker_serves() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("open");
    let variables = [("NOTIFY_SOCKET", path.to_str().expect("text"))];
    let program = Program::start_with(
        &["-Ws"],
        "http-request return content-type text/plain string x",
        &variables,
    );
    let mut buffer = [0; 512];
    let mut told = || {
        let length = manager.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let first = told();
    assert!(first.contains("READY=1"), "{first}");
    assert!(program.get().is_some());
    let pid = std::fs::read_to_string(program.path("pid")).expect("written before");
    assert_eq!(pid.trim(), program.pid().to_string());
    program.signal("USR2");
    assert!(told().contains("RELOADING=1"));
    assert!(told().contains("READY=1"));
}

#[test]
fn a_worker_that_dies_takes_its_master_along() {
    let mut program = Program::start(
        &["-W", "-S", "unix@master"],
        "http-request return content-type text/plain string x",
    );
    let mut worker = String::new();
    until("the master knows its worker", || {
        let processes = program.ask("master", "show proc");
        let line = processes.lines().nth(3).unwrap_or_default();
        worker = line.split(' ').next().unwrap_or_default().to_owned();
        worker.parse::<u32>().is_ok()
    });
    let status = std::process::Command::new("kill")
        .args(["-s", "KILL", &worker])
        .status();
    assert!(status.expect("kill").success());
    until("the master is gone", || program.ended() == Some(137));
}

#[test]
fn a_master_whose_first_configuration_is_wrong_does_not_start() {
    let mut program = Program::start_with(&["-W"], "nonsense", &[]);
    until("it is gone", || program.ended() == Some(1));
}
