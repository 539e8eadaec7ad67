//! Servers of `mode l4` that come and go, with the real program.

use super::lab::{Lab, VIP};
use super::netns::eventually;
use super::process::Process;

#[test]
fn servers_are_added_and_removed_while_flows_go_on() {
    let Some(lab) = Lab::new("members") else {
        return;
    };
    lab.serve("s1", "10.0.0.1:80");
    lab.serve("s2", "10.0.0.2:80");
    let process = Process::start(
        &lab,
        "",
        &format!(
            "frontend web\n mode l4\n bind {VIP}:80\n default_backend pool\n\
             backend pool\n mode l4\n balance roundrobin\n server s1 10.0.0.1:80"
        ),
    );
    let target = format!("{VIP}:80");
    let program = || lab.balancer.exec("ip -details link show lb0");
    let before = program();
    let mut first = lab.connect(&target).expect("a connection");
    assert_eq!(first.server, "s1");
    let ask = |line: &str| process.ask(line);

    assert_eq!(
        ask("add server pool/s2 10.0.0.2:80 check inter 50ms"),
        "New server registered.\n\n"
    );
    for _ in 0..4 {
        let session = lab.connect(&target).expect("a connection");
        assert_eq!(session.server, "s1", "the new one is in maintenance");
    }
    ask("enable server pool/s2; enable health pool/s2");
    let mut second = eventually("the new server gets flows", || {
        let session = lab.connect(&target).expect("a connection");
        (session.server == "s2").then_some(session)
    });
    second.ping().expect("an echo");
    assert!(
        ask("show xdp").contains("server s2 up"),
        "{}",
        ask("show xdp")
    );

    // Its flows go on, and hold it.
    ask("disable server pool/s2");
    eventually("it gets no more flows", || {
        let servers = [(); 4].map(|()| lab.connect(&target).expect("a connection").server);
        servers.iter().all(|server| server == "s1").then_some(())
    });
    second.ping().expect("an echo");
    let busy = "Server still has connections attached to it, cannot remove it.\n\n";
    assert_eq!(ask("del server pool/s2"), busy);
    drop(second);
    eventually("its last flow is over", || {
        (ask("del server pool/s2") == "Server deleted.\n\n").then_some(())
    });
    assert!(
        !ask("show xdp").contains("server s2"),
        "{}",
        ask("show xdp")
    );
    first.ping().expect("the other's go on");
    assert_eq!(program(), before, "it is the same program all the time");

    // What the kernel cannot do is refused, and leaves nothing behind.
    let refused = ask("add server pool/s3 10.0.0.3:80 cookie c");
    assert!(
        refused.contains("'cookie' is not possible in 'mode l4'"),
        "{refused}"
    );
    let refused = ask("add server pool/s3 10.0.0.3:80 ssl verify none");
    assert!(refused.contains("cannot be used in 'mode l4'"), "{refused}");
    assert!(!ask("show servers state pool").contains("s3"));
}
