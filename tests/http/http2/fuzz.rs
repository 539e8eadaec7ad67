//! Seeded noise on the HTTP/2 path: whatever a client sends, the proxy goes on, and a server sees whole, valid requests.
//!
//! `FUZZ_SEED=…` repeats a run, `FUZZ_SECONDS=…` lengthens it (`cargo xtask fuzz --target http2`).
#![expect(
    clippy::print_stderr,
    reason = "what went through is for the person who repeats the seed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate::clock;

use super::frames::{Client, DATA, END_HEADERS, END_STREAM, HEADERS, block, frame, request};
use crate::support::{OK, Setup};

/// A small generator of numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const NAMES: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "cookie",
    "expect",
    "x-a",
    "X-B",
    "x\r\ny",
    "",
    ":path",
    ":method",
    ":status",
    ":protocol",
    "keep-alive",
    "trailer",
];
const VALUES: &[&str] = &[
    "",
    "0",
    "5",
    "chunked",
    "close",
    "a\r\nx-evil: 1",
    "a\nb",
    "a\0b",
    "trailers",
    "websocket",
    "100-continue",
    "/",
    "GET",
    " x ",
    "\t",
    "é",
    "5, 5",
    "http://b.test/",
    "* HTTP/1.1",
];

/// One frame: most are nearly right.
fn noise(random: &mut Random, stream: &mut u32) -> Vec<u8> {
    let mut fields = request(
        random.one(&["GET", "POST", "HEAD", "CONNECT", "PRI", "G T"]),
        random.one(&["/", "/a?b", "*", "x", "/ HTTP/1.1\r\nx: y", "/#f", "//"]),
    );
    for _ in 0..random.below(4) {
        let at = random.below(fields.len() + 1);
        fields.insert(at, (random.one(NAMES), random.one(VALUES)));
    }
    if random.below(8) == 0 {
        let at = random.below(fields.len());
        fields.remove(at);
    }
    let mut bytes = match random.below(6) {
        0..=2 => {
            *stream += 2;
            let flags = END_HEADERS | random.one(&[0, END_STREAM, END_STREAM]);
            frame(HEADERS, flags, *stream, &block(&fields))
        }
        3 => frame(
            DATA,
            random.one(&[0, END_STREAM]),
            *stream,
            &random.bytes(20),
        ),
        4 => {
            let kind = random.below(11) as u8;
            let id = random.one(&[0, *stream, *stream + 1, 1]);
            let payload = random.bytes(12);
            frame(kind, random.next() as u8, id, &payload)
        }
        _ => frame(HEADERS, END_HEADERS | END_STREAM, *stream, &block(&fields)),
    };
    if random.below(5) == 0 {
        let at = random.below(bytes.len());
        bytes[at] = random.next() as u8;
    }
    bytes
}

#[test]
fn noise_neither_stops_the_proxy_nor_reaches_a_server() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seed = number("FUZZ_SEED").map_or(0x5eed_1234, |seed| seed.max(1));
    let end = number("FUZZ_SECONDS").map(|seconds| clock::now().after(seconds * 1000));
    let bad = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&bad);
    let proxy = Setup::with_server(move |mut link| {
        loop {
            let head = link.head();
            if head.is_empty() {
                return;
            }
            let mut fields = [httparse::EMPTY_HEADER; 128];
            let mut parsed = httparse::Request::new(&mut fields);
            let complete = parsed.parse(head.as_bytes());
            let whole = complete == Ok(httparse::Status::Complete(head.len()));
            // A body is not waited for: the proxy is told so by the close.
            if !whole || head.contains("x-evil") {
                eprintln!("seen by the server: {head:?}");
                counter.fetch_add(1, Ordering::SeqCst);
            }
            let bodyless = !head.contains("content-length") && !head.contains("chunked");
            link.say(OK);
            if !bodyless {
                return;
            }
        }
    })
    .start();
    let mut random = Random(seed);
    let goes_on = |round: u32| match end {
        Some(end) => clock::now() < end,
        None => round < 300,
    };
    let mut round = 0;
    while goes_on(round) {
        let mut client = Client::new(&proxy);
        let mut stream = 1;
        for _ in 0..random.below(12) {
            if !client.raw(&noise(&mut random, &mut stream)) {
                break;
            }
        }
        drop(client);
        if round % 20 == 0 {
            let mut client = Client::new(&proxy);
            client.get(1, "/alive");
            assert_eq!(client.answer(1).status, 200, "seed {seed}, round {round}");
        }
        round += 1;
    }
    eprintln!("{round} connections");
    assert_eq!(bad.load(Ordering::SeqCst), 0, "seed {seed}");
}
