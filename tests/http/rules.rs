//! `http-request`, `http-response` and `http-after-response` rules.

use regex::bytes::Regex;
use tidegate::expr::{Scope, Stage, VariableName};
use tidegate::model::{
    BackendTarget, Capture, CaptureId, CommonAction, HttpAction, NameMatch, UseBackend,
};

use crate::support::{
    OK, Setup, always, body, condition, expression, field, format_of, get, mirror, ok, page, reply,
    response_format, rule, serve, status,
};

fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// What the server gets of `request` when `action` is the only rule.
fn forwarded(action: HttpAction, request: &str) -> String {
    let mut setup = Setup::with_server(mirror());
    setup.request_rule(action, &[]);
    body(&setup.start().ask(request)).to_owned()
}

#[test]
fn headers_of_the_request_are_edited() {
    let request = "GET /p HTTP/1.1\r\nHost: a\r\nX-A: abc\r\nX-L: a1, b2\r\nX-A: zb\r\n\r\n";
    let head = "GET /p HTTP/1.1\r\nhost: a\r\n";
    for (action, fields) in [
        (
            HttpAction::AddHeader("X-N".into(), format_of("%[path]")),
            "x-a: abc\r\nx-l: a1, b2\r\nx-a: zb\r\nx-n: /p\r\n",
        ),
        (
            HttpAction::SetHeader("X-A".into(), format_of("new")),
            "x-l: a1, b2\r\nx-a: new\r\n",
        ),
        (
            HttpAction::DeleteHeader(NameMatch::Begins("x-a".into())),
            "x-l: a1, b2\r\n",
        ),
        (
            HttpAction::ReplaceHeader("X-A".into(), regex("b(.*)"), format_of(r"<\1>")),
            "x-a: <c>\r\nx-l: a1, b2\r\nx-a: <>\r\n",
        ),
        (
            HttpAction::ReplaceValue("X-L".into(), regex("^b"), format_of("B")),
            "x-a: abc\r\nx-l: a1, B\r\nx-a: zb\r\n",
        ),
    ] {
        assert_eq!(forwarded(action, request), format!("{head}{fields}\r\n"));
    }
}

#[test]
fn method_and_target_are_edited() {
    for (action, line) in [
        (
            HttpAction::SetMethod(format_of("PURGE")),
            "PURGE /a?b HTTP/1.1",
        ),
        (
            HttpAction::SetPath(format_of("/new")),
            "GET /new?b HTTP/1.1",
        ),
        (
            HttpAction::SetPathQuery(format_of("/new?x")),
            "GET /new?x HTTP/1.1",
        ),
        (
            HttpAction::SetQuery(format_of("%[query]&z")),
            "GET /a?b&z HTTP/1.1",
        ),
        (HttpAction::SetUri(format_of("/u")), "GET /u HTTP/1.1"),
        (
            HttpAction::ReplacePath(regex("(.*)"), format_of(r"/pre\1")),
            "GET /pre/a?b HTTP/1.1",
        ),
        (
            HttpAction::ReplacePathQuery(regex(r"/a\?(.)"), format_of(r"/\1")),
            "GET /b HTTP/1.1",
        ),
    ] {
        let seen = forwarded(action, &get("/a?b"));
        assert_eq!(seen.lines().next(), Some(line));
    }
}

#[test]
fn conditions_decide_and_allow_ends_the_set() {
    let mut setup = Setup::with_server(always(OK));
    setup.request_rule(HttpAction::Allow, &["if", "{", "path", "/free", "}"]);
    setup.request_rule(
        HttpAction::Deny(page(403)),
        &["unless", "{", "path_beg", "/open", "}"],
    );
    let proxy = setup.start();
    assert_eq!(status(&proxy.get("/free")), "200");
    assert_eq!(status(&proxy.get("/open/x")), "200");
    assert_eq!(status(&proxy.get("/closed")), "403");
}

#[test]
fn requests_are_routed_to_the_first_backend_whose_condition_holds() {
    let mut setup = Setup::with_server(always(OK));
    let api = setup.backend("api");
    let text: &'static str = Box::leak(ok("api").into_boxed_str());
    setup.server_of(api, serve(always(text)));
    setup.proxy().use_backends = vec![
        UseBackend {
            target: BackendTarget::Fixed(api),
            condition: Some(condition(
                Stage::Request,
                &["if", "{", "path_beg", "/api", "}"],
            )),
            place: "test:1".into(),
        },
        UseBackend {
            target: BackendTarget::Dynamic(format_of("%[req.hdr(x-backend)]")),
            condition: None,
            place: "test:2".into(),
        },
    ];
    setup.log("%b/%s");
    let proxy = setup.start();
    assert_eq!(body(&proxy.get("/api/x")), "api");
    assert_eq!(body(&proxy.get("/")), "ok");
    let named = "GET / HTTP/1.1\r\nHost: a\r\nX-Backend: api\r\n\r\n";
    assert_eq!(body(&proxy.ask(named)), "api");
    let lines: Vec<String> = (0..3).map(|_| proxy.log_line()).collect();
    assert_eq!(lines, ["api/s1", "px/s1", "api/s1"]);
}

