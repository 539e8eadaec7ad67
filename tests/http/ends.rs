//! How requests end: status, termination flags, and what is logged (manual §8.5).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tidegate::model::{BodyRate, Redispatch};
use tidegate::types::{Millis, ProxyId, ServerId};

use crate::support::{Link, OK, RunningProxy, Setup, always, get, nobody, serve, status, until};

/// A proxy whose short timeouts strike, over a server that does `each`, logging flags and status.
fn short(each: impl Fn(Link) + Clone + Send + 'static) -> RunningProxy {
    let mut setup = Setup::with_server(each);
    let timeouts = &mut setup.proxy().timeouts;
    timeouts.client = Some(Millis(300));
    timeouts.server = Some(Millis(200));
    timeouts.connect = Some(Millis(100));
    timeouts.http_request = Some(Millis(100));
    setup.log("%tsc %ST");
    setup.start()
}

fn hold(link: &mut Link) {
    // Until the proxy gives up.
    link.rest();
}

#[test]
fn a_server_that_fails_before_its_head_is_a_502_or_504() {
    let closes = short(|mut link| {
        link.head();
    });
    assert_eq!(status(&closes.get("/")), "502");
    assert_eq!(closes.log_line(), "SH-- 502");

    let junk = short(always("garbage\r\n\r\n"));
    assert_eq!(status(&junk.get("/")), "502");
    assert_eq!(junk.log_line(), "PH-- 502");

    let silent = short(|mut link| {
        link.head();
        hold(&mut link);
    });
    assert_eq!(status(&silent.get("/")), "504");
    assert_eq!(silent.log_line(), "sH-- 504");
}

#[test]
fn a_server_that_fails_in_its_body_is_only_in_the_log() {
    let truncated = short(|mut link| {
        link.head();
        link.say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok");
    });
    assert!(truncated.get("/").ends_with("ok"));
    assert_eq!(truncated.log_line(), "SD-- 200");

    let stalled = short(|mut link| {
        link.head();
        link.say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok");
        hold(&mut link);
    });
    assert!(stalled.get("/").ends_with("ok"));
    assert_eq!(stalled.log_line(), "sD-- 200");

    let malformed = short(|mut link| {
        link.head();
        link.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        std::thread::sleep(Duration::from_millis(20));
        link.say("zz\r\n");
        hold(&mut link);
    });
    malformed.get("/");
    assert_eq!(malformed.log_line(), "PD-- 200");
}

#[test]
fn a_server_that_cannot_be_reached_is_a_503() {
    let mut setup = Setup::new();
    setup.server(nobody());
    setup.proxy().retries = 1;
    setup.proxy().timeouts.connect = Some(Millis(50));
    setup.log("%s %tsc %ST %rc");
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/")), "503");
    assert_eq!(proxy.log_line(), "s1 SC-- 503 1");

    let mut setup = Setup::new();
    setup.log("%b/%s %tsc %ST");
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/")), "503");
    assert_eq!(proxy.log_line(), "px/<NOSRV> SC-- 503");
}

#[test]
fn a_client_that_says_nothing_or_nonsense_is_told_so() {
    let proxy = short(always(OK));
    let mut slow = proxy.connect();
    slow.say("GET / HT");
    assert_eq!(status(&slow.message()), "408");
    assert_eq!(proxy.log_line(), "cR-- 408");

    let mut silent = proxy.connect();
    assert_eq!(status(&silent.message()), "408");
    assert_eq!(proxy.log_line(), "cR-- 408");

    assert_eq!(status(&proxy.ask("BAD\r\n\r\n")), "400");
    assert_eq!(proxy.log_line(), "PR-- 400");

    let mut leaver = proxy.connect();
    leaver.say("GET / HT");
    leaver.finish_sending();
    assert_eq!(status(&leaver.message()), "400");
    assert_eq!(proxy.log_line(), "CR-- 400");

    let unsupported =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&proxy.ask(unsupported)), "422");
    assert_eq!(proxy.log_line(), "PR-- 422");
}

