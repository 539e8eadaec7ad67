//! What passes between a client and a server, and in which form.

use std::net::Shutdown;

use tidegate::model::{ForwardedFor, TrailingClose};

use crate::support::{OK, Setup, always, body, field, get, mirror, status};

#[test]
fn a_request_reaches_the_server_normalised_and_the_response_comes_back() {
    let proxy = Setup::with_server(mirror()).start();
    let response = proxy.ask(
        "GET /x?y HTTP/1.1\r\nHOST: a.test\r\nX-Fold: a\r\n  b\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n\
         Keep-Alive: 5\r\nTE: trailers, gzip\r\n\r\n",
    );
    assert_eq!(status(&response), "200");
    assert_eq!(
        body(&response),
        "GET /x?y HTTP/1.1\r\nhost: a.test\r\nx-fold: a b\r\nte: trailers\r\n\r\n"
    );
}

#[test]
fn requests_on_one_connection_are_answered_in_order_even_when_pipelined() {
    let proxy = Setup::with_server(mirror()).start();
    let mut client = proxy.connect();
    client.say(&format!("{}{}{}", get("/1"), get("/2"), get("/3")));
    for path in ["/1", "/2", "/3"] {
        assert!(body(&client.message()).starts_with(&format!("GET {path} ")));
    }
    client.say(&get("/4"));
    assert!(body(&client.message()).starts_with("GET /4 "));
}

#[test]
fn bodies_with_a_length_pass_whole_in_both_directions() {
    const SIZE: usize = 3_000_000;
    let proxy = Setup::with_server(|mut link| {
        let head = link.head();
        let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
        let received = link.exactly(length);
        link.say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        link.say_bytes(&received);
    })
    .start();
    let sent: Vec<u8> = (0..SIZE).map(|at| (at ^ (at >> 9)) as u8).collect();
    let mut client = proxy.connect();
    client.say(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"
    ));
    client.say_bytes(&sent);
    let head = client.head();
    assert_eq!(field(&head, "content-length"), Some("3000000"));
    assert!(client.exactly(SIZE) == sent);
}

#[test]
fn chunked_bodies_pass_with_their_trailers_and_without_their_extensions() {
    let proxy = Setup::with_server(|mut link| {
        let head = link.head();
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        let body =
            String::from_utf8(link.exactly("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n".len())).unwrap();
        assert_eq!(body, "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
        link.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ext\r\nhi\r\n0\r\n\r\n");
    })
    .start();
    let response = proxy.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    assert_eq!(body(&response), "2\r\nhi\r\n0\r\n\r\n");
}

#[test]
fn an_old_client_gets_no_chunks() {
    let proxy = Setup::with_server(always(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ))
    .start();
    let response = proxy.ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(body(&response), "hi");
    assert_eq!(field(&response, "connection"), Some("close"));
}

#[test]
fn a_body_that_ends_with_the_connection_ends_the_clients_too() {
    let proxy = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 200 OK\r\n\r\nall of it");
    })
    .start();
    let response = proxy.get("/");
    assert_eq!(body(&response), "all of it");
    assert_eq!(field(&response, "connection"), Some("close"));
}

#[test]
fn the_answer_to_a_head_request_has_a_length_but_no_body() {
    let proxy = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
        link.head();
        link.say(OK);
    })
    .start();
    let mut client = proxy.connect();
    client.say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(field(&client.head(), "content-length"), Some("500"));
    client.say(&get("/"));
    assert_eq!(body(&client.message()), "ok");
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let proxy = Setup::with_server(|mut link| {
        let head = link.head();
        assert_eq!(field(&head, "expect"), Some("100-continue"));
        link.say("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(link.exactly(5), b"hello");
        link.say("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        link.say(OK);
    })
    .start();
    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.say("hello");
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    assert_eq!(status(&client.message()), "200");
}

#[test]
fn a_server_may_answer_before_it_has_read_the_body() {
    let proxy = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 413 Too much\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    })
    .start();
    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    assert_eq!(status(&client.head()), "413");
    client.say_bytes(&vec![0; 1 << 20]);
    assert!(client.is_closed());
}

