//! One connection to one server: the socket, the PROXY header in front, TLS on top.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::connection::Connection;
use super::proxy_header::proxy_header;
use super::transaction::Transaction;
use crate::expr::{Direction, Sample, SampleType, View};
use crate::model::{HttpProtocol, Server, ServerTls, ShownSource, Source, WebSocket};
use crate::net::{self, ConnectError, Destination, Keepalive, Outgoing, Stream};
use crate::proto::http::{items, uri};
use crate::types::ServerId;

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// The server has no address (yet), or its port is derived from one the client's connection has not.
    #[error("the server has no address")]
    NoAddress,
    /// The socket.
    #[error(transparent)]
    Connect(ConnectError),
    /// Sending the PROXY header.
    #[error("sending the PROXY header: {0}")]
    Header(#[source] std::io::Error),
    /// The TLS handshake.
    #[error("TLS handshake: {0}")]
    Tls(#[source] std::io::Error),
    /// The whole took longer than allowed.
    #[error("connection timed out")]
    TimedOut,
}

/// Connects to a server for a client's session, within `limit`.
pub(super) async fn connect(
    connection: &Connection,
    transaction: &Transaction,
    server: ServerId,
    limit: Option<Duration>,
    view: &dyn View,
) -> Result<Stream, TransportError> {
    let attempt = establish(connection, transaction, server, view);
    match limit {
        Some(limit) => tokio::time::timeout(limit, attempt)
            .await
            .map_err(|_| TransportError::TimedOut)?,
        None => attempt.await,
    }
}

async fn establish(
    connection: &Connection,
    transaction: &Transaction,
    server: ServerId,
    view: &dyn View,
) -> Result<Stream, TransportError> {
    let generation = &connection.generation;
    let model = generation.model().server(server);
    let proxy = generation.proxy(model.proxy);
    let client_to = connection.ends.get().destination;
    let address = generation.state().server(server).address();
    let destination = Destination::of(&address, client_to).ok_or(TransportError::NoAddress)?;
    let source = model.source.as_ref().or(proxy.source.as_ref());
    let options = Outgoing {
        source,
        shown: source.and_then(|source| shown_source(source, connection, view)),
        socket: Some(&model.socket),
        keepalive: proxy.server_keepalive.then(Keepalive::default),
        mark: transaction.back.get().mark,
        tos: transaction.back.get().tos,
    };
    let first = match (&destination, model.socks4) {
        (Destination::Tcp(_), Some(socks)) => Destination::Tcp(socks),
        _ => destination.clone(),
    };
    let mut stream = net::connect(&first, options, None)
        .await
        .map_err(TransportError::Connect)?;
    if let (Destination::Tcp(to), Some(_)) = (&destination, model.socks4) {
        let refused = |error| TransportError::Connect(ConnectError::Refused(error));
        net::through_socks4(&mut stream, *to)
            .await
            .map_err(refused)?;
    }
    if let Destination::Tcp(to) = destination {
        transaction
            .back_ends
            .set(stream.local_address().map(|from| (from, to)));
    }
    if let Some(version) = model.send_proxy {
        let header = proxy_header(connection, model, version, view);
        stream
            .write_all(&header)
            .await
            .map_err(TransportError::Header)?;
    }
    let Some(connector) = generation.tls().connector(server) else {
        return Ok(stream);
    };
    let name = model.tls.as_ref().and_then(|tls| server_name(tls, view));
    let protocol = protocol(model, transaction.websocket.get());
    let stream = connector
        .connect(stream, name.as_deref(), protocol)
        .await
        .map_err(TransportError::Tls)?;
    if let Some(tls) = stream.tls() {
        // A retry may come here twice; the first server's facts are then not those that count, but it never served.
        let _ = transaction.back_tls.set(tls);
    }
    Ok(stream)
}

/// The address that a server is to see in place of ours (manual §4.2 `usesrc`).
pub(super) fn shown_source(
    source: &Source,
    connection: &Connection,
    view: &dyn View,
) -> Option<SocketAddr> {
    let client = || connection.ends.get().source;
    match source.shown.as_ref()? {
        ShownSource::Client => client(),
        ShownSource::ClientIp => client().map(|client| SocketAddr::new(client.ip(), 0)),
        ShownSource::Address(address) => Some(*address),
        ShownSource::Header(name, occurrence) => {
            let head = view.head(Direction::Request).value()?;
            let mut found: Vec<&[u8]> = head.values(name.as_bytes()).flat_map(items).collect();
            if *occurrence < 0 {
                found.reverse();
            }
            let index = occurrence.unsigned_abs().checked_sub(1)?;
            let item = found.get(usize::try_from(index).ok()?)?;
            let ip: IpAddr = std::str::from_utf8(item).ok()?.parse().ok()?;
            Some(SocketAddr::new(ip, 0))
        }
    }
}

/// The version of HTTP a request must be sent to a server in; `None` = what ALPN says, else HTTP/1.
pub(super) fn protocol(server: &Server, websocket: bool) -> Option<HttpProtocol> {
    match server.websocket {
        _ if !websocket => server.proto,
        WebSocket::Only(protocol) => Some(protocol),
        WebSocket::Auto => server.proto.or_else(|| {
            let offered = server.tls.as_ref().and_then(|tls| tls.alpn.as_deref());
            let offers = |name: &[u8]| offered.is_some_and(|names| names.iter().any(|n| n == name));
            Some(if offers(b"h2") && !offers(b"http/1.1") {
                HttpProtocol::Http2
            } else {
                HttpProtocol::Http1
            })
        }),
    }
}

/// The name sent as SNI: what `sni` says, else the request's host (manual §5.2 `sni-auto`).
pub(super) fn server_name(tls: &ServerTls, view: &dyn View) -> Option<String> {
    let name = match &tls.sni {
        Some(expression) => match expression.eval(view)?.cast(SampleType::Str)? {
            Sample::Str(name) => name.into_vec(),
            _ => return None,
        },
        None if tls.no_sni_auto => return None,
        None => {
            let head = view.head(Direction::Request).value()?;
            uri::split_port(head.first(b"host")?).0.to_vec()
        }
    };
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}
