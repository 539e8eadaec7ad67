//! A cache between a client and a server.

use std::sync::Arc;

use tidegate::model::{Cache, Compression, CompressionAlgorithm, EarlyHints, HttpAction};
use tidegate::types::Millis;

use crate::support::{Link, RunningProxy, Setup, body, field, serve, status};

/// A proxy with a cache in front of one server.
fn caching(
    each: impl Fn(Link) + Clone + Send + 'static,
    change: impl FnOnce(&mut Setup),
) -> RunningProxy {
    let mut setup = Setup::new();
    let address = serve(each);
    setup.server(address);
    setup.model.caches.push(Arc::new(Cache {
        name: "c".to_owned(),
        total_max_size: 4 << 20,
        max_object_size: 2 << 20,
        max_age: Millis(60_000),
        process_vary: false,
        max_secondary_entries: 10,
        early_hints: EarlyHints::Off,
        hints_ratio: 25,
    }));
    let using = HttpAction::CacheUse {
        cache: 0,
        hints: true,
    };
    setup.request_rule(using, &[]);
    setup.response_rule(HttpAction::CacheStore(0), &[]);
    change(&mut setup);
    setup.start()
}

/// Answers with so many bytes and the number of the request.
fn numbered(size: usize) -> impl Fn(Link) + Clone + Send + 'static {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    move |mut link| {
        while !link.head().is_empty() {
            let number = 1 + count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            link.say(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: \"{number}\"\r\n\r\n"
            ));
            link.say(&"x".repeat(size));
        }
    }
}

#[test]
fn a_second_request_is_answered_without_the_server() {
    let proxy = caching(numbered(5), |setup| setup.log("%s %ST"));
    let mut client = proxy.connect();
    for age in [None, Some("0")] {
        client.say("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        let response = client.message();
        assert_eq!(body(&response), "xxxxx");
        assert_eq!(field(&response, "etag"), Some("\"1\""));
        assert_eq!(field(&response, "age"), age);
    }
    assert_eq!(proxy.log_line(), "s1 200");
    assert_eq!(proxy.log_line(), "<CACHE> 200");
    let other = proxy.ask("GET /a HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(field(&other, "etag"), Some("\"2\""));
    let known = proxy.ask("GET /a HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"1\"\r\n\r\n");
    assert_eq!(status(&known), "304");
}

#[test]
fn large_responses_come_whole_from_the_cache_compressed_or_not() {
    const SIZE: usize = 1_000_000;
    let proxy = caching(numbered(SIZE), |setup| {
        let mut settings = Compression::default();
        settings.response.algorithms = vec![CompressionAlgorithm::Gzip];
        setup.proxy().compression = Some(Arc::new(settings));
    });
    for _ in 0..2 {
        let response = proxy.ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(field(&response, "etag"), Some("\"1\""));
        assert_eq!(body(&response).len(), SIZE);
    }
    let response = proxy.ask("GET /a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(field(&response, "etag"), Some("W/\"1\""));
    assert_eq!(field(&response, "content-encoding"), Some("gzip"));
    assert!(field(&response, "age").is_some());
}

#[test]
fn what_was_cut_short_is_not_kept() {
    let proxy = caching(
        |mut link| {
            link.head();
            link.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: \"a\"\r\n\r\nhalf");
        },
        |_| {},
    );
    for _ in 0..2 {
        let response = proxy.ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(field(&response, "age"), None);
    }
}

#[test]
fn a_change_makes_the_cache_forget() {
    let proxy = caching(numbered(1), |_| {});
    let tag = |method: &str| {
        let length = if method == "GET" {
            ""
        } else {
            "Content-Length: 0\r\n"
        };
        let response = proxy.ask(&format!("{method} /a HTTP/1.1\r\nHost: h\r\n{length}\r\n"));
        field(&response, "etag").map(str::to_owned)
    };
    assert_eq!(tag("GET").as_deref(), Some("\"1\""));
    assert_eq!(tag("GET").as_deref(), Some("\"1\""));
    assert_eq!(tag("PUT").as_deref(), Some("\"2\""));
    assert_eq!(tag("GET").as_deref(), Some("\"3\""));
}
