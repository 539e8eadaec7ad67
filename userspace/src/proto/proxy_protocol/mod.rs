//! The PROXY protocol, versions 1 and 2 (HAProxy's `doc/proxy-protocol.txt`): the header that carries a client's
//! addresses from one proxy to the next.
//!
//! [`decode`] takes the first bytes of a connection and answers with a [`Header`], a wish for more bytes, or an error;
//! [`encode_v1`] and [`Version2`] write one. Whether a peer may send a header at all is the configuration's business, and
//! connections are only ever read by the caller.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::hash::crc32c;

/// A decoded header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Where the client is and what it connected to. `None` for LOCAL, UNKNOWN and non-IP families: the real
    /// connection's addresses stay in force.
    pub addresses: Option<Addresses>,
    /// The type-length-value records of version 2, checked to be well formed.
    tlvs: Box<[u8]>,
}

/// The two ends of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

/// Why the bytes are no PROXY header; the connection is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Neither version's signature.
    #[error("no PROXY protocol signature")]
    Signature,
    /// A version 1 line that does not follow the grammar, or is longer than 107 bytes.
    #[error("malformed PROXY protocol version 1 line")]
    Line,
    /// Version, command, family or transport of a version 2 header is not assigned.
    #[error("unassigned version, command or family in a PROXY protocol version 2 header")]
    Unassigned,
    /// The announced length is too short for the addresses or over [`LONGEST`].
    #[error("impossible length in a PROXY protocol version 2 header")]
    Length,
    /// A record reaches beyond the header, or is too short for its type.
    #[error("malformed record in a PROXY protocol version 2 header")]
    Record,
    /// The CRC32c record does not match.
    #[error("wrong checksum in a PROXY protocol version 2 header")]
    Checksum,
}

/// Types of version 2 records.
pub mod tlv {
    /// The application protocol negotiated.
    pub const ALPN: u8 = 0x01;
    /// The host name the client asked for.
    pub const AUTHORITY: u8 = 0x02;
    /// Checksum of the header.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// An identifier of the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known about the client's TLS connection: a byte of flags, the verification result, sub-records.
    pub const SSL: u8 = 0x20;
    /// Sub-record of [`SSL`]: `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// Sub-record of [`SSL`]: common name of the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    /// Sub-record of [`SSL`]: name of the cipher suite.
    pub const SSL_CIPHER: u8 = 0x23;
    /// Sub-record of [`SSL`]: signature algorithm of the presented certificate.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// Sub-record of [`SSL`]: key algorithm of the presented certificate.
    pub const SSL_KEY_ALG: u8 = 0x25;
}

/// Longest header taken, in bytes. The protocol allows 65,551; HAProxy takes what fits its 16 KiB buffer.
pub const LONGEST: usize = 16_384;

impl Header {
    /// The value of the first record of a type. [`tlv::SSL`]'s sub-records are not looked into.
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        records(&self.tlvs)
            .flatten()
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }
}

/// Decodes the header at the beginning of `bytes`: the header and its length, `None` while more bytes are needed.
pub fn decode(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    if begins_like(bytes, SIGNATURE_V2) {
        decode_v2(bytes)
    } else if begins_like(bytes, SIGNATURE_V1) {
        decode_v1(bytes)
    } else {
        Err(HeaderError::Signature)
    }
}

/// Appends a version 1 header; without addresses, or with two of different families, an `UNKNOWN` one.
pub fn encode_v1(addresses: Option<Addresses>, out: &mut Vec<u8>) {
    let line = match addresses.map(
        |Addresses {
             source,
             destination,
         }| {
            (
                source.ip(),
                destination.ip(),
                source.port(),
                destination.port(),
            )
        },
    ) {
        Some((IpAddr::V4(source), IpAddr::V4(destination), from, to)) => {
            format!("PROXY TCP4 {source} {destination} {from} {to}\r\n")
        }
        Some((IpAddr::V6(source), IpAddr::V6(destination), from, to)) => {
            format!("PROXY TCP6 {source} {destination} {from} {to}\r\n")
        }
        _ => "PROXY UNKNOWN\r\n".to_owned(),
    };
    out.extend_from_slice(line.as_bytes());
}

