//! Which server, which connection, and what happens when one fails.

use tidegate::model::{Cookie, CookieMode, HttpReuse, Redispatch, RetryOn, TrailingClose};
use tidegate::types::{Millis, ProxyId};

use crate::support::{
    OK, RunningProxy, Setup, always, body, counting, field, get, nobody, ok, serve, status,
};

fn cookie(mode: CookieMode) -> Cookie {
    Cookie {
        name: "S".into(),
        mode,
        indirect: true,
        nocache: false,
        postonly: false,
        preserve: false,
        httponly: false,
        secure: false,
        domains: Vec::new(),
        max_idle: None,
        max_life: None,
        attributes: Vec::new(),
        dynamic_key: None,
    }
}

/// The `connection.request` numbers that a list of clients, each with so many requests, gets.
fn served(reuse: HttpReuse, clients: &[usize]) -> Vec<String> {
    let mut setup = Setup::with_server(counting());
    setup.proxy().http_reuse = reuse;
    let proxy = setup.start();
    let mut seen = Vec::new();
    for requests in clients {
        let mut client = proxy.connect();
        for _ in 0..*requests {
            client.say(&get("/"));
            seen.push(body(&client.message()).to_owned());
        }
    }
    seen
}

#[test]
fn server_connections_are_shared_as_http_reuse_says() {
    assert_eq!(
        served(HttpReuse::Never, &[2, 2]),
        ["1.1", "1.2", "2.1", "2.2"]
    );
    assert_eq!(
        served(HttpReuse::Safe, &[2, 2]),
        // One at a time was in use: the second idle connection is not kept (as HAProxy 2.6 does).
        ["1.1", "1.2", "2.1", "1.3"]
    );
    assert_eq!(
        served(HttpReuse::Aggressive, &[1, 1, 2]),
        ["1.1", "2.1", "3.1", "1.2"]
    );
    assert_eq!(
        served(HttpReuse::Aggressive, &[2, 1]),
        ["1.1", "1.2", "1.3"]
    );
    assert_eq!(served(HttpReuse::Always, &[1, 1, 1]), ["1.1", "1.2", "1.3"]);
}

#[test]
fn a_connection_the_server_closed_meanwhile_costs_nobody_a_request() {
    let mut setup = Setup::with_server(|mut link| {
        link.message();
        link.say(OK);
    });
    setup.proxy().http_reuse = HttpReuse::Always;
    let proxy = setup.start();
    let mut client = proxy.connect();
    for _ in 0..20 {
        client.say(&get("/"));
        assert_eq!(body(&client.message()), "ok");
    }
}

#[test]
fn without_keep_alive_every_request_gets_a_connection_of_its_own() {
    let mut setup = Setup::with_server(counting());
    setup.proxy().trailing_close = TrailingClose::Server;
    let proxy = setup.start();
    let mut client = proxy.connect();
    for connection in 1..4 {
        client.say(&get("/"));
        assert_eq!(body(&client.message()), format!("{connection}.1"));
    }
}

#[test]
fn a_worn_out_connection_is_replaced() {
    let mut setup = Setup::new();
    setup.server(serve(counting())).max_reuse = Some(1);
    let proxy = setup.start();
    let mut client = proxy.connect();
    for expected in ["1.1", "1.2", "2.1"] {
        client.say(&get("/"));
        assert_eq!(body(&client.message()), expected);
    }
}

#[test]
fn a_dead_server_is_retried_and_left_for_another() {
    let mut setup = Setup::new();
    setup.server(nobody());
    setup.server(serve(always(OK)));
    setup.proxy().timeouts.connect = Some(Millis(50));
    setup.proxy().redispatch = Redispatch::LastRetry;
    setup.log("%s %rc %ST %tsc");
    let proxy = setup.start();
    for _ in 0..2 {
        assert_eq!(body(&proxy.get("/")), "ok");
    }
    let lines = [proxy.log_line(), proxy.log_line()];
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("s2 ") && line.ends_with(" 200 ----")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("s2 +")),
        "{lines:?}"
    );
}

