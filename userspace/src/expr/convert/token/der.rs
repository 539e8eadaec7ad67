//! Just enough DER to hand RSA keys to the library: integers, sequences, a PKCS#8 envelope.

/// A PKCS#8 private key of the eight numbers of an RSA key (RFC 8017 §A.1.2).
pub(super) fn rsa_private_key(numbers: [&[u8]; 8]) -> Vec<u8> {
    let mut body = integer(&[0]);
    for number in numbers {
        body.extend(integer(number));
    }
    rsa_envelope(&tagged(SEQUENCE, &body))
}

/// A PKCS#8 private key around a PKCS#1 one.
pub(super) fn rsa_envelope(key: &[u8]) -> Vec<u8> {
    let mut envelope = integer(&[0]);
    envelope.extend_from_slice(RSA_ALGORITHM);
    envelope.extend(tagged(OCTETS, key));
    tagged(SEQUENCE, &envelope)
}

fn integer(big_endian: &[u8]) -> Vec<u8> {
    let start = big_endian.iter().position(|byte| *byte != 0);
    let digits = start.map_or(&[0][..], |start| &big_endian[start..]);
    let mut body = Vec::with_capacity(digits.len() + 1);
    // The first bit is the sign's.
    if digits[0] & 0x80 != 0 {
        body.push(0);
    }
    body.extend_from_slice(digits);
    tagged(INTEGER, &body)
}

fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = body.len().to_be_bytes();
    let short = length
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(length.len() - 1);
    let digits = &length[short..];
    match digits {
        [length @ 0..=0x7F] => out.push(*length),
        _ => {
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(body);
    out
}

const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const SEQUENCE: u8 = 0x30;
/// rsaEncryption without parameters.
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
