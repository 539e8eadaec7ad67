//! Compression between a client and a server: what it changes, what it leaves alone, and that it holds nothing back.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use tidegate::model::{Compression, CompressionAlgorithm, CompressionDirection};

use crate::support::{Link, RunningProxy, Setup, field, serve, status};

/// A proxy that compresses with gzip what the settings say, in front of one server.
fn compressing(
    each: impl Fn(Link) + Clone + Send + 'static,
    change: impl FnOnce(&mut Compression),
) -> RunningProxy {
    let mut setup = Setup::new();
    let address = serve(each);
    setup.server(address);
    let mut settings = Compression::default();
    settings.response.algorithms = vec![CompressionAlgorithm::Gzip];
    change(&mut settings);
    setup.proxy().compression = Some(Arc::new(settings));
    setup.start()
}

/// The data of the next chunk.
fn chunk(link: &mut Link) -> Vec<u8> {
    let mut size = String::new();
    while !size.ends_with("\r\n") {
        size.push(char::from(link.exactly(1)[0]));
    }
    let length = usize::from_str_radix(size.trim_end(), 16).expect("a chunk's size");
    let data = link.exactly(length);
    assert_eq!(link.exactly(2), b"\r\n");
    data
}

/// All chunks up to the last one.
fn chunks(link: &mut Link) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let data = chunk(link);
        if data.is_empty() {
            return all;
        }
        all.extend(data);
    }
}

const ACCEPTING: &str = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";

#[test]
fn a_large_response_arrives_compressed_and_whole() {
    const SIZE: usize = 1_000_000;
    let proxy = compressing(
        |mut link| {
            while !link.head().is_empty() {
                link.say(&format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: \"x\"\r\n\r\n"
                ));
                let body: Vec<u8> = (0..SIZE).map(|n| (n / 100) as u8).collect();
                link.say_bytes(&body);
            }
        },
        |_| {},
    );
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.say(ACCEPTING);
        let head = client.head();
        assert_eq!(field(&head, "content-encoding"), Some("gzip"));
        assert_eq!(field(&head, "content-length"), None);
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        assert_eq!(field(&head, "vary"), Some("Accept-Encoding"));
        assert_eq!(field(&head, "etag"), Some("W/\"x\""));
        let wire = chunks(&mut client);
        assert!(wire.len() < SIZE / 20, "{}", wire.len());
        let mut body = Vec::new();
        GzDecoder::new(&wire[..])
            .read_to_end(&mut body)
            .expect("gzip");
        assert!(
            body.iter()
                .enumerate()
                .all(|(n, byte)| *byte == (n / 100) as u8)
        );
        assert_eq!(body.len(), SIZE);
    }
}

#[test]
fn a_slow_stream_is_not_held_back() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = Arc::new(std::sync::Mutex::new(gone));
    let proxy = compressing(
        move |mut link| {
            link.head();
            link.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            // The second piece comes only after the client has read the first.
            let _ = gone.lock().expect("one at a time").recv();
            link.say("6\r\nsecond\r\n0\r\n\r\n");
        },
        |_| {},
    );
    let mut client = proxy.connect();
    client.say(ACCEPTING);
    client.head();
    let mut wire = chunk(&mut client);
    let readable = |wire: &[u8]| {
        let mut text = Vec::new();
        // An unfinished stream ends in an error, after everything readable.
        let _ = GzDecoder::new(wire).read_to_end(&mut text);
        String::from_utf8(text).expect("text")
    };
    while readable(&wire) != "first" {
        wire.extend(chunk(&mut client));
    }
    go.send(()).expect("the server waits");
    wire.extend(chunks(&mut client));
    assert_eq!(readable(&wire), "firstsecond");
}

#[test]
fn clients_that_do_not_ask_get_the_plain_response_and_caches_are_told() {
    let proxy = compressing(crate::support::always(crate::support::OK), |_| {});
    let response = proxy.get("/");
    assert_eq!(status(&response), "200");
    assert_eq!(field(&response, "content-encoding"), None);
    assert_eq!(field(&response, "vary"), Some("Accept-Encoding"));
    let old = proxy.ask("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(field(&old, "content-encoding"), None);
}

#[test]
fn servers_are_not_asked_to_compress_when_that_is_offloaded() {
    let proxy = compressing(crate::support::mirror(), |settings| settings.offload = true);
    let mut client = proxy.connect();
    client.say(ACCEPTING);
    let head = client.head();
    assert_eq!(field(&head, "content-encoding"), Some("gzip"));
    let wire = chunks(&mut client);
    let mut seen = String::new();
    GzDecoder::new(&wire[..])
        .read_to_string(&mut seen)
        .expect("gzip");
    assert!(seen.starts_with("GET / HTTP/1.1\r\n"));
    assert_eq!(field(&seen, "accept-encoding"), None);
}

#[test]
fn requests_are_compressed_where_that_is_asked_for() {
    let proxy = compressing(
        |mut link| {
            let head = link.head();
            let encoding = field(&head, "content-encoding")
                .unwrap_or("none")
                .to_owned();
            let mut text = String::new();
            if field(&head, "transfer-encoding") == Some("chunked") {
                let wire = chunks(&mut link);
                GzDecoder::new(&wire[..])
                    .read_to_string(&mut text)
                    .expect("gzip");
            } else {
                text = String::from_utf8(link.exactly(5)).expect("text");
            }
            let answer = format!("{encoding} {text}");
            link.say(&crate::support::ok(&answer));
        },
        |settings| {
            settings.direction = CompressionDirection::Request;
            settings.request.algorithms = vec![CompressionAlgorithm::Gzip];
            settings.request.min_size = 6;
        },
    );
    let long = proxy.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nlong body");
    assert_eq!(crate::support::body(&long), "gzip long body");
    let short = proxy.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nshort");
    assert_eq!(crate::support::body(&short), "none short");
}
