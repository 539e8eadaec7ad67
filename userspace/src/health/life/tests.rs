//! Every consequence of a change, seen in the state and in the lines that are logged.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::{
    Facility, LogAddress, LogFormatKind, LogTarget, Proxy, ProxyKind, ServerAddress,
};
use crate::state::{CheckReport, CheckStatus};
use crate::types::Millis;

/// Backend `a` with servers `s1` and `s2`, backend `b` with `t1` that tracks `a/s1`.
struct World {
    running: Running,
    logs: Logs,
    receiver: UdpSocket,
}

const S1: ServerId = ServerId(0);
const S2: ServerId = ServerId(1);
const T1: ServerId = ServerId(2);

impl World {
    fn new(change: impl FnOnce(&mut Model)) -> Self {
        notice::set_quiet(true);
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
        receiver
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let target = LogTarget {
            address: LogAddress::Udp(receiver.local_addr().expect("bound")),
            max_length: 1024,
            format: Some(LogFormatKind::Short),
            sample: None,
            facility: Facility(16),
            level: Severity::Debug,
            min_level: Severity::Emerg,
            profile: None,
        };
        let mut model = Model::default();
        model.global.threads = Some(1);
        for (name, servers) in [("a", &["s1", "s2"][..]), ("b", &["t1"][..])] {
            let mut proxy = Proxy::new(
                ProxyId(model.proxies.len() as u32),
                name,
                ProxyKind::Backend,
            );
            proxy.logs = vec![target.clone()];
            for server in servers {
                let id = ServerId(model.servers.len() as u32);
                let address = ServerAddress::Inet {
                    address: ([192, 0, 2, 1], 80).into(),
                    port_offset: None,
                };
                proxy.servers.push(id);
                model
                    .servers
                    .push(Server::new(id, proxy.id, 1, *server, address));
            }
            model.proxies.push(proxy);
        }
        model.servers[T1.index()].track = Some(S1);
        change(&mut model);
        let running = Running::new(Arc::new(model), None);
        let logs = Logs::open(&running, "tidegate").expect("targets");
        Self {
            running,
            logs,
            receiver,
        }
    }

    fn life(&self) -> Life<'_> {
        Life::new(&self.running, &self.logs)
    }

    fn server(&self, id: ServerId) -> &ServerState {
        self.running.state.server(id)
    }

    /// The lines sent since the last call.
    fn lines(&self) -> String {
        self.running_out();
        let mut lines = Vec::new();
        loop {
            let mut buffer = [0; 1024];
            let length = self.receiver.recv(&mut buffer).expect("a line in time");
            let line = String::from_utf8_lossy(&buffer[..length])
                .trim_end()
                .to_owned();
            if line == "<7>end" {
                return lines.join("\n");
            }
            lines.push(line);
        }
    }

    fn running_out(&self) {
        self.logs
            .proxy(ProxyId(0))
            .send(Severity::Debug, b"end", b"");
    }
}

fn failed() -> Cause {
    Cause::Check(CheckReport {
        status: CheckStatus::L4Connection,
        code: None,
        duration: Some(0),
        text: "ECONNREFUSED returned by OS".to_owned(),
    })
}

const NOW: Moment = Moment(1_000_000);

