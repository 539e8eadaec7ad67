//! TLS hello messages in raw bytes (RFC 8446 §4.1, RFC 5246 §7.4.1), as far as content inspection needs them.
//!
//! Takes the first bytes of a stream and yields slices of the first handshake message. A message that is spread over several
//! records is not put together.

use super::Fetched;

/// The first handshake message of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello<'a> {
    /// 1 from clients, 2 from servers.
    pub(super) kind: u8,
    /// Without the four bytes of type and length.
    body: &'a [u8],
}

/// TLS extension numbers.
pub(super) const SERVER_NAME: u16 = 0;
pub(super) const SUPPORTED_GROUPS: u16 = 10;
pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const ALPN: u16 = 16;
pub(super) const SESSION_TICKET: u16 = 35;
pub(super) const KEY_SHARE: u16 = 51;

impl<'a> Hello<'a> {
    /// Reads a record with a handshake message; waits while it is incomplete.
    pub(super) fn parse(bytes: &'a [u8]) -> Fetched<Self> {
        const HANDSHAKE: u8 = 22;
        match bytes {
            [] => return Fetched::Wait,
            [HANDSHAKE, rest @ ..] if rest.first().is_none_or(|major| *major == 3) => {}
            _ => return Fetched::Absent,
        }
        let Some((header, rest)) = bytes.split_at_checked(5) else {
            return Fetched::Wait;
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        // 2^14 bytes of content at most (RFC 8446 §5.1).
        if !(4..=1 << 14).contains(&length) {
            return Fetched::Absent;
        }
        let Some(record) = rest.get(..length) else {
            return Fetched::Wait;
        };
        let size =
            usize::from(record[1]) << 16 | usize::from(record[2]) << 8 | usize::from(record[3]);
        match record.get(4..4 + size) {
            Some(body) => Fetched::Value(Self {
                kind: record[0],
                body,
            }),
            None => Fetched::Absent,
        }
    }

    /// The version in the message: the newest one for clients before TLS 1.3.
    pub(super) fn version(self) -> Option<u16> {
        self.body
            .get(..2)
            .map(|version| u16::from_be_bytes([version[0], version[1]]))
    }

    /// The cipher suites a client offers, two bytes each.
    pub(super) fn ciphers(self) -> Option<&'a [u8]> {
        self.client_parts().map(|(ciphers, _)| ciphers)
    }

    /// The content of a client's extension.
    pub(super) fn extension(self, wanted: u16) -> Option<&'a [u8]> {
        let (_, rest) = self.client_parts()?;
        let (mut extensions, _) = split(rest, 2)?;
        while let Some((kind, rest)) = extensions.split_at_checked(2) {
            let (content, rest) = split(rest, 2)?;
            if u16::from_be_bytes([kind[0], kind[1]]) == wanted {
                return Some(content);
            }
            extensions = rest;
        }
        None
    }

    /// The host name of the server name extension.
    pub(super) fn server_name(self) -> Option<&'a [u8]> {
        let (mut names, _) = split(self.extension(SERVER_NAME)?, 2)?;
        while let [kind, rest @ ..] = names {
            let (name, rest) = split(rest, 2)?;
            if *kind == 0 {
                return Some(name);
            }
            names = rest;
        }
        None
    }

    /// The cipher suites of a client hello, and what follows the compression methods.
    fn client_parts(self) -> Option<(&'a [u8], &'a [u8])> {
        if self.kind != 1 {
            return None;
        }
        // Version and random.
        let (_session, rest) = split(self.body.get(34..)?, 1)?;
        let (ciphers, rest) = split(rest, 2)?;
        let (_compression, rest) = split(rest, 1)?;
        Some((ciphers, rest))
    }
}

/// Takes a run of bytes off that is preceded by its length in `width` bytes.
pub(super) fn split(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A client hello with a server name, ALPN and two ciphers.
    pub(in crate::expr) fn client_hello(name: &str) -> Vec<u8> {
        let with_length = |width: usize, content: Vec<u8>| {
            let mut out = content.len().to_be_bytes()[8 - width..].to_vec();
            out.extend(content);
            out
        };
        let extension = |kind: u16, content: Vec<u8>| {
            let mut out = kind.to_be_bytes().to_vec();
            out.extend(with_length(2, content));
            out
        };
        let mut server_name = vec![0];
        server_name.extend(with_length(2, name.as_bytes().to_vec()));
        let mut extensions = extension(SERVER_NAME, with_length(2, server_name));
        extensions.extend(extension(
            ALPN,
            with_length(2, b"\x02h2\x08http/1.1".to_vec()),
        ));
        extensions.extend(extension(SUPPORTED_GROUPS, with_length(2, vec![0, 0x1d])));
        extensions.extend(extension(SESSION_TICKET, Vec::new()));
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(with_length(1, vec![9; 32]));
        body.extend(with_length(2, vec![0x13, 1, 0x13, 2]));
        body.extend(with_length(1, vec![0]));
        body.extend(with_length(2, extensions));
        let mut record = vec![1];
        record.extend(with_length(3, body));
        let mut bytes = vec![22, 3, 1];
        bytes.extend(with_length(2, record));
        bytes
    }

    #[test]
    fn a_complete_hello_shows_its_parts() {
        let bytes = client_hello("www.example.com");
        let Fetched::Value(hello) = Hello::parse(&bytes) else {
            panic!("not recognised");
        };
        assert_eq!(hello.kind, 1);
        assert_eq!(hello.version(), Some(0x0303));
        assert_eq!(hello.server_name(), Some(&b"www.example.com"[..]));
        assert_eq!(hello.ciphers(), Some(&[0x13, 1, 0x13, 2][..]));
        assert_eq!(hello.extension(KEY_SHARE), None);
    }

    #[test]
    fn an_incomplete_hello_is_waited_for_and_other_protocols_are_not() {
        let bytes = client_hello("a");
        for length in 0..bytes.len() {
            assert_eq!(
                Hello::parse(&bytes[..length]),
                Fetched::Wait,
                "{length} bytes"
            );
        }
        assert_eq!(Hello::parse(b"GET / HTTP/1.1\r\n"), Fetched::Absent);
        assert_eq!(Hello::parse(b"SSH-2.0-OpenSSH"), Fetched::Absent);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, cut in 0usize..200, at in 0usize..200, value: u8) {
            let mut hello = client_hello("www.example.com");
            hello.truncate(cut.max(50));
            let place = at % hello.len();
            hello[place] = value;
            for bytes in [bytes, hello] {
                if let Fetched::Value(hello) = Hello::parse(&bytes) {
                    hello.server_name();
                    hello.extension(ALPN);
                    hello.version();
                }
            }
        }
    }
}
