//! The first part of a connection's life: counting, `tcp-request connection` rules, PROXY header, TLS handshake,
//! `tcp-request session` rules; then it is given to the TCP relay or to HTTP.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use tokio::io::AsyncReadExt;

use super::connection::{Connection, Ends};
use super::generation::Current;
use super::limits::{Admitted, TlsPlace};
use super::rules::{Verdict, Walk};
use super::view::SessionView;
use super::worker::Worker;
use super::{http, logging, tcp};
use crate::clock;
use crate::expr::{Tls, TlsNumber};
use crate::model::{Mode, TcpRule};
use crate::net::{Incoming, Keepalive, Stream};
use crate::proto::netscaler::{self, InsertionError};
use crate::proto::proxy_protocol::{self, Header, HeaderError};
use crate::state::{Counter, StickEvent};
use crate::syslog::Relay;
use crate::tls::{Acceptor, HandshakeError};
use crate::types::BindId;

/// Takes an accepted connection into the books. `local` is the listener's address when it is not a wildcard.
pub(super) fn receive(
    worker: Rc<Worker>,
    generation: Current,
    bind: BindId,
    incoming: Incoming,
    local: Option<SocketAddr>,
    admitted: Admitted,
) -> (Connection, Stream) {
    let Incoming { stream, peer } = incoming;
    let destination = peer.and_then(|_| local.or_else(|| stream.local_address()));
    let ends = Ends {
        source: peer,
        destination,
    };
    let connection = Connection::new(worker, generation, bind, ends, admitted);
    count_connection(&connection);
    if connection.generation.model().bind(bind).tls.is_some() {
        // Before the handshake, so that the limit is on bad ones too (manual §3.2 `maxsslrate`), and before the next
        // connection is taken: many are, one after the other, before the first of them begins.
        let process = &connection.generation.state().process;
        process.tls_rate.add(1, connection.accepted);
    }
    (connection, stream)
}

/// The same for a connection that this process opened.
pub(super) fn receive_opened(connection: &Connection, ends: Ends, stream: &Stream) {
    connection.change_ends(ends);
    if let Some(tls) = stream.tls() {
        // There was no handshake before: this is the only place that sets it.
        let _ = connection.tls.set(tls);
    }
    count_connection(connection);
}

/// Serves a connection to its end. What is long over, or not yet begun, while a connection is idle is boxed: a task takes
/// the room of its largest part. The stream stays in one place for the same reason.
pub(super) async fn serve(connection: &Connection, stream: &mut Option<Stream>) {
    Box::pin(welcome(connection, stream)).await;
    match connection.frontend().mode {
        Mode::Tcp => Box::pin(tcp::serve(connection, stream)).await,
        Mode::Http => {}
        Mode::Syslog => Box::pin(messages(connection, stream)).await,
        // Forwarded by the kernel, or without a client side: there is no listener.
        Mode::L4 | Mode::Log => *stream = None,
    }
    http::serve(connection, stream).await;
}

/// Takes syslog messages off a connection until it ends; no stream is left then.
async fn messages(connection: &Connection, place: &mut Option<Stream>) {
    let Some(stream) = place.take() else {
        return;
    };
    let frontend = connection.frontend();
    let sender = connection.ends.get().source.map(|source| source.ip());
    let logger = connection.generation.logs().proxy(frontend.id);
    let relay = Relay::new(logger, sender, frontend.log_forward);
    // A connection that waits is woken when somebody cuts it, and when the process stops: senders connect to the next one.
    let over = poll_fn(|context| match connection.ticket.poll_cut(context) {
        Poll::Pending if !connection.worker.is_stopping() => Poll::Pending,
        _ => Poll::Ready(()),
    });
    tokio::select! {
        () = relay.stream(stream, frontend.timeouts.client) => {}
        () = over => {}
    }
}

/// What comes before the first byte of the session; no stream is left when the connection is over.
async fn welcome(connection: &Connection, place: &mut Option<Stream>) {
    if let Some(stream) = place.take() {
        *place = greet(connection, stream).await;
    }
}

