//! Reloads: nothing is lost, what was known stays known, and a mistake leaves everything as it was.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Program, get, until};

const MASTER: &[&str] = &["-W", "-S", "unix@master"];

#[test]
fn no_request_fails_while_the_configuration_is_reloaded_again_and_again() {
    let program = Program::start(
        MASTER,
        "http-request return content-type text/plain string v0",
    );
    let address = program.address;
    let (over, served, failed) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match get(address) {
                        Some(_) => served.fetch_add(1, Ordering::Relaxed),
                        None => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        for version in 1..=5 {
            let text = format!("v{version}");
            program.configure(&format!(
                "http-request return content-type text/plain string {text}"
            ));
            let answer = program.ask("master", "reload");
            assert!(answer.starts_with("Success=1\n"), "{answer}");
            until("the new configuration answers", || {
                program.get().as_ref() == Some(&text)
            });
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(failed.into_inner(), 0);
    assert!(served.into_inner() > 0);
    until("the former workers are gone", || {
        !program.ask("master", "show proc").contains("# old workers")
    });
}

#[test]
fn a_mistake_leaves_the_former_configuration_in_force_and_is_told() {
    let program = Program::start(
        MASTER,
        "http-request return content-type text/plain string good",
    );
    program.configure("http-request retrun string bad");
    let answer = program.ask("master", "reload");
    assert!(answer.starts_with("Success=0\n--\n"), "{answer}");
    assert!(
        answer.contains("'retrun'") || answer.contains("retrun"),
        "{answer}"
    );
    assert_eq!(program.get().as_deref(), Some("good"));
    assert!(program.ask("master", "show proc").contains("[failed: 1]"));
    program.configure("http-request return content-type text/plain string better");
    program.signal("USR2");
    until("the next one is taken", || {
        program.get().as_deref() == Some("better")
    });
}

#[test]
fn servers_and_stick_tables_keep_their_state() {
    let program = Program::start(
        MASTER,
        "http-request return content-type text/plain string x",
    );
    let commands = "disable server app/one; set server app/one weight 3; \
                    set table web key 192.0.2.7 data.gpc0 41 data.http_req_rate 7";
    program.ask("stats", commands);
    assert!(program.ask("master", "reload").starts_with("Success=1"));
    let table = program.ask("stats", "show table web");
    assert!(table.contains("key=192.0.2.7 "), "{table}");
    assert!(table.contains("gpc0=41 "), "{table}");
    assert!(!table.contains("http_req_rate(3600000)=0"), "{table}");
    let state = program.ask("stats", "show servers state app");
    assert!(state.contains(" 127.0.0.1 0 1 3 10 "), "{state}");
    program.ask("stats", "enable server app/one");
    let state = program.ask("stats", "show servers state app");
    assert!(state.contains(" 127.0.0.1 2 0 3 10 "), "{state}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn a_daemon_in_a_chroot_is_reloaded_from_outside_of_it() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: chroot needs root");
        return;
    }
    let globals = |text: &str| {
        format!(
            "http-request return content-type text/plain string {text}
global
  chroot /tmp
  user nobody
  group nogroup"
        )
    };
    let flags = ["-D", "-W", "-S", "unix@master"];
    let program = Program::start(&flags, &globals("one"));
    program.configure(&globals("two"));
    let answer = program.ask("master", "reload");
    assert!(answer.starts_with("Success=1"), "{answer}");
    until("the new worker answers", || {
        program.get().as_deref() == Some("two")
    });
    let pid = std::fs::read_to_string(program.path("pid")).expect("written");
    let ended = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(ended.expect("kill").success());
    until("the service is gone", || program.get().is_none());
}

#[test]
fn commands_reach_the_worker_through_the_master() {
    let program = Program::start(
        MASTER,
        "http-request return content-type text/plain string x",
    );
    until("the worker has said that it is ready", || {
        program.ask("master", "@1 show info").contains("\nPid: ")
    });
    let processes = program.ask("master", "show proc");
    let worker = processes
        .lines()
        .nth(3)
        .expect("a worker")
        .split(' ')
        .next()
        .expect("its id");
    let info = program.ask("master", "@1 show info");
    assert!(info.contains(&format!("\nPid: {worker}\n")), "{info}");
    let levels = program.ask(
        "master",
        &format!("@!{worker} show cli level; show cli level"),
    );
    assert_eq!(levels, "admin\n\nadmin\n\n");
    let both = program.ask("master", "@@1 show cli level; user; show cli level");
    assert_eq!(both, "admin\n\n\nuser\n\n");
    assert!(
        program
            .ask("master", "@7 show info")
            .starts_with("Can't connect")
    );
}

#[test]
fn a_process_of_its_own_takes_the_sockets_over() {
    let old = Program::start(
        &[],
        "http-request return content-type text/plain string old",
    );
    let mut new = old.successor("http-request return content-type text/plain string new");
    until("the new one answers", || {
        old.get().as_deref() == Some("new")
    });
    assert!(new.try_wait().expect("a child").is_none());
    new.kill().expect("alive");
    new.wait().expect("a child");
}
