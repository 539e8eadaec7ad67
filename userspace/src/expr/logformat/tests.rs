//! What formats render; the expected lines were compared with HAProxy 2.6.

use super::*;
use crate::expr::testing::{Literal, Texts, render};
use crate::expr::{Address, Direction, NoAcls, Number, Parsing, Patterns, Stage, Text};

fn view() -> Literal {
    let view = Literal::request("GET /x?a={1|2}%22]\\ HTTP/1.1\r\nHost: hx\r\n\r\n")
        .with_address(Address::Source, "127.0.0.1:33104")
        .with_address(Address::Destination, "127.0.0.1:8080")
        .with_text(Text::FrontendName, "l")
        .with_text(Text::BackendName, "l")
        .with_text(Text::TerminationState, "LR")
        .with_number(Number::Status, 200)
        .with_number(Number::AcceptDate, 1_795_346_119_658_000)
        .with_number(Number::RequestDate, 1_795_346_119_700_500)
        .with_number(Number::TransactionId, 32)
        .with_number(Number::ResponseBytesIn, 49);
    *view.captures.borrow_mut() = vec![
        (Direction::Request, Some(b"hx".to_vec())),
        (Direction::Request, None),
        (Direction::Request, Some(b"a \"b#c{|}\te]\\".to_vec())),
    ];
    view
}

#[test]
fn aliases_are_rendered_in_logs() {
    let view = view();
    for (format, expected) in [
        ("%ci:%cp", "127.0.0.1:33104"),
        ("%{+X}ci:%{+X}cp", "7F000001:8150"),
        ("%{+Q}ci", "\"127.0.0.1\""),
        ("%{+Q,+X}ci", "7F000001"),
        ("%{+Q}cp", "33104"),
        ("%si:%sp", "-:-"),
        ("%{+Q}si", "\"\""),
        ("%b/%s", "l/<NOSRV>"),
        ("%f %ft", "l l"),
        ("%ST %B %U %ac", "200 49 0 0"),
        ("%Tq %Tw %Tc %Tr %Tt %Ta %Ti %TR", "-1 -1 -1 -1 0 0 -1 -1"),
        ("%ts %{+Q}ts %tsc", "LR LR LR--"),
        ("%CC %{+Q}CC", "- \"\""),
        ("%T", "22/Nov/2026:11:15:19 +0000"),
        ("%Ts %ms", "1795346119 658"),
        ("%{+X}Ts", "6B02CEC7"),
        ("%trg", "22/Nov/2026:11:15:19 +0000"),
        ("%rt %{+X}rt", "32 0020"),
        ("%ID|%sslc|%sslv|%bi|%lc|%rc", "-|-|-|-|0|0"),
        (
            "%HM|%HP|%HPO|%HQ|%HU|%HV",
            "GET|/x|/x|?a={1|2}%22]\\|/x?a={1|2}%22]\\|HTTP/1.1",
        ),
        ("%r", "GET /x?a={1|2}%22]\\ HTTP/1.1"),
        ("%{+Q}r", "\"GET /x?a={1|2}%22]\\ HTTP/1.1\""),
        ("%{+E}r", "GET /x?a={1|2}%22\\]\\\\ HTTP/1.1"),
        ("%hr|%hs", "{hx||a #22b#23c#7B#7C#7D#09e]\\}|"),
        ("%{+Q}hr", "\"{hx||a #22b#23c#7B#7C#7D#09e]\\}\""),
        ("%hrl", "hx - a #22b#23c#7B#7C#7D#09e]\\"),
        ("%{+Q}hrl", "\"hx\" \"\" \"a #22b#23c#7B#7C#7D#09e]\\\""),
        ("%OG", "unspec"),
    ] {
        assert_eq!(render(format, Purpose::Log, &view), expected, "{format}");
    }
}

#[test]
fn expressions_are_rendered_in_logs() {
    let view = view();
    for (format, expected) in [
        ("%[src] %[src_port]", "127.0.0.1 33104"),
        ("%{+X}[src]", "127.0.0.1"),
        ("%{+Q}[src]", "\"127.0.0.1\""),
        ("%{+Q}[bool(1)]", "\"1\""),
        ("%[str()] %{+Q}[str()]", "- \"\""),
        ("%[capture.req.hdr(1)] %{+Q}[capture.req.hdr(1)]", "- \"\""),
        ("%{+E}[str('a\"b]c\\d')]", "a\\\"b\\]c\\\\d"),
        ("%[str('a{b|c}d#e')]", "a{b|c}d#e"),
        ("%[bin(0a0d22)]", "#0A#0D\""),
        ("%[int(1)]%[int(2)]", "12"),
        ("%[method]", "GET"),
        ("%{Q}[src]", "127.0.0.1"),
        (
            "%(name)[src] %(n:str)ci %(:sint)[int(4)]",
            "127.0.0.1 127.0.0.1 4",
        ),
    ] {
        assert_eq!(render(format, Purpose::Log, &view), expected, "{format}");
    }
}

