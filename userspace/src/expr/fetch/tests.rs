//! What fetches yield; the expected values were compared with HAProxy 2.6.

use crate::expr::testing::{Literal, eval, expression, holds};
use crate::expr::{Address, Stage, StickOperation};

const REQUEST: &str = "POST /p/a.b?a=1&b=x%20y;c=3&d=&e&n=12z&a=2 HTTP/1.1\r\nHost: www.ex.com:8080\r\n\
    X-A: one, two ,,three\r\nX-A: four , five\r\nX-Empty:\r\nX-Q: \"a,b\", c\r\nX-N: 12abc, abc, -5\r\n\
    X-Ip: 1.2.3.4, 1.2.3.4:80, 2001:db8::1, [2001:db8::2], junk, 1.2.3.4x\r\n\
    Cookie: a=1; b=22x; c=\"q;r\"; a=3 ; d ; e=\r\nCookie: f=z, g=h\r\nAuthorization: Basic dXNlcjpwYTpzcw==\r\n\
    X-Bearer: Bearer tok en\r\nContent-Length: 11\r\n\r\np=1&q=2&p=3";

fn check(request: &str, cases: &[(&str, Option<&str>)]) {
    let view = Literal::request(request).with_address(Address::Source, "127.0.0.1:1000");
    for (word, expected) in cases {
        assert_eq!(eval(word, &view).as_deref(), *expected, "{word}");
    }
}

#[test]
fn headers_are_split_counted_and_indexed() {
    check(
        REQUEST,
        &[
            ("req.hdr(x-a)", Some("five")),
            ("req.hdr(X-A,1)", Some("one")),
            ("req.hdr(x-a,2)", Some("two")),
            ("req.hdr(x-a,3)", Some("")),
            ("req.hdr(x-a,4)", Some("three")),
            ("req.hdr(x-a,6)", Some("five")),
            ("req.hdr(x-a,7)", None),
            ("req.hdr(x-a,0)", Some("five")),
            ("req.hdr(x-a,-1)", Some("five")),
            ("req.hdr(x-a,-2)", Some("four")),
            ("req.hdr(x-a,-7)", None),
            ("req.hdr(x-none)", None),
            ("req.hdr(x-empty)", Some("")),
            ("req.hdr(x-q)", Some("c")),
            ("req.hdr_cnt(x-a)", Some("6")),
            ("req.hdr_cnt(x-empty)", Some("1")),
            ("req.hdr_cnt(x-q)", Some("2")),
            ("req.hdr_cnt(x-none)", Some("0")),
            ("req.fhdr(x-a)", Some("four , five")),
            ("req.fhdr(x-a,1)", Some("one, two ,,three")),
            ("req.fhdr(x-a,-2)", Some("one, two ,,three")),
            ("req.fhdr_cnt(x-a)", Some("2")),
            ("req.fhdr_cnt", Some("12")),
            ("req.hdr_val(x-n)", Some("-5")),
            ("req.hdr_val(x-n,1)", Some("12")),
            ("req.hdr_val(x-n,2)", Some("0")),
            ("req.hdr_ip(x-ip)", None),
            ("req.hdr_ip(x-ip,1)", Some("1.2.3.4")),
            ("req.hdr_ip(x-ip,2)", Some("1.2.3.4")),
            ("req.hdr_ip(x-ip,3)", Some("2001:db8::1")),
            ("req.hdr_ip(x-ip,4)", Some("2001:db8::2")),
            (
                "req.hdr_names(;x)",
                Some(
                    "host;x-a;x-a;x-empty;x-q;x-n;x-ip;cookie;cookie;authorization;x-bearer;content-length",
                ),
            ),
            ("hdr(x-a)", Some("five")),
            ("hdr_cnt(x-a)", Some("6")),
        ],
    );
}

#[test]
fn all_headers_come_as_text_or_in_binary() {
    check(
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
        &[
            ("req.hdrs", Some("host: h\r\nx-a: 1\r\n\r\n")),
            (
                "req.hdrs_bin,hex",
                Some("04686F73740168 03782D610131 0000".replace(' ', "").as_str()),
            ),
        ],
    );
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(2300));
    let view = Literal::request(&long);
    // 2300: 2300 - 240 = 2060 = 12 + 16 * 128.75, so 0xfc, then 0x80, then 0.
    assert_eq!(
        eval("req.hdrs_bin,bytes(0,5),hex", &view).as_deref(),
        Some("0161FC8000")
    );
}

