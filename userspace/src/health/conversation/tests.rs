//! Checks against scripted servers on loopback. The expected words were seen on HAProxy in the same situations.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::expr::{LogFormat, Purpose};
use crate::model::{ExpectMatch, Model, Proxy, ProxyKind, ServerAddress};
use crate::state::Operational;
use crate::types::{Millis, ProxyId};

/// What a server does with each connection.
#[derive(Clone, Copy)]
enum Script {
    /// Accepts and closes.
    Close,
    /// Says this at once, then waits for the client to go.
    Say(&'static str),
    /// Waits for bytes, answers this and closes.
    Answer(&'static str),
    /// Sends back what it gets.
    Echo,
}

async fn serve(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(play(stream, script));
        }
    });
    port
}

async fn play(mut stream: TcpStream, script: Script) {
    let mut buffer = [0; 4096];
    let done = match script {
        Script::Close => Ok(()),
        Script::Say(text) => stream.write_all(text.as_bytes()).await,
        Script::Answer(text) => {
            let _request = stream.read(&mut buffer).await;
            let _sent = stream.write_all(text.as_bytes()).await;
            return;
        }
        Script::Echo => Ok(()),
    };
    if done.is_err() || matches!(script, Script::Close) {
        return;
    }
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if matches!(script, Script::Echo) && stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

pub(super) fn check(steps: CheckSteps) -> Check {
    Check {
        address: None,
        port: None,
        inter: Millis(400),
        fast_inter: None,
        down_inter: None,
        timeout: None,
        connect_timeout: None,
        rise: 2,
        fall: 3,
        window: None,
        send_proxy: false,
        via_socks4: false,
        tls: None,
        steps,
        log_all: false,
    }
}

fn tcp(steps: Vec<CheckStep>) -> Check {
    check(CheckSteps::Tcp(steps.into()))
}

fn http(steps: Vec<CheckStep>) -> Check {
    check(CheckSteps::Http {
        steps: steps.into(),
        disable_on_404: false,
        send_state: false,
    })
}

fn format(text: &str) -> LogFormat {
    LogFormat::literal(text, Purpose::Http)
}

fn get() -> CheckStep {
    CheckStep::SendHttp(HttpSend {
        method: "GET".to_owned(),
        uri: format("/"),
        version: "HTTP/1.1".to_owned(),
        headers: vec![("Host".to_owned(), format("test"))],
        body: None,
        comment: None,
    })
}

fn expect(matching: ExpectMatch, comment: Option<&str>) -> Expect {
    Expect {
        negated: false,
        matching,
        min_recv: None,
        ok_status: None,
        error_status: None,
        timeout_status: None,
        on_success: None,
        on_error: None,
        status_code: None,
        comment: comment.map(str::to_owned),
    }
}

fn string(text: &str) -> Expect {
    expect(ExpectMatch::Bytes(text.into()), None)
}

fn regex(text: &str) -> Expect {
    let regex = regex::bytes::Regex::new(text).expect("a pattern");
    expect(
        ExpectMatch::Regex {
            regex,
            binary: false,
        },
        None,
    )
}

fn connect(port: Option<u16>) -> CheckStep {
    CheckStep::Connect(CheckConnect {
        port,
        ..CheckConnect::default()
    })
}

pub(super) fn running(port: u16) -> Running {
    let mut model = Model::default();
    model.global.threads = Some(1);
    let proxy = Proxy::new(ProxyId(0), "be", ProxyKind::Backend);
    proxy.servers.push(ServerId(0));
    model.proxies.push(proxy);
    let address = ServerAddress::Inet {
        address: ([127, 0, 0, 1], port).into(),
        port_offset: None,
    };
    model
        .servers
        .push(Server::new(ServerId(0), ProxyId(0), 1, "srv", address));
    Running::new(Arc::new(model), None)
}

/// Runs a check against a script: status, code and text.
async fn report(script: Script, check: Check) -> (&'static str, Option<u16>, String) {
    let port = serve(script).await;
    let report = run(&running(port), &Contexts::default(), ServerId(0), &check).await;
    assert!(report.duration.is_some());
    (report.status.name(), report.code, report.text)
}

fn on_loopback(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

const OK: &str = "HTTP/1.1 200 Fine\r\nX-A: one, two\r\nContent-Length: 9\r\n\r\nbody text";
const BROKEN: &str = "HTTP/1.1 503 Whatever Reason\r\nContent-Length: 0\r\n\r\n";

#[test]
fn connecting_is_enough_for_a_plain_check() {
    on_loopback(async {
        let (status, code, text) = report(Script::Close, check(CheckSteps::Connect)).await;
        assert_eq!((status, code, &*text), ("L4OK", None, ""));
        let (status, code, text) = report(Script::Close, tcp(Vec::new())).await;
        assert_eq!((status, code, &*text), ("L4OK", None, ""));
    });
}

#[test]
fn a_refused_connection_is_told_with_its_place() {
    on_loopback(async {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let refused = |check: Check| async move {
            let report = run(&running(port), &Contexts::default(), ServerId(0), &check).await;
            (report.status.name(), report.text)
        };
        let os = "ECONNREFUSED returned by OS";
        let cases = [
            (check(CheckSteps::Connect), os.to_owned()),
            (http(vec![get()]), os.to_owned()),
            (
                tcp(vec![]),
                format!("{os} at initial connection step of tcp-check"),
            ),
            (
                tcp(vec![connect(None)]),
                format!("{os} at step 1 of tcp-check (connect)"),
            ),
            (
                tcp(vec![
                    CheckStep::Comment("first".to_owned()),
                    connect(Some(port)),
                ]),
                format!("{os} at step 1 of tcp-check (connect port {port}) comment: 'first'"),
            ),
        ];
        for (check, text) in cases {
            assert_eq!(refused(check).await, ("L4CON", text));
        }
    });
}

#[test]
fn tcp_rules_are_followed_in_order() {
    on_loopback(async {
        let passing = tcp(vec![
            connect(None),
            CheckStep::Send(b"abc".to_vec()),
            CheckStep::Expect(string("abc")),
            CheckStep::Send(b"def".to_vec()),
            CheckStep::Expect(Expect {
                on_success: Some(format("all is well")),
                ok_status: Some("L6OK"),
                ..string("def")
            }),
        ]);
        let (status, code, text) = report(Script::Echo, passing).await;
        assert_eq!((status, code, &*text), ("L6OK", None, "all is well"));
        let greeting = tcp(vec![CheckStep::Expect(string("hello"))]);
        let (status, code, text) = report(Script::Say("hello\r\n"), greeting).await;
        assert_eq!((status, code, &*text), ("L7OK", Some(0), "(tcp-check)"));
    });
}

#[test]
fn tcp_failures_name_their_step() {
    on_loopback(async {
        let greeting = |expect: Expect| {
            tcp(vec![CheckStep::Expect(Expect {
                comment: Some("greeting".to_owned()),
                ..expect
            })])
        };
        let hello = Script::Say("hello\r\n");
        let cases = [
            (
                Script::Close,
                greeting(string("nope")),
                "L7RSP",
                "TCPCHK got an empty response at step 1 comment: 'greeting'",
            ),
            (
                hello,
                greeting(string("nope")),
                "L7TOUT",
                " at step 1 of tcp-check (expect string 'nope') comment: 'greeting'",
            ),
            (
                Script::Answer("other"),
                tcp(vec![
                    CheckStep::Send(b"x".to_vec()),
                    CheckStep::Expect(string("nope")),
                ]),
                "L7RSP",
                "TCPCHK did not match content 'nope' at step 2",
            ),
            (
                hello,
                tcp(vec![
                    connect(None),
                    CheckStep::Expect(Expect {
                        negated: true,
                        ..regex("^hel")
                    }),
                ]),
                "L7RSP",
                "TCPCHK matched unwanted content (regex) at step 2",
            ),
            (
                hello,
                tcp(vec![CheckStep::Expect(Expect {
                    min_recv: Some(0),
                    on_error: Some(format("bad greeting")),
                    error_status: Some("L7STS"),
                    ..string("nope")
                })]),
                "L7STS",
                "bad greeting",
            ),
            (
                Script::Say("hello"),
                tcp(vec![CheckStep::Expect(Expect {
                    timeout_status: Some("L6TOUT"),
                    ..regex("foo")
                })]),
                "L6TOUT",
                " at step 1 of tcp-check (expect regex)",
            ),
        ];
        for (script, check, status, text) in cases {
            let found = report(script, check).await;
            assert_eq!((found.0, &*found.2), (status, text));
        }
    });
}

#[test]
fn http_responses_are_judged_with_haproxys_words() {
    on_loopback(async {
        let expecting = |expect: Expect| http(vec![get(), CheckStep::Expect(expect)]);
        let status = |code| expect(ExpectMatch::Status(vec![(code, code)]), Some("my comment"));
        let cases = [
            (Script::Answer(OK), http(vec![get()]), "L7OK", Some(200), ""),
            (
                Script::Answer(BROKEN),
                http(vec![get()]),
                "L7STS",
                Some(503),
                "Whatever Reason",
            ),
            (
                Script::Answer(BROKEN),
                expecting(status(200)),
                "L7STS",
                Some(503),
                "Whatever Reason comment: my comment",
            ),
            (
                Script::Answer(OK),
                expecting(string("text")),
                "L7OK",
                Some(200),
                "",
            ),
            (
                Script::Answer(OK),
                expecting(string("nothere")),
                "L7RSP",
                None,
                "HTTP content check did not match",
            ),
            (
                Script::Answer(OK),
                expecting(Expect {
                    negated: true,
                    ..string("body")
                }),
                "L7RSP",
                None,
                "HTTP check matched unwanted content",
            ),
            (
                Script::Answer("garbage\r\n\r\n"),
                http(vec![get()]),
                "L7RSP",
                None,
                "",
            ),
            (Script::Echo, http(vec![get()]), "L7RSP", None, ""),
            (Script::Say(""), http(vec![get()]), "L7TOUT", None, ""),
        ];
        for (script, check, status, code, text) in cases {
            let found = report(script, check).await;
            assert_eq!((found.0, found.1, &*found.2), (status, code, text));
        }
    });
}

#[test]
fn a_404_asks_a_running_server_to_wind_down() {
    on_loopback(async {
        let gone = Script::Answer("HTTP/1.0 404 Gone Fishing\r\n\r\n");
        let soft = || {
            check(CheckSteps::Http {
                steps: vec![get(), CheckStep::Expect(string("never looked at"))].into(),
                disable_on_404: true,
                send_state: false,
            })
        };
        assert_eq!(report(gone, soft()).await.0, "L7OKC");
        let running = running(serve(gone).await);
        running
            .state
            .server(ServerId(0))
            .set_operational(Operational::Stopped, crate::clock::now());
        assert_eq!(
            run(&running, &Contexts::default(), ServerId(0), &soft())
                .await
                .status
                .name(),
            "L7RSP"
        );
    });
}

#[test]
fn a_check_with_two_connections_speaks_to_both() {
    on_loopback(async {
        let second = serve(Script::Answer(BROKEN)).await;
        let steps = vec![connect(None), get(), connect(Some(second)), get()];
        let found = report(Script::Answer(OK), http(steps)).await;
        assert_eq!((found.0, found.1), ("L7STS", Some(503)));
    });
}

#[test]
fn the_servers_state_is_described_to_it() {
    let running = running(8080);
    running.state.server(ServerId(0)).check.set_health(2);
    let check = http(vec![]);
    let contexts = Contexts::default();
    let runner = Runner::new(&running, &contexts, ServerId(0), &check, Instant::now());
    let node = dial::node_name();
    assert_eq!(
        runner.server_state(),
        format!(
            "UP 1/3; address=127.0.0.1; port=8080; name=be/srv; node={node}; weight=1/1; scur=0/0; qcur=0"
        )
    );
}
