use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::proto::http::http1::{
    Exchange, Framing, Limits, Persistence, encode_request as to_text,
};
use crate::proto::http::{Head, Method, Version};

fn parts(method: &str, uri: &str, fields: &[(&str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn frames_are_seen_whatever_pieces_they_come_in() {
    let mut wire = PREFACE.to_vec();
    wire.extend([0, 0, 2, 0, 1, 0, 0, 0, 5, b'h', b'i']);
    wire.extend([0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 8]);
    wire.extend([0, 0, 0, 4, 1, 0, 0, 0, 0]);
    wire.extend([
        0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, b'x', b'y',
    ]);
    wire.extend(window_update(7, 300));
    for piece in [1, 2, 3, 7, 100] {
        let mut reader = FrameReader::after_preface();
        let mut seen = Vec::new();
        for bytes in wire.chunks(piece) {
            reader.feed(bytes, |frame| {
                seen.push((frame.kind, frame.stream, frame.length, frame.code));
            });
        }
        assert!(reader.is_between_frames());
        assert_eq!(
            seen,
            [
                (Kind::Data, 5, 2, None),
                (Kind::ResetStream, 5, 4, Some(8)),
                (Kind::Settings, 0, 0, None),
                (Kind::GoAway, 0, 10, Some(2)),
                (Kind::WindowUpdate, 7, 4, None),
            ]
        );
    }
}

#[test]
fn only_the_announced_window_of_a_settings_frame_is_changed() {
    let mut frame = vec![0, 0, 12, 4, 0, 0, 0, 0, 0];
    frame.extend([0, 3, 0, 0, 0, 100]);
    frame.extend([0, 4, 0, 4, 0, 0]);
    lower_initial_window(&mut frame, 16_384);
    assert_eq!(frame[9..15], [0, 3, 0, 0, 0, 100]);
    assert_eq!(frame[15..], [0, 4, 0, 0, 0x40, 0]);
}

#[test]
fn default_ports_are_dropped_as_in_http1() {
    for (uri, target, host) in [
        ("http://h:80/", "http://h/", "h"),
        ("http://h:8080/x", "http://h:8080/x", "h:8080"),
        ("https://h:443/", "https://h/", "h"),
        ("https://h:80/", "https://h:80/", "h:80"),
    ] {
        let mut head = Head::default();
        let request = decode_request(&parts("GET", uri, &[]), true, &mut head, &Limits::default());
        assert_eq!(request.unwrap().framing, Framing::None);
        assert_eq!(head.target(), target.as_bytes());
        assert_eq!(head.first(b"host"), Some(host.as_bytes()));
    }
}

#[test]
fn what_a_server_of_http2_says_becomes_a_response_of_any_version() {
    let response = http::Response::builder()
        .status(200)
        .header("content-length", "5")
        .header("x-a", "b")
        .body(())
        .unwrap();
    let (parts, ()) = response.into_parts();
    let exchange = |method| Exchange {
        method,
        upgrade: false,
    };
    for (method, ended, framing) in [
        (Method::Get, false, Some(Framing::Length(5))),
        (Method::Head, true, Some(Framing::None)),
        (Method::Get, true, None),
    ] {
        let mut head = Head::default();
        let decoded = decode_response(
            &parts,
            ended,
            &mut head,
            exchange(method),
            &Limits::default(),
        );
        assert_eq!(decoded.ok().map(|response| response.framing), framing);
        assert_eq!((head.status(), head.reason()), (200, &b"OK"[..]));
    }
}

#[test]
fn trailers_that_would_change_the_message_are_left_out() {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", "0".parse().unwrap());
    fields.insert("content-length", "5".parse().unwrap());
    fields.insert("host", "evil".parse().unwrap());
    let head = decode_trailers(&fields, &Limits::default());
    assert_eq!(
        head.fields().collect::<Vec<_>>(),
        [(&b"grpc-status"[..], &b"0"[..])]
    );
    assert_eq!(encode_trailers(&head).len(), 1);
}

proptest! {
    /// Whatever the crate lets through, what is written to an HTTP/1 server is one request of as many
    /// lines as it has fields.
    #[test]
    fn no_request_becomes_two_in_http1(
        method in "[A-Z]{1,8}",
        path in "/[!-~]{0,20}",
        fields in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", "[ -~\t]{0,20}"), 0..8),
        ended: bool,
    ) {
        let Ok(uri) = format!("http://a.test{path}").parse::<http::Uri>() else {
            return Ok(());
        };
        let mut request = http::Request::builder().method(method.as_str()).uri(uri);
        for (name, value) in &fields {
            request = request.header(name.as_str(), value.as_str());
        }
        let Ok(request) = request.body(()) else { return Ok(()) };
        let (parts, ()) = request.into_parts();
        let mut head = Head::default();
        let Ok(decoded) = decode_request(&parts, ended, &mut head, &Limits::default()) else {
            return Ok(());
        };
        let shown = match decoded.framing {
            Framing::UntilClose => Framing::Chunked,
            framing => framing,
        };
        let mut text = Vec::new();
        to_text(&head, shown, Persistence::KeepAlive, &mut text);
        let mut again = Head::default();
        let parsed = crate::proto::http::http1::decode_request(&text, &mut again, &Limits::default());
        let parsed = parsed.unwrap().unwrap();
        prop_assert_eq!(parsed.consumed, text.len());
        prop_assert_eq!(parsed.framing, shown);
        prop_assert_eq!(again.version(), Version::Http11);
        prop_assert_eq!(again.first(b"host"), Some(&b"a.test"[..]));
        prop_assert!(!again.contains(b"connection"));
    }
}

#[test]
fn nobody_switches_to_http2_from_within_it() {
    for (name, fine) in [("websocket", true), ("h2c", false), ("H2", false)] {
        let mut parts = parts("CONNECT", "https://a.test/", &[]);
        parts.extensions.insert(h2::ext::Protocol::from(name));
        let decoded = decode_request(&parts, false, &mut Head::default(), &Limits::default());
        assert_eq!(decoded.is_ok(), fine, "{name}");
    }
}
