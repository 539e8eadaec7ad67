//! A running proxy made from a model built in code, whose log a test can read.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock;
use tidegate::expr::{Condition, LogFormat, NoAcls, NoFiles, Parsing, Patterns, Purpose, Stage};
use tidegate::log::Logs;
use tidegate::model::{
    BalanceKind, Bind, BindAddress, Facility, LogAddress, LogFormatKind, LogTarget, Mode, Model,
    Proxy, ProxyKind, Server, ServerAddress, Severity, SocketOptions, Timeouts,
};
use tidegate::net::Bound;
use tidegate::session::generation::Generation;
use tidegate::session::workers::{Phase, Workers};
use tidegate::state::Running;
use tidegate::types::{BindId, Millis, ProxyId, ServerId};

/// A model with one `listen` proxy, to which a test adds what it is about.
pub(crate) struct Setup {
    pub(crate) model: Model,
    logs: Option<UdpSocket>,
}

/// A running proxy. It ends with the test.
pub(crate) struct RunningProxy {
    /// That of the first bind.
    pub(crate) address: SocketAddr,
    /// Those of all binds that listen.
    #[allow(dead_code, reason = "not every kind of test has several")]
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) generation: Arc<Generation>,
    workers: Option<Workers>,
    pub(crate) logs: Option<UdpSocket>,
}

impl Setup {
    /// A `listen` proxy on a port the kernel chooses, with ten-second timeouts.
    pub(crate) fn of(mode: Mode, threads: u16) -> Self {
        let mut model = Model::default();
        model.global.threads = Some(threads);
        model.global.maxconn = Some(1000);
        let mut proxy = Proxy::new(ProxyId(0), "px", ProxyKind::Listen);
        proxy.balance.kind = BalanceKind::RoundRobin;
        proxy.mode = mode;
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
        self.server_of(ProxyId(0), address)
    }

    pub(crate) fn server_of(&mut self, proxy: ProxyId, address: SocketAddr) -> &mut Server {
        self.server_at(
            proxy,
            ServerAddress::Inet {
                address,
                port_offset: None,
            },
        )
    }

    /// Adds a server that need not have an IP address.
    pub(crate) fn server_at(&mut self, proxy: ProxyId, address: ServerAddress) -> &mut Server {
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

    /// Adds a backend without servers, of the mode and timeouts of the first proxy.
    pub(crate) fn backend(&mut self, name: &str) -> ProxyId {
        let id = ProxyId(self.model.proxies.len() as u32);
        let mut proxy = Proxy::new(id, name, ProxyKind::Backend);
        proxy.balance.kind = BalanceKind::RoundRobin;
        proxy.mode = self.model.proxies[0].mode;
        proxy.timeouts = self.model.proxies[0].timeouts;
        self.model.proxies.push(proxy);
        id
    }

    /// Logs this format to a socket of the test.
    pub(crate) fn log(&mut self, text: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        self.proxy().logs.push(LogTarget {
            address: LogAddress::Udp(socket.local_addr().unwrap()),
            max_length: 1024,
            format: Some(LogFormatKind::Raw),
            sample: None,
            facility: Facility(16),
            level: Severity::Debug,
            min_level: Severity::Emerg,
            profile: None,
        });
        self.logs = Some(socket);
        self.proxy().log_format = Some(Arc::new(parsing(Stage::Log, |parsing| {
            LogFormat::parse(text, Purpose::Log, parsing).unwrap()
        })));
    }

    /// Starts the worker threads.
    pub(crate) fn start(self) -> RunningProxy {
        let Self { model, logs } = self;
        let threads = model.global.threads.unwrap_or(1);
        let running = Running::new(Arc::new(model), None);
        let opened = Arc::new(Logs::open(&running, "tidegate").unwrap());
        let tls = Arc::new(tidegate::tls::Contexts::load(&running.model).unwrap());
        let generation = Generation::new(running, opened, tls, None);
        let bound: Vec<(BindId, Arc<Bound>)> = generation
            .model()
            .binds
            .iter()
            .filter(|bind| !matches!(bind.address, BindAddress::Reverse { .. }))
            .map(|bind| {
                let bound = Bound::new(&bind.address, &bind.options, 128, threads.into());
                (bind.id, Arc::new(bound.unwrap()))
            })
            .collect();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let addresses: Vec<_> = bound
            .iter()
            .map(|(_, bound)| bound.address().unwrap_or(nowhere))
            .collect();
        let workers = Workers::start(Arc::clone(&generation), bound.into()).unwrap();
        RunningProxy {
            address: addresses.first().copied().unwrap_or(nowhere),
            addresses,
            generation,
            workers: Some(workers),
            logs,
        }
    }
}

impl RunningProxy {
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

/// An address nobody listens on.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
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

/// What `parse` makes of its words where no file and no ACL is known.
pub(crate) fn parsing<T>(stage: Stage, parse: impl FnOnce(&mut Parsing<'_>) -> T) -> T {
    let mut patterns = Patterns::default();
    parse(&mut Parsing::new(stage, &NoFiles, &NoAcls, &mut patterns))
}
