//! Proxies in TCP mode, and servers that say who they are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tidegate::expr::{Expression, Stage};
use tidegate::model::{Mode, Table, TcpAction, TcpRule};
use tidegate::types::TableId;

use crate::proxy::parsing;
pub(crate) use crate::proxy::{RunningProxy, Setup, condition, nobody, until};

impl Setup {
    /// One in TCP mode on two threads.
    pub(crate) fn new() -> Self {
        Self::of(Mode::Tcp, 2)
    }

    pub(crate) fn table(&mut self, table: impl FnOnce(TableId) -> Table) -> TableId {
        let id = TableId(self.model.tables.len() as u32);
        self.model.tables.push(table(id));
        self.model.proxies[0].table = Some(id);
        id
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
