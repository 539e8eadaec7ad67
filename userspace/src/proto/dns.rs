//! DNS messages as far as a balancer asks: questions for A, AAAA and SRV, and the answers to them (RFC 1035, 2782, 6891).
//!
//! A name becomes the bytes of a question; bytes become an [`Answer`] or the reason why they are none. Nothing is sent,
//! retried or remembered here; every length and pointer in an answer is bounded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// The servers of a service.
    Srv,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its host name, lower case, without the last dot.
    pub target: String,
    /// Its port.
    pub port: u16,
    /// Its share, 0 to 65535.
    pub weight: u16,
    /// Lower ones come first.
    pub priority: u16,
}

/// What a valid message answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Addresses of the name asked for.
    pub addresses: Vec<IpAddr>,
    /// Servers of the service asked for.
    pub services: Vec<Service>,
    /// Addresses of other names, told beside the answer.
    pub additional: Vec<(String, IpAddr)>,
}

/// Why a message is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It belongs to another question, or is not a message at all: whoever sent it does not count.
    #[error("not an answer to this question")]
    Stranger,
    /// NXDOMAIN.
    #[error("the name does not exist")]
    NoSuchName,
    /// REFUSED.
    #[error("the name server refuses to answer")]
    Refused,
    /// It was too long for a datagram.
    #[error("the answer is truncated")]
    Truncated,
    /// It has nothing of what was asked for, or says that something went wrong.
    #[error("the answer is of no use")]
    Other,
}

/// The bytes of a question; `None` when the name cannot be a DNS name.
#[must_use]
pub fn question(id: u16, name: &str, kind: Kind, payload_size: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    message.extend_from_slice(&id.to_be_bytes());
    // Recursion is wanted; one question, one additional record.
    message.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
    write_name(name, &mut message)?;
    message.extend_from_slice(&kind.number().to_be_bytes());
    message.extend_from_slice(&INTERNET.to_be_bytes());
    // OPT: the root's name, type 41, the payload size as class, no flags, no data.
    message.extend_from_slice(&[0, 0, 41]);
    message.extend_from_slice(&payload_size.to_be_bytes());
    message.extend_from_slice(&[0; 6]);
    Some(message)
}

/// Reads the message that should answer a question.
///
/// # Errors
/// Why it is of no use; see [`Failure`].
pub fn answer(message: &[u8], id: u16, name: &str, kind: Kind) -> Result<Answer, Failure> {
    let mut reader = Reader { message, at: 0 };
    let header = reader.take(12).ok_or(Failure::Stranger)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let is_response = header[2] & 0x80 != 0;
    if word(0) != id || !is_response || word(4) != 1 {
        return Err(Failure::Stranger);
    }
    let asked = reader.name().ok_or(Failure::Stranger)?;
    let (asked_kind, class) = (reader.u16(), reader.u16());
    let same = asked.eq_ignore_ascii_case(name.trim_end_matches('.'))
        && asked_kind == Some(kind.number())
        && class == Some(INTERNET);
    if !same {
        return Err(Failure::Stranger);
    }
    match header[3] & 0x0f {
        0 => {}
        3 => return Err(Failure::NoSuchName),
        5 => return Err(Failure::Refused),
        _ => return Err(Failure::Other),
    }
    if header[2] & 0x02 != 0 {
        return Err(Failure::Truncated);
    }
    let (answers, authorities, additional) = (word(6), word(8), word(10));
    let mut found = Answer::default();
    // The name may be an alias: the addresses then belong to the last name of the chain.
    let mut wanted = asked.to_ascii_lowercase();
    for _ in 0..answers {
        let record = reader.record().ok_or(Failure::Other)?;
        if record.class != INTERNET || !record.name.eq_ignore_ascii_case(&wanted) {
            continue;
        }
        match record.value {
            Value::Alias(name) => wanted = name,
            Value::Address(ip) if fits(kind, ip) => found.addresses.push(ip),
            Value::Service(service) if kind == Kind::Srv => found.services.push(service),
            Value::Address(_) | Value::Service(_) | Value::Other => {}
        }
    }
    for part in 0..usize::from(authorities) + usize::from(additional) {
        let Some(record) = reader.record() else {
            break;
        };
        if let Value::Address(ip) = record.value
            && part >= usize::from(authorities)
        {
            found
                .additional
                .push((record.name.to_ascii_lowercase(), ip));
        }
    }
    if found.addresses.is_empty() && found.services.is_empty() {
        return Err(Failure::Other);
    }
    Ok(found)
}

fn fits(kind: Kind, ip: IpAddr) -> bool {
    match kind {
        Kind::A => ip.is_ipv4(),
        Kind::Aaaa => ip.is_ipv6(),
        Kind::Srv => false,
    }
}

/// Labels with their lengths, and an empty one at the end.
fn write_name(name: &str, message: &mut Vec<u8>) -> Option<()> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    Some(())
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

struct Record {
    name: String,
    class: u16,
    value: Value,
}

