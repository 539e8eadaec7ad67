//! What operators see and change of the kernel tier while the real program runs.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lab::{Lab, VIP};
use super::netns::eventually;
use super::process::Process;
use super::session::Session;

fn from(lab: &Lab, source: &str, target: &str) -> std::io::Result<Session> {
    let source: IpAddr = source.parse().unwrap();
    lab.connect_from(Some(source), target)
}

/// The value of a column in the only line of `show table … key …`.
fn column(answer: &str, name: &str) -> Option<u64> {
    let line = answer.lines().nth(1)?;
    let start = format!("{name}=");
    let word = line
        .split_whitespace()
        .find(|word| word.starts_with(&start))?;
    word[start.len()..].parse().ok()
}

const RATE: &str = "conn_rate(60000)";

#[test]
fn show_set_and_clear_table_work_on_the_counts_the_kernel_enforces() {
    let Some(lab) = Lab::new("table") else { return };
    lab.serve("s1", "10.0.0.1:80");
    let process = Process::start(
        &lab,
        "",
        &format!(
            "listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80\n \
             stick-table type ip size 10k expire 10m store conn_cnt,conn_rate(60s)\n \
             tcp-request connection track-sc0 src\n \
             tcp-request connection reject if {{ sc0_conn_rate gt 5 }}\n\
             listen local\n mode tcp\n bind 192.0.2.1:8080\n server s1 10.0.0.1:80\n \
             stick-table type ip size 10k expire 10m store conn_cnt,conn_rate(60s),gpc0\n \
             tcp-request connection track-sc0 src\n \
             tcp-request connection reject if {{ sc0_conn_rate gt 3 }}"
        ),
    );
    let forwarded = format!("{VIP}:80");
    for _ in 0..3 {
        from(&lab, "192.0.2.10", &forwarded).expect("under the limit");
    }
    let table = |command: &str| process.ask(command);
    eventually("three connections are counted", || {
        let answer = table("show table web key 192.0.2.10");
        (column(&answer, RATE) == Some(3) && column(&answer, "conn_cnt") == Some(3)).then_some(())
    });
    assert!(table("show table").contains("# table: web, type: ip, size:10240, used:1\n"));
    assert!(table("show table web data.conn_cnt gt 2").contains("key=192.0.2.10 "));
    assert!(!table("show table web data.conn_cnt gt 3").contains("key="));

    table("set table web key 192.0.2.10 data.conn_rate 50 data.conn_cnt 70");
    let answer = table("show table web key 192.0.2.10");
    assert!(
        column(&answer, RATE).is_some_and(|rate| rate > 40),
        "{answer}"
    );
    assert_eq!(column(&answer, "conn_cnt"), Some(70), "{answer}");
    assert!(
        from(&lab, "192.0.2.10", &forwarded).is_err(),
        "the kernel enforces what was set"
    );
    table("set table web key 192.0.2.11 data.conn_rate 50");
    assert!(
        from(&lab, "192.0.2.11", &forwarded).is_err(),
        "also for a source it had not met"
    );
    table("clear table web key 192.0.2.10");
    from(&lab, "192.0.2.10", &forwarded).expect("forgotten is forgiven");
    assert!(from(&lab, "192.0.2.11", &forwarded).is_err());
    table("clear table web");
    assert!(table("show table").contains("# table: web, type: ip, size:10240, used:0\n"));
    from(&lab, "192.0.2.11", &forwarded).expect("all are forgotten");

    // A frontend that userspace terminates: refused SYNs are seen by the kernel alone.
    let local = "192.0.2.1:8080";
    for _ in 0..3 {
        from(&lab, "192.0.2.10", local).expect("under the limit");
    }
    assert!(from(&lab, "192.0.2.10", local).is_err());
    let answer = table("show table local key 192.0.2.10");
    assert!(
        column(&answer, RATE).is_some_and(|rate| rate >= 4),
        "the refused ones count, too: {answer}"
    );
    assert_eq!(
        column(&answer, "gpc0"),
        Some(0),
        "the rest is userspace's: {answer}"
    );
    table("clear table local");
    from(&lab, "192.0.2.10", local).expect("both tiers have forgotten");
}

