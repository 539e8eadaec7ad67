//! SOCKS 4, as far as a client needs it: the request to connect, and the answer.

use std::net::{IpAddr, SocketAddr};

/// The request for a connection; `None` for an IPv6 address, which the protocol does not have.
pub fn request(to: SocketAddr) -> Option<Vec<u8>> {
    let IpAddr::V4(address) = to.ip().to_canonical() else {
        return None;
    };
    let mut bytes = vec![4, 1];
    bytes.extend(to.port().to_be_bytes());
    bytes.extend(address.octets());
    bytes.extend_from_slice(USER);
    Some(bytes)
}

/// Whether an answer grants the request.
pub fn is_granted(answer: &[u8; ANSWER]) -> bool {
    answer[0] == 0 && answer[1] == 90
}

/// Bytes of an answer.
pub const ANSWER: usize = 8;

/// Who asks, and the end of the text.
const USER: &[u8] = b"HAProxy\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_the_server_and_answers_are_read() {
        let request = request("192.0.2.1:443".parse().unwrap()).unwrap();
        assert_eq!(request, b"\x04\x01\x01\xbb\xc0\x00\x02\x01HAProxy\0");
        assert_eq!(super::request("[2001:db8::1]:443".parse().unwrap()), None);
        assert!(is_granted(&[0, 90, 0, 0, 0, 0, 0, 0]));
        assert!(!is_granted(&[0, 91, 0, 0, 0, 0, 0, 0]));
        assert!(!is_granted(&[5, 90, 0, 0, 0, 0, 0, 0]));
    }
}
