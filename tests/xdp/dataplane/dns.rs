//! A name server and a resolver, as far as one question and its answer go (RFC 1035 §4).

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use super::lab::PATIENCE;
use super::netns::Namespace;

/// Serves on an address in a namespace: every name has an address, see [`address_of`].
pub(crate) fn serve(servers: &Namespace, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let socket = servers.inside(move || UdpSocket::bind(address)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let Some(answer) = answer(&buffer[..length]) else {
                continue;
            };
            if socket.send_to(&answer, client).is_err() {
                return;
            }
        }
    });
}

/// Asks from the calling thread's namespace for the address of a name.
pub(crate) fn ask(server: &str, name: &str) -> std::io::Result<Ipv4Addr> {
    static SERIAL: AtomicU16 = AtomicU16::new(1);
    let server: SocketAddr = server.parse().unwrap();
    let own = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(own)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    let question = question(SERIAL.fetch_add(1, Ordering::Relaxed), name);
    socket.send(&question)?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    let wrong = || Error::new(ErrorKind::InvalidData, "it answers another question");
    let answer = buffer[..length]
        .strip_prefix(&question[..2])
        .ok_or_else(wrong)?;
    let (head, rest) = answer.split_at_checked(10).ok_or_else(wrong)?;
    let record = rest.strip_prefix(&question[HEADER..]).ok_or_else(wrong)?;
    if head != ANSWERED || record.get(..RECORD.len()) != Some(&RECORD) {
        return Err(wrong());
    }
    let bytes: [u8; 4] = record[RECORD.len()..].try_into().map_err(|_| wrong())?;
    Ok(bytes.into())
}

/// The address that a name has here.
pub(crate) fn address_of(name: &str) -> Ipv4Addr {
    name.bytes()
        .fold(0x0a00_0000_u32, |sum, byte| {
            sum.rotate_left(5) ^ u32::from(byte)
        })
        .into()
}

fn question(serial: u16, name: &str) -> Vec<u8> {
    let mut message = serial.to_be_bytes().to_vec();
    // Recursion desired; one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    // The root; type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let (serial, mut rest) = (question.get(..2)?, question.get(HEADER..)?);
    let mut labels = Vec::new();
    while let (length @ 1.., after) = rest.split_first()? {
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = after;
    }
    let mut message = serial.to_vec();
    message.extend(ANSWERED);
    message.extend(question.get(HEADER..)?);
    message.extend(RECORD);
    message.extend(address_of(&labels.join(".")).octets());
    Some(message)
}

/// Bytes of a message before its first question.
const HEADER: usize = 12;

/// The header of an answer behind its number: an authoritative one with one question and one record.
const ANSWERED: [u8; 10] = [0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0];

/// A record up to its address: the question's name, type A, class IN, a minute, four bytes.
const RECORD: [u8; 12] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4];
