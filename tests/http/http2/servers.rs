//! HTTP/2 to servers: another proxy of this program, behind the one that is tested.

use tidegate::model::{HttpProtocol, HttpReuse};

use super::frames::{Client, DATA, END_STREAM};
use crate::support::{OK, RunningProxy, Setup, always, body, field, mirror, status};

/// A proxy that speaks HTTP/2 to one in front of a server.
fn in_a_row(behind: &RunningProxy) -> Setup {
    let mut setup = Setup::new();
    setup.server(behind.address).proto = Some(HttpProtocol::Http2);
    setup.proxy().http_reuse = HttpReuse::Always;
    setup
}

#[test]
fn requests_of_many_clients_share_one_connection() {
    let mut setup = Setup::with_server(always(OK));
    setup.log("%[fc_http_major] %rc %B");
    let behind = setup.start();
    let mut front = in_a_row(&behind);
    front.log("%[bc_http_major] %[bc_glitches] %ST %ts");
    let front = front.start();
    for _ in 0..5 {
        let response = front.get("/");
        assert_eq!((status(&response), body(&response)), ("200", "ok"));
        assert_eq!(front.log_line(), "2 0 200 --");
        assert!(behind.log_line().starts_with("2 "));
    }
    let state = behind.generation.state();
    assert_eq!(state.process.connections.current(), 1);
}

#[test]
fn http1_fields_of_the_connection_are_not_sent_to_an_http2_server() {
    let behind = Setup::with_server(mirror()).start();
    let front = in_a_row(&behind).start();
    let response = front.ask(
        "GET /x?y HTTP/1.1\r\nHost: b.test\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nTE: trailers, gzip\r\n\
         Keep-Alive: 1\r\nX-A: b\r\n\r\n",
    );
    assert_eq!(
        body(&response),
        "GET /x?y HTTP/1.1\r\nhost: b.test\r\nx-a: b\r\nte: trailers\r\n\r\n"
    );
}

#[test]
fn bodies_and_trailers_go_through_two_proxies() {
    let behind = Setup::with_server(|mut link| {
        let request = link.message();
        assert!(request.contains("5\r\nhello"), "{request}");
        link.say(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n",
        );
    })
    .start();
    let front = in_a_row(&behind).start();
    let mut client = front.connect();
    client.say(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let head = client.head();
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(client.exactly(20), b"2\r\nok\r\n0\r\nx-t: 1\r\n\r\n");
    let mut client = Client::new(&front);
    client.post(1, "/");
    client.frame(DATA, END_STREAM, 1, b"hello");
    let answer = client.answer(1);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert!(answer.trailers);
}

#[test]
fn a_websocket_goes_through_http2_and_back() {
    let behind = Setup::with_server(|mut link| {
        let request = link.head();
        assert_eq!(field(&request, "upgrade"), Some("websocket"));
        let key = field(&request, "sec-websocket-key").unwrap().to_owned();
        link.say(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            super::messages::accept_of(&key)
        ));
        let said = link.exactly(4);
        link.say_bytes(&said);
    })
    .start();
    let front = in_a_row(&behind).start();
    let mut client = front.connect();
    client.say(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let head = client.head();
    assert_eq!(status(&head), "101", "{head}");
    assert_eq!(field(&head, "transfer-encoding"), None);
    assert_eq!(
        field(&head, "sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    client.say("ping");
    assert_eq!(client.exactly(4), b"ping");
    assert!(client.is_closed());
}

#[test]
fn a_server_that_does_not_speak_http2_is_a_bad_gateway() {
    let mut setup = Setup::with_server(always(OK));
    setup.model.servers[0].proto = Some(HttpProtocol::Http2);
    setup.log("%ST %ts");
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/")), "502");
    assert_eq!(proxy.log_line(), "502 SH");
}

#[test]
fn a_connection_that_the_server_closes_between_requests_is_replaced() {
    let behind = Setup::with_server(always(OK)).start();
    let address = behind.address;
    let front = in_a_row(&behind).start();
    assert_eq!(status(&front.get("/")), "200");
    drop(behind);
    // Nobody listens any more: the old connection is not mistaken for a live one.
    assert!(matches!(status(&front.get("/")), "503" | "502"));
    assert!(std::net::TcpStream::connect(address).is_err());
}
