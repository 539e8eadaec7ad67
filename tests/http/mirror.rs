//! Copies of requests for other servers.

use std::sync::mpsc;

use tidegate::model::HttpAction;
use tidegate::state::Counter;

use crate::support::{RunningProxy, Setup, always, body, mirror, ok, serve, status, until};

/// A proxy in front of a server that shows its requests, with a second backend that gets copies.
fn mirroring(share: u16, copied: std::net::SocketAddr) -> RunningProxy {
    let mut setup = Setup::new();
    let address = serve(mirror());
    setup.server(address);
    let backend = setup.backend("shadow");
    setup.server_of(backend, copied);
    setup.request_rule(HttpAction::Mirror { backend, share }, &[]);
    setup.start()
}

fn counted(proxy: &RunningProxy, counter: Counter) -> u64 {
    let state = proxy.generation.state();
    let shadow = proxy
        .generation
        .model()
        .proxies
        .iter()
        .find(|proxy| proxy.name == "shadow");
    let id = shadow.expect("it is there").id;
    state.proxy(id).backend.counters.sum(counter)
}

#[test]
fn a_copy_reaches_the_other_server_whole() {
    let (tell, told) = mpsc::channel();
    let copied = serve(move |mut link| {
        let head = link.head();
        let length =
            crate::support::field(&head, "content-length").map_or(0, |n| n.parse().unwrap());
        let body = link.exactly(length);
        let _ = tell.send((head, String::from_utf8(body).unwrap()));
        link.say(&ok("thrown away"));
    });
    let proxy = mirroring(10_000, copied);
    let limit = std::time::Duration::from_secs(10);
    assert!(body(&proxy.get("/a?b")).starts_with("GET /a?b "));
    let (head, _) = told.recv_timeout(limit).expect("a copy");
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n") && head.contains("connection: close"));
    proxy.ask(
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let (head, copy) = told.recv_timeout(limit).expect("a copy");
    assert!(head.starts_with("POST /c HTTP/1.1\r\n"));
    assert_eq!(copy, "abc");
    until("both are counted", || {
        counted(&proxy, Counter::Mirrored) == 2
    });
    assert_eq!(counted(&proxy, Counter::MirrorDrops), 0);
}

#[test]
fn a_server_that_hangs_stalls_nobody_and_what_is_dropped_is_counted() {
    let copied = serve(|mut link| {
        link.head();
        // It answers nothing until the test is over.
        while !link.is_closed() {}
    });
    let proxy = mirroring(10_000, copied);
    for _ in 0..80 {
        assert_eq!(status(&proxy.get("/")), "200");
    }
    until("the bound is kept", || {
        counted(&proxy, Counter::MirrorDrops) >= 16
    });
    let large = "x".repeat(70_000);
    let response = proxy.ask(&format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n{large}"
    ));
    assert_eq!(status(&response), "200");
    until("large ones are dropped", || {
        counted(&proxy, Counter::MirrorDrops) >= 17
    });
}

#[test]
fn only_the_share_is_copied() {
    let proxy = mirroring(0, serve(always("")));
    for _ in 0..20 {
        assert_eq!(status(&proxy.get("/")), "200");
    }
    let both = [Counter::Mirrored, Counter::MirrorDrops];
    assert_eq!(both.map(|counter| counted(&proxy, counter)), [0, 0]);
}
