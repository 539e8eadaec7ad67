//! RFC 9113, clause by clause: what is malformed is refused, and a server never sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frames::{
    ACK, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, request,
};
use crate::support::{OK, RunningProxy, Setup};

/// A proxy whose server counts the requests it gets.
fn counted() -> (RunningProxy, Arc<AtomicU32>) {
    let seen = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&seen);
    let proxy = Setup::with_server(move |mut link| {
        while !link.head().is_empty() {
            counter.fetch_add(1, Ordering::SeqCst);
            link.say(OK);
        }
    })
    .start();
    (proxy, seen)
}

#[test]
fn malformed_heads_are_refused_and_never_reach_a_server() {
    let (proxy, seen) = counted();
    let with = |more: &[(&'static str, &'static str)]| {
        let mut fields = request("GET", "/");
        fields.extend_from_slice(more);
        fields
    };
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("8.2.1 upper case", with(&[("X-Up", "1")])),
        ("8.2.1 space in a name", with(&[("x y", "1")])),
        ("8.2.1 colon in a name", with(&[("x:y", "1")])),
        ("8.2.1 empty name", with(&[("", "1")])),
        ("8.2.1 CR in a value", with(&[("x", "a\rb")])),
        ("8.2.1 LF in a value", with(&[("x", "a\nx-evil: 1")])),
        ("8.2.1 NUL in a value", with(&[("x", "a\0b")])),
        ("8.2.2 connection", with(&[("connection", "close")])),
        ("8.2.2 keep-alive", with(&[("keep-alive", "5")])),
        (
            "8.2.2 proxy-connection",
            with(&[("proxy-connection", "close")]),
        ),
        (
            "8.2.2 transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("8.2.2 upgrade", with(&[("upgrade", "h2c")])),
        ("8.2.2 te", with(&[("te", "gzip")])),
        ("8.3 unknown pseudo field", with(&[(":x", "1")])),
        ("8.3 response pseudo field", with(&[(":status", "200")])),
        ("8.3 repeated pseudo field", with(&[(":path", "/2")])),
        (
            "8.3 pseudo field after others",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                ("x", "1"),
                (":path", "/"),
            ],
        ),
        ("8.3.1 no method", vec![(":scheme", "http"), (":path", "/")]),
        ("8.3.1 no scheme", vec![(":method", "GET"), (":path", "/")]),
        (
            "8.3.1 empty path",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", ""),
            ],
        ),
        (
            "8.3.1 path without a slash",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "x"),
            ],
        ),
        (
            "8.3.1 path with a space",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/ HTTP/1.1"),
            ],
        ),
        (
            "8.3.1 two hosts",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                ("host", "a"),
                ("host", "b"),
            ],
        ),
        (
            "8.3.1 a space in the authority",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a b"),
                (":path", "/"),
            ],
        ),
        (
            "8.3 a space in the method",
            vec![
                (":method", "GET /x"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ],
        ),
        (
            "8.1.1 length without a body",
            with(&[("content-length", "5")]),
        ),
        (
            "8.1.1 length that is none",
            with(&[("content-length", "abc")]),
        ),
        ("8.1.1 empty length", with(&[("content-length", "")])),
        ("8.1.1 list of lengths", with(&[("content-length", "0, 1")])),
        (
            "8.1.1 two lengths",
            with(&[("content-length", "0"), ("content-length", "1")]),
        ),
        ("8.5 CONNECT with a path", {
            let mut fields = request("CONNECT", "/");
            fields.truncate(4);
            fields
        }),
        (
            "8441 protocol without CONNECT",
            with(&[(":protocol", "websocket")]),
        ),
    ];
    for (clause, fields) in cases {
        let mut client = Client::new(&proxy);
        client.head(1, END_STREAM, &fields);
        let answer = client.answer(1);
        assert!(
            answer.reset.is_some() || answer.farewell.is_some(),
            "{clause}: {answer:?}"
        );
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[test]
fn a_host_beside_an_authority_does_not_count() {
    let proxy = Setup::with_server(crate::support::mirror()).start();
    let mut client = Client::new(&proxy);
    let mut fields = request("GET", "/");
    fields.push(("host", "evil.test"));
    client.head(1, END_STREAM, &fields);
    let text = client.answer(1).text();
    assert!(
        text.contains("host: a.test\r\n") && !text.contains("evil"),
        "{text}"
    );
}

#[test]
fn a_request_for_nobody_has_an_empty_host_in_http1() {
    let proxy = Setup::with_server(crate::support::mirror()).start();
    let mut client = Client::new(&proxy);
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/x")];
    client.head(1, END_STREAM, &fields);
    assert_eq!(client.answer(1).text(), "GET /x HTTP/1.1\r\nhost: \r\n\r\n");
}

#[test]
fn bodies_that_are_not_as_long_as_declared_are_reset() {
    let (proxy, _) = counted();
    for (body, clause) in [(&b"abcdef"[..], "longer"), (b"a", "shorter")] {
        let mut client = Client::new(&proxy);
        let mut fields = request("POST", "/");
        fields.push(("content-length", "3"));
        client.head(1, 0, &fields);
        client.frame(DATA, END_STREAM, 1, body);
        let answer = client.answer(1);
        assert!(answer.reset.is_some(), "{clause}: {answer:?}");
    }
}

#[test]
fn errors_of_the_connection_end_it_with_goaway() {
    let (proxy, seen) = counted();
    let get = block(&request("GET", "/"));
    type Act<'a> = Box<dyn Fn(&mut Client) + 'a>;
    let cases: Vec<(&str, Act<'_>)> = vec![
        (
            "4.2 frame too large",
            Box::new(|c| {
                c.frame(DATA, 0, 1, &vec![0; 16_385]);
            }),
        ),
        (
            "4.3 broken HPACK",
            Box::new(|c| {
                c.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 12]);
            }),
        ),
        (
            "4.3 block interrupted",
            Box::new(|c| {
                c.frame(HEADERS, END_STREAM, 1, &get);
                c.frame(PING, 0, 0, &[0; 8]);
            }),
        ),
        (
            "5.1 DATA on an idle stream",
            Box::new(|c| {
                c.frame(DATA, 0, 1, b"x");
            }),
        ),
        (
            "5.1 RST_STREAM on an idle stream",
            Box::new(|c| {
                c.frame(RST_STREAM, 0, 1, &[0; 4]);
            }),
        ),
        (
            "5.1 WINDOW_UPDATE on an idle stream",
            Box::new(|c| {
                c.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
            }),
        ),
        (
            "5.1.1 even stream",
            Box::new(|c| {
                c.frame(HEADERS, END_HEADERS | END_STREAM, 2, &get);
            }),
        ),
        (
            "6.1 DATA on stream 0",
            Box::new(|c| {
                c.frame(DATA, 0, 0, b"x");
            }),
        ),
        (
            "6.1 padding longer than the frame",
            Box::new(|c| {
                c.post(1, "/");
                c.frame(DATA, 8, 1, &[200, 1, 2]);
            }),
        ),
        (
            "6.2 HEADERS on stream 0",
            Box::new(|c| {
                c.frame(HEADERS, END_HEADERS | END_STREAM, 0, &get);
            }),
        ),
        (
            "6.4 RST_STREAM of three bytes",
            Box::new(|c| {
                c.post(1, "/");
                c.frame(RST_STREAM, 0, 1, &[0; 3]);
            }),
        ),
        (
            "6.5 SETTINGS of five bytes",
            Box::new(|c| {
                c.frame(SETTINGS, 0, 0, &[0; 5]);
            }),
        ),
        (
            "6.5 SETTINGS on a stream",
            Box::new(|c| {
                c.frame(SETTINGS, 0, 1, &[]);
            }),
        ),
        (
            "6.5 ACK with contents",
            Box::new(|c| {
                c.frame(SETTINGS, ACK, 0, &[0; 6]);
            }),
        ),
        (
            "6.5.2 ENABLE_PUSH of 2",
            Box::new(|c| {
                c.frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]);
            }),
        ),
        (
            "6.5.2 window too large",
            Box::new(|c| {
                c.frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
            }),
        ),
        (
            "6.5.2 frame size too small",
            Box::new(|c| {
                c.frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]);
            }),
        ),
        (
            "6.6 PUSH_PROMISE from a client",
            Box::new(|c| {
                c.post(1, "/");
                c.frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]);
            }),
        ),
        (
            "6.7 PING of seven bytes",
            Box::new(|c| {
                c.frame(PING, 0, 0, &[0; 7]);
            }),
        ),
        (
            "6.7 PING on a stream",
            Box::new(|c| {
                c.frame(PING, 0, 1, &[0; 8]);
            }),
        ),
        (
            "6.8 GOAWAY on a stream",
            Box::new(|c| {
                c.frame(GOAWAY, 0, 1, &[0; 8]);
            }),
        ),
        (
            "6.9 WINDOW_UPDATE of 0",
            Box::new(|c| {
                c.frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
            }),
        ),
        (
            "6.9.1 window beyond 2^31-1",
            Box::new(|c| {
                c.frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
            }),
        ),
        (
            "6.10 CONTINUATION without HEADERS",
            Box::new(|c| {
                c.frame(CONTINUATION, END_HEADERS, 1, &get);
            }),
        ),
    ];
    for (clause, act) in cases {
        let mut client = Client::new(&proxy);
        act(&mut client);
        let goaway = client.until(GOAWAY);
        assert!(
            goaway.is_some_and(|frame| frame.payload[7] != 0),
            "{clause}"
        );
        while client.next().is_some() {}
    }
    assert!(seen.load(Ordering::SeqCst) <= 3);
}

