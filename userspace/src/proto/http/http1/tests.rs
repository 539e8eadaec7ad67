use proptest::prelude::*;

use super::*;
use crate::proto::http::{Head, Method, Version};

fn request(text: &str) -> Result<(Request, Head), Reason> {
    request_with(text, &Limits::default())
}

fn request_with(text: &str, limits: &Limits) -> Result<(Request, Head), Reason> {
    let mut head = Head::default();
    match decode_request(text.as_bytes(), &mut head, limits) {
        Ok(Some(request)) => Ok((request, head)),
        Ok(None) => panic!("{text:?} is not complete"),
        Err(error) => Err(error.reason),
    }
}

fn response(text: &str, exchange: Exchange) -> Result<(Response, Head), Reason> {
    let mut head = Head::default();
    match decode_response(text.as_bytes(), &mut head, exchange, &Limits::default()) {
        Ok(Some(response)) => Ok((response, head)),
        Ok(None) => panic!("{text:?} is not complete"),
        Err(error) => Err(error.reason),
    }
}

const GET: Exchange = Exchange {
    method: Method::Get,
    upgrade: false,
};

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n")
}

#[test]
fn a_plain_request_is_decoded() {
    let text = "\r\nGET /x?y HTTP/1.1\r\nHost: a.test\r\nX-A:  b \t\r\nEmpty:\r\n\r\nrest";
    let (request, head) = request(text).unwrap();
    assert_eq!(request.consumed, text.len() - 4);
    assert_eq!(request.framing, Framing::None);
    assert!(request.keep_alive && !request.upgrade && !request.expect_continue);
    assert_eq!((head.method(), head.target()), (Method::Get, &b"/x?y"[..]));
    let fields: Vec<_> = head.fields().collect();
    assert_eq!(
        fields,
        [
            (&b"host"[..], &b"a.test"[..]),
            (b"x-a", b"b"),
            (b"empty", b"")
        ]
    );
}

#[test]
fn malformed_requests_are_refused_for_the_right_reason() {
    for (text, reason) in [
        ("GET  / HTTP/1.1\r\n\r\n", Reason::Target),
        ("GET / HTTP/1.1 \r\n\r\n", Reason::Version),
        ("GET / HTTP/1.10\r\n\r\n", Reason::Version),
        ("GET / HTTP/2.0\r\n\r\n", Reason::Version),
        ("GET /\r\n", Reason::Version),
        ("BAD\r\n", Reason::Method),
        ("GE(T / HTTP/1.1\r\n\r\n", Reason::Method),
        ("\x16\x03\x01", Reason::Method),
        ("GET /a\x7f HTTP/1.1\r\n\r\n", Reason::Target),
        ("GET /\u{e9} HTTP/1.1\r\n\r\n", Reason::Target),
        ("GET /a#b HTTP/1.1\r\n\r\n", Reason::Target),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Reason::LineEnd),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Reason::Version),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Reason::Fold),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Reason::FieldName),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", Reason::FieldName),
        ("GET / HTTP/1.1\r\nX\r\n", Reason::FieldName),
        ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", Reason::FieldValue),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", Reason::FieldValue),
        ("GET / HTTP/1.1\r\n\r\n", Reason::HostMissing),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            Reason::HostRepeated,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            Reason::HostMalformed,
        ),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Reason::HostMalformed),
        (
            "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n",
            Reason::HostMalformed,
        ),
        (
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            Reason::HostMalformed,
        ),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Target),
        ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Target),
    ] {
        assert_eq!(request(text).map(|_| ()), Err(reason), "{text:?}");
    }
}

#[test]
fn folded_lines_are_joined_by_one_space() {
    let (_, head) = request(&get("X-A: a\r\n  b\r\n\tc\r\nX-B:\r\n d\r\n")).unwrap();
    assert_eq!(head.first(b"x-a"), Some(&b"a b c"[..]));
    assert_eq!(head.first(b"x-b"), Some(&b"d"[..]));
    assert_eq!(
        request(&get("Content-Length: 4\r\n 0\r\n")).err(),
        Some(Reason::ContentLength)
    );
}

