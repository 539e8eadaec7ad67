//! A name server that knows one name.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Answers questions for the IPv4 address of `name` with `address`, everything else with "no such name". It ends with the
/// test's process.
pub(crate) fn name_server(name: &str, address: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let at = socket.local_addr().expect("bound");
    let mut wanted = Vec::new();
    for label in name.split('.') {
        wanted.push(u8::try_from(label.len()).expect("a short label"));
        wanted.extend_from_slice(label.as_bytes());
    }
    wanted.extend_from_slice(&[0, 0, 1, 0, 1]);
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut query) {
            let answer = answer(&query[..length], &wanted, address);
            let _the_asker_is_gone = socket.send_to(&answer, asker);
        }
    });
    at
}

/// The header is the query's with other flags and counts; the question is repeated (RFC 1035 §4.1).
fn answer(query: &[u8], wanted: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let question = &query[12..];
    let name = question.iter().position(|byte| *byte == 0).unwrap_or(0);
    let question = &question[..name + 5];
    let found = question == wanted;
    let mut answer = query[..2].to_vec();
    answer.extend_from_slice(&[0x81, if found { 0x80 } else { 0x83 }]);
    answer.extend_from_slice(&[0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if found {
        answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    answer
}
