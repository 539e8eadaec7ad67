//! Connections in reverse: a proxy behind the edge opens them, and takes the edge's requests on them.

use tidegate::expr::Expression;
use tidegate::model::{
    BindAddress, HttpProtocol, Mode, Proxy, ProxyKind, ServerAddress, TcpAction, TcpRule,
};
use tidegate::session::workers::Phase;
use tidegate::types::ProxyId;

use crate::support::{RunningProxy, Setup, always, body, expression, mirror, status, until};

/// A proxy on two threads whose server is whoever attaches itself, under a name if there is one.
fn edge(name: Option<Expression>) -> Setup {
    let mut setup = Setup::of(Mode::Http, 2);
    setup.server_at(ProxyId(0), ServerAddress::Reverse);
    let private = ProxyId(1);
    let mut proxy = Proxy::new(private, "private", ProxyKind::Frontend);
    proxy.mode = Mode::Http;
    proxy.timeouts = setup.proxy().timeouts;
    proxy.tcp_request_session.push(TcpRule {
        action: TcpAction::AttachServer {
            backend: "px".into(),
            server: "s1".into(),
            name,
        },
        condition: None,
        place: "test:1".into(),
        text: String::new(),
    });
    setup.model.proxies.push(proxy);
    let loopback = BindAddress::Tcp(([127, 0, 0, 1], 0).into());
    setup.bind(private, loopback);
    setup
}

/// A proxy that opens connections to an edge, for requests to its own server.
fn device(edge: &RunningProxy, connections: u32) -> Setup {
    let mut setup = Setup::of(Mode::Http, 2);
    let up = setup.backend("up");
    setup.server_of(up, edge.addresses[1]).proto = Some(HttpProtocol::Http2);
    let reverse = BindAddress::Reverse {
        backend: "up".into(),
        server: "s1".into(),
        connections,
    };
    setup.bind(ProxyId(0), reverse).proto = Some(HttpProtocol::Http2);
    setup
}

/// How many connections are attached to the edge's server.
fn attached(edge: &RunningProxy) -> u32 {
    let server = edge.generation.state().server(tidegate::types::ServerId(0));
    server.connections.idle_safe.current()
}

#[test]
fn requests_reach_a_server_that_opened_the_connection() {
    let mut setup = edge(None);
    setup.log("%ST %ts %[bc_http_major]");
    let edge = setup.start();
    assert_eq!(status(&edge.get("/")), "503");
    assert_eq!(edge.log_line(), "503 SC -");
    let mut setup = device(&edge, 3);
    setup.server_of(ProxyId(0), crate::support::serve(mirror()));
    setup.log("%ST %ts %[fc_http_major]");
    let device = setup.start();
    until("three connections are attached", || attached(&edge) == 3);
    // Every client may be served by another thread than the one that has the connections.
    for _ in 0..8 {
        let response =
            edge.ask("POST /x HTTP/1.1\r\nHost: b.test\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(status(&response), "200");
        assert_eq!(
            body(&response),
            "POST /x HTTP/1.1\r\nhost: b.test\r\ncontent-length: 5\r\n\r\nhello"
        );
        assert_eq!(edge.log_line(), "200 -- 2");
        assert_eq!(device.log_line(), "200 -- 2");
    }
    device.stop(Phase::Soft);
    until("the device has ended", || device.is_finished());
    until("nothing is attached any more", || attached(&edge) == 0);
    assert_eq!(status(&edge.get("/")), "503");
    edge.stop(Phase::Soft);
    until("the edge has ended", || edge.is_finished());
}

#[test]
fn an_edge_that_stops_lets_requests_on_attached_connections_end() {
    let edge = edge(None).start();
    let mut setup = device(&edge, 1);
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Arc::new(std::sync::Mutex::new(opened));
    let origin = crate::support::serve(move |mut link| {
        link.message();
        link.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
        opened.lock().unwrap().recv().unwrap();
        link.say("!!");
    });
    setup.server_of(ProxyId(0), origin);
    let _device = setup.start();
    until("a connection is attached", || attached(&edge) == 1);
    let mut client = edge.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status(&client.head()), "200");
    assert_eq!(client.exactly(2), b"ok");
    edge.stop(Phase::Soft);
    until("nothing new is attached", || attached(&edge) == 0);
    gate.send(()).unwrap();
    assert_eq!(client.exactly(2), b"!!");
    until("the edge has ended", || edge.is_finished());
}

#[test]
fn the_name_of_an_attached_connection_must_be_the_one_that_is_wanted() {
    let mut setup = edge(Some(expression(&["str(one)"])));
    setup.model.servers[0].pool_name = Some(expression(&["req.hdr(x-name)"]));
    let edge = setup.start();
    let mut setup = device(&edge, 1);
    setup.server_of(ProxyId(0), crate::support::serve(always(HERE)));
    let _device = setup.start();
    until("a connection is attached", || attached(&edge) == 1);
    let ask = |name: &str| {
        edge.ask(&format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n"
        ))
    };
    assert_eq!(body(&ask("one")), "here");
    assert_eq!(status(&ask("two")), "503");
    assert_eq!(status(&edge.get("/")), "503");
}

const HERE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere";

#[test]
fn a_connection_that_does_not_begin_http2_is_not_attached() {
    let edge = edge(None).start();
    let stream = std::net::TcpStream::connect(edge.addresses[1]).unwrap();
    let mut client = crate::support::Link::new(stream);
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.is_closed());
    assert_eq!(attached(&edge), 0);
}