#[test]
fn responses_are_retried_where_retry_on_says_so() {
    let mut setup = Setup::new();
    setup.server(serve(|mut link| {
        link.message();
    }));
    setup.server(serve(always(
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    )));
    setup.server(serve(always(OK)));
    setup.proxy().redispatch = Redispatch::EveryNth(1);
    setup.proxy().retry_on = RetryOn {
        connection_failure: true,
        empty_response: true,
        statuses: vec![500],
        ..RetryOn::default()
    };
    let proxy = setup.start();
    for _ in 0..3 {
        assert_eq!(body(&proxy.get("/")), "ok");
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(body(&proxy.ask(post)), "ok");
    }
}

#[test]
fn without_retry_on_an_empty_response_is_the_clients_problem() {
    let mut setup = Setup::new();
    setup.server(serve(|mut link| {
        link.message();
    }));
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/")), "502");
}

#[test]
fn a_full_server_is_waited_for() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
    let mut setup = Setup::new();
    setup
        .server(serve(move |mut link| {
            while !link.message().is_empty() {
                receiver.lock().unwrap().recv().unwrap();
                link.say(OK);
            }
        }))
        .maxconn = Some(1);
    setup.log("%bq %tsc %ST");
    let proxy = setup.start();
    let mut first = proxy.connect();
    first.say(&get("/1"));
    let state = proxy.generation.state();
    crate::support::until("the server is busy", || {
        state.server(tidegate::types::ServerId(0)).current.current() == 1
    });
    let mut second = proxy.connect();
    second.say(&get("/2"));
    crate::support::until("one waits", || {
        state.proxy(ProxyId(0)).backend.queue.current() == 1
    });
    sender.send(()).unwrap();
    assert_eq!(body(&first.message()), "ok");
    sender.send(()).unwrap();
    assert_eq!(body(&second.message()), "ok");
}

#[test]
fn a_cookie_leads_back_to_the_same_server() {
    let mut setup = Setup::new();
    for (name, value) in [("one", "a"), ("two", "b")] {
        let text: &'static str = Box::leak(ok(name).into_boxed_str());
        setup.server(serve(always(text))).cookie = Some(value.into());
    }
    setup.proxy().cookie = Some(cookie(CookieMode::Insert));
    setup.log("%tsc");
    let proxy = setup.start();
    let first = proxy.get("/");
    let set = field(&first, "set-cookie").unwrap().to_owned();
    let value = set.split(';').next().unwrap();
    for _ in 0..3 {
        let again = proxy.ask(&format!(
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: {value}\r\n\r\n"
        ));
        assert_eq!(body(&again), body(&first));
        assert_eq!(field(&again, "set-cookie"), None);
    }
    let stranger = proxy.ask("GET / HTTP/1.1\r\nHost: a\r\nCookie: S=zz\r\n\r\n");
    assert!(field(&stranger, "set-cookie").is_some());
    let lines: Vec<String> = (0..5).map(|_| proxy.log_line()).collect();
    assert_eq!(lines, ["--NI", "--VN", "--VN", "--VN", "--II"]);
}

#[test]
fn a_failed_connection_is_not_retried_where_retry_on_does_not_name_it() {
    let mut setup = Setup::new();
    setup.server(nobody());
    setup.proxy().timeouts.connect = Some(Millis(50));
    setup.proxy().retry_on = RetryOn::default();
    setup.log("%rc %ST %tsc");
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/")), "503");
    assert_eq!(proxy.log_line(), "0 503 SC--");
}

#[test]
fn a_dynamic_cookie_leads_back_to_the_server_it_was_made_from() {
    let mut setup = Setup::new();
    for name in ["one", "two", "three"] {
        let text = ok(name);
        let server = setup.server(serve(move |mut link| {
            while !link.message().is_empty() {
                link.say(&text);
            }
        }));
        server.cookie = None;
    }
    let mut dynamic = cookie(CookieMode::Insert);
    dynamic.dynamic_key = Some("secret".into());
    setup.proxy().cookie = Some(dynamic);
    let proxy = setup.start();
    let first = proxy.get("/");
    let told = field(&first, "set-cookie").expect("a cookie");
    let (value, _) = told.split_once(';').expect("attributes");
    assert_eq!(value.len(), "S=".len() + 16, "{value}");
    for _ in 0..4 {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {value}\r\n\r\n");
        let again = proxy.ask(&request);
        assert_eq!(body(&again), body(&first));
        assert_eq!(field(&again, "set-cookie"), None);
    }
}