#[test]
fn open_flow_of_a_listed_source_goes_on_where_the_configuration_says_keep() {
    for (switch, goes_on) in [("cut", false), ("keep", true)] {
        let Some(lab) = Lab::new(switch) else { return };
        lab.serve("s1", "10.0.0.1:80");
        let list = std::env::temp_dir().join(format!("tg-{switch}-{}.list", std::process::id()));
        std::fs::write(&list, "# nobody yet\n").unwrap();
        let process = Process::start(
            &lab,
            &format!(" xdp listed-flows {switch}"),
            &format!(
                "listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80\n \
                 tcp-request connection reject if {{ src -f {} }}",
                list.display()
            ),
        );
        let target = format!("{VIP}:80");
        let mut session = from(&lab, "192.0.2.10", &target).expect("nobody is listed");
        session.ping().unwrap();
        assert_eq!(
            process.ask(&format!("add acl {} 192.0.2.10", list.display())),
            "\n"
        );
        assert!(
            from(&lab, "192.0.2.10", &target).is_err(),
            "the list is in force when the command is answered"
        );
        assert_eq!(session.ping().is_ok(), goes_on, "xdp listed-flows {switch}");
        assert_eq!(
            process.ask(&format!("del acl {} 192.0.2.10", list.display())),
            "\n"
        );
        from(&lab, "192.0.2.10", &target).expect("it is no longer listed");
        std::fs::remove_file(&list).unwrap();
    }
}

#[test]
fn replaced_list_takes_effect_as_a_whole() {
    let Some(lab) = Lab::new("commit") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    let list = std::env::temp_dir().join(format!("tg-commit-{}.list", std::process::id()));
    std::fs::write(&list, "192.0.2.10\n192.0.2.11\n").unwrap();
    let file = list.display();
    let process = Process::start(
        &lab,
        "",
        &format!(
            "listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80\n \
             tcp-request connection reject if {{ src -f {file} }}"
        ),
    );
    let program = || lab.balancer.exec("ip -details link show lb0");
    let before = program();
    let target = format!("{VIP}:80");
    let (stop, tries) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Listed before and after: no moment lets it through.
        let knocking = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(knock(&lab, "192.0.2.11", &target).is_err());
                tries.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 1..=5 {
            assert_eq!(
                process.ask(&format!("prepare acl {file}")),
                format!("New version created: {round}\n\n")
            );
            for source in ["192.0.2.66", "192.0.2.11"] {
                process.ask(&format!("add acl @{round} {file} {source}"));
            }
            process.ask(&format!("commit acl @{round} {file}"));
        }
        eventually("a few more tries", || {
            (knocking.is_finished() || tries.load(Ordering::Relaxed) > 20).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    assert!(before.contains("prog/xdp id "), "{before}");
    assert_eq!(program(), before, "another list is no other program");
    from(&lab, "192.0.2.10", &target).expect("the new list does not have it");
    assert!(
        from(&lab, "192.0.2.66", &target).is_err(),
        "and has this one"
    );
    assert!(
        process
            .ask(&format!("show acl {file}"))
            .ends_with("192.0.2.11\n\n")
    );
    std::fs::remove_file(&list).unwrap();
}

/// A connection attempt of little patience.
fn knock(lab: &Lab, source: &str, target: &str) -> std::io::Result<()> {
    let source: IpAddr = source.parse().unwrap();
    let target: std::net::SocketAddr = target.parse().unwrap();
    lab.client.inside(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&std::net::SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&target.into(), std::time::Duration::from_millis(20))
    })
}

#[test]
fn flows_are_shown_with_both_ends_and_can_be_forgotten() {
    let Some(lab) = Lab::new("flows") else { return };
    lab.serve("s1", "10.0.0.1:80");
    let process = Process::start(
        &lab,
        "",
        &format!("listen web\n mode l4\n bind {VIP}:80\n server s1 10.0.0.1:80"),
    );
    let target = format!("{VIP}:80");
    let mut one = from(&lab, "192.0.2.10", &target).unwrap();
    let mut other = from(&lab, "192.0.2.11", &target).unwrap();
    let shown = process.ask("show flows client 192.0.2.10");
    let line = format!("-> {VIP}:80 frontend web server s1 established");
    assert!(
        shown.starts_with("tcp 192.0.2.10:") && shown.contains(&line),
        "{shown}"
    );
    assert_eq!(
        shown.lines().filter(|line| !line.is_empty()).count(),
        1,
        "{shown}"
    );
    let all = process.ask("show flows server s1 state established service 198.51.100.0/24");
    assert!(
        all.contains("192.0.2.10:") && all.contains("192.0.2.11:"),
        "{all}"
    );
    assert_eq!(process.ask("show flows state closing"), "\n");
    assert!(
        process
            .ask("show flows colour red")
            .contains("'colour' is not one of")
    );
    let told = process.ask("show xdp");
    assert!(
        told.contains("notice 198.51.100.80 of 'web' is on no interface"),
        "{told}"
    );

    let forgotten = process.ask("clear flows client 192.0.2.10");
    assert!(forgotten.starts_with("1 flows forgotten"), "{forgotten}");
    other.ping().expect("the other one goes on");
    assert_eq!(process.ask("show flows client 192.0.2.10"), "\n");
    assert!(one.ping().is_err(), "its packets find no flow");
}
