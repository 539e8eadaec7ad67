//! A running HTTP proxy made from a model built in code, raw clients, and origins that do as they are told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::clock;
use tidegate::expr::{
    Condition, Expression, LogFormat, NoAcls, NoFiles, Parsing, Patterns, Purpose, Stage,
};
use tidegate::log::Logs;
use tidegate::model::{
    BalanceKind, Bind, BindAddress, Facility, HttpAction, HttpRule, LogAddress, LogFormatKind,
    LogTarget, Mode, Model, Proxy, ProxyKind, Reply, ReplyBody, Server, ServerAddress, Severity,
    SocketOptions, Timeouts,
};
use tidegate::net::Bound;
use tidegate::session::generation::Generation;
use tidegate::session::workers::{Phase, Workers};
use tidegate::state::Running;
use tidegate::types::{BindId, Millis, ProxyId, ServerId};

/// A model with one `listen` proxy in HTTP mode, to which a test adds what it is about.
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
    /// A `listen` proxy with ten-second timeouts on one thread, so that server connections are shared.
    pub(crate) fn new() -> Self {
        let mut model = Model::default();
        model.global.threads = Some(1);
        model.global.maxconn = Some(1000);
        let mut proxy = Proxy::new(ProxyId(0), "px", ProxyKind::Listen);
        proxy.balance.kind = BalanceKind::RoundRobin;
        proxy.mode = Mode::Http;
        proxy.abort_on_close = true;
        let limit = Some(Millis(10_000));
        proxy.timeouts = Timeouts {
            client: limit,
            server: limit,
            connect: limit,
            ..Timeouts::default()
        };
        proxy.binds.push(BindId(0));
        model.proxies.push(proxy);
        model.binds.push(Bind {
            id: BindId(0),
            proxy: ProxyId(0),
            name: None,
            number: 1,
            address: BindAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            options: SocketOptions::default(),
            tls: None,
            proto: None,
            accept_proxy: false,
            netscaler: None,
            maxconn: None,
            place: "test:1".into(),
        });
        Self { model, logs: None }
    }

    /// The same, with one server that does `each` with every connection.
    pub(crate) fn with_server(each: impl Fn(Link) + Clone + Send + 'static) -> Self {
        let mut setup = Self::new();
        setup.server(serve(each));
        setup
    }

    pub(crate) fn proxy(&mut self) -> &mut Proxy {
        &mut self.model.proxies[0]
    }

    /// Adds a server to the first proxy.
    pub(crate) fn server(&mut self, address: SocketAddr) -> &mut Server {
        self.server_of(ProxyId(0), address)
    }

    pub(crate) fn server_of(&mut self, proxy: ProxyId, address: SocketAddr) -> &mut Server {
        let id = ServerId(self.model.servers.len() as u32);
        let owner = &mut self.model.proxies[proxy.index()];
        owner.servers.push(id);
        let number = owner.servers.len() as u32;
        let address = ServerAddress::Inet {
            address,
            port_offset: None,
        };
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
        proxy.mode = Mode::Http;
        proxy.timeouts = timeouts;
        self.model.proxies.push(proxy);
        id
    }

    /// Adds an `http-request` rule.
    pub(crate) fn request_rule(&mut self, action: HttpAction, when: &[&str]) {
        self.proxy()
            .http_request
            .push(rule(action, Stage::Request, when));
    }

    /// Adds an `http-response` rule.
    pub(crate) fn response_rule(&mut self, action: HttpAction, when: &[&str]) {
        self.proxy()
            .http_response
            .push(rule(action, Stage::Response, when));
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
            format: LogFormatKind::Raw,
            sample: None,
            facility: Facility(16),
            level: Severity::Debug,
            min_level: Severity::Emerg,
            profile: None,
        });
        self.logs = Some(socket);
        self.proxy().log_format = Some(Arc::new(format_for(Stage::Log, Purpose::Log, text)));
    }

    /// Starts a worker thread on it.
    pub(crate) fn start(self) -> RunningProxy {
        let Self { model, logs } = self;
        let running = Running::new(Arc::new(model), None);
        let opened = Arc::new(Logs::open(&running.model, &running.state, "tidegate").unwrap());
        let tls = Arc::new(tidegate::tls::Contexts::load(&running.model).unwrap());
        let generation = Generation::new(running, opened, tls, None);
        let bind = &generation.model().binds[0];
        let bound = Arc::new(Bound::new(&bind.address, &bind.options, 128, 1).unwrap());
        let address = bound.address().unwrap();
        let workers =
            Workers::start(Arc::clone(&generation), Arc::new([(bind.id, bound)])).unwrap();
        RunningProxy {
            address,
            generation,
            workers: Some(workers),
            logs,
        }
    }
}

impl RunningProxy {
    pub(crate) fn connect(&self) -> Link {
        Link::new(TcpStream::connect(self.address).unwrap())
    }

    /// Sends a request on a connection of its own and reads one response.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut client = self.connect();
        client.say(request);
        client.message()
    }

    /// `GET path`, the same way.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(&get(path))
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

    /// Whether nothing was logged so far.
    pub(crate) fn logged_nothing(&self) -> bool {
        let socket = self.logs.as_ref().unwrap();
        socket.set_nonblocking(true).unwrap();
        let nothing = socket.recv(&mut [0; 16]).is_err();
        socket.set_nonblocking(false).unwrap();
        nothing
    }
}