#[test]
fn long_request_lines_are_remembered_in_part() {
    let mut setup = Setup::with_server(always(OK));
    setup.model.global.tune.http_logurilen = 10;
    setup.log("%r %HU");
    let proxy = setup.start();
    proxy.get("/0123456789");
    assert_eq!(proxy.log_line(), "GET /01234 /01234");
}

/// A server that answers with its name for as long as it is asked.
fn named(name: &'static str, status: &'static str) -> std::net::SocketAddr {
    serve(move |mut link| {
        let length = name.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}");
        while !link.message().is_empty() {
            link.say(&answer);
        }
    })
}

#[test]
fn a_client_stays_with_its_last_server_where_that_is_preferred() {
    for (preferred, status, stays) in [
        (false, "200 OK", false),
        (true, "200 OK", true),
        (false, "401 Who", true),
    ] {
        let mut setup = Setup::new();
        setup.server(named("one", status));
        setup.server(named("two", status));
        setup.proxy().balance.kind = tidegate::model::BalanceKind::RoundRobin;
        setup.proxy().prefer_last_server = preferred;
        let proxy = setup.start();
        let mut client = proxy.connect();
        let mut seen = Vec::new();
        for _ in 0..4 {
            client.say(&get("/"));
            seen.push(body(&client.message()).to_owned());
        }
        seen.dedup();
        assert_eq!(seen.len() == 1, stays, "{preferred} {status}: {seen:?}");
    }
}

#[test]
fn a_server_with_redir_is_not_asked_and_the_client_is_sent_there() {
    let mut setup = Setup::with_server(always(OK));
    setup.model.servers[0].redirect_prefix = Some("http://other.test".into());
    let proxy = setup.start();
    let answer = proxy.get("/a?b");
    assert_eq!(status(&answer), "302");
    assert_eq!(field(&answer, "location"), Some("http://other.test/a?b"));
    let posted = proxy.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(status(&posted), "200");
}

#[test]
fn a_cookie_that_caches_would_hand_to_everybody_is_not_let_through() {
    let cacheable = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok";
    let private = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\nok";
    for (response, expected) in [(cacheable, "502"), (private, "200")] {
        let mut setup = Setup::with_server(always(response));
        setup.proxy().check_cache = true;
        assert_eq!(status(&setup.start().get("/")), expected);
    }
}

#[test]
fn a_connection_that_its_server_closed_takes_no_other_ones_place() {
    let proxy = {
        let closes = std::sync::atomic::AtomicBool::new(true);
        let closes = std::sync::Arc::new(closes);
        let mut setup = Setup::with_server(move |mut link| {
            let first = closes.swap(false, std::sync::atomic::Ordering::SeqCst);
            let mut count = 0;
            while !link.message().is_empty() {
                count += 1;
                link.say(&ok(&count.to_string()));
                if first {
                    return;
                }
            }
        });
        setup.proxy().http_reuse = HttpReuse::Always;
        setup.start()
    };
    assert_eq!(body(&proxy.get("/")), "1");
    let state = proxy.generation.state();
    let server = tidegate::types::ServerId(0);
    crate::support::until("the first connection rests", || {
        state.server(server).connections.used.current() == 0
    });
    // The second connection is kept, whether or not the end of the first was noticed before.
    let seen: Vec<_> = (0..3).map(|_| body(&proxy.get("/")).to_owned()).collect();
    assert_eq!(seen, ["1", "2", "3"]);
}

/// An origin that answers every request with the address it came from.
fn told_who() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().unwrap();
            std::thread::spawn(move || {
                let mut link = crate::support::Link::new(stream);
                while !link.message().is_empty() {
                    link.say(&ok(&peer.to_string()));
                }
            });
        }
    });
    address
}

