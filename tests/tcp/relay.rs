//! The relay of TCP sessions, on real sockets.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use tidegate::model::{BindAddress, ServerAddress};
use tidegate::session::workers::Phase;
use tidegate::types::{Millis, ProxyId};

use crate::support::{Setup, echo, rest, serve, until};

#[test]
fn bytes_and_half_closes_pass_both_ways() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.log("%b/%s %ts %U %B");
    let proxy = setup.start();
    assert_eq!(proxy.ask("hello"), "a:hello");
    assert_eq!(proxy.log_line(), "px/s1 -- 5 7");
}

#[test]
fn a_server_may_speak_first_and_the_client_much_later() {
    let mut setup = Setup::new();
    setup.server(serve(|mut stream| {
        stream.write_all(b"220 ready\r\n").unwrap();
        let mut line = [0; 5];
        stream.read_exact(&mut line).unwrap();
        stream.write_all(b"250 ok\r\n").unwrap();
    }));
    let proxy = setup.start();
    let mut stream = proxy.connect();
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).unwrap();
    stream.write_all(b"HELO\n").unwrap();
    assert_eq!(rest(&mut stream), "250 ok\r\n");
}

#[test]
fn bulk_arrives_whole_in_both_directions_at_once() {
    const SIZE: usize = 32 << 20;
    let mut setup = Setup::new();
    setup.server(serve(|mut stream| {
        let mut out = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            out.write_all(&pattern(SIZE)).unwrap();
            out.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(received == pattern(SIZE));
        sender.join().unwrap();
    }));
    setup.log("%ts %U %B");
    let proxy = setup.start();
    let mut stream = proxy.connect();
    let mut out = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        out.write_all(&pattern(SIZE)).unwrap();
        out.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == pattern(SIZE));
    drop(stream);
    assert_eq!(proxy.log_line(), format!("-- {SIZE} {SIZE}"));
}

#[test]
fn a_silent_client_is_cut_after_timeout_client() {
    let mut setup = Setup::new();
    setup.server(serve(hold));
    setup.proxy().timeouts.client = Some(Millis(50));
    setup.log("%ts");
    let proxy = setup.start();
    let mut stream = proxy.connect();
    assert_eq!(rest(&mut stream), "");
    assert_eq!(proxy.log_line(), "cD");
}

#[test]
fn a_silent_server_is_cut_after_timeout_server() {
    let mut setup = Setup::new();
    setup.server(serve(hold));
    setup.proxy().timeouts.server = Some(Millis(50));
    setup.log("%ts");
    let proxy = setup.start();
    assert_eq!(rest(&mut proxy.connect()), "");
    assert_eq!(proxy.log_line(), "sD");
}

#[test]
fn timeout_tunnel_replaces_both_and_the_fin_timeouts_take_over_at_a_half_close() {
    let mut setup = Setup::new();
    setup.server(serve(hold));
    let timeouts = &mut setup.proxy().timeouts;
    timeouts.client = Some(Millis(1));
    timeouts.server = Some(Millis(1));
    timeouts.tunnel = Some(Millis(60_000));
    timeouts.server_fin = Some(Millis(30));
    setup.log("%ts %Tt");
    let proxy = setup.start();
    let mut stream = proxy.connect();
    stream.write_all(b"x").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "");
    let line = proxy.log_line();
    let (flags, total) = line.split_once(' ').unwrap();
    assert_eq!(flags, "sD");
    assert!(total.parse::<u64>().unwrap() >= 30, "{line}");
}

#[test]
fn a_reset_is_told_from_a_close() {
    let mut setup = Setup::new();
    setup.server(serve(|mut stream| {
        stream.write_all(b"!").unwrap();
        hold(stream);
    }));
    setup.log("%ts");
    let proxy = setup.start();
    let mut stream = proxy.connect();
    stream.read_exact(&mut [0]).unwrap();
    reset(stream);
    assert_eq!(proxy.log_line(), "CD");

    let mut setup = Setup::new();
    setup.server(serve(|mut stream| {
        let _ = stream.read(&mut [0]);
        reset(stream);
    }));
    setup.log("%ts");
    let proxy = setup.start();
    let mut stream = proxy.connect();
    stream.write_all(b"x").unwrap();
    assert_eq!(rest(&mut stream), "");
    assert_eq!(proxy.log_line(), "SD");
}