#[test]
fn lengths_are_digits_that_agree() {
    for (value, expected) in [
        ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
        ("Content-Length: 5, 5\r\n", Ok(Framing::Length(5))),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Ok(Framing::Length(5)),
        ),
        ("Content-Length: 0005\r\n", Ok(Framing::Length(5))),
        (
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            Err(Reason::ContentLength),
        ),
        ("Content-Length: +5\r\n", Err(Reason::ContentLength)),
        ("Content-Length: 5,\r\n", Err(Reason::ContentLength)),
        ("Content-Length: 0x5\r\n", Err(Reason::ContentLength)),
        ("Content-Length: \x0b5\r\n", Err(Reason::ContentLength)),
        ("Content-Length:\r\n", Err(Reason::ContentLength)),
        (
            "Content-Length: 9223372036854775808\r\n",
            Err(Reason::ContentLength),
        ),
        (
            "Content-Length: 18446744073709551621\r\n",
            Err(Reason::ContentLength),
        ),
    ] {
        let decoded = request(&get(value));
        assert_eq!(
            decoded.as_ref().map(|d| d.0.framing).map_err(|e| *e),
            expected,
            "{value:?}"
        );
        if let Ok((_, head)) = decoded {
            assert_eq!(head.values(b"content-length").collect::<Vec<_>>(), [b"5"]);
        }
    }
}

#[test]
fn only_chunked_alone_is_a_transfer_coding_we_delimit() {
    for (value, expected) in [
        ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            Err(Reason::TransferCoding),
        ),
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            Err(Reason::TransferCoding),
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            Err(Reason::TransferEncoding),
        ),
        (
            "Transfer-Encoding: chunked, gzip\r\n",
            Err(Reason::TransferEncoding),
        ),
        ("Transfer-Encoding: gzip\r\n", Err(Reason::TransferEncoding)),
        (
            "Transfer-Encoding: \"chunked\"\r\n",
            Err(Reason::TransferEncoding),
        ),
        (
            "Transfer-Encoding: \x0bchunked\r\n",
            Err(Reason::TransferEncoding),
        ),
        (
            "Transfer-Encoding: chunked;x\r\n",
            Err(Reason::TransferEncoding),
        ),
        (
            "Transfer-Encoding: ,chunked\r\n",
            Err(Reason::TransferEncoding),
        ),
        ("Transfer-Encoding:\r\n", Err(Reason::TransferEncoding)),
    ] {
        let decoded = request(&get(value)).map(|d| d.0.framing);
        assert_eq!(decoded, expected, "{value:?}");
    }
    assert_eq!(Reason::TransferCoding.status(), 422);
}

#[test]
fn a_length_beside_chunks_is_dropped_and_the_connection_not_reused() {
    let (decoded, head) =
        request(&get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")).unwrap();
    assert_eq!(decoded.framing, Framing::Chunked);
    assert!(!decoded.keep_alive);
    assert!(!head.contains(b"content-length"));
    let old = "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(!request(old).unwrap().0.keep_alive);
}

#[test]
fn persistence_follows_version_and_connection() {
    for (text, keep_alive) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.3\r\nHost: a\r\n\r\n", true),
    ] {
        assert_eq!(request(text).unwrap().0.keep_alive, keep_alive, "{text:?}");
    }
}

#[test]
fn fields_named_in_connection_stay_behind_but_not_the_vital_ones() {
    let (_, head) = request(&get(
        "X-Hop: 1\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a\r\n\
         Connection: X-Hop, Host, cookie, x-forwarded-for\r\n",
    ))
    .unwrap();
    assert!(!head.contains(b"x-hop"));
    assert!(
        head.contains(b"host") && head.contains(b"x-forwarded-for") && head.contains(b"cookie")
    );
}