#[test]
fn spaces_separate_the_items_of_logs_only() {
    let view = view();
    for (format, log, http) in [
        ("%ci   %cp", "127.0.0.1 33104", "127.0.0.1   33104"),
        (" lead  trail ", "lead trail ", " lead  trail "),
        ("%[str(a  b)]  c", "a  b c", "a  b  c"),
        ("%[str(\" a \")]%ci", " a 127.0.0.1", " a 127.0.0.1"),
        ("a\tb", "a\tb", "a\tb"),
        ("%hs %hs x", "x", "  x"),
        ("%ci %% %cp", "127.0.0.1 % 33104", "127.0.0.1 % 33104"),
        ("100%%|%-|%-r|%:", "100%|-|-r|:", "100%|-|-r|:"),
        ("%ci_%cp", "127.0.0.1_33104", "127.0.0.1_33104"),
        (
            "x%{+Q}o%ci%{-Q}cp%s",
            "x\"127.0.0.1\"33104\"<NOSRV>\"",
            "x\"127.0.0.1\"33104\"<NOSRV>\"",
        ),
    ] {
        assert_eq!(render(format, Purpose::Log, &view), log, "{format}");
        assert_eq!(render(format, Purpose::Http, &view), http, "{format}");
    }
}

#[test]
fn headers_get_other_escapes_than_logs() {
    let view = view();
    for (format, expected) in [
        ("%[bin(0a0d22)]", "%0A%0D\""),
        ("%[bin(0109)]", "%01\t"),
        ("%[req.hdr(none)]|%[str()]|%{+Q}[str()]", "||"),
        ("%{+Q}[str('a\"b\\c]d')]", "a\"b\\c]d"),
        ("%{+E}[str('a\"b\\c]d')]", "a\\\"b\\\\c\\]d"),
        ("%{+Q}s %si|%{+Q}si", "\"<NOSRV>\" |\"\""),
        ("%[path] %[req.hdr(host)]", "/x hx"),
        ("%[str(a]b)]", "a]b"),
    ] {
        assert_eq!(render(format, Purpose::Http, &view), expected, "{format}");
    }
    for (purpose, expected) in [
        (Purpose::Variable, "\na\u{1}|\"q\"|\"\"|  |"),
        (Purpose::UniqueId, "%0Aa%01|q|\"\"| |"),
        (Purpose::StructuredData, "#0Aa#01|\"q\"|\"\"| |-"),
    ] {
        let rendered = render(
            "%[bin(0a6101)]|%{+Q}[str(q)]|%{+Q}si|  |%[str()]",
            purpose,
            &view,
        );
        assert_eq!(rendered, expected, "{purpose:?}");
    }
    assert_eq!(
        render("%{+bin}o%[str(\"a\nb\")]", Purpose::Http, &view),
        "a\nb"
    );
}

#[test]
fn options_imply_their_formats() {
    let mut view = view().with_text(Text::ServerName, "s1");
    view.addresses
        .insert(Address::BackDestination, "192.0.2.1:80".parse().unwrap());
    for (number, value) in [
        (Number::TimerRequest, 0),
        (Number::TimerQueue, 0),
        (Number::TimerConnect, 1),
        (Number::TimerResponse, 5),
        (Number::TimerActive, 7),
        (Number::TimerTotal, 9),
        (Number::Retries, 1),
        (Number::Redispatched, 1),
        (Number::LoggedEarly, 1),
    ] {
        view.numbers.insert(number, value);
    }
    view.captures.borrow_mut().clear();
    let line = render(formats::HTTP, Purpose::Log, &view);
    let expected =
        " l l/s1 0/0/1/5/+7 200 +49 - - LR-- 0/0/0/0/+1 0/0 \"GET /x?a={1|2}%22]\\ HTTP/1.1\"";
    assert!(line.starts_with("127.0.0.1:33104 ["), "{line}");
    assert!(line.ends_with(expected), "{line}");
    let line = render(formats::TCP, Purpose::Log, &view);
    assert!(
        line.ends_with("l l/s1 0/1/+9 +49 LR 0/0/0/0/+1 0/0"),
        "{line}"
    );
    let line = render(formats::HTTP_CLF, Purpose::Log, &view);
    assert!(line.starts_with("127.0.0.1 - - [22/Nov/2026:11:15:19 +0000] \"GET /x?a={1|2}%22]\\ HTTP/1.1\" 200 +49 \"\" \"\" 33104 658 \"l\" \"l\" \"s1\""), "{line}");
    for format in [formats::HTTPS, formats::TCP_CLF] {
        assert!(!render(format, Purpose::Log, &view).is_empty());
    }
}

#[test]
fn a_bad_request_is_logged_as_such() {
    let view = Literal::default().with_text(Text::FrontendName, "l");
    assert_eq!(
        render("%{+Q}r %HM %HV", Purpose::Log, &view),
        "\"<BADREQ>\" <BADREQ> <BADREQ>"
    );
}