#[test]
fn cookies_are_found_by_name() {
    check(
        REQUEST,
        &[
            ("req.cook(a)", Some("3")),
            ("req.cook(b)", Some("22x")),
            ("req.cook(c)", Some("\"q;r\"")),
            ("req.cook(d)", None),
            ("req.cook(e)", Some("")),
            ("req.cook(f)", Some("z")),
            ("req.cook(g)", Some("h")),
            ("req.cook(A)", None),
            ("req.cook", Some("1")),
            ("req.cook_cnt(a)", Some("2")),
            ("req.cook_cnt", Some("7")),
            ("req.cook_val(b)", Some("22")),
            ("req.cook_names", Some("a,b,c,a,e,f,g")),
            ("cook(a)", Some("3")),
            ("cookie(a)", Some("3")),
        ],
    );
    let view = Literal::request("GET / HTTP/1.1\r\n\r\n").with_response(
        200,
        "Set-Cookie: s=1; Path=/\r\nSet-Cookie: t=2\r\nSet-Cookie: s=3",
    );
    let cases = [
        ("res.cook(s)", Some("3")),
        ("res.cook", Some("1")),
        ("res.cook_cnt(s)", Some("2")),
        ("res.cook_names(;)", Some("s;t;s")),
        ("res.cook(Path)", None),
        ("scook_val(t)", Some("2")),
    ];
    for (word, expected) in cases {
        assert_eq!(eval(word, &view).as_deref(), expected, "{word}");
    }
}

#[test]
fn the_target_is_taken_apart() {
    check(
        REQUEST,
        &[
            ("path", Some("/p/a.b")),
            ("pathq", Some("/p/a.b?a=1&b=x%20y;c=3&d=&e&n=12z&a=2")),
            ("base", Some("www.ex.com:8080/p/a.b")),
            ("base32", Some("3159983261")),
            ("url32", Some("3741566261")),
            ("base32+src,hex", Some("BC59849D7F000001")),
            ("url32+src,hex", Some("DF03C5357F000001")),
            ("query", Some("a=1&b=x%20y;c=3&d=&e&n=12z&a=2")),
            ("query(with_qm)", Some("?a=1&b=x%20y;c=3&d=&e&n=12z&a=2")),
            ("urlp(a)", Some("1")),
            ("urlp(b)", Some("x%20y")),
            ("urlp(B)", None),
            ("urlp(B,,i)", Some("x%20y")),
            ("urlp(c)", Some("3")),
            ("urlp(d)", Some("")),
            ("urlp(e)", None),
            ("urlp", Some("1")),
            ("urlp(a,;)", Some("2")),
            ("url_param(a)", Some("1")),
            ("urlp_val(n)", Some("12")),
            ("method", Some("POST")),
            ("req.ver", Some("1.1")),
            (
                "capture.req.uri",
                Some("/p/a.b?a=1&b=x%20y;c=3&d=&e&n=12z&a=2"),
            ),
            ("capture.req.method", Some("POST")),
            ("capture.req.ver", Some("HTTP/1.1")),
        ],
    );
    check(
        "GET http://1.2.3.4:81/a?b HTTP/1.1\r\nHost: 1.2.3.4:81\r\n\r\n",
        &[
            ("path", Some("/a")),
            ("pathq", Some("/a?b")),
            ("url", Some("http://1.2.3.4:81/a?b")),
            ("base", Some("1.2.3.4:81/a")),
            ("baseq", Some("1.2.3.4:81/a?b")),
            ("url_ip", Some("1.2.3.4")),
            ("url_port", Some("81")),
            ("base32", Some("1935094652")),
            ("url32", Some("1540359836")),
        ],
    );
    check(
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        &[
            ("path", None),
            ("url", Some("*")),
            ("base", Some("h")),
            ("base32", Some("1228821030")),
            ("query", None),
            ("url_ip", None),
            ("capture.req.uri", None),
        ],
    );
    check(
        "GET /x? HTTP/1.0\r\n\r\n",
        &[
            ("path", Some("/x")),
            ("base", Some("/x")),
            ("query", Some("")),
            ("query(with_qm)", Some("")),
            ("base32", Some("2340802059")),
            ("url32", Some("2818125863")),
            ("req.ver", Some("1.0")),
        ],
    );
    check(
        "GET /p?a=1?z=2;y=3&a=4 HTTP/1.1\r\n\r\n",
        &[
            ("urlp(a)", Some("1")),
            ("urlp(z)", Some("2")),
            ("urlp(y)", Some("3")),
        ],
    );
    check(
        "GET /p;x=1?a=1&b= HTTP/1.1\r\n\r\n",
        &[
            ("urlp(a,;)", None),
            ("urlp(x,;)", Some("1?a=1")),
            ("urlp_val(b)", Some("0")),
            ("urlp(b)", Some("")),
        ],
    );
}

