//! The HTTP/1 codec beside another parser: what is taken ends where the other one says, in whatever pieces it comes, and
//! what is written is one whole message for the other one.

use tidegate::proto::http::http1::{
    BodyDecoder, Exchange, Framing, HeadError, Limits, Persistence, Request, RequestDecoder,
    decode_request, decode_response, encode_request, encode_response,
};
use tidegate::proto::http::{Head, Method, Version};

use super::Random;

/// One request head.
pub(crate) fn request(random: &mut Random) {
    let text = message(random, REQUEST_LINES);
    let limits = Limits::default();
    let mut head = Head::default();
    let ours = decode_request(&text, &mut head, &limits);
    in_pieces(random, &text, &ours);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let theirs = httparse::Request::new(&mut fields).parse(&text);
    let Ok(Some(request)) = ours else {
        if ours == Ok(None) {
            let waits = !matches!(theirs, Ok(httparse::Status::Complete(_)));
            assert!(waits, "more is waited for: {}", text.escape_ascii());
        }
        return;
    };
    if let Ok(theirs) = theirs {
        let end = httparse::Status::Complete(request.consumed);
        assert_eq!(theirs, end, "{}", text.escape_ascii());
    }
    let shown = match request.framing {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let mut written = Vec::new();
    encode_request(&head, shown, Persistence::KeepAlive, &mut written);
    if keeps_controls(&written) {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut read = httparse::Request::new(&mut fields);
    assert_eq!(
        read.parse(&written),
        Ok(httparse::Status::Complete(written.len())),
        "{} became {}",
        text.escape_ascii(),
        written.escape_ascii()
    );
    let count = |name: &str| {
        let named = read.headers.iter();
        named
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .count()
    };
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(
        count("host") <= 1 && lengths + codings <= 1,
        "{} became {}",
        text.escape_ascii(),
        written.escape_ascii()
    );
}

/// One response head.
pub(crate) fn response(random: &mut Random) {
    let text = message(random, STATUS_LINES);
    let limits = Limits::default();
    let mut head = Head::default();
    let exchange = Exchange {
        method: *random.pick(&[Method::Get, Method::Head, Method::Connect]),
        upgrade: false,
    };
    let ours = decode_response(&text, &mut head, exchange, &limits);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let theirs = httparse::Response::new(&mut fields).parse(&text);
    let Ok(Some(response)) = ours else {
        if matches!(ours, Ok(None)) {
            let waits = !matches!(theirs, Ok(httparse::Status::Complete(_)));
            assert!(waits, "more is waited for: {}", text.escape_ascii());
        }
        return;
    };
    if let Ok(theirs) = theirs {
        let end = httparse::Status::Complete(response.consumed);
        assert_eq!(theirs, end, "{}", text.escape_ascii());
    }
    let mut written = Vec::new();
    encode_response(
        &head,
        response.framing,
        Persistence::KeepAlive,
        Version::Http11,
        &mut written,
    );
    if keeps_controls(&written) {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    assert_eq!(
        httparse::Response::new(&mut fields).parse(&written),
        Ok(httparse::Status::Complete(written.len())),
        "{} became {}",
        text.escape_ascii(),
        written.escape_ascii()
    );
}

/// RFC 9110 §5.5: values with control characters may be kept as they are, except for NUL, CR and LF. The other parser
/// refuses them.
fn keeps_controls(written: &[u8]) -> bool {
    assert!(!written.contains(&0), "{}", written.escape_ascii());
    let unusual = |&byte: &u8| (byte < b' ' && !b"\t\r\n".contains(&byte)) || byte == 0x7f;
    written.iter().any(unusual)
}

/// One chunked body, whole and in pieces.
pub(crate) fn body(random: &mut Random) {
    let mut text = Vec::new();
    for _ in 0..random.below(12) {
        let chunk: &&[u8] = random.pick(CHUNKS);
        text.extend_from_slice(chunk);
    }
    let whole = decoded(&text, text.len().max(1));
    for _ in 0..3 {
        let size = 1 + random.below(7);
        assert_eq!(decoded(&text, size), whole, "{}", text.escape_ascii());
    }
}

/// The content, and what follows the body; `None` when it is malformed.
fn decoded(text: &[u8], piece: usize) -> Option<(Vec<u8>, Vec<u8>, bool)> {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let (mut content, mut rest) = (Vec::new(), Vec::new());
    for part in text.chunks(piece) {
        let mut part = part.to_vec();
        let progress = decoder.decode(&mut part).ok()?;
        content.extend_from_slice(&part[progress.data]);
        rest.extend_from_slice(&part[progress.consumed..]);
    }
    Some((content, rest, decoder.is_done()))
}

/// The same head in pieces is judged as in one.
fn in_pieces(random: &mut Random, text: &[u8], whole: &Result<Option<Request>, HeadError>) {
    let mut decoder = RequestDecoder::default();
    let mut head = Head::default();
    let step = 1 + random.below(9);
    let mut last = Ok(None);
    let mut end = 0;
    while end < text.len() {
        end = (end + step).min(text.len());
        last = decoder.decode(&text[..end], &mut head, &Limits::default());
        if !matches!(last, Ok(None)) {
            break;
        }
    }
    match (whole, &last) {
        (Ok(whole), Ok(last)) => assert_eq!(whole, last, "{}", text.escape_ascii()),
        (Err(_), Err(_)) => {}
        _ => panic!(
            "{last:?} in pieces, {whole:?} in one: {}",
            text.escape_ascii()
        ),
    }
}

fn message(random: &mut Random, lines: &[&str]) -> Vec<u8> {
    let mut text = random.pick(lines).as_bytes().to_vec();
    text.extend_from_slice(random.pick(ENDS).as_bytes());
    for _ in 0..random.below(9) {
        text.extend_from_slice(random.pick(NAMES).as_bytes());
        text.extend_from_slice(random.pick(COLONS).as_bytes());
        text.extend_from_slice(random.pick(VALUES).as_bytes());
        text.extend_from_slice(random.pick(ENDS).as_bytes());
    }
    text.extend_from_slice(
        random
            .pick(&["\r\n", "\r\n", "\r\n", "\n", "", "\r\nGET /"])
            .as_bytes(),
    );
    for _ in 0..random.below(3) {
        let at = random.below(text.len());
        match random.below(3) {
            0 => text[at] = random.next() as u8,
            1 => drop(text.remove(at)),
            _ => text.insert(at, *random.pick(b"\r\n \t:,;\0\x80")),
        }
    }
    text
}

const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "GET / HTTP/1.0",
    "POST /a?b HTTP/1.1",
    "HEAD http://a.test/ HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT a.test:443 HTTP/1.1",
    "PUT //x HTTP/1.1",
    "\r\nGET / HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.10",
    "GET / HTTP/2.0",
    "G\u{e4}T / HTTP/1.1",
    "GET /#f HTTP/1.1",
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 200",
    "HTTP/1.1 204 ",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 101 Switching",
    "HTTP/1.1 99 x",
    "HTTP/1.1 2000 x",
    "HTTP/1.1 500 \u{e4}",
    "HTTP/1.2 200 OK",
];

const NAMES: &[&str] = &[
    "Host",
    "host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Upgrade",
    "X-A",
    " X-Folded",
    "\tmore",
    "X B",
    "",
    "Sec-WebSocket-Key",
    "Trailer",
    "TE",
    "Keep-Alive",
];

const COLONS: &[&str] = &[":", ": ", ":\t", " :", "", ":  "];

const VALUES: &[&str] = &[
    "a.test",
    "a.test:80",
    "5",
    "+5",
    "5, 5",
    "5, 6",
    "18446744073709551616",
    "chunked",
    "gzip, chunked",
    "chunked, gzip",
    "close",
    "keep-alive, X-A",
    "upgrade",
    "websocket",
    "h2c",
    "",
    " ",
    "a\u{0}b",
    "v\u{e4}lue",
    "host",
];

const ENDS: &[&str] = &["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n ", ""];

const CHUNKS: &[&[u8]] = &[
    b"0\r\n",
    b"\r\n",
    b"5\r\nhello\r\n",
    b"5;x=y\r\nhello\r\n",
    b"a\r\n0123456789\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"fffffffffffffffff\r\n",
    b"1\nx\n",
    b"1 \r\nx\r\n",
    b"-1\r\n",
    b"2\r\nabc\r\n",
    b"3;\"q\r\n\"\r\nabc\r\n",
];