#[test]
fn a_server_that_fails_takes_its_trackers_down_with_it() {
    let world = World::new(|_| {});
    world.life().down(S1, &failed(), NOW);
    assert!(!world.server(S1).is_usable() && !world.server(T1).is_usable());
    insta::assert_snapshot!(world.lines(), @r#"
    <1>Server a/s1 is DOWN, reason: Layer4 connection problem, info: "ECONNREFUSED returned by OS", check duration: 0ms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    <1>Server b/t1 is DOWN via a/s1. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    <0>backend b has no server available!
    "#);
    world.life().up(S1, &Cause::Cli, NOW);
    assert!(world.server(S1).is_usable() && world.server(T1).is_usable());
    insta::assert_snapshot!(world.lines(), @r"
    <5>Server a/s1 is UP, changed from CLI. 2 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.
    <5>Server b/t1 is UP via a/s1. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.
    ");
}

#[test]
fn maintenance_is_inherited_and_left_again() {
    let world = World::new(|_| {});
    world.life().set_mode(S1, Mode::Maintenance, NOW);
    assert_eq!(world.server(S1).admin(), Admin::FORCED_MAINT);
    assert_eq!(world.server(T1).admin(), Admin::INHERITED_MAINT);
    world.life().set_mode(S1, Mode::Ready, NOW);
    assert_eq!(world.server(T1).admin(), Admin::default());
    assert!(world.server(S1).is_usable() && world.server(T1).is_usable());
    insta::assert_snapshot!(world.lines(), @r"
    <1>Server a/s1 is going DOWN for maintenance. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    <1>Server b/t1 is going DOWN for maintenance via a/s1. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    <0>backend b has no server available!
    <5>Server a/s1 is UP/READY (leaving forced maintenance).
    <5>Server b/t1 is UP/READY (leaving maintenance).
    ");
}

#[test]
fn drain_is_inherited_and_softens_what_follows() {
    let world = World::new(|_| {});
    world.life().set_mode(S2, Mode::Drain, NOW);
    world.life().set_mode(S2, Mode::Maintenance, NOW);
    assert_eq!(world.server(S2).admin(), Admin::FORCED_MAINT);
    world.life().set_mode(S2, Mode::Drain, NOW);
    world.life().set_mode(S2, Mode::Ready, NOW);
    insta::assert_snapshot!(world.lines(), @r"
    <5>Server a/s2 enters drain state. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.
    <5>Server a/s2 is going DOWN for maintenance. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    <5>Server a/s2 is UP/DRAIN (leaving forced maintenance).
    <5>Server a/s2 is UP (leaving forced drain).
    ");
}

#[test]
fn a_server_in_maintenance_does_not_come_up_by_a_check() {
    let world = World::new(|_| {});
    world.life().set_mode(S2, Mode::Maintenance, NOW);
    world.lines();
    world.life().up(S2, &Cause::LoggedCheck, NOW);
    assert_eq!(world.server(S2).operational(), Operational::Stopped);
    assert_eq!(world.lines(), "");
}

#[test]
fn a_stopping_server_that_fails_is_only_a_notice() {
    let world = World::new(|_| {});
    world.life().stopping(S2, &Cause::Cli, NOW);
    world.life().down(S2, &Cause::Cli, NOW);
    insta::assert_snapshot!(world.lines(), @r"
    <5>Server a/s2 is stopping, changed from CLI. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.
    <5>Server a/s2 is DOWN, changed from CLI. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    ");
}

#[test]
fn a_server_coming_back_starts_slowly() {
    let world = World::new(|model| {
        model.servers[S2.index()].slowstart = Some(Millis(10_000));
        model.servers[S2.index()].weight = crate::types::Weight(100);
    });
    let weight = || world.server(S2).effective_weight() / crate::state::WEIGHT_SCALE;
    assert_eq!(weight(), 100, "not at the start of the process");
    world.life().down(S2, &failed(), NOW);
    world.life().up(S2, &Cause::Cli, NOW);
    assert_eq!(
        (world.server(S2).operational(), weight()),
        (Operational::Starting, 1)
    );
    world.life().warm_up(S2, NOW.after(5_000));
    assert_eq!(weight(), 50);
    world.life().warm_up(S2, NOW.after(10_000));
    assert_eq!(
        (world.server(S2).operational(), weight()),
        (Operational::Running, 100)
    );
}

#[test]
fn sessions_are_cut_when_the_server_asks_for_it() {
    let world = World::new(|model| {
        model.servers[S1.index()].on_marked_down = Some(OnMarkedDown::ShutdownSessions);
        model.servers[S1.index()].on_marked_up = Some(OnMarkedUp::ShutdownBackupSessions);
        model.servers[S2.index()].backup = true;
    });
    let state = &world.running.state;
    let register = |server| {
        let ticket = state
            .sessions
            .register(state.generation, ProxyId(0), None, NOW);
        ticket.assign(Some(ProxyId(0)), Some(server));
        ticket
    };
    let (on_active, on_backup) = (register(S1), register(S2));
    world.life().down(S1, &failed(), NOW);
    assert_eq!(on_active.cut_reason(), Some(CutReason::ServerDown));
    assert_eq!(on_backup.cut_reason(), None);
    world.life().up(S1, &Cause::Cli, NOW);
    assert_eq!(on_backup.cut_reason(), Some(CutReason::ServerUp));
}