#[test]
fn upgrades_are_recognised_and_cleartext_http2_is_not_one() {
    let upgrade = |fields: &str| {
        let (decoded, head) = request(&get(fields)).unwrap();
        (decoded.upgrade, head.first(b"upgrade").map(<[u8]>::to_vec))
    };
    assert_eq!(
        upgrade("Connection: Upgrade\r\nUpgrade: foo\r\n"),
        (true, Some(b"foo".to_vec()))
    );
    assert_eq!(upgrade("Upgrade: foo\r\n"), (false, Some(b"foo".to_vec())));
    assert_eq!(
        upgrade("Connection: upgrade\r\nUpgrade: h2c\r\n"),
        (false, None)
    );
    assert_eq!(
        upgrade(
            "Connection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\nUpgrade: h2c, foo\r\n"
        ),
        (true, Some(b"foo".to_vec()))
    );
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(request(&get(websocket)).err(), Some(Reason::WebSocketKey));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert!(
        request(&get(&format!("{websocket}{key}")))
            .unwrap()
            .0
            .upgrade
    );
}

#[test]
fn default_ports_are_normalised_where_the_target_carries_them() {
    for (line, host, target, new_host) in [
        ("GET http://u:p@h:80/c", "h:80", "http://u:p@h/c", "h"),
        ("GET http://h:8080/c", "h:8080", "http://h:8080/c", "h:8080"),
        ("GET https://h:443/c", "h", "https://h/c", "h"),
        ("GET https://h:80/c", "h:80", "https://h:80/c", "h:80"),
        ("GET http://h/c", "h:80", "http://h/c", "h:80"),
        ("GET http://h:/c", "h", "http://h/c", "h"),
        ("GET http://h/c", "h:", "http://h/c", "h:"),
        ("GET http://:", ":80", "http:///", ""),
        ("GET http://h", "h", "http://h/", "h"),
        ("GET http://h?a=b", "h", "http://h?a=b", "h"),
        ("GET http://h:80?a=b", "h:80", "http://h?a=b", "h"),
        ("CONNECT h:80", "h:80", "h:80", "h"),
        ("CONNECT h:443", "h", "h:443", "h"),
        ("CONNECT h:443", "h:", "h:443", "h:"),
        ("CONNECT h:8443", "h:8443", "h:8443", "h:8443"),
    ] {
        let (_, head) = request(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
        assert_eq!(
            String::from_utf8_lossy(head.target()),
            target,
            "{line} {host}"
        );
        assert_eq!(
            String::from_utf8_lossy(head.first(b"host").unwrap()),
            new_host,
            "{line}"
        );
    }
}

#[test]
fn a_target_for_another_host_is_refused() {
    for (line, host, reason) in [
        ("GET http://h1/", "h2", Reason::HostMismatch),
        ("GET http://h:80/", "h:81", Reason::HostMismatch),
        ("GET http://h:8080/", "h", Reason::HostMismatch),
        ("GET http://h/", "h:81", Reason::HostMismatch),
        ("CONNECT h", "h", Reason::Target),
        ("CONNECT h:", "h", Reason::Target),
        ("CONNECT /", "h", Reason::Target),
        ("CONNECT h1:80", "h2:80", Reason::HostMismatch),
        ("CONNECT h:80", "h:443", Reason::HostMismatch),
        ("CONNECT h:8080", "h", Reason::HostMismatch),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(request(&text).err(), Some(reason), "{text:?}");
    }
}

#[test]
fn the_tolerant_mode_accepts_what_its_option_promises() {
    let limits = Limits {
        tolerance: Tolerance::Unsafe,
        ..Limits::default()
    };
    for text in [
        "GET /\u{e9}#f HTTP/1.1\nHost: a\n\n",
        "GET http://b#f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nB(d: x\r\nX: a\0b\r\n\r\n",
        "OPTIONS / RTSP/12.34\r\nHost: a\r\n\r\n",
        "CONNECT x HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let (_, head) = request_with(text, &limits).unwrap();
        assert!(!head.contains(b"b(d"));
        assert!(request(text).is_err(), "{text:?}");
    }
}

#[test]
fn heads_beyond_the_limits_are_refused_even_before_they_end() {
    let limits = Limits {
        head: 100,
        fields: 2,
        ..Limits::default()
    };
    let mut head = Head::default();
    let long = format!("GET /{}", "a".repeat(100));
    let error = decode_request(long.as_bytes(), &mut head, &limits).unwrap_err();
    assert_eq!(error.reason, Reason::TooLarge);
    let many = request_with(&get("A: 1\r\nB: 2\r\n"), &limits);
    assert_eq!(many.err(), Some(Reason::TooManyFields));
}

#[test]
fn what_follows_a_response_depends_on_the_request() {
    let head_request = Exchange {
        method: Method::Head,
        upgrade: false,
    };
    let connect = Exchange {
        method: Method::Connect,
        upgrade: false,
    };
    let upgrade = Exchange {
        method: Method::Get,
        upgrade: true,
    };
    for (text, exchange, framing, keep_alive, tunnel) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            GET,
            Framing::Length(2),
            true,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            head_request,
            Framing::None,
            true,
            false,
        ),
        (
            "HTTP/1.1 304 \r\nContent-Length: 2\r\n\r\n",
            GET,
            Framing::None,
            true,
            false,
        ),
        ("HTTP/1.1 204\r\n\r\n", GET, Framing::None, true, false),
        (
            "HTTP/1.1 100 Continue\r\n\r\n",
            GET,
            Framing::None,
            true,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            GET,
            Framing::UntilClose,
            false,
            false,
        ),
        (
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
            GET,
            Framing::Chunked,
            true,
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
            GET,
            Framing::Length(2),
            false,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            connect,
            Framing::UntilClose,
            false,
            true,
        ),
        (
            "HTTP/1.1 101 S\r\nUpgrade: foo\r\n\r\n",
            upgrade,
            Framing::UntilClose,
            false,
            true,
        ),
    ] {
        let (decoded, _) = response(text, exchange).unwrap();
        let got = (decoded.framing, decoded.keep_alive, decoded.tunnel);
        assert_eq!(got, (framing, keep_alive, tunnel), "{text:?}");
    }
    for (text, reason) in [
        (
            "HTTP/1.1 101 S\r\nUpgrade: foo\r\n\r\n",
            Reason::UnexpectedUpgrade,
        ),
        ("HTTP/1.1 20 OK\r\n\r\n", Reason::Status),
        ("HTTP/1.1 1000 OK\r\n\r\n", Reason::Status),
        ("HTTP/1.1  200 OK\r\n\r\n", Reason::Status),
        ("SSH-2.0", Reason::Version),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Reason::TransferCoding,
        ),
    ] {
        assert_eq!(response(text, GET).err(), Some(reason), "{text:?}");
    }
}

