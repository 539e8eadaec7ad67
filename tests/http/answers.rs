//! Answers the proxy gives by itself.

use std::sync::Arc;

use tidegate::model::{ErrorFile, ErrorSource, HttpAction, Redirect, RedirectKind};

use crate::support::{
    OK, Setup, always, body, condition, field, format_of, get, page, reply, status,
};
use tidegate::expr::Stage;

fn redirect(kind: RedirectKind) -> Redirect {
    Redirect {
        kind,
        code: 302,
        drop_query: false,
        append_slash: false,
        ignore_empty: false,
        keep_query: false,
        set_cookie: None,
    }
}

/// The location a request for `target` is sent to.
fn location(redirect: Redirect, target: &str) -> Option<String> {
    let mut setup = Setup::with_server(always(OK));
    setup.request_rule(HttpAction::Redirect(redirect), &[]);
    field(&setup.start().get(target), "location").map(str::to_owned)
}

#[test]
fn redirects_are_built_as_the_manual_says() {
    let to = |kind: fn(tidegate::expr::LogFormat) -> RedirectKind, text: &str| {
        redirect(kind(format_of(text)))
    };
    let prefix = |text: &str| to(RedirectKind::Prefix, text);
    for (redirect, target, expected) in [
        (to(RedirectKind::Location, "/new%[path]"), "/a?b", "/new/a"),
        (prefix("http://n.test"), "/a?b=c", "http://n.test/a?b=c"),
        (prefix("/"), "/a?b", "/a?b"),
        (
            to(RedirectKind::Scheme, "https"),
            "/x?y",
            "https://a.test/x?y",
        ),
        (
            Redirect {
                drop_query: true,
                ..prefix("http://n.test")
            },
            "/a?b",
            "http://n.test/a",
        ),
        (
            Redirect {
                drop_query: true,
                append_slash: true,
                ..prefix("http://n.test")
            },
            "/a?b",
            "http://n.test/a/",
        ),
        (
            Redirect {
                keep_query: true,
                ..to(RedirectKind::Location, "/new?x=1")
            },
            "/a?b=2",
            "/new?x=1&b=2",
        ),
    ] {
        assert_eq!(
            location(redirect, target).as_deref(),
            Some(expected),
            "{target}"
        );
    }
    let skipped = Redirect {
        ignore_empty: true,
        ..to(RedirectKind::Location, "%[req.hdr(none)]")
    };
    assert_eq!(location(skipped, "/"), None);
}

