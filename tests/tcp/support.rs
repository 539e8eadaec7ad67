//! A running proxy made from a model built in code, and servers that say who they are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock;
use tidegate::expr::{
    Condition, Expression, LogFormat, NoAcls, NoFiles, Parsing, Patterns, Purpose, Stage,
};
use tidegate::log::Logs;
use tidegate::model::{
    BalanceKind, Bind, BindAddress, Facility, LogAddress, LogFormatKind, LogTarget, Model, Proxy,
    ProxyKind, Server, ServerAddress, Severity, SocketOptions, Table, TcpAction, TcpRule, Timeouts,
};
use tidegate::net::Bound;
use tidegate::session::generation::Generation;
use tidegate::session::workers::{Phase, Workers};
use tidegate::state::Running;
use tidegate::types::{BindId, Millis, ProxyId, ServerId, TableId};

/// A model with one `listen` proxy, to which a test adds what it is about.
pub(crate) struct Setup {
    pub(crate) model: Model,
    logs: Option<UdpSocket>,
}

/// A running proxy. It ends with the test.
pub(crate) struct RunningProxy {
    pub(crate) address: SocketAddr,
    pub(crate) generation: Arc<Generation>,
    workers: Option<Workers>,
    logs: Option<UdpSocket>,
}

impl Setup {
    /// A `listen` proxy on a port the kernel chooses, with ten-second timeouts and two threads.
    pub(crate) fn new() -> Self {
        let mut model = Model::default();
        model.global.threads = Some(2);
        model.global.maxconn = Some(1000);
        let mut proxy = Proxy::new(ProxyId(0), "px", ProxyKind::Listen);
        proxy.balance.kind = BalanceKind::RoundRobin;
        let limit = Some(Millis(10_000));
        proxy.timeouts = Timeouts {
            client: limit,
            server: limit,
            connect: limit,
            ..Timeouts::default()
        };
        model.proxies.push(proxy);
        let mut setup = Self { model, logs: None };
        setup.bind(
            ProxyId(0),
            BindAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
        );
        setup
    }

    pub(crate) fn proxy(&mut self) -> &mut Proxy {
        &mut self.model.proxies[0]
    }

    pub(crate) fn bind(&mut self, proxy: ProxyId, address: BindAddress) -> &mut Bind {
        let id = BindId(self.model.binds.len() as u32);
        self.model.binds.push(Bind {
            id,
            proxy,
            name: None,
            number: id.0 + 1,
            address,
            options: SocketOptions::default(),
            tls: None,
            proto: None,
            accept_proxy: false,
            netscaler: None,
            maxconn: None,
            place: "test:1".into(),
        });
        self.model.proxies[proxy.index()].binds.push(id);
        &mut self.model.binds[id.index()]
    }

    /// Adds a server to the first proxy.
    pub(crate) fn server(&mut self, address: SocketAddr) -> &mut Server {
        self.server_of(
            ProxyId(0),
            ServerAddress::Inet {
                address,
                port_offset: None,
            },
        )
    }

    pub(crate) fn server_of(&mut self, proxy: ProxyId, address: ServerAddress) -> &mut Server {
        let id = ServerId(self.model.servers.len() as u32);
        let owner = &mut self.model.proxies[proxy.index()];
        owner.servers.push(id);
        let number = owner.servers.len() as u32;
        self.model.servers.push(Server::new(
            id,
            proxy,
            number,
            format!("s{number}"),
            address,
        ));
        &mut self.model.servers[id.index()]
    }

    /// Adds a backend without servers.
    pub(crate) fn backend(&mut self, name: &str) -> ProxyId {
        let id = ProxyId(self.model.proxies.len() as u32);
        let timeouts = self.model.proxies[0].timeouts;
        let mut proxy = Proxy::new(id, name, ProxyKind::Backend);
        proxy.balance.kind = BalanceKind::RoundRobin;
        proxy.timeouts = timeouts;
        self.model.proxies.push(proxy);
        id
    }

    pub(crate) fn table(&mut self, table: impl FnOnce(TableId) -> Table) -> TableId {
        let id = TableId(self.model.tables.len() as u32);
        self.model.tables.push(table(id));
        self.model.proxies[0].table = Some(id);
        id
    }

