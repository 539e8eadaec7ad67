//! Real sockets and descriptors on the receiving end.

use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use super::*;
use crate::model::{
    Facility, LogAddress, LogFormatKind, LogSample, LogTarget, Model, Proxy, ProxyKind,
};
use crate::state::{Counter, Running, State};

fn target(address: LogAddress) -> LogTarget {
    LogTarget {
        address,
        max_length: 1024,
        format: Some(LogFormatKind::Short),
        sample: None,
        facility: Facility(16),
        level: Severity::Debug,
        min_level: Severity::Emerg,
        profile: None,
    }
}

fn receiver() -> (UdpSocket, LogAddress) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let address = LogAddress::Udp(socket.local_addr().expect("bound"));
    (socket, address)
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).expect("a datagram in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn open(change: impl FnOnce(&mut Model)) -> (Logs, Arc<State>) {
    let mut model = Model::default();
    model.global.threads = Some(1);
    model
        .proxies
        .push(Proxy::new(ProxyId(0), "fe", ProxyKind::Frontend));
    change(&mut model);
    let running = Running::new(Arc::new(model), None);
    let logs = Logs::open(&running, "tidegate").expect("targets open");
    (logs, running.state)
}

#[test]
fn a_line_reaches_a_udp_target_with_the_proxys_tag() {
    let (socket, address) = receiver();
    let (logs, _) = open(|model| {
        model.proxies[0].logs = vec![LogTarget {
            format: Some(LogFormatKind::Local),
            ..target(address)
        }];
        model.proxies[0].log_tag = Some("web".to_owned());
    });
    logs.proxy(ProxyId(0)).send(Severity::Info, b"hello", b"");
    let line = receive(&socket);
    let end = format!(" web[{}]: hello\n", std::process::id());
    assert!(line.starts_with("<134>") && line.ends_with(&end), "{line}");
}

#[test]
fn levels_filter_and_soften() {
    let (socket, address) = receiver();
    let (logs, _) = open(|model| {
        model.proxies[0].logs = vec![LogTarget {
            level: Severity::Notice,
            min_level: Severity::Warning,
            profile: None,
            ..target(address)
        }];
    });
    let logger = logs.proxy(ProxyId(0));
    assert!(!logger.wants(Severity::Info));
    logger.send(Severity::Info, b"too detailed", b"");
    logger.send(Severity::Emerg, b"softened", b"");
    logger.send(Severity::Notice, b"as it is", b"");
    assert_eq!(receive(&socket), "<4>softened\n");
    assert_eq!(receive(&socket), "<5>as it is\n");
}

#[test]
fn a_sample_sends_its_share_of_each_round() {
    let (socket, address) = receiver();
    let (logs, _) = open(|model| {
        model.proxies[0].logs = vec![LogTarget {
            format: Some(LogFormatKind::Raw),
            sample: Some(LogSample {
                ranges: vec![(1, 1), (3, 4)],
                size: 5,
            }),
            ..target(address)
        }];
    });
    for number in 1..=6 {
        logs.proxy(ProxyId(0))
            .send(Severity::Info, format!("{number}").as_bytes(), b"");
    }
    let lines: Vec<_> = (0..4).map(|_| receive(&socket)).collect();
    assert_eq!(lines, ["1\n", "3\n", "4\n", "6\n"]);
}

#[test]
fn log_global_shares_the_global_target() {
    let (_socket, address) = receiver();
    let (logs, _) = open(|model| {
        model.global.logs = vec![target(address)];
        model.proxies[0].logs = model.global.logs.clone();
    });
    assert_eq!(logs.everywhere().len(), 1);
}

#[test]
fn a_unix_target_that_is_not_there_counts_as_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (logs, state) = open(|model| {
        model.proxies[0].logs = vec![target(LogAddress::Unix(path.clone()))];
    });
    logs.proxy(ProxyId(0)).send(Severity::Info, b"lost", b"");
    assert_eq!(state.process.counters.sum(Counter::DroppedLogs), 1);
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    logs.proxy(ProxyId(0)).send(Severity::Info, b"found", b"");
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("a datagram in time");
    assert_eq!(&buffer[..length], b"<6>found\n");
}

#[test]
fn lines_for_a_descriptor_arrive_whole_and_in_order() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let number = writer.as_raw_fd();
    let (logs, _) = open(|model| {
        model.proxies[0].logs = vec![target(LogAddress::Descriptor(number))];
    });
    for number in 0..50 {
        logs.proxy(ProxyId(0))
            .send(Severity::Info, format!("line {number}").as_bytes(), b"");
    }
    flush(Duration::from_secs(5));
    let mut lines = BufReader::new(reader).lines();
    for number in 0..50 {
        assert_eq!(
            lines.next().expect("a line").expect("readable"),
            format!("<6>line {number}")
        );
    }
}

#[test]
fn a_descriptor_nobody_reads_costs_lines_and_not_time() {
    let (_reader, writer) = io::pipe().expect("a pipe");
    let (logs, state) = open(|model| {
        model.proxies[0].logs = vec![target(LogAddress::Descriptor(writer.as_raw_fd()))];
    });
    let long = [b'x'; 1000];
    for _ in 0..3000 {
        logs.proxy(ProxyId(0)).send(Severity::Info, &long, b"");
    }
    assert!(state.process.counters.sum(Counter::DroppedLogs) > 1000);
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    let mut model = Model::default();
    model.global.logs = vec![target(LogAddress::Descriptor(-1))];
    let running = Running::new(Arc::new(model), None);
    assert!(Logs::open(&running, "tidegate").is_err());
}

#[test]
fn what_came_from_outside_is_made_printable() {
    assert_eq!(printable("a\r\nb\u{e9}~"), "a#0D#0Ab#C3#A9~");
}
