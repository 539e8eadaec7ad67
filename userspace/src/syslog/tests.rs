//! Real sockets on both sides.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;

use super::*;
use crate::expr::{Expression, NoAcls, NoFiles, Parsing, Patterns, Stage};
use crate::log::Logs;
use crate::model::{
    BalanceKind, Facility, HashFunction, HostStrategy, LogAddress, LogFormatKind, LogForward,
    LogTarget, LogTransport, Mode, Model, Proxy, ProxyKind, Ring, Server, ServerAddress, Severity,
};
use crate::net::{Destination, Outgoing, connect};
use crate::proto::syslog::Framing;
use crate::state::{Admin, Running};
use crate::tls::Contexts;
use crate::types::{ProxyId, ServerId};

const FORWARD: ProxyId = ProxyId(0);
const FARM: ProxyId = ProxyId(1);

fn target(address: LogAddress, format: Option<LogFormatKind>) -> LogTarget {
    LogTarget {
        address,
        max_length: 1024,
        format,
        sample: None,
        facility: Facility(16),
        level: Severity::Debug,
        min_level: Severity::Emerg,
        profile: None,
    }
}

/// A model with a `log-forward` section and an empty log backend.
fn model() -> Model {
    let mut model = Model::default();
    model.global.threads = Some(1);
    let mut forward = Proxy::new(FORWARD, "in", ProxyKind::Frontend);
    forward.mode = Mode::Syslog;
    let mut farm = Proxy::new(FARM, "farm", ProxyKind::Backend);
    farm.mode = Mode::Log;
    model.proxies = vec![forward, farm];
    model
}

fn add_server(model: &mut Model, name: &str, address: std::net::SocketAddr, datagrams: bool) {
    let id = ServerId(model.servers.len() as u32);
    let address = ServerAddress::Inet {
        address,
        port_offset: None,
    };
    let mut server = Server::new(id, FARM, id.0 + 1, name, address);
    server.logging.datagrams = datagrams;
    model.proxies[FARM.index()].servers.push(id);
    model.servers.push(server);
}

fn open(model: Model) -> (Running, Arc<Logs>, Arc<Contexts>) {
    let running = Running::new(Arc::new(model), None);
    let logs = Arc::new(Logs::open(&running, "tidegate").expect("targets open"));
    let tls = Arc::new(Contexts::load(&running.model).expect("nothing to load"));
    (running, logs, tls)
}

fn receiver() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let limit = Some(Duration::from_secs(5));
    socket.set_read_timeout(limit).expect("a timeout");
    socket
}

fn receive_line(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).expect("a datagram in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn relayed(format: Option<LogFormatKind>, how: LogForward, message: &[u8]) -> String {
    let socket = receiver();
    let mut model = model();
    let address = LogAddress::Udp(socket.local_addr().expect("bound"));
    model.proxies[0].logs = vec![target(address, format)];
    let (_, logs, _) = open(model);
    let sender = Some([192, 0, 2, 1].into());
    Relay::new(logs.proxy(FORWARD), sender, how).message(message);
    receive_line(&socket)
}

#[test]
fn a_message_keeps_its_form_where_the_target_has_none() {
    let kept = |message: &str| relayed(None, LogForward::default(), message.as_bytes());
    assert_eq!(
        kept("<34>Oct 11 22:14:15 su: failed"),
        "<34>Oct 11 22:14:15 su: failed\n"
    );
    assert_eq!(
        kept("<34>Oct 11 22:14:15 edge su[7]: failed"),
        "<34>Oct 11 22:14:15 edge su[7]: failed\n"
    );
    let modern = "<165>1 2003-10-11T22:14:15.003Z edge app 8710 ID47 [a@1 x=\"1\"] An event";
    assert_eq!(kept(modern), format!("{modern}\n"));
}

#[test]
fn a_message_is_written_in_the_targets_format_with_the_host_asked_for() {
    let written = |host, message: &str| {
        let how = LogForward {
            host,
            ..LogForward::default()
        };
        relayed(Some(LogFormatKind::Rfc3164), how, message.as_bytes())
    };
    let named = "<34>Oct 11 22:14:15 edge su: no";
    let nameless = "<34>Oct 11 22:14:15 su: no";
    for (host, message, expected) in [
        (HostStrategy::Fill, named, "edge"),
        (HostStrategy::Fill, nameless, "192.0.2.1"),
        (HostStrategy::Keep, nameless, "localhost"),
        (HostStrategy::Replace, named, "192.0.2.1"),
        (HostStrategy::Append, named, "edge,192.0.2.1"),
        (HostStrategy::Append, nameless, "192.0.2.1"),
    ] {
        let line = format!("<34>Oct 11 22:14:15 {expected} su: no\n");
        assert_eq!(written(host, message), line, "{host:?}");
    }
    let raw = relayed(
        Some(LogFormatKind::Raw),
        LogForward {
            opaque: true,
            ..LogForward::default()
        },
        named.as_bytes(),
    );
    assert_eq!(raw, format!("{named}\n"));
}

