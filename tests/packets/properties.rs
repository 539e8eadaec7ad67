//! What must hold for every frame, whatever it is: random ones against the decision as a function.
//!
//! The frames are mutations of valid ones and plain noise, from a seed that a failure names.

use proptest::prelude::*;
use tidegate::dataplane::trial::{Fate, InMemory};

use super::configuration::load;
use super::frames::Frames;
use super::mutations::{CONFIG, LOOPBACK, hex, place};
use super::packet::checksum;

fn trial() -> InMemory {
    let (compiled, running) = load(CONFIG);
    InMemory::new(&compiled, &running, place()).expect("the tables fit")
}

#[test]
fn nothing_is_forwarded_that_is_no_complete_packet_for_a_service() {
    let mut trial = trial();
    let mut frames = Frames::new(11);
    let mut forwarded = 0;
    for _ in 0..30_000 {
        let frame = frames.frame();
        let before = trial.drops();
        let outcome = trial.run(&frame, LOOPBACK).expect("memory runs everything");
        // Counted and sent is the news that it was not forwarded.
        if outcome.fate == Fate::Transmit && trial.drops() == before {
            forwarded += 1;
            assert!(is_whole(&frame), "forwarded: {}", hex(&frame));
        }
        if outcome.fate == Fate::Pass {
            assert_eq!(outcome.frame, frame, "passed, but not as it came");
        }
    }
    assert!(forwarded > 5000, "only {forwarded} were forwarded");
}

#[test]
fn the_way_for_plain_packets_comes_to_the_results_of_the_other() {
    let mut trial = trial();
    let mut twin = trial.twin().expect("memory can be copied");
    let mut frames = Frames::new(12);
    let mut last = Vec::new();
    for number in 0..60_000 {
        // Every other frame once more: what was a new flow is then a known one.
        let frame = if number % 2 == 0 {
            frames.frame()
        } else {
            std::mem::take(&mut last)
        };
        trial.elapse(number % 7 * 100);
        trial.synchronise(&twin);
        let ours = trial.run(&frame, LOOPBACK).expect("memory runs everything");
        let theirs = twin.run(&frame, LOOPBACK);
        assert_eq!(ours.fate, theirs.fate, "{}", hex(&frame));
        if ours.fate != Fate::Drop {
            assert_eq!(hex(&ours.frame), hex(&theirs.frame), "{}", hex(&frame));
        }
        last = frame;
    }
    assert_eq!(&trial.drops(), twin.drops());
    assert_eq!(trial.differences(&twin).expect("memory"), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_behind_an_ethernet_header_never_panics_and_is_never_forwarded_broken(
        kind in prop_oneof![Just([0x08, 0x00]), Just([0x86, 0xdd]), Just([0x81, 0x00]), any::<[u8; 2]>()],
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut trial = trial();
        let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x0c][..], &kind, &noise].concat();
        for length in 0..frame.len() {
            let outcome = trial.run(&frame[..length], LOOPBACK).expect("memory runs everything");
            if outcome.fate == Fate::Transmit {
                prop_assert!(is_whole(&frame[..length]), "{}", hex(&frame[..length]));
            }
        }
    }
}

/// Whether every length in the headers is within the frame and its holder, read a second time, in another way than the
/// parser does: only what RFC 791, 8200, 9293, 768, 792 and 4443 say of lengths.
fn is_whole(frame: &[u8]) -> bool {
    let mut at = 12;
    while let Some([0x81, 0x00] | [0x88, 0xa8]) = frame.get(at..at + 2) {
        at += 4;
    }
    let (Some(kind), Some(packet)) = (frame.get(at..at + 2), frame.get(at + 2..)) else {
        return false;
    };
    match kind {
        [0x08, 0x00] => ipv4(packet),
        [0x86, 0xdd] => ipv6(packet),
        _ => false,
    }
}

