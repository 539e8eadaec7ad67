//! Marks and TOS bytes that rules give to connections, as they are on the wire.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::lab::{Lab, VIP, VIP6};
use super::netns::{Namespace, eventually};
use super::process::Process;
use super::raw::Raw;

/// A TCP segment with data: its TOS byte and its data.
type Segment = (u8, Vec<u8>);

/// The segments that came into a namespace.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Segment>>>);

impl Seen {
    /// Listens to everything that comes into a namespace.
    fn inside(namespace: &Namespace) -> Self {
        let seen = Self::default();
        let raw = namespace.inside(|| {
            let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
            raw.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            raw
        });
        let own = seen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok(length) = (&raw).read(&mut buffer) {
                let packet = &buffer[..length];
                let ip = usize::from(packet[0] & 15) * 4;
                let tcp = usize::from(packet[ip + 12] >> 4) * 4;
                let data = packet[ip + tcp..].to_vec();
                if !data.is_empty() {
                    own.0.lock().unwrap().push((packet[1], data));
                }
            }
        });
        seen
    }

    /// The TOS byte of the first segment with this text, once it has come.
    fn tos_of(&self, text: &str) -> u8 {
        eventually(text, || {
            let seen = self.0.lock().unwrap();
            let has = |data: &[u8]| data.windows(text.len()).any(|at| at == text.as_bytes());
            seen.iter().find(|(_, data)| has(data)).map(|(tos, _)| *tos)
        })
    }
}

/// Answers every request with its own first line.
fn serve(servers: &Namespace) {
    let listener = servers.inside(|| TcpListener::bind("10.0.0.1:80")).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                while let Some(head) = message(&mut stream) {
                    let line = head.lines().next().unwrap_or_default();
                    let length = line.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{line}");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A head, read to its end.
fn message(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A request on a kept connection and the status of its answer.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let head = message(stream).expect("an answer");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn rules_set_marks_and_tos_bytes_of_both_connections() {
    let Some(lab) = Lab::new("marks") else { return };
    serve(&lab.servers);
    let _process = Process::start(
        &lab,
        "",
        "listen web\n mode http\n bind 192.0.2.1:8080\n http-reuse always\n server s1 10.0.0.1:80\n \
         tcp-request connection set-fc-tos 0x20\n \
         http-request set-fc-tos 0x28 if { path /client }\n \
         http-request set-bc-tos 0x48 if { path /server }\n \
         http-request set-bc-mark 7 if { path /marked }\n\
         listen marked\n mode http\n bind 192.0.2.1:8081\n server s1 10.0.0.1:80\n \
         http-request set-mark 7",
    );
    let (clients, servers) = (Seen::inside(&lab.client), Seen::inside(&lab.servers));
    let connect = |target: &'static str| {
        lab.client
            .inside(move || TcpStream::connect(target))
            .unwrap()
    };
    let mut stream = connect("192.0.2.1:8080");
    assert_eq!(ask(&mut stream, "/first"), "200");
    assert_eq!(
        clients.tos_of("GET /first"),
        0x20,
        "from the connection's beginning"
    );
    assert_eq!(servers.tos_of("GET /first"), 0);
    assert_eq!(ask(&mut stream, "/client"), "200");
    assert_eq!(clients.tos_of("GET /client"), 0x28);
    assert_eq!(ask(&mut stream, "/server"), "200");
    assert_eq!(servers.tos_of("GET /server"), 0x48);
    assert_eq!(ask(&mut stream, "/plain"), "200");
    assert_eq!(
        servers.tos_of("GET /plain"),
        0,
        "on a connection of its own kind"
    );

    // Nothing that is marked gets anywhere.
    lab.balancer.ip("rule add fwmark 7 prohibit");
    assert_eq!(
        ask(&mut stream, "/marked"),
        "503",
        "no connection without the mark is used"
    );
    assert_eq!(ask(&mut stream, "/again"), "200");
    let mut silent = connect("192.0.2.1:8081");
    silent
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    write!(silent, "GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    assert!(
        message(&mut silent).is_none(),
        "answers to the client are marked too"
    );
}

/// Frames that come into a device.
struct Frames(Raw);

impl Frames {
    fn of(namespace: &Namespace, device: &str) -> Self {
        let number = namespace.exec(&format!("cat /sys/class/net/{device}/ifindex"));
        let number: u32 = number.trim().parse().unwrap();
        Self(namespace.inside(|| Raw::open(number)).unwrap())
    }

    /// Type of service or traffic class of the next segment with this text.
    fn class_of(&self, text: &str) -> u8 {
        eventually(text, || {
            let frame = self.0.receive().unwrap();
            let has = frame.windows(text.len()).any(|at| at == text.as_bytes());
            has.then(|| {
                let [first, second] = [frame[14], frame[15]];
                if first >> 4 == 4 {
                    second
                } else {
                    first << 4 | second >> 4
                }
            })
        })
    }
}

#[test]
fn rules_set_the_traffic_class_of_connections_over_ipv6() {
    let Some(lab) = Lab::new("marks6") else {
        return;
    };
    serve(&lab.servers);
    let _process = Process::start(
        &lab,
        "",
        "listen web\n mode http\n bind [2001:db8:1::1]:8080\n server s1 10.0.0.1:80\n \
         tcp-request connection set-fc-tos 0x20\n \
         http-request set-tos 0x48 if { path /class }",
    );
    let frames = Frames::of(&lab.client, "cl0");
    let mut stream = lab
        .client
        .inside(|| TcpStream::connect("[2001:db8:1::1]:8080"))
        .unwrap();
    assert_eq!(ask(&mut stream, "/first"), "200");
    assert_eq!(frames.class_of("GET /first"), 0x20);
    assert_eq!(ask(&mut stream, "/class"), "200");
    assert_eq!(frames.class_of("GET /class"), 0x48);
}

/// Echoes whatever comes, over both families.
fn echo(servers: &Namespace) {
    for address in ["10.0.0.1:80", "[2001:db8:2::1]:80"] {
        let listener = servers.inside(|| TcpListener::bind(address)).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut buffer = [0; 64];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn packets_of_an_l4_service_are_marked_both_ways_over_both_families() {
    let Some(lab) = Lab::new("markl4") else {
        return;
    };
    echo(&lab.servers);
    let sections = format!(
        "listen web\n mode l4\n bind {VIP}:80\n bind [{VIP6}]:80\n set-dscp ef server\n set-tos 0x28 client\n \
         server s1 10.0.0.1:80\n server t1 [2001:db8:2::1]:80"
    );
    let _process = Process::start(&lab, "", &sections);
    for (target, text) in [
        (format!("{VIP}:80"), "hello over four"),
        (format!("[{VIP6}]:80"), "hello over six"),
    ] {
        let servers = Frames::of(&lab.servers, "sv0");
        let clients = Frames::of(&lab.client, "cl0");
        let to = target.clone();
        let stream = lab.client.inside(move || TcpStream::connect(to));
        let mut stream = stream.expect("it is forwarded");
        stream.write_all(text.as_bytes()).unwrap();
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, text.as_bytes());
        assert_eq!(servers.class_of(text), 0xb8);
        assert_eq!(clients.class_of(text), 0x28);
    }
}
