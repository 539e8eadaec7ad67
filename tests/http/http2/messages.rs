//! Requests and responses over HTTP/2: what a server of HTTP/1 sees of them, and what comes back.

use tidegate::session::workers::Phase;

use super::frames::{Answer, Client, DATA, END_STREAM, GOAWAY, RST_STREAM, block, frame, request};
use crate::support::{OK, Setup, always, body, get, mirror, ok, serve};

#[test]
fn a_request_reaches_an_http1_server_as_it_would_have_been_written_there() {
    let mut setup = Setup::with_server(mirror());
    setup.log("%HV %HM %HU %ST %ts %[fc_http_major] %[bc_http_major]");
    let proxy = setup.start();
    let mut client = Client::new(&proxy);
    let mut fields = request("GET", "/x?y");
    fields.extend([
        ("cookie", "a=1"),
        ("x-one", "1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
    ]);
    client.head(1, END_STREAM, &fields);
    let answer = client.answer(1);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "GET /x?y HTTP/1.1\r\nhost: a.test\r\nx-one: 1\r\ncookie: a=1; b=2\r\nte: trailers\r\n\r\n"
    );
    assert_eq!(
        proxy.log_line(),
        "HTTP/2.0 GET http://a.test/x?y 200 -- 2 1"
    );
}

#[test]
fn many_requests_share_a_connection_and_are_answered_as_they_are_ready() {
    let proxy = Setup::with_server(mirror()).start();
    let mut client = Client::new(&proxy);
    let streams: Vec<u32> = (0..50).map(|n| n * 2 + 1).collect();
    for &stream in &streams {
        client.get(stream, &format!("/{stream}"));
    }
    let mut answers = vec![Answer::default(); streams.len()];
    while !answers.iter().all(|answer| answer.ended) {
        let frame = client.next().expect("an answer to everything");
        if frame.stream > 0 {
            answers[frame.stream as usize / 2].take(&frame);
        }
    }
    for (answer, stream) in answers.iter().zip(&streams) {
        assert!(answer.text().starts_with(&format!("GET /{stream} ")));
    }
}

#[test]
fn bodies_without_a_length_become_chunks_and_those_with_one_keep_it() {
    let proxy = Setup::with_server(mirror()).start();
    let mut client = Client::new(&proxy);
    client.post(1, "/");
    client.frame(DATA, 0, 1, b"hello ");
    client.frame(DATA, END_STREAM, 1, b"world");
    let text = client.answer(1).text();
    assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    let mut fields = request("POST", "/");
    fields.push(("content-length", "3"));
    client.head(3, 0, &fields);
    client.frame(DATA, END_STREAM, 3, b"abc");
    let text = client.answer(3).text();
    assert!(text.ends_with("content-length: 3\r\n\r\nabc"), "{text}");
}

#[test]
fn trailers_travel_in_both_directions() {
    let origin = serve(|mut link| {
        link.head();
        assert_eq!(link.head(), "3\r\nabc\r\n0\r\nx-check: 7\r\n\r\n");
        link.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n");
    });
    let mut setup = Setup::new();
    setup.server(origin);
    let proxy = setup.start();
    let mut client = Client::new(&proxy);
    client.post(1, "/");
    client.frame(DATA, 0, 1, b"abc");
    client.head(1, END_STREAM, &[("x-check", "7")]);
    let answer = client.answer(1);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert!(answer.trailers && answer.ended);
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    for (method, response) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let proxy = Setup::with_server(always(response)).start();
        let mut client = Client::new(&proxy);
        client.head(1, END_STREAM, &request(method, "/"));
        let answer = client.answer(1);
        assert!(answer.ended && answer.body.is_empty(), "{response}");
        assert!(response.contains(&format!(" {} ", answer.status)));
    }
}

#[test]
fn interim_responses_are_passed_on() {
    let proxy = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        link.say(OK);
    })
    .start();
    let mut client = Client::new(&proxy);
    client.get(1, "/");
    let answer = client.answer(1);
    assert_eq!(
        (answer.interim.as_slice(), answer.status),
        (&[103][..], 200)
    );
}

#[test]
fn a_large_response_waits_for_the_clients_window() {
    let text = "x".repeat(300_000);
    let response: &'static str = Box::leak(ok(&text).into_boxed_str());
    let proxy = Setup::with_server(always(response)).start();
    // A window of 1000 bytes per stream.
    let mut client = Client::greet(&proxy, &[(4, 1000)]);
    client.get(1, "/");
    let mut first = Answer::default();
    while first.body.len() < 1000 {
        let frame = client.next().expect("a part of the body");
        if frame.stream == 1 {
            first.take(&frame);
        }
    }
    assert_eq!(first.body.len(), 1000);
    client.frame(
        super::frames::WINDOW_UPDATE,
        0,
        1,
        &100_000u32.to_be_bytes(),
    );
    client.frame(
        super::frames::WINDOW_UPDATE,
        0,
        0,
        &1_000_000u32.to_be_bytes(),
    );
    let rest = client.answer(1);
    assert_eq!(first.body.len() + rest.body.len(), text.len());
}