#[test]
fn a_redirect_says_whether_it_may_be_cached_and_keeps_the_connection() {
    let mut setup = Setup::new();
    setup.request_rule(
        HttpAction::Redirect(redirect(RedirectKind::Location(format_of("/x")))),
        &[],
    );
    setup.log("%s %tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.say(&get("/"));
        assert_eq!(
            client.message(),
            "HTTP/1.1 302 Found\r\nlocation: /x\r\ncache-control: no-cache\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(proxy.log_line(), "<NOSRV> LR-- 302");
    }
}

#[test]
fn a_refused_request_gets_the_page_of_its_status() {
    let mut setup = Setup::with_server(always(OK));
    setup.request_rule(
        HttpAction::Deny(page(403)),
        &["if", "{", "path", "/deny", "}"],
    );
    setup.request_rule(
        HttpAction::Deny(reply(429, "slow down")),
        &["if", "{", "path", "/slow", "}"],
    );
    setup.log("%tsc %ST %B");
    let proxy = setup.start();
    let denied = proxy.get("/deny");
    assert_eq!(status(&denied), "403");
    assert!(body(&denied).starts_with("<html><body><h1>403 Forbidden</h1>\n"));
    assert_eq!(field(&denied, "content-type"), Some("text/html"));
    assert_eq!(proxy.log_line(), format!("PR-- 403 {}", denied.len()));
    let slow = proxy.get("/slow");
    assert_eq!((status(&slow), body(&slow)), ("429", "slow down"));
    assert_eq!(field(&slow, "content-type"), Some("text/plain"));
}

#[test]
fn a_refused_request_with_a_body_keeps_the_connection_only_when_the_body_is_there() {
    let mut setup = Setup::new();
    setup.request_rule(HttpAction::Deny(page(403)), &[]);
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(field(&client.message(), "connection"), None);
    client
        .say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    assert_eq!(field(&client.message(), "connection"), None);
    client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    assert_eq!(field(&client.message(), "connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn error_files_replace_the_built_in_pages() {
    let raw: Arc<[u8]> =
        (*b"HTTP/1.1 503 Sorry\r\nX-From: file\r\nConnection: close\r\nContent-Length: 4\r\n\r\nwait").into();
    let mut setup = Setup::new();
    setup.proxy().error_files = vec![
        ErrorFile {
            status: 503,
            source: ErrorSource::File {
                path: "503.http".into(),
                content: raw,
            },
        },
        ErrorFile {
            status: 400,
            source: ErrorSource::Silent,
        },
        ErrorFile {
            status: 403,
            source: ErrorSource::Location {
                code: 303,
                url: "http://elsewhere/".into(),
            },
        },
    ];
    setup.request_rule(
        HttpAction::Deny(page(403)),
        &["if", "{", "path", "/deny", "}"],
    );
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say(&get("/"));
    assert_eq!(
        client.message(),
        "HTTP/1.1 503 Sorry\r\nx-from: file\r\ncontent-length: 4\r\n\r\nwait"
    );
    client.say(&get("/deny"));
    let elsewhere = client.message();
    assert_eq!(
        (status(&elsewhere), field(&elsewhere, "location")),
        ("303", Some("http://elsewhere/"))
    );
    client.say("BAD\r\n\r\n");
    assert!(client.is_closed());
}

#[test]
fn monitoring_requests_are_answered_first_and_never_logged() {
    let mut setup = Setup::with_server(always(OK));
    setup.proxy().monitor_uri = Some("/alive".into());
    setup.proxy().monitor_fail.push(condition(
        Stage::Request,
        &["if", "{", "req.hdr(x-fail)", "-m", "found", "}"],
    ));
    setup.request_rule(HttpAction::Deny(page(403)), &[]);
    setup.log("%tsc %ST");
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/alive")), "200");
    assert_eq!(
        status(&proxy.ask("GET /alive HTTP/1.1\r\nHost: a\r\nX-Fail: 1\r\n\r\n")),
        "503"
    );
    assert_eq!(status(&proxy.get("/alive?x")), "403");
    assert_eq!(proxy.log_line(), "PR-- 403");
}

#[test]
fn a_tarpit_holds_before_it_refuses() {
    let mut setup = Setup::new();
    setup.request_rule(HttpAction::Tarpit(page(500)), &[]);
    setup.proxy().timeouts.tarpit = Some(tidegate::types::Millis(80));
    setup.log("%tsc %ST %Tw");
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/")), "500");
    let line = proxy.log_line();
    let held: u64 = line.strip_prefix("PT-- 500 ").unwrap().parse().unwrap();
    assert!(held >= 80, "{line}");
}

#[test]
fn credentials_are_asked_for() {
    let mut setup = Setup::with_server(always(OK));
    setup.request_rule(
        HttpAction::Auth {
            realm: Some("My Realm".into()),
        },
        &[],
    );
    let challenge = setup.start().get("/");
    assert_eq!(status(&challenge), "401");
    assert_eq!(
        field(&challenge, "www-authenticate"),
        Some("Basic realm=\"My Realm\"")
    );
}

#[test]
fn a_rejected_request_is_closed_without_an_answer() {
    let mut setup = Setup::new();
    setup.request_rule(HttpAction::Reject, &[]);
    setup.log("%tsc %ST");
    let proxy = setup.start();
    assert_eq!(proxy.get("/"), "");
    assert_eq!(proxy.log_line(), "PR-- -1");
}