    /// Logs this format to a socket of the test.
    pub(crate) fn log(&mut self, format: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let target = LogTarget {
            address: LogAddress::Udp(socket.local_addr().unwrap()),
            max_length: 1024,
            format: LogFormatKind::Raw,
            sample: None,
            facility: Facility(16),
            level: Severity::Debug,
            min_level: Severity::Emerg,
            profile: None,
        };
        self.logs = Some(socket);
        let format = parsing(Stage::Log, |parsing| {
            LogFormat::parse(format, Purpose::Log, parsing).unwrap()
        });
        self.proxy().logs.push(target);
        self.proxy().log_format = Some(Arc::new(format));
    }

    /// Starts worker threads on it.
    pub(crate) fn start(self) -> RunningProxy {
        let Self { model, logs } = self;
        let running = Running::new(Arc::new(model), None);
        let opened = Logs::open(&running.model, &running.state, "tidegate").unwrap();
        let tls = Arc::new(tidegate::tls::Contexts::load(&running.model).unwrap());
        let generation = Generation::new(running, Arc::new(opened), tls, None);
        let bound: Vec<(BindId, Arc<Bound>)> = generation
            .model()
            .binds
            .iter()
            .map(|bind| {
                (
                    bind.id,
                    Arc::new(Bound::new(&bind.address, &bind.options, 128, 2).unwrap()),
                )
            })
            .collect();
        let address = bound[0]
            .1
            .address()
            .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let workers = Workers::start(Arc::clone(&generation), bound.into()).unwrap();
        RunningProxy {
            address,
            generation,
            workers: Some(workers),
            logs,
        }
    }
}

impl RunningProxy {
    pub(crate) fn connect(&self) -> TcpStream {
        client(self.address)
    }

    /// Connects, says something and returns the whole answer.
    pub(crate) fn ask(&self, text: &str) -> String {
        let mut stream = self.connect();
        // A refused client may learn it while it is still sending.
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        rest(&mut stream)
    }

    /// The name of the echo server that answers, with its colon.
    pub(crate) fn who(&self) -> String {
        self.ask("?").replace('?', "")
    }

    /// The next log line.
    pub(crate) fn log_line(&self) -> String {
        let mut line = [0; 1024];
        let length = self
            .logs
            .as_ref()
            .unwrap()
            .recv(&mut line)
            .expect("a log line");
        String::from_utf8_lossy(&line[..length])
            .trim_end()
            .to_owned()
    }

    pub(crate) fn stop(&self, phase: Phase) {
        self.workers.as_ref().unwrap().stop(phase);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.workers.as_ref().unwrap().is_finished()
    }
}

impl Drop for RunningProxy {
    fn drop(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop(Phase::Now);
            workers.join();
        }
    }
}

/// A server that answers each connection with its name, a colon and what it was sent, after the client is done sending.
pub(crate) fn echo(name: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let _ = stream.write_all(&[name.as_bytes(), b":", &text].concat());
    })
}

/// A server that does something with each connection, one thread each. It ends with the process.
pub(crate) fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            std::thread::spawn(move || each(stream));
        }
    });
    address
}

/// An address nobody listens on.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// Everything until the end of the stream, or as far as a reset lets us read.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits for a condition, up to ten seconds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = clock::now().after(10_000);
    while !holds() {
        assert!(clock::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn condition(stage: Stage, words: &[&str]) -> Condition {
    parsing(stage, |parsing| Condition::parse(words, parsing).unwrap())
}

pub(crate) fn expression(stage: Stage, words: &[&str]) -> Expression {
    parsing(stage, |parsing| {
        Expression::parse(words, &mut 0, parsing).unwrap()
    })
}

/// A rule, with the words of its condition if it has one.
pub(crate) fn rule(action: TcpAction, stage: Stage, when: &[&str]) -> TcpRule {
    TcpRule {
        action,
        condition: (!when.is_empty()).then(|| condition(stage, when)),
        place: "test:1".into(),
        text: String::new(),
    }
}

fn parsing<T>(stage: Stage, parse: impl FnOnce(&mut Parsing<'_>) -> T) -> T {
    let mut patterns = Patterns::default();
    parse(&mut Parsing::new(stage, &NoFiles, &NoAcls, &mut patterns))
}