#[test]
fn a_request_is_written_without_what_concerned_the_last_hop() {
    let (decoded, head) = request(
        "POST http://u:p@a.test/x HTTP/1.1\r\nHost: a.test\r\nTE: trailers, gzip\r\nKeep-Alive: 5\r\n\
         Content-Length: 3, 3\r\nConnection: close\r\nProxy-Connection: x\r\nUpgrade: foo\r\nZ: 1\r\n\r\n",
    )
    .unwrap();
    let mut out = Vec::new();
    encode_request(&head, decoded.framing, Persistence::KeepAlive, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "POST http://a.test/x HTTP/1.1\r\nhost: a.test\r\nz: 1\r\nte: trailers\r\ncontent-length: 3\r\n\r\n"
    );
}

#[test]
fn an_old_client_keeps_its_version_unless_the_body_is_chunked() {
    let mut head = Head::default();
    head.start_request(b"GET", b"/", Version::Http10);
    let mut out = Vec::new();
    encode_request(&head, Framing::None, Persistence::KeepAlive, &mut out);
    encode_request(&head, Framing::Chunked, Persistence::Close, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n\
         GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn responses_say_what_the_client_needs_to_hear() {
    let written = |text: &str, exchange, framing, persistence, client| {
        let (_, head) = response(text, exchange).unwrap();
        let mut out = Vec::new();
        encode_response(&head, framing, persistence, client, &mut out);
        String::from_utf8(out).unwrap()
    };
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    let two = Framing::Length(2);
    let keep = Persistence::KeepAlive;
    let (old, new) = (Version::Http10, Version::Http11);
    assert_eq!(
        written(ok, GET, two, keep, new),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    );
    assert_eq!(
        written(ok, GET, two, keep, old),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n"
    );
    assert_eq!(
        written(
            ok,
            Exchange {
                method: Method::Head,
                ..GET
            },
            Framing::None,
            keep,
            new
        ),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    );
    assert_eq!(
        written(
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
            GET,
            two,
            keep,
            new
        ),
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n"
    );
    let switch = "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
    assert_eq!(
        written(
            switch,
            Exchange {
                upgrade: true,
                ..GET
            },
            Framing::UntilClose,
            Persistence::Upgrade,
            new
        ),
        "HTTP/1.1 101 Switching\r\nupgrade: foo\r\nconnection: Upgrade\r\n\r\n"
    );
    assert_eq!(
        written(
            "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n",
            GET,
            Framing::None,
            Persistence::Close,
            new
        ),
        "HTTP/1.1 204 No\r\nconnection: close\r\n\r\n"
    );
}

/// Feeds a body in pieces of the given lengths (the last one repeated); gives content, bytes
/// consumed and the written trailers.
fn body(
    framing: Framing,
    bytes: &[u8],
    pieces: &[usize],
) -> Result<(Vec<u8>, usize, Vec<u8>), BodyError> {
    let mut decoder = BodyDecoder::new(framing, &Limits::default());
    let mut content = Vec::new();
    let mut at = 0;
    let mut turn = 0;
    while at < bytes.len() && !decoder.is_done() {
        let piece = pieces[turn.min(pieces.len() - 1)].max(1);
        turn += 1;
        let mut buffer = bytes[at..(at + piece).min(bytes.len())].to_vec();
        let progress = decoder.decode(&mut buffer)?;
        assert!(progress.consumed > 0 && progress.data.end <= progress.consumed);
        content.extend_from_slice(&buffer[progress.data]);
        at += progress.consumed;
    }
    let mut trailers = Vec::new();
    decoder.trailers().write_fields(&mut trailers);
    Ok((content, at, trailers))
}

#[test]
fn chunks_are_joined_and_trailers_kept() {
    let text = b"5;a=b;c=\"d\"\r\nhello\r\n6 \t\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nnext";
    let (content, consumed, trailers) = body(Framing::Chunked, text, &[usize::MAX]).unwrap();
    assert_eq!(content, b"hello world");
    assert_eq!(consumed, text.len() - 4);
    assert_eq!(trailers, b"x-sum: 1\r\n");
    assert_eq!(
        body(Framing::Chunked, text, &[1]).unwrap(),
        (content, consumed, trailers)
    );
}

#[test]
fn malformed_chunks_are_refused() {
    for (text, error) in [
        ("+5\r\n", BodyError::ChunkSize),
        ("-5\r\n", BodyError::ChunkSize),
        ("g\r\n", BodyError::ChunkSize),
        ("\r\n", BodyError::ChunkSize),
        ("0x5\r\n", BodyError::ChunkSize),
        ("5\n", BodyError::ChunkSize),
        ("5\r\r\n", BodyError::ChunkSize),
        ("5\x0b\r\n", BodyError::ChunkSize),
        ("00000000000000005\r\n", BodyError::ChunkSize),
        ("80000000\r\n", BodyError::ChunkSize),
        ("5;a\nb\r\n", BodyError::ChunkExtension),
        ("5;a\rb\r\n", BodyError::ChunkSize),
        ("1\r\nab\r\n", BodyError::ChunkEnd),
        ("1\r\na\n", BodyError::ChunkEnd),
        ("0\r\nGET / HTTP/1.1\r\n", BodyError::Trailer),
        ("0\r\nX: a\rb\r\n", BodyError::Trailer),
        ("0\r\nX: a\n", BodyError::Trailer),
        ("0\r\nX: a\r\n b\r\n", BodyError::Trailer),
    ] {
        assert_eq!(
            body(Framing::Chunked, text.as_bytes(), &[usize::MAX]).err(),
            Some(error),
            "{text:?}"
        );
    }
    let endless = format!("0\r\nX: {}", "a".repeat(20_000));
    let error = body(Framing::Chunked, endless.as_bytes(), &[1000]).err();
    assert_eq!(error, Some(BodyError::TrailersTooLarge));
    let extension = format!("5;{}", "a".repeat(20_000));
    let error = body(Framing::Chunked, extension.as_bytes(), &[1000]).err();
    assert_eq!(error, Some(BodyError::ChunkExtension));
}

#[test]
fn a_length_ends_where_it_says_and_a_close_only_ends_what_it_may() {
    let (content, consumed, _) = body(Framing::Length(3), b"abcNEXT", &[2]).unwrap();
    assert_eq!((content, consumed), (b"abc".to_vec(), 3));
    let limits = Limits::default();
    assert!(BodyDecoder::new(Framing::UntilClose, &limits).close());
    assert!(!BodyDecoder::new(Framing::Length(1), &limits).close());
    assert!(!BodyDecoder::new(Framing::Chunked, &limits).close());
    assert!(BodyDecoder::new(Framing::Length(0), &limits).is_done());
}

#[test]
fn bytes_may_bypass_the_decoder() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let mut size = *b"10\r\n";
    decoder.decode(&mut size).unwrap();
    assert_eq!(decoder.plain(), Some(16));
    decoder.advance(16);
    assert_eq!(decoder.plain(), None);
    assert!(decoder.decode(&mut b"\r\n0\r\n\r\n".to_vec()).unwrap().done);
}

#[test]
fn chunk_sizes_are_hexadecimal() {
    for length in [1, 15, 16, 255, 65536, usize::MAX] {
        assert_eq!(
            chunk_size(length).as_bytes(),
            format!("{length:x}\r\n").as_bytes()
        );
    }
}

/// Decodes by feeding prefixes that grow by the given steps; an error is given as its status, for
/// which of several faults is seen first may depend on the steps.
fn request_in_steps(bytes: &[u8], steps: &[usize]) -> Option<Result<(Request, Vec<u8>), u16>> {
    let mut head = Head::default();
    let mut decoder = RequestDecoder::default();
    let mut end = 0;
    let mut turn = 0;
    loop {
        end = (end + steps[turn % steps.len()].max(1)).min(bytes.len());
        turn += 1;
        match decoder.decode(&bytes[..end], &mut head, &Limits::default()) {
            Ok(Some(request)) => {
                let mut written = Vec::new();
                encode_request(&head, request.framing, Persistence::KeepAlive, &mut written);
                return Some(Ok((request, written)));
            }
            Ok(None) if end == bytes.len() => return None,
            Ok(None) => {}
            Err(error) => return Some(Err(error.reason.status())),
        }
    }
}

/// Bytes that are likely to be interesting: pieces of messages with noise in between, often inside
/// what would otherwise be a valid request.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    (pieces(), any::<bool>()).prop_map(|(bytes, framed)| {
        if framed {
            [
                b"POST / HTTP/1.1\r\nHost: a.test\r\n",
                bytes.as_slice(),
                b"\r\n\r\n",
            ]
            .concat()
        } else {
            bytes
        }
    })
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "GET ", "POST ", "/", "http://a", " HTTP/1.1", " HTTP/1.0", "\r\n", "\n", "\r", ":", ",", " ",
            "Host: a.test\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
            "Connection: close, x\r\n", "Upgrade: h2c\r\n", "X: y\r\n", "HTTP/1.1 200 OK\r\n", "5\r\n",
            "0\r\n", "\t", ";", "\"", "#", "@", "[::1]",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn valid_request() -> impl Strategy<Value = Vec<u8>> {
    let field = ("[A-Za-z][A-Za-z0-9-]{0,12}", "[ -~]{0,20}").prop_filter_map(
        "fields with a meaning of their own are tested elsewhere",
        |(name, value)| {
            let special = ["host", "te", "connection", "upgrade", "expect"];
            (!special.contains(&name.to_ascii_lowercase().as_str()))
                .then(|| format!("x-{name}: {}\r\n", value.trim_matches(' ')))
        },
    );
    (
        "[A-Z]{1,8}",
        "/[!-\"$-~]{0,30}",
        prop::collection::vec(field, 0..8),
    )
        .prop_map(|(method, target, fields)| {
            let method = if method == "CONNECT" {
                "GET"
            } else {
                method.as_str()
            };
            format!(
                "{method} {target} HTTP/1.1\r\nhost: a.test\r\n{}\r\n",
                fields.concat()
            )
            .into_bytes()
        })
}