#[test]
fn a_backends_own_rules_come_after_the_frontends() {
    let mut setup = Setup::new();
    let api = setup.backend("api");
    setup.server_of(api, serve(mirror()));
    setup.proxy().default_backend = Some(api);
    setup.request_rule(
        HttpAction::AddHeader("X-Order".into(), format_of("front")),
        &[],
    );
    setup.model.proxies[1].http_request.push(rule(
        HttpAction::AddHeader("X-Order".into(), format_of("back")),
        Stage::Request,
        &[],
    ));
    let seen = setup.start().get("/");
    assert!(
        body(&seen).contains("x-order: front\r\nx-order: back\r\n"),
        "{seen}"
    );
}

#[test]
fn responses_are_edited_by_both_sets() {
    let mut setup = Setup::with_server(always(
        "HTTP/1.1 200 OK\r\nX-S: a\r\nContent-Length: 2\r\n\r\nok",
    ));
    setup.response_rule(HttpAction::SetStatus(201, Some("Made".into())), &[]);
    setup.response_rule(
        HttpAction::SetHeader("X-S".into(), response_format("b")),
        &[],
    );
    setup.proxy().http_after_response.push(rule(
        HttpAction::SetHeader("X-After".into(), response_format("%[status]")),
        Stage::Response,
        &[],
    ));
    setup.request_rule(
        HttpAction::Return(reply(200, "here")),
        &["if", "{", "path", "/own", "}"],
    );
    let proxy = setup.start();
    let relayed = proxy.get("/");
    assert!(relayed.starts_with("HTTP/1.1 201 Made\r\n"), "{relayed}");
    assert_eq!(
        (field(&relayed, "x-s"), field(&relayed, "x-after")),
        (Some("b"), Some("201"))
    );
    let own = proxy.get("/own");
    assert_eq!(
        (status(&own), field(&own, "x-s"), field(&own, "x-after")),
        ("200", None, Some("200"))
    );
}

#[test]
fn rules_do_not_see_the_answer_to_what_is_no_request() {
    let mut setup = Setup::with_server(always(OK));
    setup.proxy().http_after_response.push(rule(
        HttpAction::SetHeader("X-After".into(), response_format("%[status]")),
        Stage::Response,
        &[],
    ));
    let proxy = setup.start();
    let refused = proxy.ask("GET\r\n\r\n");
    assert_eq!(
        (status(&refused), field(&refused, "x-after")),
        ("400", None)
    );
}

#[test]
fn a_proxy_header_tells_the_clients_address_and_leaves_the_connections() {
    let mut setup = Setup::with_server(always(OK));
    setup.model.binds[0].accept_proxy = true;
    setup.response_rule(
        HttpAction::SetHeader(
            "X".into(),
            response_format("%[src] %[dst] %[fc_src] %[fc_dst]"),
        ),
        &[],
    );
    let proxy = setup.start();
    let header = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n";
    let answer = proxy.ask(&format!("{header}{}", get("/")));
    assert_eq!(
        field(&answer, "x"),
        Some("192.0.2.7 192.0.2.8 127.0.0.1 127.0.0.1")
    );
}

#[test]
fn a_refused_response_is_replaced() {
    let mut setup = Setup::with_server(always(OK));
    setup.response_rule(
        HttpAction::Deny(page(502)),
        &["if", "{", "status", "200", "}"],
    );
    setup.log("%s %tsc %ST");
    let proxy = setup.start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.say(&get("/"));
        assert_eq!(status(&client.message()), "502");
        assert_eq!(proxy.log_line(), "s1 PH-- 502");
    }
}

#[test]
fn variables_and_captures_outlive_the_request() {
    let mut setup = Setup::with_server(always(OK));
    setup.proxy().captures = vec![
        Capture {
            header: Some("X-A".into()),
            response: false,
            length: 3,
        },
        Capture {
            header: None,
            response: false,
            length: 10,
        },
    ];
    setup.request_rule(
        HttpAction::Common(CommonAction::SetVariable {
            name: VariableName::new(Scope::Transaction, "p"),
            value: expression(&["path"]),
            conditions: Vec::new(),
        }),
        &[],
    );
    setup.request_rule(
        HttpAction::Capture {
            sample: expression(&["method"]),
            id: CaptureId(1),
        },
        &[],
    );
    setup.response_rule(
        HttpAction::SetHeader("X-P".into(), response_format("%[var(txn.p)]")),
        &[],
    );
    setup.log("%hr %r");
    let proxy = setup.start();
    let response = proxy.ask("GET /p HTTP/1.1\r\nHost: a\r\nX-A: abcdef\r\n\r\n");
    assert_eq!(field(&response, "x-p"), Some("/p"));
    assert_eq!(proxy.log_line(), "{abc|GET} GET /p HTTP/1.1");
}

#[test]
fn rules_may_look_at_the_body_once_it_is_there() {
    let mut setup = Setup::with_server(mirror());
    setup.request_rule(
        HttpAction::WaitForBody {
            time: tidegate::types::Millis(5000),
            at_least: 0,
        },
        &[],
    );
    setup.request_rule(
        HttpAction::Deny(page(403)),
        &["if", "{", "req.body", "-m", "sub", "evil", "}"],
    );
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nev\r\n");
    client.say("2\r\nil\r\n0\r\n\r\n");
    assert_eq!(status(&client.message()), "403");
    client.say("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.say("good");
    assert!(body(&client.message()).ends_with("\r\n\r\ngood"));
}
