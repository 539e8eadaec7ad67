//! Small models, built by hand, with the rules parsed as the language does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tidegate::dataplane::offload::{Compiled, compile};
use tidegate::expr::{Condition, Expression, NoAcls, NoFiles, Parsing, Patterns, Stage, StickData};
use tidegate::model::{Balance, BalanceKind};
use tidegate::model::{
    Bind, BindAddress, CommonAction, Forward, Mode, Model, OnMarkedDown, Proxy, ProxyKind, Server,
    ServerAddress, SocketOptions, Table, TableKeyType, TcpAction, TcpRule, TrackSlot, XdpInterface,
    XdpMode,
};
use tidegate::state::Running;
use tidegate::types::{BindId, Millis, ProxyId, ServerId, TableId};

/// A configuration under construction.
pub(crate) struct Configuration {
    model: Model,
    patterns: Patterns,
}

impl Configuration {
    /// One with the program on these interfaces.
    pub(crate) fn new(interfaces: &[&str], mode: XdpMode, pin: &Path) -> Self {
        let mut model = Model::default();
        model.global.xdp.interfaces = interfaces
            .iter()
            .map(|name| XdpInterface {
                name: (*name).to_owned(),
                mode,
            })
            .collect();
        model.global.xdp.pin = pin.to_owned();
        // Wide enough that no bucket gets more of a crowd's flows than it has ways.
        model.global.xdp.flows = 65_536;
        model.global.xdp.sources = 4096;
        model.global.threads = Some(1);
        Self {
            model,
            patterns: Patterns::default(),
        }
    }

    /// A `listen` section.
    pub(crate) fn listen(mut self, name: &str, mode: Mode) -> Self {
        let mut proxy = Proxy::new(
            ProxyId(self.model.proxies.len() as u32),
            name,
            ProxyKind::Listen,
        );
        proxy.mode = mode;
        if mode == Mode::L4 {
            proxy.balance = Balance {
                kind: BalanceKind::Maglev,
                ..Balance::default()
            };
        }
        self.model.proxies.push(proxy);
        self
    }

    /// `bind`.
    pub(crate) fn tcp(self, address: &str) -> Self {
        let address = address.parse().unwrap();
        self.bind(BindAddress::Tcp(address))
    }

    /// `bind udp@…`.
    pub(crate) fn udp(self, address: &str) -> Self {
        let address = address.parse().unwrap();
        self.bind(BindAddress::Udp(address))
    }

    /// `bind ADDRESS:FIRST-LAST`.
    pub(crate) fn range(self, first: &str, last: u16) -> Self {
        let first = first.parse().unwrap();
        self.bind(BindAddress::PortRange {
            first,
            last,
            udp: false,
        })
    }

    fn bind(mut self, address: BindAddress) -> Self {
        let id = BindId(self.model.binds.len() as u32);
        let proxy = self.proxy().id;
        self.model.binds.push(Bind {
            id,
            proxy,
            name: None,
            number: 1,
            address,
            options: SocketOptions::default(),
            tls: None,
            proto: None,
            accept_proxy: false,
            netscaler: None,
            maxconn: None,
            place: String::new(),
        });
        self.proxy().binds.push(id);
        self
    }

    /// `server`.
    pub(crate) fn server(mut self, name: &str, address: &str) -> Self {
        let id = ServerId(self.model.servers.len() as u32);
        let address: SocketAddr = address.parse().unwrap();
        let address = ServerAddress::Inet {
            address,
            port_offset: None,
        };
        let proxy = self.proxy().id;
        self.model
            .servers
            .push(Server::new(id, proxy, id.0 + 1, name, address));
        self.proxy().servers.push(id);
        self
    }

    /// `on-marked-down shutdown-sessions` on all servers so far.
    pub(crate) fn cut_when_down(mut self) -> Self {
        for server in self.model.servers.iter_mut() {
            server.on_marked_down = Some(OnMarkedDown::ShutdownSessions);
        }
        self
    }

    /// `forward`.
    pub(crate) fn forward(mut self, forward: Forward) -> Self {
        self.proxy().forward = forward;
        self
    }

    /// `stick-table type ip … store conn_rate(PERIOD)`.
    pub(crate) fn rate_table(mut self, period: u64) -> Self {
        let id = TableId(self.model.tables.len() as u32);
        let (name, proxy) = (self.proxy().name.clone(), self.proxy().id);
        self.model.tables.push(Table {
            id,
            name,
            proxy: Some(proxy),
            key: TableKeyType::Ip,
            size: 1000,
            expire: None,
            nopurge: false,
            data: vec![StickData::ConnRate(Millis(period))],
        });
        self.proxy().table = Some(id);
        self
    }

    /// A `tcp-request connection` rule.
    pub(crate) fn rule(mut self, line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let split = words
            .iter()
            .position(|word| *word == "if")
            .unwrap_or(words.len());
        let (action, condition) = words.split_at(split);
        let table = self.proxy().table;
        let mut parsing = Parsing::new(Stage::Connection, &NoFiles, &NoAcls, &mut self.patterns);
        let action = match action {
            ["accept"] => TcpAction::Accept,
            ["reject"] => TcpAction::Reject,
            ["track-sc0", key @ ..] => TcpAction::Common(CommonAction::Track {
                slot: TrackSlot(0),
                key: Expression::parse(key, &mut 0, &mut parsing).unwrap(),
                table: table.expect("a stick table comes first"),
            }),
            other => panic!("no such action here: {other:?}"),
        };
        let condition =
            (!condition.is_empty()).then(|| Condition::parse(condition, &mut parsing).unwrap());
        let rule = TcpRule {
            action,
            condition,
            place: String::new(),
            text: line.to_owned(),
        };
        self.proxy().tcp_request_connection.push(rule);
        self
    }

    /// The plan and the live state.
    pub(crate) fn compile(self) -> (Compiled, Running) {
        let compiled = compile(&self.model);
        assert_eq!(compiled.refusals, []);
        (compiled, Running::new(Arc::new(self.model), None))
    }

    /// The same, going on with the state of another configuration.
    pub(crate) fn compile_after(self, previous: &Running) -> (Compiled, Running) {
        let compiled = compile(&self.model);
        assert_eq!(compiled.refusals, []);
        (compiled, Running::new(Arc::new(self.model), Some(previous)))
    }

    fn proxy(&mut self) -> &mut Proxy {
        self.model
            .proxies
            .last_mut()
            .expect("a section comes first")
    }
}