#[test]
fn an_idle_connection_is_closed_without_a_word_or_a_line() {
    let mut setup = Setup::with_server(always(OK));
    setup.proxy().timeouts.http_keep_alive = Some(Millis(50));
    setup.log("%tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say(&get("/"));
    client.message();
    assert_eq!(proxy.log_line(), "---- 200");
    assert!(client.is_closed());
    assert!(proxy.logged_nothing());
}

#[test]
fn connections_without_a_byte_are_not_logged_where_that_is_asked_for() {
    let mut setup = Setup::with_server(always(OK));
    setup.proxy().dont_log_null = true;
    setup.log("%tsc %ST");
    let proxy = setup.start();
    drop(proxy.connect());
    proxy.get("/");
    assert_eq!(proxy.log_line(), "---- 200");
}

#[test]
fn a_body_that_stops_coming_is_the_clients_fault() {
    let mut setup = Setup::with_server(|mut link| {
        link.head();
        hold(&mut link);
    });
    setup.proxy().timeouts.client = Some(Millis(100));
    setup.log("%tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(status(&client.message()), "408");
    assert_eq!(proxy.log_line(), "cH-- 408");

    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    until("the server has it", || {
        proxy
            .generation
            .state()
            .server(ServerId(0))
            .current
            .current()
            == 1
    });
    client.say("zz\r\n");
    assert_eq!(status(&client.message()), "400");
    assert_eq!(proxy.log_line(), "PH-- 400");
}

#[test]
fn a_client_that_leaves_is_noticed_at_every_stage() {
    let silent = |mut link: Link| {
        link.head();
        hold(&mut link);
    };
    let mut setup = Setup::with_server(silent);
    setup.log("%tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say(&get("/"));
    until("the server is asked", || {
        proxy
            .generation
            .state()
            .server(ServerId(0))
            .current
            .current()
            == 1
    });
    client.finish_sending();
    assert_eq!(status(&client.message()), "400");
    assert_eq!(proxy.log_line(), "CH-- 400");

    let mut setup = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![0; 1 << 20];
        for _ in 0..1000 {
            link.say_bytes(&piece);
        }
    });
    setup.log("%tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say(&get("/"));
    client.head();
    client.reset();
    assert_eq!(proxy.log_line(), "CD-- 200");
}

#[test]
fn waiting_too_long_in_the_queue_is_a_503() {
    let mut setup = Setup::new();
    setup
        .server(serve(|mut link| {
            link.head();
            hold(&mut link);
        }))
        .maxconn = Some(1);
    setup.proxy().timeouts.queue = Some(Millis(400));
    setup.proxy().redispatch = Redispatch::Off;
    setup.log("%s %tsc %ST");
    let proxy = setup.start();
    let mut first = proxy.connect();
    first.say(&get("/1"));
    until("the server is busy", || {
        proxy
            .generation
            .state()
            .server(ServerId(0))
            .current
            .current()
            == 1
    });
    let mut leaver = proxy.connect();
    leaver.say(&get("/2"));
    until("it waits", || {
        proxy
            .generation
            .state()
            .proxy(ProxyId(0))
            .backend
            .queue
            .current()
            == 1
    });
    drop(leaver);
    assert_eq!(proxy.log_line(), "<NOSRV> CQ-- -1");
    assert_eq!(status(&proxy.get("/3")), "503");
    assert_eq!(proxy.log_line(), "<NOSRV> sQ-- 503");
}

#[test]
fn a_session_that_is_shut_down_says_so() {
    let (asked, is_asked) = std::sync::mpsc::channel();
    let mut setup = Setup::with_server(move |mut link| {
        link.head();
        asked.send(()).unwrap();
        hold(&mut link);
    });
    setup.log("%tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say(&get("/"));
    is_asked.recv().unwrap();
    let sessions = &proxy.generation.state().sessions;
    let id = sessions.list()[0].id;
    assert!(sessions.cut(id, tidegate::state::CutReason::Killed));
    assert_eq!(status(&client.message()), "502");
    assert_eq!(proxy.log_line(), "KH-- 502");
}

#[test]
fn a_tunnel_ends_by_its_own_timeout() {
    let mut setup = Setup::with_server(|mut link| {
        link.head();
        link.say("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        hold(&mut link);
    });
    setup.proxy().timeouts.tunnel = Some(Millis(100));
    setup.log("%tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(status(&client.head()), "101");
    assert!(client.is_closed());
    assert_eq!(proxy.log_line(), "cD-- 101");
}

#[test]
fn a_head_that_trickles_in_must_be_whole_in_time() {
    let proxy = short(always(OK));
    let mut client = TcpStream::connect(proxy.address).unwrap();
    // Reading paces the writing: a byte each time nothing has come.
    let pace = Duration::from_millis(10);
    client.set_read_timeout(Some(pace)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    let mut answer = [0; 64];
    let answered = (0..500).any(|_| match client.read(&mut answer) {
        Ok(length) => length > 0,
        Err(_) => {
            let _gone = client.write_all(b"y");
            false
        }
    });
    assert!(answered && answer.starts_with(b"HTTP/1.1 408 "));
    assert_eq!(proxy.log_line(), "cR-- 408");
}

#[test]
fn a_body_that_comes_too_slowly_is_not_waited_for() {
    let rate = BodyRate {
        bytes: 1 << 20,
        grace: Millis(100),
    };
    for buffered in [false, true] {
        let mut setup = Setup::with_server(|mut link| {
            link.message();
        });
        setup.proxy().min_body_rate = Some(rate);
        setup.proxy().buffer_request = buffered;
        setup.log("%ts %ST");
        let proxy = setup.start();
        let mut client = proxy.connect();
        client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
        assert_eq!(status(&client.head()), "408", "buffered: {buffered}");
        let line = proxy.log_line();
        assert!(line.starts_with('c') && line.ends_with(" 408"), "{line}");
    }
}
