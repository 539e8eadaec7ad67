//! Content inspection of TCP sessions, on real sockets.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown};
use std::sync::Arc;

use tidegate::expr::{Scope, Stage, VariableName};
use tidegate::model::{
    BackendTarget, CommonAction, NameResolution, NameServer, Resolvers, ServerTarget, TcpAction,
    UseBackend, UseServer,
};
use tidegate::types::{Millis, ProxyId, ServerId};

use crate::name_server::name_server;
use crate::support::{Setup, condition, echo, expression, rest, rule, serve};

#[test]
fn one_port_serves_tls_ssh_and_the_rest_by_what_clients_say_first() {
    let proxy = switching().start();
    assert_eq!(
        proxy.ask("SSH-2.0-OpenSSH_9\r\n"),
        "ssh:SSH-2.0-OpenSSH_9\r\n"
    );
    assert_eq!(proxy.ask("something else"), "rest:something else");

    let mut stream = proxy.connect();
    // The hello comes in two pieces: the rules wait for the second.
    let hello = client_hello("www.example.com");
    stream.write_all(&hello[..20]).unwrap();
    std::thread::yield_now();
    stream.write_all(&hello[20..]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).starts_with("tls:"));
}

#[test]
fn what_is_not_decided_when_the_delay_ends_is_judged_by_what_is_there() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.log("%ts");
    setup.proxy().inspect_delay = Some(Millis(30));
    setup.proxy().tcp_request_content = vec![
        rule(
            TcpAction::Accept,
            Stage::RequestContent,
            &["if", "{", "req.len", "gt", "2", "}"],
        ),
        rule(TcpAction::Reject, Stage::RequestContent, &[]),
    ];
    let proxy = setup.start();
    let mut slow = proxy.connect();
    slow.write_all(b"x").unwrap();
    assert_eq!(rest(&mut slow), "");
    assert_eq!(proxy.log_line(), "PR");
    assert_eq!(proxy.ask("xyz"), "a:xyz");
}

#[test]
fn what_a_client_says_is_looked_up_and_decides() {
    let mut resolvers = Resolvers::new("dns");
    resolvers.nameservers.push(NameServer {
        name: "ns".to_owned(),
        address: name_server("friend.test", Ipv4Addr::new(192, 0, 2, 7)),
        stream: false,
    });
    let resolution = NameResolution {
        variable: VariableName::new(Scope::Session, "ip"),
        resolvers: Arc::new(resolvers),
        prefer_v6: false,
        name: expression(Stage::RequestContent, &["req.payload(0,0)"]),
    };
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.proxy().inspect_delay = Some(Millis(10_000));
    setup.proxy().tcp_request_content = vec![
        rule(
            TcpAction::Common(CommonAction::Resolve(Arc::new(resolution))),
            Stage::RequestContent,
            &["if", "{", "req.len", "gt", "5", "}"],
        ),
        rule(
            TcpAction::Accept,
            Stage::RequestContent,
            &["if", "{", "var(sess.ip)", "-m", "ip", "192.0.2.0/24", "}"],
        ),
        rule(TcpAction::Reject, Stage::RequestContent, &[]),
    ];
    let proxy = setup.start();
    assert_eq!(proxy.ask("friend.test"), "a:friend.test");
    assert_eq!(proxy.ask("foe.test"), "");
}

#[test]
fn a_client_that_leaves_during_inspection_needs_no_server() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.log("%s %ts");
    setup.proxy().inspect_delay = Some(Millis(60_000));
    setup.proxy().timeouts.client = Some(Millis(50));
    setup.proxy().tcp_request_content = vec![rule(
        TcpAction::Accept,
        Stage::RequestContent,
        &["if", "{", "req.len", "gt", "2", "}"],
    )];
    let proxy = setup.start();
    assert_eq!(rest(&mut proxy.connect()), "");
    assert_eq!(proxy.log_line(), "<NOSRV> cR");
}

