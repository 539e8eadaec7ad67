//! The whole room at work: real checks against loopback, and what they do to the state.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::*;
use crate::log::{Logs, notice};
use crate::model::{
    AgentCheck, Check, CheckSteps, ErrorReaction, Model, OnError, Proxy, ProxyKind, Server,
    ServerAddress,
};
use crate::state::{Admin, CheckStatus, Observation, Operational, Running};
use crate::types::{Millis, ProxyId, ServerId};

const S: ServerId = ServerId(0);

fn check() -> Check {
    Check {
        address: None,
        port: None,
        inter: Millis(50),
        fast_inter: None,
        down_inter: None,
        timeout: None,
        connect_timeout: None,
        rise: 2,
        fall: 2,
        window: None,
        send_proxy: false,
        via_socks4: false,
        tls: None,
        steps: CheckSteps::Connect,
        log_all: false,
    }
}

fn running(port: u16, change: impl FnOnce(&mut Server)) -> Running {
    let mut model = Model::default();
    model.global.threads = Some(1);
    let proxy = Proxy::new(ProxyId(0), "be", ProxyKind::Backend);
    proxy.servers.push(S);
    model.proxies.push(proxy);
    let address = ServerAddress::Inet {
        address: ([127, 0, 0, 1], port).into(),
        port_offset: None,
    };
    let mut server = Server::new(S, ProxyId(0), 1, "srv", address);
    change(&mut server);
    model.servers.push(server);
    Running::new(Arc::new(model), None)
}

/// Runs the checks beside a test on one thread.
fn beside(running: &Running, test: impl AsyncFnOnce()) {
    notice::set_quiet(true);
    let logs = Arc::new(Logs::open(running, "test").expect("no targets"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let checks = tokio::task::spawn_local(run(running.clone(), logs, Arc::default()));
        test().await;
        checks.abort();
    });
}

/// Waits until a condition holds, but not for ever.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        timeout(Duration::from_secs(10), wait).await.is_ok(),
        "in vain: {what}"
    );
}

async fn listener(port: u16) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("reuse");
    socket
        .bind(([127, 0, 0, 1], port).into())
        .expect("the port");
    socket.listen(64).expect("listening")
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("bound").port()
}

#[test]
fn a_server_follows_its_port_up_and_down() {
    let port = free_port();
    let running = running(port, |server| server.check = Some(Arc::new(check())));
    let state = running.state.server_handle(S);
    beside(&running, async || {
        until("down without a listener", || !state.is_usable()).await;
        assert_eq!(state.check.report().status, CheckStatus::L4Connection);
        let open = listener(port).await;
        until("up with one", || state.is_usable()).await;
        until("surely up", || state.check.health() == 3).await;
        drop(open);
        until("down again", || !state.is_usable()).await;
        assert_eq!(state.check.health(), 0);
    });
}

#[test]
fn maintenance_pauses_checks_and_its_end_starts_them_at_once() {
    let port = free_port();
    let slow = Check {
        inter: Millis(60_000),
        timeout: Some(Millis(1_000)),
        ..check()
    };
    let running = running(port, |server| server.check = Some(Arc::new(slow)));
    let logs = Logs::open(&running, "test").expect("no targets");
    let state = running.state.server_handle(S);
    beside(&running, async || {
        until("the first check", || !state.is_usable()).await;
        let life = Life::new(&running, &logs);
        life.set_mode(S, Mode::Maintenance, crate::clock::now());
        assert!(!state.check.is_running());
        let _open = listener(port).await;
        life.set_mode(S, Mode::Ready, crate::clock::now());
        until("checked without waiting a minute", || {
            state.check.report().status == CheckStatus::L4Ok
        })
        .await;
        assert!(state.is_usable());
    });
}

#[test]
fn observed_errors_take_a_server_down() {
    for (reaction, usable) in [
        (ErrorReaction::FastInter, true),
        (ErrorReaction::FailCheck, true),
        (ErrorReaction::SuddenDeath, true),
        (ErrorReaction::MarkDown, false),
    ] {
        let port = free_port();
        let slow = Check {
            inter: Millis(60_000),
            ..check()
        };
        let running = running(port, |server| {
            server.check = Some(Arc::new(slow));
            server.observe = Some(OnError {
                layer7: false,
                limit: 3,
                reaction,
            });
        });
        let state = running.state.server_handle(S);
        beside(&running, async || {
            let _open = listener(port).await;
            until("the first check", || state.check.health() == 3).await;
            let server = running.model.server(S);
            let seen = [
                Observation::NotConnected,
                Observation::NotConnected,
                Observation::Connected,
                Observation::BadStatus,
                Observation::NotConnected,
                Observation::NotConnected,
            ];
            seen.iter()
                .for_each(|observation| running.state.observe(server, *observation));
            assert_eq!(state.check.health(), 3, "never three in a row");
            running.state.observe(server, Observation::NotConnected);
            match reaction {
                ErrorReaction::FastInter => {}
                ErrorReaction::FailCheck | ErrorReaction::SuddenDeath => {
                    until("weaker", || state.check.health() == 2).await;
                }
                ErrorReaction::MarkDown => until("down", || !state.is_usable()).await,
            }
            assert_eq!(state.is_usable(), usable, "{reaction:?}");
            if !usable {
                let text = state.check.report().text;
                let expected =
                    "Detected 3 consecutive errors, last one was: L4 unsuccessful connection";
                assert_eq!(text, expected);
            }
        });
    }
}

#[test]
fn an_agent_sets_weight_mode_and_side() {
    let port = free_port();
    let running = running(1, |server| {
        server.weight = crate::types::Weight(50);
        server.agent = Some(Arc::new(AgentCheck {
            log_all: false,
            address: None,
            port,
            inter: Millis(30),
            send: None,
            rise: 1,
            fall: 1,
        }));
    });
    let state = running.state.server_handle(S);
    beside(&running, async || {
        let open = listener(port).await;
        let say = async |line: &str, what: &str, condition: &dyn Fn() -> bool| {
            let answer = async {
                loop {
                    let (mut stream, _) = open.accept().await.expect("an agent's client");
                    stream
                        .write_all(line.as_bytes())
                        .await
                        .expect("room for a line");
                }
            };
            tokio::select! {
                () = answer => {}
                () = until(what, condition) => {}
            }
        };
        say("40%\n", "the weight", &|| state.user_weight() == 20).await;
        say("drain\n", "the drain", &|| state.admin().has(Admin::DRAIN)).await;
        say("ready maxconn:7\n", "ready again", &|| state.is_usable()).await;
        assert_eq!(state.maxconn(), Some(7));
        say("down # broken\n", "down", &|| {
            state.operational() == Operational::Stopped
        })
        .await;
        assert_eq!(state.agent.report().text, "via agent : down (broken)");
        say("up 100%\n", "up", &|| {
            state.is_usable() && state.user_weight() == 50
        })
        .await;
        drop(open);
        until("an agent that is gone", || {
            state.agent.report().status == CheckStatus::L4Connection
        })
        .await;
        assert!(state.is_usable(), "an unreachable agent changes nothing");
    });
}
