//! NetScaler's Client IP insertion: the headers of the client's last packet, sent in front of a connection's data.
//!
//! [`decode`] takes the first bytes of a connection and answers with the client's addresses and the length of what was
//! inserted, a wish for more bytes, or an error. Who may send it is the configuration's business.

use std::net::{IpAddr, SocketAddr};

use super::proxy_protocol::Addresses;

/// Why the bytes are no insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertionError {
    /// It does not begin with the agreed number.
    #[error("wrong magic number in a NetScaler Client IP insertion")]
    Magic,
    /// The announced lengths, the kind or the packet's headers make no sense.
    #[error("malformed NetScaler Client IP insertion")]
    Malformed,
}

/// Decodes the insertion at the beginning of `bytes`: addresses and length, `None` while more bytes are needed.
pub fn decode(bytes: &[u8], magic: u32) -> Result<Option<(Addresses, usize)>, InsertionError> {
    let agreed = magic.to_be_bytes();
    if bytes
        .iter()
        .zip(&agreed)
        .any(|(byte, wanted)| byte != wanted)
    {
        return Err(InsertionError::Magic);
    }
    let Some(fixed) = bytes.first_chunk::<12>() else {
        return Ok(None);
    };
    // Old senders announce the length of the packet's headers and send them at once; new ones have a kind in between.
    let (begin, length) = match fixed[8] >> 4 {
        4 | 6 => (
            8,
            u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ),
        _ if fixed[8..10] == [0, 1] => (12, u32::from(u16::from_be_bytes([fixed[10], fixed[11]]))),
        _ => return Err(InsertionError::Malformed),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(InsertionError::Malformed);
    }
    let Some(packet) = bytes.get(begin..begin + length) else {
        return Ok(None);
    };
    let addresses = addresses(packet).ok_or(InsertionError::Malformed)?;
    Ok(Some((addresses, begin + length)))
}

/// The two ends in the headers of a TCP packet.
fn addresses(packet: &[u8]) -> Option<Addresses> {
    let (source, destination, tcp) = match packet.first()? >> 4 {
        4 => {
            let own = usize::from(packet[0] & 0x0f) * 4;
            let at = |at: usize| {
                Some(IpAddr::from(
                    <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
                ))
            };
            (at(12)?, at(16)?, packet.get(own.max(20)..)?)
        }
        6 => {
            let at = |at: usize| {
                Some(IpAddr::from(
                    <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
                ))
            };
            (at(8)?, at(24)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let ports = tcp.first_chunk::<4>().filter(|_| tcp.len() >= 20)?;
    Some(Addresses {
        source: SocketAddr::new(source, u16::from_be_bytes([ports[0], ports[1]])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([ports[2], ports[3]])),
    })
}

/// Longest headers of a packet: both with all their options.
const LONGEST: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: u32 = 0x0dda_7ca5;

    fn packet() -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2,
        ];
        packet.extend([0x1f, 0x90, 0, 80]);
        packet.resize(40, 0);
        packet
    }

    fn both() -> [Vec<u8>; 2] {
        let mut old = MAGIC.to_be_bytes().to_vec();
        old.extend(40u32.to_be_bytes());
        let mut new = MAGIC.to_be_bytes().to_vec();
        new.extend(52u32.to_be_bytes());
        new.extend([0, 1, 0, 40]);
        [old, new].map(|mut head| {
            head.extend(packet());
            head
        })
    }

    #[test]
    fn old_and_new_insertions_tell_the_client() {
        for whole in both() {
            let mut bytes = whole.clone();
            bytes.extend(b"GET /");
            let (addresses, length) = decode(&bytes, MAGIC).unwrap().unwrap();
            assert_eq!(length, whole.len());
            assert_eq!(addresses.source, "192.0.2.1:8080".parse().unwrap());
            assert_eq!(addresses.destination, "198.51.100.2:80".parse().unwrap());
            for end in 0..whole.len() {
                assert_eq!(decode(&whole[..end], MAGIC), Ok(None), "{end}");
            }
        }
    }

    #[test]
    fn what_is_no_insertion_is_refused() {
        let [old, new] = both();
        assert_eq!(decode(&old, 1), Err(InsertionError::Magic));
        assert_eq!(decode(b"GET / HTTP/1.1", MAGIC), Err(InsertionError::Magic));
        let mut long = old.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decode(&long, MAGIC), Err(InsertionError::Malformed));
        let mut kind = new;
        kind[9] = 2;
        assert_eq!(decode(&kind, MAGIC), Err(InsertionError::Malformed));
        let mut short = old;
        short[4..8].copy_from_slice(&30u32.to_be_bytes());
        assert_eq!(decode(&short, MAGIC), Err(InsertionError::Malformed));
    }
}
