use proptest::prelude::*;

use super::*;

#[test]
fn a_version_1_line_gives_both_addresses() {
    for (line, source, destination) in [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            "192.168.0.1:56324",
            "192.168.0.11:443",
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            "[2001:db8::1]:1",
            "[::1]:65535",
        ),
    ] {
        let expected = Addresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        let (header, length) = decode(format!("{line}GET /").as_bytes()).unwrap().unwrap();
        assert_eq!((header.addresses, length), (Some(expected), line.len()));
    }
}

#[test]
fn unknown_and_local_headers_leave_the_real_addresses() {
    for bytes in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n",
        &Version2::local().finish(),
    ] {
        let (header, length) = decode(bytes).unwrap().unwrap();
        assert_eq!((header.addresses, length), (None, bytes.len()));
    }
}

#[test]
fn malformed_version_1_lines_are_refused() {
    for line in [
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 9\r\n",
        "PROXY TCP4  192.168.0.1 192.168.0.11 56324 443\r\n",
        "PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 056324 443\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 +6324 443\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        "PROXY UDP4 192.168.0.1 192.168.0.11 1 2\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n\r\n",
    ] {
        assert_eq!(decode(line.as_bytes()), Err(HeaderError::Line), "{line:?}");
    }
    assert_eq!(
        decode(&[b"PROXY ".as_slice(), &[b'x'; 101]].concat()),
        Err(HeaderError::Line)
    );
}

#[test]
fn anything_else_is_refused_at_its_first_wrong_byte() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01",
        b"PROXZ",
        b"\r\n\r\n\0\r\nQUIX",
    ] {
        assert_eq!(decode(bytes), Err(HeaderError::Signature), "{bytes:?}");
    }
}

#[test]
fn version_2_carries_addresses_and_records() {
    let addresses = both("10.0.0.1:42", "10.0.0.2:1337");
    let bytes = Version2::proxied(Some(addresses))
        .record(tlv::AUTHORITY, b"12345")
        .record(tlv::UNIQUE_ID, b"id")
        .finish_with_checksum();
    let (header, length) = decode(&[&bytes[..], b"rest"].concat()).unwrap().unwrap();
    assert_eq!((header.addresses, length), (Some(addresses), bytes.len()));
    assert_eq!(header.tlv(tlv::AUTHORITY), Some(&b"12345"[..]));
    assert_eq!(header.tlv(tlv::UNIQUE_ID), Some(&b"id"[..]));
    assert_eq!(header.tlv(tlv::ALPN), None);
}

#[test]
fn a_spoilt_byte_breaks_the_checksum() {
    let mut bytes =
        Version2::proxied(Some(both("10.0.0.1:42", "10.0.0.2:1337"))).finish_with_checksum();
    bytes[17] ^= 1;
    assert_eq!(decode(&bytes), Err(HeaderError::Checksum));
}

#[test]
fn records_must_fill_the_header_exactly() {
    let whole = |length: u8, record: &[u8]| {
        let mut bytes = SIGNATURE_V2.to_vec();
        bytes.extend_from_slice(&[
            0x21, 0x11, 0, length, 127, 0, 0, 1, 127, 0, 0, 1, 0, 42, 5, 57,
        ]);
        bytes.extend_from_slice(record);
        bytes
    };
    assert!(decode(&whole(20, b"\x02\x00\x0512345")).unwrap().is_some());
    assert_eq!(
        decode(&whole(20, b"\x02\x00\x0a1234512345")),
        Err(HeaderError::Record)
    );
    assert_eq!(
        decode(&whole(20, b"\x02\x00\x041234x")),
        Err(HeaderError::Record)
    );
    assert_eq!(decode(&whole(11, b"")), Err(HeaderError::Length));
}

#[test]
fn unassigned_version_2_codes_are_refused() {
    for (command, family) in [(0x11, 0x11), (0x22, 0x11), (0x21, 0x41), (0x21, 0x13)] {
        let mut bytes = SIGNATURE_V2.to_vec();
        bytes.extend_from_slice(&[command, family, 0, 0]);
        assert_eq!(decode(&bytes), Err(HeaderError::Unassigned));
    }
    let mut oversized = SIGNATURE_V2.to_vec();
    oversized.extend_from_slice(&[0x21, 0x11, 0xff, 0xff]);
    assert_eq!(decode(&oversized), Err(HeaderError::Length));
}

#[test]
fn datagram_and_unix_families_leave_the_real_addresses() {
    for (family, length) in [(0x12, 12_u8), (0x31, 216), (0x00, 0)] {
        let mut bytes = SIGNATURE_V2.to_vec();
        bytes.extend_from_slice(&[0x21, family, 0, length]);
        bytes.resize(FIXED_V2 + usize::from(length), 7);
        assert_eq!(decode(&bytes).unwrap().unwrap().0.addresses, None);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), signature in any::<bool>()) {
        let mut input = if signature { SIGNATURE_V2.to_vec() } else { SIGNATURE_V1.to_vec() };
        let _ = decode(&bytes);
        input.extend_from_slice(&bytes);
        if let Ok(Some((_, length))) = decode(&input) {
            prop_assert!(length <= input.len());
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_from_any_split(
        source in any::<SocketAddr>(), destination in any::<SocketAddr>(), value in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let addresses = Addresses { source: plain(source), destination: plain(destination) };
        let bytes = Version2::proxied(Some(addresses)).record(0xe0, &value).finish_with_checksum();
        let mut line = Vec::new();
        encode_v1(Some(addresses), &mut line);
        for bytes in [bytes, line] {
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut]), Ok(None));
            }
            let (header, length) = decode(&bytes).unwrap().unwrap();
            prop_assert_eq!(length, bytes.len());
            if source.is_ipv4() == destination.is_ipv4() {
                prop_assert_eq!(header.addresses, Some(addresses));
            }
        }
    }
}

fn both(source: &str, destination: &str) -> Addresses {
    Addresses {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// Without flow label and scope, which no header carries.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}