async fn greet(connection: &Connection, mut stream: Stream) -> Option<Stream> {
    let frontend = connection.frontend();
    if frontend.client_keepalive {
        // A connection that cannot be kept alive is still a connection.
        let _ = stream.socket().set_keepalive(Keepalive::default());
    }
    if frontend.client_nolinger {
        stream.socket().linger_nothing();
    }
    let mut walk = Walk::default();
    if !pass(
        &mut walk,
        &frontend.tcp_request_connection,
        connection,
        &stream,
        Counter::DeniedConnections,
    ) {
        return None;
    }
    connection.validated.set(true);
    let began = clock::now();
    let expects = connection.bind().accept_proxy || walk.expects_proxy;
    if expects && let Err(error) = proxy_header(connection, &mut stream).await {
        if !(frontend.dont_log_null && matches!(error, ProxyHeaderError::Closed)) {
            logging::failed_connection(&SessionView::of(connection), &error.to_string());
        }
        return None;
    }
    let magic = connection.bind().netscaler;
    let magic = magic.or_else(|| walk.expects_netscaler.then_some(0));
    if let Some(magic) = magic
        && let Err(error) = netscaler_insertion(connection, &mut stream, magic).await
    {
        if !(frontend.dont_log_null && matches!(error, ProxyHeaderError::Closed)) {
            logging::failed_connection(&SessionView::of(connection), &error.to_string());
        }
        return None;
    }
    if let Some(acceptor) = connection.generation.tls().acceptor(connection.bind) {
        match Box::pin(encrypted(connection, &acceptor, stream)).await {
            Ok(encrypted) => stream = encrypted,
            Err(error) => {
                refuse_handshake(connection, &error);
                return None;
            }
        }
    }
    connection.handshake.set(clock::now().since(began));
    count_session(connection);
    if !pass(
        &mut Walk::default(),
        &frontend.tcp_request_session,
        connection,
        &stream,
        Counter::DeniedSessions,
    ) {
        return None;
    }
    logging::begin(connection);
    Some(stream)
}

/// Walks a list of rules that cannot wait; false when the connection is over.
fn pass(
    walk: &mut Walk,
    rules: &[TcpRule],
    connection: &Connection,
    stream: &Stream,
    denied: Counter,
) -> bool {
    if rules.is_empty() {
        return true;
    }
    let mut view = SessionView::of(connection);
    view.client = Some(stream);
    let verdict = walk.over(rules, &view);
    match verdict {
        Verdict::Reject | Verdict::Close => {}
        Verdict::SilentDrop => stream.socket().vanish(),
        // Only content rules resolve names.
        Verdict::Accept | Verdict::Wait | Verdict::SwitchModeHttp | Verdict::Resolve(_) => {
            return true;
        }
    }
    let state = connection.generation.state();
    state
        .proxy(connection.frontend)
        .frontend
        .counters
        .count(denied);
    state.listener(connection.bind).counters.count(denied);
    false
}

/// What can go wrong with a TLS handshake.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("Timeout during SSL handshake")]
    Timeout,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Does the TLS handshake of a bind line with `ssl`.
async fn encrypted(
    connection: &Connection,
    acceptor: &Acceptor,
    stream: Stream,
) -> Result<Stream, TlsError> {
    let timeouts = connection.frontend().timeouts;
    let handshake = acceptor.accept(stream);
    let stream = match timeouts.client_handshake.or(timeouts.client) {
        Some(limit) => tokio::time::timeout(limit.duration(), handshake)
            .await
            .map_err(|_| TlsError::Timeout)??,
        None => handshake.await?,
    };
    if let Some(tls) = stream.tls() {
        count_tls(connection, &*tls);
        // It is set here only, once per connection.
        let _ = connection.tls.set(tls);
    }
    Ok(stream)
}

fn count_tls(connection: &Connection, tls: &dyn Tls) {
    let state = connection.generation.state();
    // It is set here only, once per connection.
    let _ = connection
        .tls_place
        .set(TlsPlace::take(&connection.generation));
    let now = clock::now();
    let resumed = tls.number(TlsNumber::Resumed) == Some(1);
    if !resumed {
        state.process.tls_frontend_key_rate.add(1, now);
    }
    let frontend = &state.proxy(connection.frontend).frontend.counters;
    for counters in [
        &state.process.counters,
        frontend,
        &state.listener(connection.bind).counters,
    ] {
        counters.count(Counter::TlsSessions);
        if resumed {
            counters.count(Counter::TlsResumptions);
        }
    }
}

fn refuse_handshake(connection: &Connection, error: &TlsError) {
    let state = connection.generation.state();
    for counters in [
        &state.process.counters,
        &state.proxy(connection.frontend).frontend.counters,
        &state.listener(connection.bind).counters,
    ] {
        counters.count(Counter::TlsFailedHandshakes);
    }
    let nothing_came = matches!(error, TlsError::Handshake(HandshakeError::Closed));
    if !(nothing_came && connection.frontend().dont_log_null) {
        logging::failed_connection(&SessionView::of(connection), &error.to_string());
    }
}

