//! Clients that mean harm: what they can make the proxy hold, and what reaches a server, is bounded.
#![expect(
    clippy::print_stdout,
    reason = "the counts are for the person who runs this"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frames::{
    Answer, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, request,
};
use crate::support::{OK, RunningProxy, Setup};

/// A proxy whose server counts the requests it gets, and answers none before `release` says so.
fn counted() -> (RunningProxy, Arc<AtomicU32>) {
    let seen = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&seen);
    let proxy = Setup::with_server(move |mut link| {
        while !link.head().is_empty() {
            counter.fetch_add(1, Ordering::SeqCst);
            link.say(OK);
        }
    })
    .start();
    (proxy, seen)
}

/// Repeats something until the proxy has had enough; how often it took it.
fn until_refused(proxy: &RunningProxy, most: u32, mut act: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut client = Client::new(proxy);
    for round in 0..most {
        if !client.raw(&act(round)) {
            return round;
        }
    }
    let goaway = client.until(GOAWAY);
    assert!(goaway.is_some(), "{most} were taken without a word");
    most
}

/// The process' resident memory in kilobytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn floods_of_frames_that_bring_nothing_end_the_connection() {
    let (proxy, seen) = counted();
    let before = resident();
    for (name, bytes) in [
        ("SETTINGS", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", frame(0x77, 0, 0, &[0; 8])),
    ] {
        // The answers to PING and SETTINGS are not read.
        let taken = until_refused(&proxy, 200_000, |_| bytes.repeat(16));
        println!("{name}: refused after {} frames at most", taken * 16);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    assert!(resident() < before + 64 * 1024, "memory grew");
}

#[test]
fn empty_data_frames_end_the_connection() {
    let (proxy, _) = counted();
    let mut client = Client::new(&proxy);
    client.post(1, "/");
    let empty = frame(DATA, 0, 1, &[]).repeat(100);
    for _ in 0..10_000 {
        if !client.raw(&empty) {
            return;
        }
    }
    assert!(client.until(GOAWAY).is_some());
}

#[test]
fn rapid_resets_end_the_connection_before_they_cost_a_server_much() {
    let (proxy, seen) = counted();
    let head = block(&request("GET", "/"));
    let taken = until_refused(&proxy, 100_000, |round| {
        let stream = round * 2 + 1;
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
        both.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        both
    });
    let reached = seen.load(Ordering::SeqCst);
    println!("refused after {taken}, of which a server saw {reached}");
    assert!(reached <= 300, "{reached} reached the server");
}

#[test]
fn a_client_that_makes_us_reset_its_streams_is_sent_away() {
    let (proxy, seen) = counted();
    let head = block(&request("POST", "/"));
    // A window increment of 0 is an error of the stream (6.9): we reset it, the client does not.
    let taken = until_refused(&proxy, 100_000, |round| {
        let stream = round * 2 + 1;
        let mut both = frame(HEADERS, END_HEADERS, stream, &head);
        both.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
        both
    });
    let reached = seen.load(Ordering::SeqCst);
    println!("refused after {taken}, of which a server saw {reached}");
    assert!(reached <= 300, "{reached} reached the server");
}

#[test]
fn endless_heads_end_the_connection() {
    let (proxy, seen) = counted();
    let before = resident();
    let mut client = Client::new(&proxy);
    client.frame(HEADERS, END_STREAM, 1, &block(&request("GET", "/")));
    let more = frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(8000))]));
    let mut sent = 0;
    while sent < 10_000 && client.raw(&more) {
        sent += 1;
    }
    assert!(sent < 10_000, "80 MB of head were taken");
    // The same with frames that hold nothing.
    let mut client = Client::new(&proxy);
    client.frame(HEADERS, END_STREAM, 1, &block(&request("GET", "/")));
    let nothing = frame(CONTINUATION, 0, 1, &[]).repeat(100);
    let mut sent = 0;
    while sent < 10_000 && client.raw(&nothing) {
        sent += 1;
    }
    assert!(sent < 10_000, "a million empty frames were taken");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    assert!(resident() < before + 64 * 1024, "memory grew");
}

#[test]
fn a_small_block_that_unpacks_to_much_is_refused() {
    let (proxy, seen) = counted();
    let before = resident();
    let mut client = Client::new(&proxy);
    let mut bomb = block(&request("GET", "/"));
    // One field of 4000 bytes enters the table, and is then named by one byte 8000 times.
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend(vec![b'y'; 4000]);
    bomb.extend(vec![0x80 | 62; 8000]);
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    let answer = client.answer(1);
    assert!(
        answer.status == 431 || answer.is_refused(),
        "{:?}",
        answer.status
    );
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    assert!(resident() < before + 32 * 1024, "memory grew");
}

#[test]
fn more_streams_than_allowed_are_refused() {
    let mut setup = Setup::with_server(|mut link| {
        link.head();
        link.rest();
    });
    setup.model.global.tune.h2.streams = 10;
    let proxy = setup.start();
    let mut client = Client::new(&proxy);
    for n in 0..20 {
        client.get(n * 2 + 1, "/");
    }
    let mut refused = 0;
    while refused < 10 {
        let frame = client.next().expect("a word about every stream");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.payload, 7u32.to_be_bytes());
            refused += 1;
        }
    }
}

#[test]
fn glitches_are_counted_and_close_the_connection_at_the_threshold() {
    let mut setup = Setup::with_server(crate::support::always(OK));
    setup.model.global.tune.h2.front.glitches = 20;
    setup.log("%[fc_glitches]");
    let proxy = setup.start();
    let mut client = Client::new(&proxy);
    for _ in 0..5 {
        client.frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    }
    client.get(1, "/");
    assert_eq!(client.answer(1).status, 200);
    assert_eq!(proxy.log_line(), "5");
    for _ in 0..30 {
        client.frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    }
    let mut codes = Vec::new();
    while let Some(frame) = client.next() {
        if frame.kind == GOAWAY {
            codes.push(frame.payload[7]);
        }
    }
    assert_eq!(codes.last(), Some(&11), "{codes:?}");
}

#[test]
fn a_client_that_does_not_read_holds_little() {
    let text = "x".repeat(1_000_000);
    let response: &'static str = Box::leak(crate::support::ok(&text).into_boxed_str());
    let proxy = Setup::with_server(crate::support::always(response)).start();
    let before = resident();
    let mut client = Client::greet(&proxy, &[(4, 0x7fff_ffff)]);
    client.frame(WINDOW_UPDATE, 0, 0, &0x7000_0000u32.to_be_bytes());
    for n in 0..50 {
        client.get(n * 2 + 1, "/");
    }
    // Once the socket is full, all is as large as it gets.
    let mut answer = Answer::default();
    while answer.body.len() < 100_000 {
        let frame = client.next().expect("data");
        answer.take(&frame);
    }
    assert!(
        resident() < before + 80 * 1024,
        "{} KB for 50 MB of responses",
        resident() - before
    );
}
