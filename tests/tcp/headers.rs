//! What is said in front of a connection's data: records of PROXY headers, NetScaler's insertion, SOCKS 4.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use tidegate::model::ProxyRecords;
use tidegate::proto::proxy_protocol::{self, tlv};

use crate::support::{Setup, echo, serve};

#[test]
fn version_2_headers_carry_the_records_that_are_asked_for() {
    let (tell, told) = mpsc::channel();
    let address = serve(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = tell.send(bytes);
    });
    let mut setup = Setup::new();
    let server = setup.server(address);
    server.send_proxy = Some(2);
    server.proxy_records = ProxyRecords {
        tls: true,
        checksum: true,
        ..ProxyRecords::default()
    };
    let proxy = setup.start();
    proxy.ask("payload");
    let bytes = told
        .recv_timeout(Duration::from_secs(10))
        .expect("a connection");
    // Decoding checks the checksum, too.
    let (header, length) = proxy_protocol::decode(&bytes)
        .expect("a header")
        .expect("all of it");
    assert_eq!(&bytes[length..], b"payload");
    assert!(header.tlv(tlv::CRC32C).is_some());
    assert_eq!(header.tlv(tlv::SSL), Some(&[0, 0, 0, 0, 1][..]));
    assert_eq!(header.tlv(tlv::AUTHORITY), None);
}

#[test]
fn an_insertion_of_netscaler_tells_the_client() {
    let mut setup = Setup::new();
    setup.server(echo("a"));
    setup.model.binds[0].netscaler = Some(0x0102_0304);
    setup.log("%ci:%cp %ts");
    let proxy = setup.start();
    let mut packet = vec![
        1, 2, 3, 4, 0, 0, 0, 40, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0,
    ];
    packet.extend([192, 0, 2, 7, 192, 0, 2, 8, 4, 210, 0, 80]);
    packet.resize(48, 0);
    packet.extend(b"payload");
    let answer = proxy.ask(std::str::from_utf8(&packet[48..]).unwrap());
    assert_eq!(answer, "", "without an insertion nobody is served");
    assert!(proxy.log_line().ends_with("NetScaler Client IP insertion"));
    let mut stream = proxy.connect();
    stream.write_all(&packet).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(crate::support::rest(&mut stream), "a:payload");
    assert_eq!(proxy.log_line(), "192.0.2.7:1234 --");
}

#[test]
fn a_server_behind_a_socks_proxy_is_asked_for() {
    let server = echo("a");
    let socks = serve(move |mut stream| {
        let mut request = [0; 16];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(&request[..2], &[4, 1]);
        assert_eq!(u16::from_be_bytes([request[2], request[3]]), server.port());
        assert_eq!(&request[4..], b"\x7f\0\0\x01HAProxy\0");
        stream.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        stream
            .write_all(format!("socks:{text}").as_bytes())
            .unwrap();
    });
    let mut setup = Setup::new();
    setup.server(server).socks4 = Some(socks);
    let proxy = setup.start();
    assert_eq!(proxy.ask("hello"), "socks:hello");
}
