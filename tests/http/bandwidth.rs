//! Bandwidth limits: what goes on, and not before when. Only lower bounds are looked at: a busy machine is slow, never fast.

use tidegate::clock;
use tidegate::expr::StickData;
use tidegate::model::{
    BandwidthDirection, BandwidthFilter, BandwidthShare, CommonAction, HttpAction, Table,
    TableKeyType,
};
use tidegate::types::{Millis, ProxyId, TableId};

use crate::support::{Link, Setup, body, expression, field, status};

/// A filter of 2,000 bytes in 100 milliseconds.
fn filter(direction: BandwidthDirection) -> BandwidthFilter {
    BandwidthFilter {
        name: "slow".into(),
        direction,
        limit: 2000,
        share: BandwidthShare::Stream {
            period: Millis(100),
        },
        min_size: 0,
    }
}

fn switch_on(limit: Option<&str>) -> HttpAction {
    HttpAction::Common(CommonAction::LimitBandwidth {
        proxy: ProxyId(0),
        filter: "slow".into(),
        limit: limit.map(|words| expression(&[words])),
        period: None,
    })
}

/// Answers every request with 10,000 bytes, as a length or in chunks, and with the length of the body it got.
fn much(mut link: Link) {
    loop {
        let request = link.message();
        if request.is_empty() {
            return;
        }
        let got = body(&request).len();
        let text = "x".repeat(5000);
        if request.starts_with("GET /chunks") {
            link.say(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Got: {got}\r\n\r\n\
                 1388\r\n{text}\r\n1388\r\n{text}\r\n0\r\n\r\n"
            ));
        } else {
            link.say(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\nX-Got: {got}\r\n\r\n{text}{text}"
            ));
        }
    }
}

#[test]
fn a_response_takes_as_long_as_its_limit_says() {
    let mut setup = Setup::with_server(much);
    setup
        .proxy()
        .bandwidth_filters
        .push(filter(BandwidthDirection::Download));
    // A shorter timeout than the whole takes: who is held up is not late.
    setup.proxy().timeouts.server = Some(Millis(150));
    setup.request_rule(
        switch_on(None),
        &["if", "{", "path_beg", "/slow", "/chunks", "}"],
    );
    let timed = "if { req.hdr(x-limit) -m found }";
    let words: Vec<&str> = timed.split(' ').collect();
    setup.request_rule(switch_on(Some("req.hdr(x-limit)")), &words);
    let proxy = setup.start();
    for path in ["/slow", "/chunks"] {
        let began = clock::now();
        let response = proxy.get(path);
        assert_eq!(body(&response).matches('x').count(), 10_000);
        // Five periods' worth, of which the first is there at once, and windows blend.
        assert!(clock::now().since(began) >= 300, "{path}");
    }
    // The limit of the rule takes the place of the filter's.
    let began = clock::now();
    let response = proxy.ask("GET /slow HTTP/1.1\r\nHost: a\r\nX-Limit: 1000\r\n\r\n");
    assert_eq!(body(&response).len(), 10_000);
    assert!(clock::now().since(began) >= 700);
    assert_eq!(body(&proxy.get("/fast")).len(), 10_000);
}

#[test]
fn a_request_is_slowed_down_in_its_own_direction() {
    let mut setup = Setup::with_server(much);
    setup
        .proxy()
        .bandwidth_filters
        .push(filter(BandwidthDirection::Upload));
    setup.request_rule(switch_on(None), &[]);
    let proxy = setup.start();
    let began = clock::now();
    let text = "y".repeat(10_000);
    let response = proxy.ask(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n{text}"
    ));
    assert_eq!(status(&response), "200");
    assert_eq!(field(&response, "x-got"), Some("10000"));
    assert!(clock::now().since(began) >= 300);
}

#[test]
fn streams_with_one_key_share_a_limit() {
    let mut setup = Setup::with_server(much);
    setup.model.tables.push(Table {
        id: TableId(0),
        name: "px".into(),
        proxy: Some(ProxyId(0)),
        key: TableKeyType::Ip,
        size: 100,
        expire: None,
        nopurge: false,
        data: vec![StickData::BytesOutRate(Millis(100))],
    });
    setup.proxy().bandwidth_filters.push(BandwidthFilter {
        share: BandwidthShare::Key {
            key: expression(&["src"]),
            table: TableId(0),
        },
        ..filter(BandwidthDirection::Download)
    });
    setup.request_rule(switch_on(None), &[]);
    let proxy = setup.start();
    let began = clock::now();
    let mut clients = [proxy.connect(), proxy.connect()];
    for client in &mut clients {
        client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(body(&client.message()).len(), 10_000);
    }
    // Twice as much as one stream had to wait for.
    assert!(clock::now().since(began) >= 700);
}