#[test]
fn bodies_and_credentials_are_read() {
    check(
        REQUEST,
        &[
            ("req.body", Some("p=1&q=2&p=3")),
            ("req.body_len", Some("11")),
            ("req.body_size", Some("11")),
            ("req.body_param(p)", Some("1")),
            ("req.body_param(Q,i)", Some("2")),
            ("req.body_param(Q)", None),
            ("req.body_param", Some("1")),
            ("http_auth_user", Some("user")),
            ("http_auth_pass", Some("pa:ss")),
            ("http_auth_type", Some("Basic")),
            ("http_auth_bearer", None),
            ("http_auth_bearer(x-bearer)", Some("tok en")),
        ],
    );
}

#[test]
fn acls_look_at_all_occurrences() {
    let view = Literal::request(REQUEST).with_address(Address::Source, "127.0.0.1:1000");
    for (words, expected) in [
        ("{ hdr(x-a) two }", true),
        ("{ hdr(x-a) three }", true),
        ("{ hdr(x-a,1) three }", false),
        ("{ hdr(x-a) -m len 0 }", true),
        ("{ hdr(x-a) six }", false),
        ("{ req.fhdr(x-a) -m sub two }", true),
        ("{ req.hdr_ip(x-ip) 2001:db8::/32 }", true),
        ("{ req.hdr_ip(x-ip) 5.0.0.0/8 }", false),
        ("{ req.hdr_val(x-n) 12 }", true),
        ("{ req.hdr_val(x-n) lt 0 }", true),
        ("{ req.cook(a) 1 }", true),
        ("{ req.cook(a) 3 }", true),
        ("{ req.cook(g) h }", true),
        ("{ req.cook g }", false),
        ("{ req.cook h }", true),
        ("{ urlp(a) 2 }", true),
        ("{ urlp 12z }", true),
        ("{ req.body_param(p) 3 }", true),
        ("{ hdr_end(host) :8080 }", true),
        ("{ hdr_dom(host) ex.com }", true),
        ("{ path_beg /p/ }", true),
        ("{ path_end .b }", true),
        ("{ url_sub x%20 }", true),
        ("{ base_dir p }", true),
    ] {
        assert_eq!(holds(words, &view), expected, "{words}");
    }
}

#[test]
fn authentication_asks_the_userlist() {
    let mut view = Literal::request(REQUEST);
    assert!(!holds("{ http_auth(list) }", &view));
    view.users = vec![("user", "pa:ss", &["staff", "admins"])];
    assert!(holds("{ http_auth(list) }", &view));
    assert!(holds("{ http_auth_group(list) guests admins }", &view));
    assert!(!holds("{ http_auth_group(list) guests }", &view));
    assert_eq!(
        eval("http_auth_group(list)", &view).as_deref(),
        Some("user")
    );
}