/// What can go wrong with a PROXY header.
#[derive(Debug, thiserror::Error)]
enum ProxyHeaderError {
    #[error("Connection closed while waiting for PROXY protocol header")]
    Closed,
    #[error("Connection error while waiting for PROXY protocol header")]
    Read(#[source] std::io::Error),
    #[error("Timeout while waiting for PROXY protocol header")]
    Timeout,
    #[error("Received something which does not look like a PROXY protocol header")]
    Header(#[source] HeaderError),
    #[error("Received something which does not look like a NetScaler Client IP insertion")]
    Insertion(#[source] InsertionError),
}

/// Reads the PROXY header and takes its addresses; what came behind it is read next.
async fn proxy_header(
    connection: &Connection,
    stream: &mut Stream,
) -> Result<(), ProxyHeaderError> {
    let timeouts = connection.frontend().timeouts;
    let reading = read_header(stream);
    let (header, rest) = match timeouts.client_handshake.or(timeouts.client) {
        Some(limit) => tokio::time::timeout(limit.duration(), reading)
            .await
            .map_err(|_| ProxyHeaderError::Timeout)??,
        None => reading.await?,
    };
    stream.unread(rest);
    if let Some(addresses) = header.addresses {
        connection.change_ends(Ends {
            source: Some(addresses.source),
            destination: Some(addresses.destination),
        });
    }
    // It cannot be set yet: this is the only place that sets it, once per connection.
    let _ = connection.proxy_header.set(Box::new(header));
    Ok(())
}

/// Reads NetScaler's insertion and takes its addresses.
async fn netscaler_insertion(
    connection: &Connection,
    stream: &mut Stream,
    magic: u32,
) -> Result<(), ProxyHeaderError> {
    let timeouts = connection.frontend().timeouts;
    let reading = async {
        let mut bytes = Vec::with_capacity(FIRST_READ);
        loop {
            let read = stream.read_buf(&mut bytes).await;
            if read.map_err(ProxyHeaderError::Read)? == 0 {
                return Err(ProxyHeaderError::Closed);
            }
            let decoded = netscaler::decode(&bytes, magic);
            if let Some((addresses, length)) = decoded.map_err(ProxyHeaderError::Insertion)? {
                return Ok((addresses, bytes.split_off(length)));
            }
        }
    };
    let (addresses, rest) = match timeouts.client_handshake.or(timeouts.client) {
        Some(limit) => tokio::time::timeout(limit.duration(), reading)
            .await
            .map_err(|_| ProxyHeaderError::Timeout)??,
        None => reading.await?,
    };
    stream.unread(rest);
    connection.change_ends(Ends {
        source: Some(addresses.source),
        destination: Some(addresses.destination),
    });
    Ok(())
}

async fn read_header(stream: &mut Stream) -> Result<(Header, Vec<u8>), ProxyHeaderError> {
    let mut bytes = Vec::with_capacity(FIRST_READ);
    loop {
        let read = stream
            .read_buf(&mut bytes)
            .await
            .map_err(ProxyHeaderError::Read)?;
        if read == 0 {
            return Err(ProxyHeaderError::Closed);
        }
        if let Some((header, length)) =
            proxy_protocol::decode(&bytes).map_err(ProxyHeaderError::Header)?
        {
            return Ok((header, bytes.split_off(length)));
        }
    }
}

fn count_connection(connection: &Connection) {
    let state = connection.generation.state();
    let now = connection.accepted;
    state.process.counters.count(Counter::Connections);
    state.process.connection_rate.add(1, now);
    let frontend = &state.proxy(connection.frontend).frontend;
    frontend.counters.count(Counter::Connections);
    frontend.connection_rate.add(1, now);
    state
        .listener(connection.bind)
        .counters
        .count(Counter::Connections);
}

fn count_session(connection: &Connection) {
    let state = connection.generation.state();
    let now = clock::now();
    state.process.counters.count(Counter::Sessions);
    state.process.session_rate.add(1, now);
    let frontend = &state.proxy(connection.frontend).frontend;
    frontend.counters.count(Counter::Sessions);
    frontend.session_rate.add(1, now);
    state
        .listener(connection.bind)
        .counters
        .count(Counter::Sessions);
    connection.tracked.count(StickEvent::Session, 1, now);
}

/// A header of either version usually fits; longer ones make the buffer grow, up to the protocol's bound.
const FIRST_READ: usize = 512;
