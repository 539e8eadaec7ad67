//! `http-request do-resolve`: addresses asked for while a request waits.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tidegate::expr::{Scope, VariableName};
use tidegate::model::{CommonAction, HttpAction, NameResolution, NameServer, Resolvers};

use crate::name_server::name_server;
use crate::support::{Setup, body, expression, format_of, get, mirror};

#[test]
fn a_name_of_the_request_becomes_an_address() {
    let mut resolvers = Resolvers::new("dns");
    resolvers.nameservers.push(NameServer {
        name: "ns".to_owned(),
        address: name_server("app.test", Ipv4Addr::new(192, 0, 2, 7)),
        stream: false,
    });
    let mut setup = Setup::with_server(mirror());
    let resolution = NameResolution {
        variable: VariableName::new(Scope::Transaction, "ip"),
        resolvers: Arc::new(resolvers),
        prefer_v6: false,
        name: expression(&["req.hdr(x-name)"]),
    };
    setup.request_rule(
        HttpAction::Common(CommonAction::Resolve(Arc::new(resolution))),
        &[],
    );
    setup.request_rule(
        HttpAction::SetHeader("X-Ip".into(), format_of("<%[var(txn.ip)]>")),
        &[],
    );
    let proxy = setup.start();
    for (name, ip) in [
        ("app.test", "192.0.2.7"),
        ("nobody.test", ""),
        ("192.0.2.9", "192.0.2.9"),
        ("", ""),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n");
        let answer = proxy.ask(&request);
        let expected = format!("x-ip: <{ip}>\r\n");
        assert!(body(&answer).contains(&expected), "{name}: {answer}");
    }
    let answer = proxy.ask(&get("/"));
    assert!(body(&answer).contains("x-ip: <>\r\n"), "{answer}");
}