enum Value {
    Address(IpAddr),
    Service(Service),
    Alias(String),
    Other,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name, with the parts it points to. Pointers lead backwards only, so that they end.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut lowest = self.at;
        let mut jumped = false;
        loop {
            let length = usize::from(*self.message.get(at)?);
            match length {
                0 => {
                    if !jumped {
                        self.at = at + 1;
                    }
                    return Some(name);
                }
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + length)?;
                    if name.len() + length >= LONGEST_NAME {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // Bytes outside of ASCII stand for themselves; such a name equals no configured one.
                    name.extend(label.iter().map(|byte| char::from(*byte)));
                    at += 1 + length;
                }
                0xc0.. => {
                    let low = usize::from(*self.message.get(at + 1)?);
                    if !jumped {
                        self.at = at + 2;
                        jumped = true;
                    }
                    at = (length & 0x3f) << 8 | low;
                    if at >= lowest {
                        return None;
                    }
                    lowest = at;
                }
                _ => return None,
            }
        }
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        self.take(4)?;
        let length = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(length)?;
        let mut inside = Reader {
            message: &self.message[..start + length],
            at: start,
        };
        let value = match kind {
            1 => <[u8; 4]>::try_from(data)
                .map_or(Value::Other, |ip| Value::Address(Ipv4Addr::from(ip).into())),
            28 => <[u8; 16]>::try_from(data)
                .map_or(Value::Other, |ip| Value::Address(Ipv6Addr::from(ip).into())),
            5 => Value::Alias(inside.name()?.to_ascii_lowercase()),
            33 => {
                let (priority, weight, port) = (inside.u16()?, inside.u16()?, inside.u16()?);
                Value::Service(Service {
                    target: inside.name()?.to_ascii_lowercase(),
                    port,
                    weight,
                    priority,
                })
            }
            _ => Value::Other,
        };
        Some(Record { name, class, value })
    }
}

const INTERNET: u16 = 1;

/// RFC 1035 §2.3.4, in the dotted form.
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer to `question(7, name, kind)` with these records: name (empty = a pointer to the question's), type, data.
    fn reply(name: &str, kind: Kind, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
        let mut message = question(7, name, kind, 512).expect("a name");
        message.truncate(message.len() - 11);
        message[2] |= 0x80;
        message[7] = u8::try_from(records.len()).expect("few");
        message[11] = 0;
        for (name, kind, data) in records {
            if name.is_empty() {
                message.extend_from_slice(&[0xc0, 12]);
            } else {
                write_name(name, &mut message).expect("a name");
            }
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            message.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    fn encoded(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_name(name, &mut out).expect("a name");
        out
    }

    #[test]
    fn addresses_are_found_behind_aliases_only() {
        let message = reply(
            "web.example",
            Kind::A,
            &[
                ("", 5, encoded("www.example")),
                ("other.example", 1, vec![9, 9, 9, 9]),
                ("www.example", 1, vec![192, 0, 2, 1]),
                ("WWW.example", 1, vec![192, 0, 2, 2]),
            ],
        );
        let found = answer(&message, 7, "web.example", Kind::A).expect("an answer");
        let expected: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        assert_eq!(found.addresses, expected);
    }

    #[test]
    fn services_come_with_their_ports_and_weights() {
        let data = |port: u16, target: &str| {
            let mut data = vec![0, 1, 0, 50];
            data.extend_from_slice(&port.to_be_bytes());
            data.extend(encoded(target));
            data
        };
        let mut message = reply(
            "_http._tcp.example",
            Kind::Srv,
            &[
                ("", 33, data(8080, "A.example")),
                ("", 33, data(8081, "b.example")),
            ],
        );
        message[11] = 1;
        message.extend(encoded("a.example"));
        message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let found = answer(&message, 7, "_http._tcp.example", Kind::Srv).expect("an answer");
        let ports: Vec<(&str, u16, u16)> = found
            .services
            .iter()
            .map(|service| (service.target.as_str(), service.port, service.weight))
            .collect();
        assert_eq!(ports, [("a.example", 8080, 50), ("b.example", 8081, 50)]);
        assert_eq!(
            found.additional,
            [("a.example".to_owned(), [192, 0, 2, 1].into())]
        );
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let good = reply("a.b", Kind::A, &[("", 1, vec![1, 2, 3, 4])]);
        let ask = |message: &[u8]| answer(message, 7, "a.b", Kind::A);
        assert!(ask(&good).is_ok());
        assert_eq!(answer(&good, 8, "a.b", Kind::A), Err(Failure::Stranger));
        assert_eq!(answer(&good, 7, "a.c", Kind::A), Err(Failure::Stranger));
        assert_eq!(answer(&good, 7, "a.b", Kind::Aaaa), Err(Failure::Stranger));
        let code = |code: u8| {
            let mut message = good.clone();
            message[3] |= code;
            ask(&message)
        };
        assert_eq!(code(3), Err(Failure::NoSuchName));
        assert_eq!(code(5), Err(Failure::Refused));
        assert_eq!(code(2), Err(Failure::Other));
        let mut truncated = good.clone();
        truncated[2] |= 2;
        assert_eq!(ask(&truncated), Err(Failure::Truncated));
        assert_eq!(ask(&reply("a.b", Kind::A, &[])), Err(Failure::Other));
        assert_eq!(ask(&good[..good.len() - 1]), Err(Failure::Other));
    }

    #[test]
    fn pointers_in_a_circle_end() {
        let mut message = reply("a.b", Kind::A, &[("", 1, vec![1, 2, 3, 4])]);
        let at = message.len() - 16;
        let place = u8::try_from(at).expect("short");
        message[at..at + 2].copy_from_slice(&[0xc0, place]);
        assert_eq!(answer(&message, 7, "a.b", Kind::A), Err(Failure::Other));
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_refused() {
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", long.as_str()] {
            assert_eq!(question(1, name, Kind::A, 512), None, "{name}");
        }
        assert!(question(1, "a.example.", Kind::A, 512).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = answer(&bytes, 7, "a.b", Kind::A);
        }

        #[test]
        fn a_damaged_answer_is_read_without_a_panic(at in 0usize..60, byte in any::<u8>()) {
            let mut message = reply(
                "web.example",
                Kind::A,
                &[("", 5, encoded("www.example")), ("www.example", 1, vec![192, 0, 2, 1])],
            );
            if let Some(place) = message.get_mut(at) {
                *place = byte;
            }
            let _ = answer(&message, 7, "web.example", Kind::A);
        }
    }
}