fn error(format: &str, stage: Stage) -> (String, usize) {
    let files = Texts::default();
    let mut patterns = Patterns::default();
    let mut parsing = Parsing::new(stage, &files, &NoAcls, &mut patterns);
    let error = LogFormat::parse(format, Purpose::Log, &mut parsing).expect_err(format);
    (error.message, error.offset)
}

#[test]
fn mistakes_are_named_where_they_are() {
    for (format, offset, expected) in [
        ("a %foo", 2, "no such format alias 'foo'"),
        ("100%", 3, "truncated line after '%'"),
        (
            "%{+Q}",
            0,
            "parse argument modifier without variable name near '%{+Q}'",
        ),
        (
            "%{+Q} ci",
            0,
            "parse argument modifier without variable name",
        ),
        ("%{+Q r", 0, "missing '}'"),
        ("%{+Z}r", 1, "unknown flag 'Z'"),
        ("a% b", 1, "unexpected variable name near ' '"),
        ("%[src", 5, "missing ']' after 'src'"),
        (
            "%[str(a)b]",
            8,
            "expected ']' after 'str(a)', but found 'b'",
        ),
        ("%[]", 2, "missing fetch method"),
        ("%[str(a),nolower]", 9, "unknown converter 'nolower'"),
        ("%[nostr(a)]", 2, "unknown fetch method 'nostr'"),
        ("%(name", 1, "missing ')'"),
        ("%(n:int)ci", 1, "unknown item type 'int'"),
        (
            "x%[res.hdr(a)]",
            3,
            "needs 'HTTP response headers' which is not available here",
        ),
    ] {
        let (message, at) = error(format, Stage::Request);
        assert!(message.contains(expected), "{format}: {message}");
        assert_eq!(at, offset, "{format}: {message}");
    }
    assert!(
        error("%[req.hdr(a)]", Stage::Log)
            .0
            .contains("needs 'HTTP request headers'")
    );
}

#[test]
fn a_format_without_items_is_constant() {
    let files = Texts::default();
    let mut patterns = Patterns::default();
    let mut parsing = Parsing::new(Stage::Request, &files, &NoAcls, &mut patterns);
    let mut parse = |text| LogFormat::parse(text, Purpose::Http, &mut parsing).unwrap();
    assert_eq!(parse("max-age=%%5").constant(), Some(&b"max-age=%5"[..]));
    assert_eq!(parse("%[src]").constant(), None);
    assert_eq!(parse("%[src]").expressions().count(), 1);
    assert_eq!(
        LogFormat::literal("%[src]", Purpose::Http).constant(),
        Some(&b"%[src]"[..])
    );
}

proptest::proptest! {
    #[test]
    fn no_format_panics(format in "[%a-zA-Z\\[\\](){}+,: \"'\\\\0-9-]{0,30}") {
        let files = Texts::default();
        let mut patterns = Patterns::default();
        let mut parsing = Parsing::new(Stage::Request, &files, &NoAcls, &mut patterns);
        if let Ok(format) = LogFormat::parse(&format, Purpose::Log, &mut parsing) {
            format.render(&view(), &mut Vec::new());
        }
    }

    #[test]
    fn logs_never_have_control_characters(field in proptest::collection::vec(0u8..=255, 0..30)) {
        let mut view = view();
        if let Some(request) = &mut view.request {
            request.set(b"x", &field);
        }
        *view.captures.borrow_mut() = vec![(Direction::Request, Some(field))];
        let line = render("%[capture.req.hdr(0)] %hr %hrl %{+Q}hrl", Purpose::Log, &view);
        proptest::prop_assert!(line.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f), "{:?}", line);
    }
}

#[test]
fn lines_and_values_are_encoded() {
    let view = Literal::request("GET /a%22b HTTP/1.1\r\n\r\n").with_number(Number::Status, 200);
    for (format, expected) in [
        (
            "%{+json}o ignored %(status)ST %(s)[str(\"a\\\"b\")] %[int(7)] %(none)[var(txn.none)]",
            r#"{"status": 200, "s": "a\"b", "none": null}"#,
        ),
        (
            "%{+json}o %(a:str)[int(3)] %(b:bool)[int(2)] %(c:sint)[str(5)] %(d)[bool(true)]",
            r#"{"a": "3", "b": true, "c": 5, "d": true}"#,
        ),
        ("status=%{+json}ST %{+json}[str(x)]", r#"status=200 "x""#),
        ("%(name)ST plain", "200 plain"),
        (
            "%{+cbor}o %(n)[int(-1)] %(big)[int(1000)] %(s)[str(hi)] %(b)[bin(00ff)]",
            "BF616E20636269671903E8617362686961624200FFFF",
        ),
    ] {
        let text = render(format, Purpose::Log, &view);
        assert_eq!(text, expected, "{format}");
    }
}
