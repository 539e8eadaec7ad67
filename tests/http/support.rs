//! Proxies in HTTP mode, raw clients, and origins that do as they are told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::expr::{Expression, LogFormat, Purpose, Stage};
use tidegate::model::{HttpAction, HttpRule, Mode, Reply, ReplyBody};

use crate::proxy::parsing;
pub(crate) use crate::proxy::{RunningProxy, Setup, condition, nobody, until};

impl Setup {
    /// One in HTTP mode on one thread, so that server connections are shared.
    pub(crate) fn new() -> Self {
        let mut setup = Self::of(Mode::Http, 1);
        setup.proxy().abort_on_close = true;
        setup
    }

    /// The same, with one server that does `each` with every connection.
    pub(crate) fn with_server(each: impl Fn(Link) + Clone + Send + 'static) -> Self {
        let mut setup = Self::new();
        setup.server(serve(each));
        setup
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

    /// Whether nothing was logged so far.
    pub(crate) fn logged_nothing(&self) -> bool {
        let socket = self.logs.as_ref().unwrap();
        socket.set_nonblocking(true).unwrap();
        let nothing = socket.recv(&mut [0; 16]).is_err();
        socket.set_nonblocking(false).unwrap();
        nothing
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

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
