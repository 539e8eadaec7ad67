//! Limits on connections and queues, on real sockets.

use std::io::Write;

use tidegate::expr::Stage;
use tidegate::model::{CommonAction, Table, TableKeyType, TcpAction, TrackSlot};
use tidegate::state::{Counter, FrontendStatus};
use tidegate::types::{Millis, ProxyId};

use crate::support::{Setup, echo, expression, rest, rule, until};

#[test]
fn connections_beyond_maxconn_wait_until_one_ends() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.proxy().maxconn = Some(2);
    let proxy = setup.start();
    let frontend = &proxy.generation.state().proxy(ProxyId(0)).frontend;
    let first = proxy.connect();
    let _second = proxy.connect();
    until("both are served", || frontend.current.current() == 2);
    let mut third = proxy.connect();
    third.write_all(b"x").unwrap();
    third.shutdown(std::net::Shutdown::Write).unwrap();
    third
        .set_read_timeout(Some(std::time::Duration::from_millis(50)))
        .unwrap();
    assert!(
        std::io::Read::read(&mut third, &mut [0]).is_err(),
        "nobody serves it yet"
    );
    assert_eq!(frontend.current.highest(), 2);
    drop(first);
    third
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    assert_eq!(rest(&mut third), "a:x");
    assert_eq!(
        frontend.current.highest(),
        2,
        "the limit was never exceeded"
    );
}

#[test]
fn connection_rules_accept_or_reject_by_source() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.proxy().tcp_request_connection = vec![
        rule(
            TcpAction::Accept,
            Stage::Connection,
            &["if", "{", "src", "192.0.2.0/24", "}"],
        ),
        rule(
            TcpAction::Reject,
            Stage::Connection,
            &["if", "{", "src", "127.0.0.0/8", "}"],
        ),
    ];
    let proxy = setup.start();
    assert_eq!(proxy.ask("x"), "");
    let counters = &proxy.generation.state().proxy(ProxyId(0)).frontend.counters;
    until("it is counted", || {
        counters.sum(Counter::DeniedConnections) == 1
    });
    assert_eq!(counters.sum(Counter::Sessions), 0);
}

#[test]
fn a_source_that_connects_too_often_is_refused() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    let table = setup.table(|id| Table {
        id,
        name: "px".into(),
        proxy: None,
        key: TableKeyType::Ip,
        size: 100,
        expire: Some(Millis(60_000)),
        nopurge: false,
        data: vec![tidegate::expr::StickData::ConnRate(Millis(60_000))],
    });
    let track = CommonAction::Track {
        slot: TrackSlot(0),
        key: expression(Stage::Connection, &["src"]),
        table,
    };
    setup.proxy().tcp_request_connection = vec![
        rule(TcpAction::Common(track), Stage::Connection, &[]),
        rule(
            TcpAction::Reject,
            Stage::Connection,
            &["if", "{", "sc0_conn_rate", "gt", "3", "}"],
        ),
    ];
    let proxy = setup.start();
    let answers: Vec<String> = (0..5).map(|_| proxy.ask("x")).collect();
    assert_eq!(answers, ["a:x", "a:x", "a:x", "", ""]);
}

#[test]
fn a_paused_frontend_refuses_and_a_resumed_one_serves_again() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    let proxy = setup.start();
    let state = proxy.generation.state();
    assert_eq!(proxy.ask("x"), "a:x");
    state.set_frontend_status(ProxyId(0), FrontendStatus::Paused);
    until("connections are refused", || {
        std::net::TcpStream::connect(proxy.address).is_err()
    });
    state.set_frontend_status(ProxyId(0), FrontendStatus::Open);
    until("connections are taken", || {
        std::net::TcpStream::connect(proxy.address).is_ok()
    });
    assert_eq!(proxy.ask("x"), "a:x");
}

/// What a bind line with a certificate of its own says.
fn encrypted(directory: &std::path::Path) -> tidegate::model::BindTls {
    let made = rcgen::generate_simple_self_signed(["test".to_owned()]).unwrap();
    let path = directory.join("test.pem");
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    std::fs::write(&path, pem).unwrap();
    let mut sources = tidegate::lang::source::Sources::default();
    let text = format!("frontend f\n bind :8443 ssl crt {}\n", path.display());
    sources.add("test", text);
    let (machine, settings) = (
        tidegate::lang::Machine::default(),
        tidegate::lang::Settings::default(),
    );
    let loaded = tidegate::lang::load_sources(sources, &machine, &settings);
    let model = loaded.model.expect("it is valid");
    model.binds[0].tls.clone().expect("it says 'ssl'")
}

#[test]
fn handshakes_beyond_maxsslrate_wait_for_the_next_second() {
    let directory = tempfile::tempdir().unwrap();
    let mut setup = Setup::of(tidegate::model::Mode::Tcp, 1);
    setup.server(echo("a"));
    setup.model.binds[0].tls = Some(encrypted(directory.path()));
    setup.model.global.maxsslrate = 3;
    let proxy = setup.start();
    let process = &proxy.generation.state().process;
    // A handshake begins when its connection is taken, whatever the client says then.
    let _clients: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    until("all of them have begun", || {
        proxy
            .generation
            .state()
            .proxy(ProxyId(0))
            .frontend
            .current
            .current()
            == 8
    });
    assert_eq!(process.tls_rate.highest(tidegate::clock::now()), 3);
}