#[test]
fn a_large_body_is_not_held_up_by_the_window() {
    let proxy = Setup::with_server(|mut link| {
        let length = link.message().len();
        link.say(&ok(&length.to_string()));
    })
    .start();
    let mut client = Client::new(&proxy);
    let mut fields = request("POST", "/");
    let length = 60_000;
    let text = length.to_string();
    fields.push(("content-length", &text));
    client.head(1, 0, &fields);
    // More than the 16384 bytes that were announced: the window is raised at once.
    assert_eq!(
        client.until(super::frames::WINDOW_UPDATE).unwrap().stream,
        1
    );
    for _ in 0..6 {
        client.frame(DATA, 0, 1, &vec![b'y'; 10_000]);
    }
    client.frame(DATA, END_STREAM, 1, b"");
    let answer = client.answer(1);
    assert!(answer.text().parse::<usize>().unwrap() > length);
}

#[test]
fn a_client_that_takes_its_request_back_is_logged_as_gone() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut setup = Setup::with_server(move |mut link| {
        link.head();
        sender.send(()).unwrap();
        // The proxy closes once its client has left.
        assert!(link.is_closed());
        sender.send(()).unwrap();
    });
    setup.log("%ST %ts");
    let proxy = setup.start();
    let mut client = Client::new(&proxy);
    client.get(1, "/");
    receiver.recv().unwrap();
    client.frame(RST_STREAM, 0, 1, &8u32.to_be_bytes());
    receiver.recv().unwrap();
    assert!(proxy.log_line().ends_with(" CH"));
    // The connection is not touched by it.
    assert!(client.frame(super::frames::PING, 0, 0, &[0; 8]));
    assert!(client.until(super::frames::PING).is_some());
}

#[test]
fn errors_have_their_pages_and_a_broken_response_is_reset() {
    let proxy = Setup::new().start();
    let mut client = Client::new(&proxy);
    client.get(1, "/");
    let answer = client.answer(1);
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("<h1>503"));
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort";
    let proxy = Setup::with_server(move |mut link| {
        link.head();
        link.say(broken);
    })
    .start();
    let mut client = Client::new(&proxy);
    client.get(1, "/");
    let answer = client.answer(1);
    assert!(!answer.ended && answer.reset.is_some(), "{answer:?}");
}

#[test]
fn a_websocket_is_opened_with_an_extended_connect_and_carries_bytes() {
    let proxy = Setup::with_server(|mut link| {
        let request = link.head();
        let key = crate::support::field(&request, "sec-websocket-key")
            .unwrap()
            .to_owned();
        assert!(request.starts_with("GET /chat HTTP/1.1\r\n"), "{request}");
        let accept = accept_of(&key);
        link.say(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ));
        let said = link.exactly(4);
        link.say_bytes(&said);
    })
    .start();
    let mut client = Client::new(&proxy);
    let mut fields = request("CONNECT", "/chat");
    fields.push((":protocol", "websocket"));
    client.head(1, 0, &fields);
    let mut answer = Answer::default();
    while answer.status == 0 {
        let frame = client.next().expect("a response");
        if frame.stream == 1 {
            answer.take(&frame);
        }
    }
    assert_eq!((answer.status, answer.ended), (200, false));
    client.frame(DATA, 0, 1, b"ping");
    let answer = client.answer(1);
    assert_eq!(answer.text(), "ping");
    assert!(answer.ended);
}

/// What a server answers to a WebSocket key.
pub(super) fn accept_of(key: &str) -> String {
    use base64::Engine;
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let hash = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        text.as_bytes(),
    );
    base64::engine::general_purpose::STANDARD.encode(hash)
}

#[test]
fn a_soft_stop_says_goodbye_and_lets_requests_finish() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
    let proxy = Setup::with_server(move |mut link| {
        link.head();
        receiver.lock().unwrap().recv().unwrap();
        link.say(OK);
    })
    .start();
    let mut client = Client::new(&proxy);
    client.get(1, "/");
    let state = proxy.generation.state();
    crate::support::until("the request is at the server", || {
        state.server(tidegate::types::ServerId(0)).current.current() == 1
    });
    proxy.stop(Phase::Soft);
    assert!(client.until(GOAWAY).is_some());
    sender.send(()).unwrap();
    let answer = client.answer(1);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    while client.next().is_some() {}
    crate::support::until("the thread has ended", || proxy.is_finished());
}

#[test]
fn http1_and_http2_are_told_apart_on_one_port() {
    let proxy = Setup::with_server(mirror()).start();
    assert!(body(&proxy.get("/1")).starts_with("GET /1 "));
    let mut client = Client::silent(&proxy);
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    hello.extend(frame(super::frames::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]));
    hello.extend(frame(
        super::frames::HEADERS,
        5,
        1,
        &block(&request("GET", "/2")),
    ));
    for byte in hello {
        assert!(client.raw(&[byte]));
    }
    assert!(client.answer(1).text().starts_with("GET /2 "));
    let mut plain = proxy.connect();
    plain.say("PRI * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(crate::support::status(&plain.message()), "400");
    assert!(body(&proxy.ask(&get("/3"))).starts_with("GET /3 "));
}