fn ipv4(packet: &[u8]) -> bool {
    let Some(&[first, _, high, low, _, _, flags, _, hops, protocol, ..]) = packet.get(..20) else {
        return false;
    };
    let (header, length) = (
        usize::from(first & 15) * 4,
        usize::from(high) << 8 | usize::from(low),
    );
    let Some(packet) = packet.get(..length) else {
        return false;
    };
    let Some(payload) = packet.get(header..) else {
        return false;
    };
    // Parts of datagrams are as long as they are.
    let is_part = flags & 0x3f != 0 || packet[7] != 0;
    first >> 4 == 4 && header >= 20 && hops > 0 && (is_part || transport(protocol, payload))
}

fn ipv6(packet: &[u8]) -> bool {
    let Some(&[first, _, _, _, high, low, next, hops]) = packet.first_chunk::<8>() else {
        return false;
    };
    let length = usize::from(high) << 8 | usize::from(low);
    let Some(mut rest) = packet.get(40..40 + length) else {
        return false;
    };
    let mut next = next;
    while let 0 | 43 | 44 | 60 = next {
        let Some(&[after, units]) = rest.first_chunk::<2>() else {
            return false;
        };
        if next == 44 {
            return rest.len() >= 8;
        }
        let Some(behind) = rest.get(usize::from(units) * 8 + 8..) else {
            return false;
        };
        (next, rest) = (after, behind);
    }
    first >> 4 == 6 && hops > 0 && transport(next, rest)
}

fn transport(protocol: u8, payload: &[u8]) -> bool {
    match protocol {
        6 => payload.get(12).is_some_and(|offset| {
            let header = usize::from(offset >> 4) * 4;
            header >= 20 && header <= payload.len()
        }),
        17 => payload.first_chunk::<8>().is_some_and(|header| {
            let length = usize::from(header[4]) << 8 | usize::from(header[5]);
            length >= 8 && length <= payload.len()
        }),
        1 | 58 => payload.len() >= 8,
        _ => false,
    }
}

#[test]
fn rewritten_packets_have_the_checksums_they_would_have_anew() {
    use super::packet::{SYN, tcp, udp};
    let mut trial = trial();
    let mut sent = 0;
    let link = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0x0c]);
    for number in 0..2000_u32 {
        let (port, last) = (1024 + number as u16 * 7 % 60_000, number % 200 + 1);
        let (v4, v6) = (
            format!("203.0.113.{}:{port}", last % 60),
            format!("[2001:db8:d::{last}]:{port}"),
        );
        let (nat4, nat6) = ("198.51.100.1:80", "[2001:db8:80::1]:80");
        let payload = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
        let packets = [
            tcp(&v4, nat4, SYN).payload(&payload[..number as usize % 5]),
            tcp(&v6, nat6, SYN).payload(&payload[..number as usize % 5]),
            tcp(&v4, "198.51.100.1:82", SYN).payload(&payload),
            udp(&v4, "198.51.100.1:53").payload(&payload),
            udp(&v6, "[2001:db8:80::1]:53").payload(&payload),
        ];
        for packet in packets {
            let frame = packet.link(link.0, link.1).bytes();
            let outcome = trial.run(&frame, LOOPBACK).expect("memory runs everything");
            if outcome.fate == Fate::Transmit {
                sent += 1;
                assert_sums(&outcome.frame);
            }
        }
    }
    assert!(sent > 1000, "only {sent} were sent");
}

/// Sums over a header and over a transport with its pseudo header must come out as zero.
fn assert_sums(frame: &[u8]) {
    let packet = &frame[14..];
    let (pseudo, protocol, payload) = if packet[0] >> 4 == 4 {
        assert_eq!(checksum(0, &packet[..20]), [0, 0], "{}", hex(frame));
        let length = usize::from(packet[2]) << 8 | usize::from(packet[3]);
        (&packet[12..20], packet[9], &packet[20..length])
    } else {
        let length = usize::from(packet[4]) << 8 | usize::from(packet[5]);
        (&packet[8..40], packet[6], &packet[40..40 + length])
    };
    let ends: u64 = pseudo
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]))
        .sum();
    let start = ends + u64::from(protocol) + payload.len() as u64;
    assert_eq!(checksum(start, payload), [0, 0], "{}", hex(frame));
}
