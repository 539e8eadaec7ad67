use super::*;
use crate::memory::Bytes;
use crate::parse::{Parsed, parse};
use etherparse::{PacketBuilder, TcpOptionElement};

/// A SYN with these options as the stack would be asked about it, and what it offers.
fn syn(options: &[TcpOptionElement]) -> (Bytes, Packet, Offered) {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 10], [192, 0, 2, 1], 64)
        .tcp(4000, 80, 0x0102_0304, 64_240)
        .syn()
        .options(options)
        .unwrap()
        .write(&mut bytes, &[])
        .unwrap();
    let frame = Bytes::new(&bytes, 1);
    let mut packet = Packet::default();
    assert_eq!(parse(&frame, &mut packet), Parsed::Packet);
    let mut offered = Offered::default();
    offered.load(&frame, &packet);
    (frame, packet, offered)
}

#[test]
fn options_of_a_usual_syn_are_found() {
    let (_, _, offered) = syn(&[
        TcpOptionElement::MaximumSegmentSize(1460),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOptionElement::Timestamp(0xdead_beef, 0),
        TcpOptionElement::Noop,
        TcpOptionElement::WindowScale(7),
    ]);
    let wanted = Offered {
        is_timed: true,
        timestamp_be: 0xdead_beef_u32.to_be_bytes(),
        scale: 7,
        selective: true,
    };
    assert_eq!(offered, wanted);
}

#[test]
fn a_syn_without_options_offers_nothing() {
    let (_, _, offered) = syn(&[]);
    assert_eq!((offered.is_timed, offered.scale), (false, NO_SCALE));
    let (words, count) = offered.answer(Offer::default(), 1460, 0x1234);
    assert_eq!((count, words[0]), (1, [2, 4, 5, 0xb4]));
}

#[test]
fn options_behind_a_malformed_one_do_not_count() {
    let (mut frame, packet, _) = syn(&[
        TcpOptionElement::MaximumSegmentSize(1460),
        TcpOptionElement::Noop,
        TcpOptionElement::WindowScale(7),
    ]);
    for length in [0, 1, 0xff] {
        frame.store(14 + 20 + 20 + 1, [length]).unwrap();
        let mut offered = Offered::default();
        offered.load(&frame, &packet);
        assert_eq!(offered.scale, NO_SCALE, "length {length}");
    }
}

#[test]
fn a_stamp_carries_the_options_and_is_never_ahead_of_the_clock() {
    for now in [0x40, 0x7f, 0x12_3456, u32::MAX] {
        for scale in 0..=NO_SCALE {
            for selective in [false, true] {
                let offered = Offered {
                    is_timed: true,
                    timestamp_be: [0; 4],
                    scale,
                    selective,
                };
                let stamp = offered.stamp(now);
                assert_eq!(stamp & 0xf, u32::from(scale));
                assert_eq!(stamp & 0x10 != 0, selective);
                assert_eq!(stamp & 0x20, 0, "no congestion notification");
                assert!(stamp <= now && now - stamp < 0x80, "{stamp} at {now}");
            }
        }
    }
}

#[test]
fn the_answer_offers_what_was_offered() {
    let offered = Offered {
        is_timed: true,
        timestamp_be: [1, 2, 3, 4],
        scale: 9,
        selective: true,
    };
    let offer = Offer {
        scale: 7,
        ..Offer::default()
    };
    let (words, count) = offered.answer(offer, 1440, 0x1_0000);
    assert_eq!(count, OPTIONS_WITH_TIME);
    assert_eq!(words[1], [4, 2, 8, 10]);
    assert_eq!(words[3], [1, 2, 3, 4]);
    assert_eq!(words[4], [1, 3, 3, 7]);
    let plain = Offered {
        scale: NO_SCALE,
        selective: false,
        ..offered
    };
    let (words, _) = plain.answer(offer, 1440, 0x1_0000);
    assert_eq!((words[1], words[4]), ([1, 1, 8, 10], [1; 4]));
}

#[test]
fn headers_are_where_the_stack_looks_for_them() {
    let (frame, packet, _) = syn(&[TcpOptionElement::MaximumSegmentSize(1460)]);
    let mut headers = Headers::default();
    headers.load(&frame, &packet).unwrap();
    let bytes: Vec<u8> = headers
        .network
        .iter()
        .chain(&headers.transport)
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    assert_eq!(bytes[20], 0x45);
    assert_eq!(bytes[32..44], frame.bytes[26..38], "addresses and ports");
    assert_eq!(bytes[40..64], frame.bytes[34..58], "the TCP header");
    assert_eq!(headers.sequence_be(), [1, 2, 3, 4]);
}