#[test]
fn what_may_be_ignored_is_ignored() {
    let (proxy, _) = counted();
    let mut client = Client::new(&proxy);
    // 5.5 unknown types, 6.5.2 unknown settings, 5.3.2 priorities, 6.7 PING, 6.2 padding.
    client.frame(0x42, 0xff, 0, b"whatever");
    client.frame(SETTINGS, 0, 0, &[0x77, 0x77, 0, 0, 0, 1]);
    client.frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 16]);
    client.frame(PING, 0, 0, b"12345678");
    let mut padded = vec![3];
    padded.extend(block(&request("GET", "/")));
    padded.extend([0; 3]);
    client.frame(HEADERS, END_HEADERS | END_STREAM | 8, 5, &padded);
    assert_eq!(client.answer(5).status, 200);
    let mut other = Client::new(&proxy);
    other.frame(PING, 0, 0, b"12345678");
    let pong = other.until(PING).unwrap();
    assert_eq!(
        (pong.flags, pong.payload.as_slice()),
        (ACK, &b"12345678"[..])
    );
}

#[test]
fn a_head_may_come_in_several_frames() {
    let (proxy, _) = counted();
    let mut client = Client::new(&proxy);
    let whole = block(&request("GET", "/"));
    let (first, second) = whole.split_at(10);
    client.frame(HEADERS, END_STREAM, 1, first);
    client.frame(CONTINUATION, END_HEADERS, 1, second);
    assert_eq!(client.answer(1).status, 200);
}

#[test]
fn a_connection_that_begins_with_something_else_is_closed() {
    let mut setup = Setup::with_server(crate::support::always(OK));
    setup.model.binds[0].proto = Some(tidegate::model::HttpProtocol::Http2);
    let proxy = setup.start();
    let mut client = Client::silent(&proxy);
    client.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while client.next().is_some_and(|frame| frame.kind != HEADERS) {}
    assert!(client.next().is_none());
}