#[test]
fn tracked_counters_and_table_entries_answer() {
    let mut view = Literal::request(REQUEST).with_address(Address::Source, "192.0.2.7:1");
    assert_eq!(eval("sc0_conn_rate", &view), None, "nothing is tracked");
    assert_eq!(eval("sc0_tracked", &view).as_deref(), Some("0"));
    view.tracked.insert((0, StickOperation::ConnRate), 101);
    view.tracked.insert((2, StickOperation::Gpc(5)), 7);
    view.tracked.insert((1, StickOperation::BytesIn), 4096);
    view.tracked.insert((0, StickOperation::Exists), 1);
    view.entries
        .insert(("t".into(), "192.0.2.7".into(), StickOperation::ConnCur), 4);
    view.entries.insert(
        ("t".into(), "www.ex.com:8080".into(), StickOperation::Exists),
        1,
    );
    view.entries.insert(
        ("t".into(), "www.ex.com:8080".into(), StickOperation::Expire),
        900,
    );
    for (word, expected) in [
        ("sc0_conn_rate", Some("101")),
        ("sc_conn_rate(0)", Some("101")),
        ("sc_get_gpc(5,2)", Some("7")),
        ("sc1_kbytes_in", Some("4")),
        ("sc0_tracked", Some("1")),
        ("sc0_key", Some("key")),
        ("sc_key(1)", None),
        ("src_conn_cur(t)", Some("4")),
        ("src_conn_rate(t)", Some("0")),
        ("src,table_conn_cur(t)", Some("4")),
        ("req.hdr(host),in_table(t)", Some("1")),
        ("src,in_table(t)", Some("0")),
        ("src,in_table(t),not", Some("1")),
        ("req.hdr(host),table_expire(t)", Some("900")),
        ("src,table_expire(t)", None),
        ("src,table_expire(t,-1)", Some("-1")),
        ("table_avl(t)", Some("97")),
        ("table_cnt", Some("3")),
    ] {
        assert_eq!(eval(word, &view).as_deref(), expected, "{word}");
    }
    assert!(holds("{ sc0_conn_rate gt 100 }", &view));
    assert!(!holds("{ sc0_conn_rate gt 101 }", &view));
}

#[test]
fn constants_dates_and_live_numbers_are_fetched() {
    use crate::expr::{BackendNumber, ServerNumber};
    let mut view = Literal::request(REQUEST);
    view.seconds = 1_000_000_000;
    view.backends.insert(("b".into(), BackendNumber::Queue), 7);
    view.backends
        .insert(("b".into(), BackendNumber::UsableServers), 3);
    view.backends.insert(("".into(), BackendNumber::Queue), 4);
    view.backends
        .insert(("".into(), BackendNumber::UsableServers), 0);
    view.servers
        .insert(("b".into(), "s".into(), ServerNumber::IsUp), 1);
    view.servers
        .insert(("".into(), "t".into(), ServerNumber::Weight), 100);
    for (word, expected) in [
        ("bool(true)", Some("1")),
        ("int(-5)", Some("-5")),
        ("ipv4(1.2.3.4)", Some("1.2.3.4")),
        ("ipv6(::ffff:1.2.3.4)", Some("::ffff:1.2.3.4")),
        ("str(a b)", Some("a b")),
        ("str", Some("")),
        ("bin(410042)", Some("A")),
        ("meth(XX)", Some("XX")),
        ("date", Some("1000000000")),
        ("date(-5)", Some("999999995")),
        ("date(0,ms)", Some("1000000000123")),
        ("date(1,us)", Some("1000000000123457")),
        ("date_us", Some("123456")),
        ("avg_queue(b)", Some("3")),
        ("avg_queue", Some("8")),
        ("nbsrv(b)", Some("3")),
        ("nbsrv(none)", None),
        ("srv_is_up(b/s)", Some("1")),
        ("srv_weight(t)", Some("100")),
        ("env(NO_SUCH_VARIABLE_AT_ALL)", None),
        ("always_true", Some("1")),
        ("acl(TRUE,!FALSE)", Some("1")),
        ("acl(TRUE,FALSE)", Some("0")),
        ("wait_end", Some("1")),
        ("ssl_fc", Some("0")),
        ("ssl_fc_sni", None),
        ("proc", Some("1")),
    ] {
        assert_eq!(eval(word, &view).as_deref(), expected, "{word}");
    }
    for (word, range) in [("rand(10)", 0..10), ("rand", 0..1 << 32)] {
        let value: i64 = eval(word, &view).unwrap().parse().unwrap();
        assert!(range.contains(&value), "{word}: {value}");
    }
    let uuid = eval("uuid(7)", &view).unwrap();
    assert_eq!(&uuid[..18], "00e8d4a5-107b-7".to_owned() + &uuid[15..18]);
    assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"));
    assert_eq!(eval("uuid", &view).unwrap().as_bytes()[14], b'4');
}

