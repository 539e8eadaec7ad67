//! The clients of the lab: blocking sockets from chosen source addresses, one request at a time.
//!
//! In: where from and where to. Out: which server answered, or how it failed. What the traffic should look like is the
//! business of [`super::traffic`].

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

/// One TCP connection that carries HTTP/1 requests.
pub(crate) struct HttpClient<S> {
    reader: BufReader<S>,
    used: bool,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server of that name answered 200.
    Served(String),
    /// A kept connection was closed before a byte of the answer: a client sends the request again on a new one.
    Stale,
    /// It failed; the text says how.
    Failed(String),
}

/// Opens a TCP connection from `source`.
pub(crate) fn connect(source: IpAddr, target: SocketAddr, limit: Duration) -> Result<TcpStream> {
    let domain = Domain::for_address(target);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // Many short connections to one target: the local port is chosen per destination, and reset instead of waiting.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&target.into(), limit)?;
    socket.set_tcp_nodelay(true)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    Ok(stream)
}

/// A TLS session over a connection, trusting only the lab's own authority.
pub(super) fn handshake(
    stream: TcpStream,
    config: &Arc<rustls::ClientConfig>,
) -> Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let name = ServerName::try_from(SITE)?;
    let session = rustls::ClientConnection::new(Arc::clone(config), name)?;
    Ok(rustls::StreamOwned::new(session, stream))
}

impl<S: Read + Write> HttpClient<S> {
    /// Over an open connection.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            reader: BufReader::new(stream),
            used: false,
        }
    }

    /// One GET.
    pub(crate) fn get(&mut self, path: &str, keep: bool) -> Outcome {
        let connection = if keep { "keep-alive" } else { "close" };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {SITE}\r\nConnection: {connection}\r\n\r\n");
        let reused = std::mem::replace(&mut self.used, true);
        match self.exchange(request.as_bytes()) {
            Ok(Some(server)) => Outcome::Served(server),
            Ok(None) if reused => Outcome::Stale,
            Ok(None) => Outcome::Failed("closed without an answer".into()),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        }
    }

    /// `None` when the connection ended before the first byte of the answer.
    fn exchange(&mut self, request: &[u8]) -> Result<Option<String>> {
        if let Err(error) = self.reader.get_mut().write_all(request) {
            return if is_close(error.kind()) {
                Ok(None)
            } else {
                Err(error.into())
            };
        }
        let mut status = String::new();
        match self.reader.read_line(&mut status) {
            Ok(0) => return Ok(None),
            Err(error) if is_close(error.kind()) => return Ok(None),
            other => other.context("no answer")?,
        };
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the head of the answer ends early");
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().context("bad content-length")?;
            }
        }
        let mut body = vec![0; length];
        self.reader
            .read_exact(&mut body)
            .context("the body ends early")?;
        if !status.starts_with("HTTP/1.1 200 ") {
            bail!("answered {}", status.trim_end());
        }
        Ok(Some(String::from_utf8_lossy(&body).trim_end().to_owned()))
    }
}

/// One datagram to the echo service and its answer's server.
pub(super) fn echo(source: IpAddr, target: SocketAddr, text: &str) -> Outcome {
    match try_echo(source, target, text) {
        Ok(server) => Outcome::Served(server),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn try_echo(source: IpAddr, target: SocketAddr, text: &str) -> Result<String> {
    let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.send(text.as_bytes())?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).context("no answer")?;
    let answer = String::from_utf8_lossy(&buffer[..length]);
    match answer.split_once(' ') {
        Some((server, echoed)) if echoed == text => Ok(server.to_owned()),
        _ => bail!("'{answer}' is not an echo"),
    }
}

fn is_close(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionAborted
    )
}

/// The name in the lab's certificate.
pub(super) const SITE: &str = "lab.example";

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