/// A version 2 header being written.
#[derive(Debug)]
pub struct Version2 {
    bytes: Vec<u8>,
}

impl Version2 {
    /// Begins a header for a relayed connection; without addresses the family is unspecified. A pair of different
    /// families is sent as IPv6.
    pub fn proxied(addresses: Option<Addresses>) -> Self {
        let mut header = Self::begin(0x21);
        let Some(Addresses {
            source,
            destination,
        }) = addresses
        else {
            header.bytes[13] = 0x00;
            return header;
        };
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.bytes[13] = 0x11;
                header.bytes.extend_from_slice(&source.octets());
                header.bytes.extend_from_slice(&destination.octets());
            }
            (source, destination) => {
                header.bytes[13] = 0x21;
                header.bytes.extend_from_slice(&as_ipv6(source).octets());
                header
                    .bytes
                    .extend_from_slice(&as_ipv6(destination).octets());
            }
        }
        header.bytes.extend_from_slice(&source.port().to_be_bytes());
        header
            .bytes
            .extend_from_slice(&destination.port().to_be_bytes());
        header
    }

    /// Begins a header for a connection of our own, such as a check.
    pub fn local() -> Self {
        Self::begin(0x20)
    }

    fn begin(version_and_command: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(SIGNATURE_V2);
        bytes.extend_from_slice(&[version_and_command, 0, 0, 0]);
        Self { bytes }
    }

    /// Appends a record. One that would not fit [`LONGEST`] is left out.
    #[must_use]
    pub fn record(mut self, kind: u8, value: &[u8]) -> Self {
        if self.bytes.len() + 3 + value.len() <= LONGEST {
            self.bytes.push(kind);
            self.bytes
                .extend_from_slice(&(value.len() as u16).to_be_bytes());
            self.bytes.extend_from_slice(value);
        }
        self
    }

    /// Completes the header without a checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let length = (self.bytes.len() - FIXED_V2) as u16;
        self.bytes[14..FIXED_V2].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }

    /// Completes the header with a CRC32c record.
    pub fn finish_with_checksum(self) -> Vec<u8> {
        let mut bytes = self.record(tlv::CRC32C, &[0; 4]).finish();
        let at = bytes.len() - 4;
        let checksum = crc32c(&bytes);
        bytes[at..].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// Builds the value of a record with sub-records, such as [`tlv::SSL`]'s.
pub fn append_record(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&(value.len().min(usize::from(u16::MAX)) as u16).to_be_bytes());
    out.extend_from_slice(&value[..value.len().min(usize::from(u16::MAX))]);
}

fn decode_v1(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let window = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = memchr::memmem::find(window, b"\r\n") else {
        return if bytes.len() >= LONGEST_V1 {
            Err(HeaderError::Line)
        } else {
            Ok(None)
        };
    };
    let line =
        std::str::from_utf8(&window[SIGNATURE_V1.len()..end]).map_err(|_| HeaderError::Line)?;
    let addresses = parse_line(line).ok_or(HeaderError::Line)?;
    Ok(Some((
        Header {
            addresses,
            tlvs: Box::default(),
        },
        end + 2,
    )))
}

/// What follows `PROXY `; `None` when it breaks the grammar.
fn parse_line(line: &str) -> Option<Option<Addresses>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source = words.next()?;
    let destination = words.next()?;
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    let parse: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let addresses = Addresses {
        source: SocketAddr::new(parse(source)?, from),
        destination: SocketAddr::new(parse(destination)?, to),
    };
    words.next().is_none().then_some(Some(addresses))
}

fn port(text: &str) -> Option<u16> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