#[test]
fn what_cannot_be_there_is_refused() {
    for (word, expected) in [
        (
            "res.hdr(x)",
            "extracts information from 'HTTP response headers'",
        ),
        ("status", "'HTTP response headers'"),
        ("bc_src", "'server address'"),
        ("nosuch", "unknown fetch method 'nosuch'"),
        ("src,nolower", "unknown converter 'nolower'"),
        ("src,", "unknown converter ''"),
        (",lower", "missing fetch method"),
        ("src(1)", "fetch method 'src' : expected ')' before '1)'"),
        (
            "int(1x)",
            "failed to parse '1x' as type 'integer' at position 1",
        ),
        (
            "int()",
            "expected type 'integer' at position 1, but got nothing",
        ),
        ("str(a", "expected ')'"),
        ("str(a,b)", "expected ')' before ',b)'"),
        ("bool(x)", "Expects 'true', 'false', '0' or '1'"),
        ("bin(010)", "an even number of hex digit is expected"),
        ("bin(0g)", "an hex digit is expected (found 'g')"),
        ("var(foo)", "invalid variable name 'foo'"),
        ("var()", "Empty variable name cannot be accepted"),
        ("date(0,x)", "expects 's', 'ms' or 'us', got 'x'"),
        ("uuid(5)", "Unsupported UUID version: '5'"),
        (
            "src,ipmask(33)",
            "failed to parse '33' as type 'IPv4 mask' at position 1",
        ),
        ("bin(01),add(1)", "converter 'add' cannot be applied"),
        ("ipv6(::1),add(1)", "converter 'add' cannot be applied"),
        ("int(5),add(x)", "expects an integer or a variable name"),
        ("sc_get_gpc(100,0)", "between 0 and 99"),
        (
            "src,lower(x)",
            "invalid arg in converter 'lower' : expected ')' before 'x)'",
        ),
        ("src;lower", "missing comma after 'src', found ';'"),
        ("acl(nosuch)", "no such ACL : 'nosuch'"),
    ] {
        let message = expression(word).expect_err(word).message;
        assert!(message.contains(expected), "{word}: {message}");
    }
    assert_eq!(
        expression("pathh").unwrap_err().hint.as_deref(),
        Some("did you mean `path`?")
    );
    assert_eq!(expression("src,lowr").unwrap_err().offset, 4);
}

#[test]
fn names_that_follow_the_direction_do_so() {
    let view = Literal::request("GET / HTTP/1.1\r\nX: req\r\n\r\n").with_response(200, "X: res");
    let at = |stage| crate::expr::testing::expression_at(stage, "hdr(x)").unwrap();
    assert_eq!(at(Stage::Request).fetch_name(), "req.hdr");
    assert_eq!(at(Stage::Response).fetch_name(), "res.hdr");
    let value = at(Stage::Response)
        .eval(&view)
        .map(|sample| sample.to_text().into_owned());
    assert_eq!(value.as_deref(), Some(&b"res"[..]));
}

proptest::proptest! {
    #[test]
    fn no_expression_panics(word in "[a-z0-9_.,()\"'\\\\ -]{0,40}") {
        let view = Literal::request(REQUEST);
        if let Ok(expression) = expression(&word) {
            expression.eval(&view);
        }
    }

}

proptest::proptest! {
    // Each case runs every fetch.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]

    #[test]
    fn no_message_makes_a_fetch_panic(target in "[ -~]{0,30}", field in "[ -~]{0,40}", body in ".{0,20}") {
        let text = format!("GET {} HTTP/1.1\r\nx: {field}\r\ncookie: {field}\r\nauthorization: {field}\r\n\r\n{body}", target.replace(' ', ""));
        let view = Literal::request(&text).with_address(Address::Source, "[::1]:1");
        for fetch in super::all() {
            let args = match fetch.args.required {
                0 => String::new(),
                n => format!("({})", vec!["1"; n].join(",")),
            };
            if let Ok(expression) = expression(&format!("{}{args}", fetch.name)) {
                let mut count = 0;
                let _ = expression.each(&view, |_| {
                    count += 1;
                    std::ops::ControlFlow::Continue(())
                });
                proptest::prop_assert!(count < 200, "{} goes on for ever", fetch.name);
            }
        }
    }
}