#[tokio::test]
async fn datagrams_and_streams_come_in() {
    let socket = receiver();
    let mut model = model();
    let address = LogAddress::Udp(socket.local_addr().expect("bound"));
    model.proxies[0].logs = vec![target(address, Some(LogFormatKind::Raw))];
    let (running, logs, _) = open(model);
    let inlet = crate::net::bind_datagram(([127, 0, 0, 1], 0).into(), &Default::default());
    let inlet = inlet.expect("bound");
    let to = inlet.local_addr().expect("bound");
    let inlets = vec![Inlet {
        section: FORWARD,
        socket: inlet,
    }];
    let receiving = receive(running, Arc::clone(&logs), inlets);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = listener.local_addr().expect("bound");
    let conversation = async {
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
        sender.send_to(b"<13>one\n", to).expect("sent");
        let destination = Destination::Tcp(server);
        let accepted = connect(&destination, Outgoing::default(), None)
            .await
            .expect("listening");
        let (mut peer, _) = listener.accept().expect("connected");
        std::io::Write::write_all(&mut peer, b"7 <13>two<13>three\n").expect("room");
        drop(peer);
        let relay = Relay::new(logs.proxy(FORWARD), None, LogForward::default());
        relay.stream(accepted, None).await;
        let lines = tokio::task::spawn_blocking(move || {
            let mut lines: Vec<_> = (0..3).map(|_| receive_line(&socket)).collect();
            lines.sort();
            lines
        });
        lines.await.expect("no panic")
    };
    tokio::select! {
        () = receiving => unreachable!("it does not end"),
        lines = conversation => assert_eq!(lines, ["one\n", "three\n", "two\n"]),
    }
}

#[tokio::test]
async fn a_ring_reaches_its_server_and_survives_the_loss_of_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = ServerAddress::Inet {
        address: listener.local_addr().expect("bound"),
        port_offset: None,
    };
    let mut server = Server::new(ServerId(0), FARM, 1, "s", address);
    server.logging = LogTransport {
        framing: Framing::OctetCount,
        ..LogTransport::default()
    };
    let mut model = model();
    model.rings.push(Arc::new(Ring {
        name: "r".to_owned(),
        description: "r".to_owned(),
        format: Some(LogFormatKind::Priority),
        max_length: Some(9),
        size: 4096,
        connect: None,
        server: None,
        servers: vec![server],
    }));
    model.global.logs = vec![target(LogAddress::Ring("r".to_owned()), None)];
    let (running, logs, tls) = open(model);
    let reading = std::thread::spawn(move || {
        let (first, _) = listener.accept().expect("a connection");
        let mut text = [0; 10];
        (&first).read_exact(&mut text).expect("a message");
        drop(first);
        let (second, _) = listener.accept().expect("another connection");
        let mut again = [0; 10];
        (&second).read_exact(&mut again).expect("a message");
        [text, again].map(|text| String::from_utf8_lossy(&text).into_owned())
    });
    let local = LocalSet::new();
    local.spawn_local(carry(running, Arc::clone(&logs), tls));
    let heard = local
        .run_until(async {
            logs.global().send(Severity::Info, b"one", b"");
            let mut number = 0;
            while !reading.is_finished() {
                number += 1;
                logs.global()
                    .send(Severity::Info, format!("n{number:02}").as_bytes(), b"");
                tokio::task::yield_now().await;
            }
            reading.join().expect("it heard both")
        })
        .await;
    assert_eq!(heard[0], "8 <134>one");
    assert!(heard[1].starts_with("8 <134>n"), "{heard:?}");
}

#[test]
fn a_sticky_farm_changes_its_server_only_when_that_goes_down() {
    let sockets = [receiver(), receiver(), receiver()];
    let mut model = model();
    for (name, socket) in ["a", "b", "c"].iter().zip(&sockets) {
        add_server(&mut model, name, socket.local_addr().expect("bound"), true);
    }
    model.servers[2].backup = true;
    model.proxies[FARM.index()].balance.kind = BalanceKind::Sticky;
    model.global.logs = vec![target(LogAddress::Backend(FARM), Some(LogFormatKind::Raw))];
    let (running, logs, _) = open(model);
    let set = |server: u32, admin: Admin| {
        let id = ServerId(server);
        running.state.server(id).set_admin(admin);
        running
            .state
            .server_changed(&running.model, id, crate::clock::now());
    };
    let arrives_at = |text: &str, server: usize| {
        logs.global().send(Severity::Info, text.as_bytes(), b"");
        assert_eq!(receive_line(&sockets[server]), format!("{text}\n"));
    };
    arrives_at("one", 0);
    set(0, Admin::FORCED_MAINT);
    arrives_at("two", 1);
    set(0, Admin::default());
    arrives_at("three", 1);
    set(1, Admin::FORCED_MAINT);
    arrives_at("four", 0);
    set(0, Admin::FORCED_MAINT);
    arrives_at("five", 2);
}

#[test]
fn a_hash_of_the_line_chooses_the_server() {
    let sockets = [receiver(), receiver()];
    let mut model = model();
    for (name, socket) in ["a", "b"].iter().zip(&sockets) {
        add_server(&mut model, name, socket.local_addr().expect("bound"), true);
    }
    let mut patterns = Patterns::default();
    let mut parsing = Parsing::new(Stage::Log, &NoFiles, &NoAcls, &mut patterns);
    let key =
        Expression::parse(&["str(),field(2,/)"], &mut 0, &mut parsing).expect("an expression");
    let balance = &mut model.proxies[FARM.index()].balance;
    balance.kind = BalanceKind::LogHash(key);
    balance.hash_type.function = HashFunction::None;
    model.global.logs = vec![target(LogAddress::Backend(FARM), Some(LogFormatKind::Raw))];
    let (_, logs, _) = open(model);
    for text in ["GET /1", "GET /0", "GET /1"] {
        logs.global().send(Severity::Info, text.as_bytes(), b"");
        let server = usize::from(text.ends_with('1'));
        assert_eq!(receive_line(&sockets[server]), format!("{text}\n"));
    }
}