impl RunningProxy {
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

/// One end of a connection, reading whole HTTP messages.
pub(crate) struct Link {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Link {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends text; a peer that is gone already is no matter.
    pub(crate) fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        let _gone = self.stream.write_all(bytes);
    }

    /// The next head, its end included; empty when the peer closed.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return String::from_utf8_lossy(&head).into_owned();
            }
            if !self.more() {
                return String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned();
            }
        }
    }

    /// The next message: head and body, chunks as they are on the wire.
    pub(crate) fn message(&mut self) -> String {
        let head = self.head();
        let lower = head.to_ascii_lowercase();
        let body = if let Some(length) = field(&lower, "content-length") {
            self.exactly(length.parse().unwrap())
        } else if lower.contains("transfer-encoding: chunked") {
            self.up_to(b"0\r\n\r\n")
        } else if lower.starts_with("http/") && !lower.contains(" 204") && !lower.contains(" 304") {
            self.rest()
        } else {
            Vec::new()
        };
        head + &String::from_utf8_lossy(&body)
    }

    /// Exactly so many bytes, or fewer if the peer closes.
    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length && self.more() {}
        self.read.drain(..length.min(self.read.len())).collect()
    }

    /// Everything until the peer closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.read)
    }

    /// Whether the peer has closed and said nothing more.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    pub(crate) fn finish_sending(&self) {
        let _gone = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    fn up_to(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = find(&self.read, end) {
                return self.read.drain(..at + end.len()).collect();
            }
            if !self.more() {
                return std::mem::take(&mut self.read);
            }
        }
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing to read in ten seconds: {error}"),
        }
    }
}

/// An origin that does something with each connection, one thread each. It ends with the process.
pub(crate) fn serve(each: impl Fn(Link) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            std::thread::spawn(move || each(Link::new(stream)));
        }
    });
    address
}

/// Answers every request of a connection with the same response.
pub(crate) fn always(response: &'static str) -> impl Fn(Link) + Clone + Send + 'static {
    move |mut link| {
        while !link.message().is_empty() {
            link.say(response);
        }
    }
}

/// Answers every request with its own text.
pub(crate) fn mirror() -> impl Fn(Link) + Clone + Send + 'static {
    |mut link| {
        loop {
            let request = link.message();
            if request.is_empty() {
                return;
            }
            let length = request.len();
            link.say(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{request}"
            ));
        }
    }
}

/// Answers every request with the number of its connection, counted from 1, and of the request on it.
pub(crate) fn counting() -> impl Fn(Link) + Clone + Send + 'static {
    let connections = Arc::new(Mutex::new(0));
    move |mut link| {
        let connection = {
            let mut count = connections.lock().unwrap();
            *count += 1;
            *count
        };
        let mut request = 0;
        while !link.message().is_empty() {
            request += 1;
            link.say(&ok(&format!("{connection}.{request}")));
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

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// The body of a message.
pub(crate) fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// The status of a response.
pub(crate) fn status(message: &str) -> &str {
    message.split(' ').nth(1).unwrap_or("")
}

/// The value of a field.
pub(crate) fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Waits for a condition, up to ten seconds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = clock::now().after(10_000);
    while !holds() {
        assert!(clock::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn format_of(text: &str) -> LogFormat {
    format_for(Stage::Request, Purpose::Http, text)
}

pub(crate) fn response_format(text: &str) -> LogFormat {
    format_for(Stage::Response, Purpose::Http, text)
}

pub(crate) fn expression(words: &[&str]) -> Expression {
    parsing(Stage::Request, |parsing| {
        Expression::parse(words, &mut 0, parsing).unwrap()
    })
}

pub(crate) fn condition(stage: Stage, words: &[&str]) -> Condition {
    parsing(stage, |parsing| Condition::parse(words, parsing).unwrap())
}

/// An answer with a text body.
pub(crate) fn reply(status: u16, body: &str) -> Arc<Reply> {
    Arc::new(Reply {
        status,
        body: ReplyBody::Bytes(body.as_bytes().into()),
        content_type: Some("text/plain".into()),
        headers: Vec::new(),
    })
}

/// The proxy's own page for a status.
pub(crate) fn page(status: u16) -> Arc<Reply> {
    Arc::new(Reply {
        status,
        body: ReplyBody::DefaultErrorFiles,
        content_type: None,
        headers: Vec::new(),
    })
}

pub(crate) fn rule(action: HttpAction, stage: Stage, when: &[&str]) -> HttpRule {
    HttpRule {
        action,
        condition: (!when.is_empty()).then(|| condition(stage, when)),
        place: "test:1".into(),
        text: String::new(),
    }
}

fn format_for(stage: Stage, purpose: Purpose, text: &str) -> LogFormat {
    parsing(stage, |parsing| {
        LogFormat::parse(text, purpose, parsing).unwrap()
    })
}

fn parsing<T>(stage: Stage, parse: impl FnOnce(&mut Parsing<'_>) -> T) -> T {
    let mut patterns = Patterns::default();
    parse(&mut Parsing::new(stage, &NoFiles, &NoAcls, &mut patterns))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