proptest! {
    #[test]
    fn noise_never_panics_and_splitting_never_matters(bytes in noise(), steps in prop::collection::vec(1usize..9, 1..5)) {
        let whole = request_in_steps(&bytes, &[usize::MAX / 2]);
        prop_assert_eq!(&request_in_steps(&bytes, &steps), &whole);
        prop_assert_eq!(&request_in_steps(&bytes, &[1]), &whole);
        let mut head = Head::default();
        let _ = decode_response(&bytes, &mut head, GET, &Limits::default());
    }

    #[test]
    fn what_is_written_for_noise_decodes_to_the_same(bytes in noise()) {
        if let Some(Ok((decoded, written))) = request_in_steps(&bytes, &[usize::MAX / 2]) {
            let again = request_in_steps(&written, &[usize::MAX / 2]).expect("complete");
            let (redecoded, rewritten) = again.expect("what we write is valid");
            prop_assert_eq!(decoded.framing, redecoded.framing);
            prop_assert_eq!(written, rewritten);
        }
    }

    #[test]
    fn a_valid_request_survives_unchanged(bytes in valid_request()) {
        let (request, written) = request_in_steps(&bytes, &[3]).unwrap().unwrap();
        prop_assert_eq!(request.consumed, bytes.len());
        prop_assert_eq!(String::from_utf8(written).unwrap().to_lowercase(), String::from_utf8(bytes).unwrap().to_lowercase());
    }

    #[test]
    fn an_independent_parser_reads_what_we_write_alike(bytes in noise()) {
        if let Some(Ok((_, written))) = request_in_steps(&bytes, &[usize::MAX / 2]) {
            // Control characters in values are passed on, as HAProxy does; that parser refuses them.
            let control = |byte: &u8| matches!(byte, 0..=8 | 11..=12 | 14..=31 | 127);
            prop_assume!(!written.iter().any(control));
            let mut fields = [httparse::EMPTY_HEADER; 128];
            let mut other = httparse::Request::new(&mut fields);
            let parsed = other.parse(&written);
            prop_assert_eq!(parsed, Ok(httparse::Status::Complete(written.len())));
        }
    }

    #[test]
    fn bodies_split_anywhere_are_the_same(bytes in noise(), steps in prop::collection::vec(1usize..9, 1..5)) {
        for framing in [Framing::Chunked, Framing::Length(7), Framing::UntilClose] {
            let whole = body(framing, &bytes, &[usize::MAX / 2]);
            prop_assert_eq!(&body(framing, &bytes, &steps), &whole);
            prop_assert_eq!(&body(framing, &bytes, &[1]), &whole);
        }
    }

    #[test]
    fn content_survives_chunking(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), step in 1usize..50) {
        let mut wire = Vec::new();
        for piece in &pieces {
            wire.extend_from_slice(chunk_size(piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        encode_last_chunk(&Head::default(), &mut wire);
        let (content, consumed, _) = body(Framing::Chunked, &wire, &[step]).unwrap();
        prop_assert_eq!(content, pieces.concat());
        prop_assert_eq!(consumed, wire.len());
    }
}