#[test]
fn unix_sockets_serve_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (front, back) = (folder.path().join("front"), folder.path().join("back"));
    let listener = std::os::unix::net::UnixListener::bind(&back).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            let _ = stream.write_all(text.to_uppercase().as_bytes());
        }
    });
    let mut setup = Setup::new();
    setup.bind(ProxyId(0), BindAddress::Unix(front.clone()));
    setup.server_at(ProxyId(0), ServerAddress::Unix(back));
    let _proxy = setup.start();
    let mut stream = std::os::unix::net::UnixStream::connect(front).unwrap();
    stream.write_all(b"through").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "THROUGH");
}

#[test]
fn the_proxy_header_is_read_and_written_in_both_versions() {
    for version in [1, 2] {
        let mut setup = Setup::new();
        setup.server(echo("")).send_proxy = Some(version);
        setup.model.binds[0].accept_proxy = true;
        setup.log("%ci:%cp %ts");
        let proxy = setup.start();
        let answer = proxy.ask("PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\npayload");
        if version == 1 {
            assert_eq!(answer, ":PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\npayload");
        } else {
            assert!(
                answer.ends_with("payload") && answer.contains("QUIT"),
                "{answer:?}"
            );
        }
        assert_eq!(proxy.log_line(), "192.0.2.7:1234 --");
    }
}

#[test]
fn without_its_proxy_header_a_connection_is_closed_unserved() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.model.binds[0].accept_proxy = true;
    setup.log("%ts");
    let proxy = setup.start();
    assert_eq!(proxy.ask("GET / HTTP/1.0\r\n\r\n"), "");
    let line = proxy.log_line();
    assert!(
        line.ends_with("px/1: Received something which does not look like a PROXY protocol header"),
        "{line}"
    );
}

#[test]
fn a_soft_stop_lets_sessions_finish_and_takes_no_new_ones() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    let proxy = setup.start();
    let mut stream = proxy.connect();
    stream.write_all(b"before ").unwrap();
    until("the session is on its server", || current(&proxy) == 1);
    proxy.stop(Phase::Soft);
    until("the listener is closed", || {
        std::net::TcpStream::connect(proxy.address).is_err()
    });
    assert!(!proxy.is_finished());
    stream.write_all(b"and after").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "a:before and after");
    until("the threads ended", || proxy.is_finished());
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 253) as u8).collect()
}

fn hold(mut stream: std::net::TcpStream) {
    while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
    let _ = stream.set_read_timeout(None);
    std::thread::park_timeout(Duration::from_secs(10));
}

fn reset(stream: std::net::TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

fn current(proxy: &crate::support::RunningProxy) -> u32 {
    proxy
        .generation
        .state()
        .server(tidegate::types::ServerId(0))
        .current
        .current()
}

#[test]
fn each_direction_takes_as_long_as_its_limit_says() {
    use tidegate::model::{
        BandwidthDirection, BandwidthFilter, BandwidthShare, CommonAction, TcpAction,
    };
    let slow = |name: &str, direction| BandwidthFilter {
        name: name.into(),
        direction,
        limit: 2000,
        share: BandwidthShare::Stream {
            period: Millis(100),
        },
        min_size: 500,
    };
    for (name, direction) in [
        ("in", BandwidthDirection::Upload),
        ("out", BandwidthDirection::Download),
    ] {
        let mut setup = Setup::new();
        setup.server(serve(|mut stream| {
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            stream.write_all(&received).unwrap();
        }));
        setup.proxy().bandwidth_filters.push(slow(name, direction));
        let limit = TcpAction::Common(CommonAction::LimitBandwidth {
            proxy: ProxyId(0),
            filter: name.into(),
            limit: None,
            period: None,
        });
        let rule = crate::support::rule(limit, tidegate::expr::Stage::RequestContent, &[]);
        setup.proxy().tcp_request_content.push(rule);
        // Shorter than the whole takes: who is held up is not late.
        setup.proxy().timeouts.server = Some(Millis(250));
        setup.log("%ts %U %B");
        let proxy = setup.start();
        let began = tidegate::clock::now();
        let mut stream = proxy.connect();
        stream.write_all(&pattern(10_000)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == pattern(10_000), "{name}: {} bytes", back.len());
        assert!(tidegate::clock::now().since(began) >= 300, "{name}");
        assert_eq!(proxy.log_line(), "-- 10000 10000");
    }
}
