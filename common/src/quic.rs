//! Which server a QUIC packet names, where its connection id carries the number of one (QUIC-LB, the plaintext algorithm
//! of draft-ietf-quic-load-balancers §5.2).
//!
//! A server puts its number into the connection ids it gives out: one byte, of which three bits say which configuration
//! made it, then the number, then what makes it unique. Packets with short headers begin with such an id, whatever
//! address the client has moved to. Long headers may carry an id the client has made up and are not looked at.

use crate::frame::Frame;

/// How servers put their numbers into connection ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerIds {
    /// Bytes of a number, up to [`LONGEST`]; 0 is none: connection ids say nothing.
    pub length: u8,
    /// The configuration's three bits; 7 is in ids that carry no number.
    pub configuration: u8,
}

impl ServerIds {
    /// The number in a datagram whose `length` bytes of payload begin at `at`; `None` if there is none.
    #[inline(always)]
    pub fn of(self, frame: &impl Frame, at: usize, length: u16) -> Option<u64> {
        // Any packet with a short header is longer than this (RFC 9001 §5.4.2).
        if (length as usize) < HEAD {
            return None;
        }
        let [first, id, bytes @ ..] = frame.load::<HEAD>(at)?;
        let is_long = first & 0x80 != 0;
        if is_long || id >> 5 != self.configuration || self.length == 0 || self.length > LONGEST {
            return None;
        }
        Some(u64::from_be_bytes(bytes) >> (8 * (LONGEST - self.length) as u32))
    }
}

/// The longest number.
pub const LONGEST: u8 = 8;

/// The first byte of a packet, that of the connection id, and the longest number.
const HEAD: usize = 2 + LONGEST as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Bytes;

    const IDS: ServerIds = ServerIds {
        length: 2,
        configuration: 1,
    };

    fn number(ids: ServerIds, payload: &[u8]) -> Option<u64> {
        let frame = Bytes::new(payload, 0);
        ids.of(&frame, 0, payload.len() as u16)
    }

    fn packet(first: u8, id: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(id);
        packet.resize(40, 0xee);
        packet
    }

    #[test]
    fn number_is_what_follows_the_first_byte_of_the_connection_id() {
        let short = packet(0x4f, &[0x20 | 0x0b, 0x01, 0x02]);
        assert_eq!(number(IDS, &short), Some(0x0102));
        let longest = ServerIds { length: 8, ..IDS };
        let eight = packet(0x40, &[0x3f, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(number(longest, &eight), Some(0x0102_0304_0506_0708));
    }

    #[test]
    fn what_carries_no_number_names_nobody() {
        let id = [0x20, 0x01, 0x02];
        assert_eq!(number(IDS, &packet(0xc3, &id)), None, "a long header");
        assert_eq!(
            number(IDS, &packet(0x4f, &[0xe0, 1, 2])),
            None,
            "no configuration"
        );
        assert_eq!(
            number(IDS, &packet(0x4f, &[0x40, 1, 2])),
            None,
            "another one"
        );
        assert_eq!(number(IDS, &packet(0x4f, &id)[..9]), None, "too short");
        assert_eq!(
            number(ServerIds::default(), &packet(0x4f, &[0, 1, 2])),
            None
        );
        let odd = ServerIds { length: 9, ..IDS };
        assert_eq!(number(odd, &packet(0x4f, &id)), None);
    }
}