#[test]
fn bytes_flow_both_ways_after_an_upgrade_and_only_then() {
    let proxy = Setup::with_server(|mut link| {
        let head = link.head();
        assert_eq!(field(&head, "connection"), Some("Upgrade"));
        assert_eq!(field(&head, "upgrade"), Some("chat"));
        link.say("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nwelcome");
        assert_eq!(link.exactly(4), b"PING");
        link.say("PONG");
        assert!(link.rest().is_empty());
        link.say("bye");
    })
    .start();
    let mut client = proxy.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
    let head = client.head();
    assert_eq!(
        (status(&head), field(&head, "connection")),
        ("101", Some("upgrade"))
    );
    assert_eq!(client.exactly(7), b"welcome");
    client.say("PING");
    assert_eq!(client.exactly(4), b"PONG");
    client.finish_sending();
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn a_server_that_switches_before_the_request_is_over_is_not_believed() {
    let mut setup = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
        link.rest();
    });
    setup.log("%ts %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(status(&client.head()), "502");
    assert_eq!(proxy.log_line(), "PH 502");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let proxy = Setup::with_server(always(OK)).start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
        assert_eq!(body(&client.message()), "ok");
    }
}

#[test]
fn connect_makes_a_tunnel_once_the_server_agrees() {
    let proxy = Setup::with_server(|mut link| {
        assert!(link.head().starts_with("CONNECT a.test:443 "));
        link.say("HTTP/1.1 200 OK\r\n\r\n");
        let said = link.exactly(3);
        link.say_bytes(&said);
    })
    .start();
    let mut client = proxy.connect();
    client.say("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(status(&client.head()), "200");
    client.say("abc");
    assert_eq!(client.exactly(3), b"abc");
}

#[test]
fn close_modes_close_what_they_say() {
    for (mode, client_stays) in [
        (TrailingClose::KeepAlive, true),
        (TrailingClose::Server, true),
        (TrailingClose::Both, false),
    ] {
        let mut setup = Setup::with_server(mirror());
        setup.proxy().trailing_close = mode;
        let proxy = setup.start();
        let mut client = proxy.connect();
        client.say(&get("/"));
        let response = client.message();
        let to_server = body(&response).contains("connection: close");
        assert_eq!(to_server, mode != TrailingClose::KeepAlive, "{mode:?}");
        let to_client = field(&response, "connection");
        assert_eq!(
            to_client,
            if client_stays { None } else { Some("close") },
            "{mode:?}"
        );
        if !client_stays {
            assert!(client.is_closed());
        }
    }
}

#[test]
fn the_clients_address_is_added_unless_excepted_or_known() {
    let option = |except: &[&str], if_none| ForwardedFor {
        header: "X-Forwarded-For".into(),
        except: except
            .iter()
            .map(|network| network.parse().unwrap())
            .collect(),
        if_none,
    };
    let spoofed = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    for (option, request, fields) in [
        (
            option(&[], false),
            spoofed,
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 127.0.0.1\r\n",
        ),
        (
            option(&[], true),
            spoofed,
            "x-forwarded-for: 6.6.6.6\r\n\r\n",
        ),
        (
            option(&[], true),
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "x-forwarded-for: 127.0.0.1\r\n",
        ),
        (
            option(&["127.0.0.9/24"], false),
            spoofed,
            "x-forwarded-for: 6.6.6.6\r\n\r\n",
        ),
    ] {
        let mut setup = Setup::with_server(mirror());
        setup.proxy().forwarded_for = Some(option);
        let response = setup.start().ask(request);
        assert!(body(&response).contains(fields), "{response}");
    }
}

#[test]
fn a_client_that_half_closes_still_gets_its_response_where_that_is_allowed() {
    let mut setup = Setup::with_server(always(OK));
    setup.proxy().abort_on_close = false;
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say(&get("/"));
    client.finish_sending();
    assert_eq!(body(&client.message()), "ok");
    assert!(client.is_closed());
    let _ = Shutdown::Write;
}

#[test]
fn field_names_have_the_case_that_bogus_peers_mind() {
    let mut setup = Setup::with_server(mirror());
    setup.proxy().adjust_case_to_client = true;
    setup.proxy().adjust_case_to_server = true;
    let cases = &mut setup.model.global.tune.field_cases;
    for (from, to) in [
        ("host", "HOST"),
        ("content-length", "Content-Length"),
        ("x-a", "X-A"),
    ] {
        cases.add(from, to).unwrap();
    }
    let response = setup.start().ask(
        "POST / HTTP/1.1\r\nhost: a.test\r\nX-a: host: 1\r\nX-b: 2\r\nContent-length: 0\r\n\r\n",
    );
    assert!(response.contains("\r\nContent-Length: "), "{response}");
    assert_eq!(
        body(&response),
        "POST / HTTP/1.1\r\nHOST: a.test\r\nX-A: host: 1\r\nx-b: 2\r\nContent-Length: 0\r\n\r\n"
    );
}