/// Whether this process may show addresses that are not its own; says so if not.
fn may_show_others() -> bool {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let may = socket.set_ip_transparent_v4(true).is_ok();
    if !may {
        eprintln!("skipped: IP_TRANSPARENT needs CAP_NET_ADMIN or CAP_NET_RAW");
    }
    may
}

/// A client that comes from an address of its own.
fn client_from(ip: [u8; 4], proxy: &RunningProxy) -> (std::net::SocketAddr, crate::support::Link) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // The proxy, on the same machine, uses the same address and port once more.
    socket.set_reuse_address(true).unwrap();
    socket
        .bind(&std::net::SocketAddr::from((ip, 0)).into())
        .unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    let stream: std::net::TcpStream = socket.into();
    let own = stream.local_addr().unwrap();
    (own, crate::support::Link::new(stream))
}

#[test]
fn a_server_sees_the_source_that_usesrc_says() {
    use tidegate::model::{ShownSource, Source};
    if !may_show_others() {
        return;
    }
    let with = |shown: ShownSource| {
        let mut setup = Setup::new();
        setup.proxy().http_reuse = HttpReuse::Always;
        setup.server(told_who()).source = Some(Source {
            address: None,
            interface: None,
            shown: Some(shown),
        });
        setup.start()
    };
    let ask = |link: &mut crate::support::Link, fields: &str| {
        link.say(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let answer = link.message();
        let seen: Result<std::net::SocketAddr, _> = body(&answer).parse();
        seen.unwrap_or_else(|_| panic!("no address in {answer}"))
    };
    let proxy = with(ShownSource::ClientIp);
    let (_, mut first) = client_from([127, 0, 0, 7], &proxy);
    let seen = ask(&mut first, "");
    assert_eq!(seen.ip().to_string(), "127.0.0.7");
    // The connection is another's only if that comes from the same address.
    let (_, mut second) = client_from([127, 0, 0, 8], &proxy);
    assert_eq!(ask(&mut second, "").ip().to_string(), "127.0.0.8");
    let (_, mut third) = client_from([127, 0, 0, 7], &proxy);
    assert_eq!(ask(&mut third, ""), seen);

    let proxy = with(ShownSource::Client);
    let (own, mut client) = client_from([127, 0, 0, 9], &proxy);
    assert_eq!(ask(&mut client, ""), own);

    let proxy = with(ShownSource::Address(([127, 0, 0, 10], 0).into()));
    let seen = ask(&mut proxy.connect(), "");
    assert_eq!(seen.ip().to_string(), "127.0.0.10");

    let field = "X-Forwarded-For: 127.0.0.11\r\nx-forwarded-for: 127.0.0.12, 127.0.0.13\r\n";
    for (occurrence, expected) in [(-1, 13), (-3, 11), (2, 12), (4, 1)] {
        let proxy = with(ShownSource::Header("x-forwarded-for".into(), occurrence));
        let seen = ask(&mut proxy.connect(), field);
        assert_eq!(seen.ip().to_string(), format!("127.0.0.{expected}"));
    }
}

#[test]
fn idle_connections_make_way_where_maxconn_is_strict() {
    let mut setup = Setup::with_server(counting());
    setup.proxy().http_reuse = HttpReuse::Always;
    let server = &mut setup.model.servers[0];
    server.maxconn = Some(1);
    server.strict_maxconn = true;
    server.pool_name = Some(crate::support::expression(&["req.hdr(x-name)"]));
    let proxy = setup.start();
    let ask = |name: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n");
        body(&proxy.ask(&text)).to_owned()
    };
    assert_eq!(ask("a"), "1.1");
    assert_eq!(ask("a"), "1.2");
    // The idle one cannot serve this name.
    assert_eq!(ask("b"), "2.1");
    assert_eq!(ask("a"), "3.1");
    let server = proxy
        .generation
        .state()
        .server(tidegate::types::ServerId(0));
    assert_eq!(server.connections.bounded.highest(), 1);
}