fn decode_v2(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let Some(fixed) = bytes.first_chunk::<FIXED_V2>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length + FIXED_V2 > LONGEST {
        return Err(HeaderError::Length);
    }
    let (command, family, transport) = (fixed[12], fixed[13] >> 4, fixed[13] & 0x0f);
    if !matches!(command, 0x20 | 0x21) || (command == 0x21 && (family > 3 || transport > 2)) {
        return Err(HeaderError::Unassigned);
    }
    let Some(block) = bytes.get(FIXED_V2..FIXED_V2 + length) else {
        return Ok(None);
    };
    let (addresses, records) = if command == 0x20 {
        (None, &[][..])
    } else {
        split_addresses(family, transport, block)?
    };
    check_records(records, &bytes[..FIXED_V2 + length])?;
    Ok(Some((
        Header {
            addresses,
            tlvs: records.into(),
        },
        FIXED_V2 + length,
    )))
}

/// Splits the address block of a family from the records behind it.
fn split_addresses(
    family: u8,
    transport: u8,
    block: &[u8],
) -> Result<(Option<Addresses>, &[u8]), HeaderError> {
    let (size, address) = match family {
        1 => (12, 4),
        2 => (36, 16),
        3 => (216, 0),
        _ => (0, 0),
    };
    let (own, records) = block.split_at_checked(size).ok_or(HeaderError::Length)?;
    if address == 0 || transport != 1 {
        return Ok((None, records));
    }
    let ends = Addresses {
        source: end_of(own, 0, address, 2 * address),
        destination: end_of(own, address, address, 2 * address + 2),
    };
    Ok((Some(ends), records))
}

/// One end of an address block: `size` bytes at `at`, its port at `port_at`; the block's length was checked.
fn end_of(block: &[u8], at: usize, size: usize, port_at: usize) -> SocketAddr {
    let bytes = &block[at..at + size];
    let address = match <[u8; 4]>::try_from(bytes) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap_or_default()),
    };
    SocketAddr::new(
        address,
        u16::from_be_bytes([block[port_at], block[port_at + 1]]),
    )
}

fn check_records(area: &[u8], whole: &[u8]) -> Result<(), HeaderError> {
    let mut checked = false;
    for record in records(area) {
        let (kind, value) = record?;
        match kind {
            // One checksum is work enough: a header full of them would make us read it thousands of times.
            tlv::CRC32C if checked => return Err(HeaderError::Record),
            tlv::CRC32C => {
                checked = true;
                let stored = <[u8; 4]>::try_from(value).map_err(|_| HeaderError::Record)?;
                let at = value.as_ptr() as usize - whole.as_ptr() as usize;
                let mut zeroed = whole.to_vec();
                zeroed[at..at + 4].fill(0);
                if crc32c(&zeroed) != u32::from_be_bytes(stored) {
                    return Err(HeaderError::Checksum);
                }
            }
            tlv::UNIQUE_ID if value.len() > 128 => return Err(HeaderError::Record),
            _ => {}
        }
    }
    Ok(())
}

/// The records of an area in order; an error ends them.
fn records(area: &[u8]) -> impl Iterator<Item = Result<Record<'_>, HeaderError>> {
    let mut rest = area;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = next_record(rest);
        rest = record.map_or(&[], |(_, after)| after);
        Some(record.map(|(record, _)| record).ok_or(HeaderError::Record))
    })
}

/// A record's type and value.
type Record<'a> = (u8, &'a [u8]);

/// The first record of an area, and what follows it.
fn next_record(area: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (&[kind, high, low], rest) = area.split_first_chunk()?;
    let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some(((kind, value), after))
}

/// Whether `bytes` and `signature` agree as far as both go.
fn begins_like(bytes: &[u8], signature: &[u8]) -> bool {
    bytes
        .iter()
        .zip(signature)
        .all(|(byte, wanted)| byte == wanted)
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

const SIGNATURE_V1: &[u8] = b"PROXY ";
const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED_V2: usize = 16;

/// Longest version 1 line, CRLF included.
const LONGEST_V1: usize = 107;
