use std::sync::Mutex;

use tokio::net::UdpSocket;

use super::*;
use crate::model::{Mode, NameServer, Proxy, ProxyKind, Resolvers, Server, ServerAddress};
use crate::state::Admin;

/// A name server on loopback that answers every question from a table the test changes.
struct Dns {
    address: SocketAddr,
    table: Arc<Mutex<Table>>,
}

/// What it answers: addresses by name, services, or a response code for everything.
#[derive(Default)]
struct Table {
    code: u8,
    addresses: Vec<(&'static str, [u8; 4])>,
    services: Vec<(&'static str, u16, u16)>,
}

impl Dns {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("bound");
        let table: Arc<Mutex<Table>> = Arc::default();
        let answers = Arc::clone(&table);
        tokio::task::spawn_local(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer = answers.lock().expect("no panic").answer(&buffer[..length]);
                let _ = socket.send_to(&answer, from).await;
            }
        });
        Self { address, table }
    }

    fn set(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.table.lock().expect("no panic"));
    }
}

impl Table {
    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let mut message = question[..question.len() - 11].to_vec();
        message[2] |= 0x80;
        message[3] |= self.code;
        message[11] = 0;
        let labels = &message[12..message.len() - 4];
        let kind = message[message.len() - 3];
        let encoded = |name: &str| -> Vec<u8> {
            let labels = name.split('.').flat_map(|label| {
                let length = u8::try_from(label.len()).expect("short");
                std::iter::once(length).chain(label.bytes())
            });
            labels.chain([0]).collect()
        };
        let mut records: Vec<Vec<u8>> = Vec::new();
        let head = |kind: u8, length: usize| {
            let length = u8::try_from(length).expect("short");
            vec![0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, length]
        };
        for (name, ip) in &self.addresses {
            if kind == 1 && encoded(name) == labels {
                records.push([head(1, 4), ip.to_vec()].concat());
            }
        }
        for (target, port, weight) in self.services.iter().filter(|_| kind == 33) {
            let data = [
                vec![0, 1],
                weight.to_be_bytes().to_vec(),
                port.to_be_bytes().to_vec(),
                encoded(target),
            ]
            .concat();
            records.push([head(33, data.len()), data].concat());
        }
        message[7] = u8::try_from(records.len()).expect("few");
        message.extend(records.concat());
        message
    }
}

struct World {
    running: Running,
    logs: Logs,
    group: Group,
    memory: Memory,
}

fn world(dns: SocketAddr, name: &str, count: u32, hold: u64) -> World {
    let mut resolvers = Resolvers::new("dns");
    resolvers.retry = Millis(500);
    resolvers.hold.nx = Millis(hold);
    resolvers.nameservers.push(NameServer {
        name: "a".to_owned(),
        address: dns,
        stream: false,
    });
    let resolution = Arc::new(Resolution {
        resolvers: Arc::new(resolvers),
        name: name.to_owned(),
        prefer_v6: true,
        networks: Vec::new(),
        allow_duplicates: false,
        ignore_weight: false,
    });
    let mut model = Model::default();
    let mut proxy = Proxy::new(ProxyId(0), "b", ProxyKind::Backend);
    proxy.mode = Mode::Http;
    for number in 0..count {
        let address = ServerAddress::Unresolved { port: 80 };
        let id = ServerId(number);
        let mut server = Server::new(id, ProxyId(0), number + 1, format!("s{number}"), address);
        server.resolution = Some(Arc::clone(&resolution));
        proxy.servers.push(id);
        model.servers.push(server);
    }
    model.proxies.push(proxy);
    let model = Arc::new(model);
    let running = Running::new(Arc::clone(&model), None);
    let logs = Logs::open(&running, "test").expect("no targets");
    let mut groups = groups(&model);
    assert_eq!(groups.len(), 1, "servers with one name are one group");
    World {
        running,
        logs,
        group: groups.remove(0),
        memory: Memory::default(),
    }
}

impl World {
    async fn round(&mut self) -> Vec<Option<String>> {
        round(&self.running, &self.logs, &self.group, &mut self.memory).await;
        let place = |id: &ServerId| {
            let state = self.running.state.server(*id);
            let waits = state.admin().has(Admin::RESOLUTION_MAINT);
            let address = state.socket_address().filter(|_| !waits);
            assert_eq!(address.is_some(), state.is_usable());
            address.map(|address| address.to_string())
        };
        self.group.servers.iter().map(place).collect()
    }
}

/// Runs a test's tasks on this thread.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn servers_follow_their_names_addresses() {
    run(async {
        let dns = Dns::start().await;
        let mut world = world(dns.address, "web.example", 2, 0);
        dns.set(|table| table.addresses = vec![("web.example", [192, 0, 2, 1])]);
        assert_eq!(world.round().await, [Some("192.0.2.1:80".to_owned()), None]);
        dns.set(|table| table.addresses.push(("web.example", [192, 0, 2, 2])));
        let both = [
            Some("192.0.2.1:80".to_owned()),
            Some("192.0.2.2:80".to_owned()),
        ];
        assert_eq!(world.round().await, both);
        dns.set(|table| {
            table.addresses.remove(0);
        });
        assert_eq!(world.round().await, [None, Some("192.0.2.2:80".to_owned())]);
    });
}

#[test]
fn a_name_that_is_gone_counts_only_after_hold() {
    run(async {
        let dns = Dns::start().await;
        let mut held = world(dns.address, "web.example", 1, 60_000);
        let mut at_once = world(dns.address, "web.example", 1, 0);
        dns.set(|table| table.addresses = vec![("web.example", [192, 0, 2, 1])]);
        held.round().await;
        at_once.round().await;
        dns.set(|table| table.code = 3);
        assert_eq!(held.round().await, [Some("192.0.2.1:80".to_owned())]);
        assert_eq!(at_once.round().await, [None]);
        dns.set(|table| table.code = 0);
        assert_eq!(at_once.round().await, [Some("192.0.2.1:80".to_owned())]);
    });
}

#[test]
fn services_bring_ports_and_weights() {
    run(async {
        let dns = Dns::start().await;
        let mut world = world(dns.address, "_http._tcp.example", 3, 0);
        dns.set(|table| {
            table.services = vec![("a.example", 8080, 65_535), ("b.example", 8081, 0)];
            table.addresses = vec![("a.example", [192, 0, 2, 1]), ("b.example", [192, 0, 2, 2])];
        });
        let given = world.round().await;
        let expected = [
            Some("192.0.2.1:8080".to_owned()),
            Some("192.0.2.2:8081".to_owned()),
            None,
        ];
        assert_eq!(given, expected);
        let weight = |id: u32| world.running.state.server(ServerId(id)).user_weight();
        assert_eq!((weight(0), weight(1)), (256, 1));
    });
}

#[test]
fn nobody_who_answers_is_a_timeout() {
    run(async {
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = silent.local_addr().expect("bound");
        let mut world = world(address, "web.example", 1, 0);
        let mut resolvers = Resolvers::clone(&world.group.resolution.resolvers);
        (resolvers.retry, resolvers.retries) = (Millis(20), 2);
        assert_eq!(
            ask::addresses(&resolvers, "web.example", true).await.err(),
            Some(Status::Timeout)
        );
        let mut resolution = Resolution::clone(&world.group.resolution);
        resolution.resolvers = Arc::new(resolvers);
        world.group.resolution = Arc::new(resolution);
        assert_eq!(world.round().await, [None]);
    });
}