#[test]
fn rules_of_the_response_hold_it_back_and_may_refuse_it() {
    let stage = Stage::ResponseContent;
    for (greeting, passes) in [("220 welcome", true), ("500 go away", false)] {
        let mut setup = Setup::new();
        setup.server(serve(move |mut stream| {
            for part in [&greeting[..2], &greeting[2..]] {
                stream.write_all(part.as_bytes()).unwrap();
                std::thread::yield_now();
            }
        }));
        setup.log("%ts");
        let px = setup.proxy();
        px.response_inspect_delay = Some(Millis(5_000));
        px.tcp_response_content = vec![
            rule(
                TcpAction::Accept,
                stage,
                &["if", "{", "res.payload(0,3)", "-m", "str", "220", "}"],
            ),
            rule(TcpAction::Reject, stage, &[]),
        ];
        let proxy = setup.start();
        let mut stream = proxy.connect();
        assert_eq!(rest(&mut stream), if passes { greeting } else { "" });
        drop(stream);
        assert_eq!(proxy.log_line(), if passes { "--" } else { "PD" });
    }
}

#[test]
fn rules_choose_backend_and_server() {
    let mut setup = Setup::new();
    setup.server(echo("default"));
    let other = setup.backend("other");
    for name in ["b1", "b2"] {
        let address = echo(name);
        setup.server_of(other, address);
    }
    let inspect = &["if", "{", "req.payload(0,1)", "-m", "str", "b", "}"];
    setup.proxy().inspect_delay = Some(Millis(5_000));
    setup.proxy().tcp_request_content = vec![rule(
        TcpAction::Accept,
        Stage::RequestContent,
        &["if", "{", "req.len", "gt", "0", "}"],
    )];
    setup.proxy().use_backends = vec![UseBackend {
        target: BackendTarget::Fixed(other),
        condition: Some(condition(Stage::RequestContent, inspect)),
        place: "test:1".into(),
    }];
    setup.model.proxies[other.index()].use_servers = vec![UseServer {
        target: ServerTarget::Fixed(ServerId(2)),
        condition: Some(condition(
            Stage::RequestContent,
            &["if", "{", "req.payload(0,2)", "-m", "str", "b2", "}"],
        )),
    }];
    let proxy = setup.start();
    assert_eq!(proxy.ask("a"), "default:a");
    assert_eq!(proxy.ask("b2"), "b2:b2");
    assert_eq!(proxy.ask("b2"), "b2:b2");
    assert_eq!(proxy.ask("bx"), "b1:bx");
}

/// A frontend that switches on TLS, SSH and anything else.
fn switching() -> Setup {
    let mut setup = Setup::new();
    setup.server(echo("rest"));
    setup.proxy().inspect_delay = Some(Millis(5_000));
    let stage = Stage::RequestContent;
    setup.proxy().tcp_request_content = vec![
        rule(
            TcpAction::Accept,
            stage,
            &["if", "{", "req.ssl_hello_type", "1", "}"],
        ),
        rule(
            TcpAction::Accept,
            stage,
            &["if", "{", "req.payload(0,4)", "-m", "str", "SSH-", "}"],
        ),
    ];
    for (name, test) in [
        (
            "tls",
            &["if", "{", "req.ssl_sni", "-i", "www.example.com", "}"][..],
        ),
        (
            "ssh",
            &["if", "{", "req.payload(0,4)", "-m", "str", "SSH-", "}"],
        ),
    ] {
        let backend: ProxyId = setup.backend(name);
        let address = echo(if name == "tls" { "tls" } else { "ssh" });
        setup.server_of(backend, address);
        setup.proxy().use_backends.push(UseBackend {
            target: BackendTarget::Fixed(backend),
            condition: Some(condition(stage, test)),
            place: "test:1".into(),
        });
    }
    setup
}

/// A minimal TLS client hello with a server name.
fn client_hello(name: &str) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let entry = [&[0_u8][..], &sized(name.as_bytes())].concat();
    let extension = [&[0, 0][..], &sized(&sized(&entry))].concat();
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.push(0);
    body.extend_from_slice(&sized(&[0x13, 0x01]));
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&sized(&extension));
    let mut handshake = vec![1, 0];
    handshake.extend_from_slice(&sized(&body));
    [&[22, 3, 1][..], &sized(&handshake)].concat()
}
