//! A check's connection: where it goes, what goes first, and HAProxy's words for what can go wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use crate::model::{Check, CheckConnect, HttpProtocol, Proxy, Server, ServerAddress};
use crate::net::{self, ConnectError, Destination, Outgoing, Stream};
use crate::proto::proxy_protocol::{self, Version2};
use crate::state::ServerState;
use crate::tls::Connector;

/// One connection to be opened.
pub(super) struct Dial<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) server: &'a Server,
    pub(super) state: &'a ServerState,
    pub(super) check: &'a Check,
    pub(super) step: &'a CheckConnect,
    /// TLS, and the server name to send.
    pub(super) tls: Option<(Arc<Connector>, Option<String>)>,
    pub(super) proxy_header: bool,
    /// Through the server's SOCKS 4 proxy.
    pub(super) via_socks4: bool,
}

/// Why there is no connection, in words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DialError {
    /// No answer in time.
    Timeout,
    /// The connection failed.
    Connection(String),
    /// This side could not even try.
    Resource(String),
    /// No TLS handshake in time.
    TlsTimeout,
    /// The TLS handshake failed.
    Tls(String),
}

impl Dial<'_> {
    /// Opens it; also tells where it leads, when that is an IP address.
    pub(super) async fn open(
        &self,
        deadline: Instant,
    ) -> Result<(Stream, Option<SocketAddr>), DialError> {
        let destination = self
            .destination()
            .ok_or_else(|| DialError::Resource("no address or port to connect to".to_owned()))?;
        let limit = deadline.saturating_duration_since(Instant::now());
        let options = Outgoing {
            source: self.server.source.as_ref().or(self.proxy.source.as_ref()),
            socket: Some(&self.server.socket),
            ..Outgoing::default()
        };
        let socks4 = self.server.socks4.filter(|_| self.via_socks4);
        let first = match (&destination, socks4) {
            (Destination::Tcp(_), Some(socks)) => Destination::Tcp(socks),
            _ => destination.clone(),
        };
        let mut stream = net::connect(&first, options, Some(limit))
            .await
            .map_err(refused)?;
        if let (Destination::Tcp(to), Some(_)) = (&destination, socks4) {
            match timeout_at(deadline, net::through_socks4(&mut stream, *to)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(DialError::Connection(words(&error))),
                Err(_) => return Err(DialError::Timeout),
            }
        }
        if self.proxy_header {
            let header = local_header(self.server.send_proxy.unwrap_or(1));
            match timeout_at(deadline, stream.write_all(&header)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(DialError::Connection(words(&error))),
                Err(_) => return Err(DialError::Timeout),
            }
        }
        if let Some((connector, name)) = &self.tls {
            stream = encrypt(stream, connector, name.as_deref(), deadline).await?;
        }
        let address = match destination {
            Destination::Tcp(address) => Some(address),
            Destination::Unix(_) | Destination::Abstract(_) => None,
        };
        Ok((stream, address))
    }

    /// The rule's address and port come first, then those set at run time, the check's, and the server's.
    fn destination(&self) -> Option<Destination> {
        let target = self.state.check.target();
        let ip = self
            .step
            .address
            .map(|address| address.ip())
            .or(target.address)
            .or_else(|| self.check.address.map(|address| address.ip()));
        let server = self.state.address();
        let port = self
            .step
            .port
            .or_else(|| explicit_port(self.step.address))
            .or(target.port)
            .or(self.check.port)
            .or_else(|| explicit_port(self.check.address));
        match (ip, &server) {
            (Some(ip), ServerAddress::Inet { address, .. }) => {
                with_port(SocketAddr::new(ip, port.unwrap_or_else(|| address.port())))
            }
            (Some(ip), _) => with_port(SocketAddr::new(ip, port?)),
            (None, ServerAddress::Inet { address, .. }) => with_port(SocketAddr::new(
                address.ip(),
                port.unwrap_or_else(|| address.port()),
            )),
            (None, other) => Destination::of(other, None),
        }
    }
}

fn explicit_port(address: Option<SocketAddr>) -> Option<u16> {
    address
        .map(|address| address.port())
        .filter(|port| *port != 0)
}

fn with_port(address: SocketAddr) -> Option<Destination> {
    (address.port() != 0).then_some(Destination::Tcp(address))
}

/// Encrypts a connection. What failed is told in HAProxy's words.
async fn encrypt(
    stream: Stream,
    connector: &Connector,
    name: Option<&str>,
    deadline: Instant,
) -> Result<Stream, DialError> {
    let text = match timeout_at(
        deadline,
        connector.connect(stream, name, Some(HttpProtocol::Http1)),
    )
    .await
    {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "Connection closed during SSL handshake"
        }
        Ok(Err(_)) => "SSL handshake failure",
        Err(_) => return Err(DialError::TlsTimeout),
    };
    Err(DialError::Tls(text.to_owned()))
}

/// The PROXY header of a connection nobody is behind.
fn local_header(version: u8) -> Vec<u8> {
    if version == 1 {
        let mut line = Vec::new();
        proxy_protocol::encode_v1(None, &mut line);
        return line;
    }
    Version2::local().finish()
}

fn refused(error: ConnectError) -> DialError {
    match error {
        ConnectError::TimedOut => DialError::Timeout,
        ConnectError::Refused(error) => DialError::Connection(words(&error)),
        ConnectError::Resource(error) => DialError::Resource(words(&error)),
    }
}

/// HAProxy's message for an error of the operating system (manual §7.3.3, `fc_err_str`).
pub(super) fn words(error: &io::Error) -> String {
    let known = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "ECONNREFUSED returned by OS",
        Some(libc::ECONNRESET) => "ECONNRESET returned by OS",
        Some(libc::EPIPE) => "EPIPE returned by OS",
        Some(libc::EMFILE) => "Too many sockets on the process",
        Some(libc::ENFILE) => "Too many sockets on the system",
        Some(libc::ENOBUFS | libc::ENOMEM) => "Out of system buffers",
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => {
            "Protocol or address family not supported"
        }
        Some(libc::EADDRNOTAVAIL | libc::EAGAIN) => "Out of local source ports on the system",
        Some(libc::EADDRINUSE) => "Local source address already in use",
        Some(code) => {
            let text = io::Error::from_raw_os_error(code).to_string();
            let plain = text.split(" (os error").next().unwrap_or_default();
            return format!("General socket error ({plain})");
        }
        None => return format!("General socket error ({error})"),
    };
    known.to_owned()
}

/// The machine's name, for `send-state`.
pub(super) fn node_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_haproxys_words() {
        let said = |code| words(&io::Error::from_raw_os_error(code));
        assert_eq!(said(libc::ECONNREFUSED), "ECONNREFUSED returned by OS");
        assert_eq!(
            said(libc::ENETUNREACH),
            "General socket error (Network is unreachable)"
        );
    }
}
