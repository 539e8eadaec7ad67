//! Listeners that open their connections themselves (`bind rhttp@`, manual §4.2 `bind`, §5.1 `nbconn`).
//!
//! Each connection is opened to the server that the address names, with that server's settings, and then is a client's: it
//! begins with the preface of HTTP/2, and the other end sends requests. One that ends is opened again.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::client;
use super::connection::{Connection, Ends};
use super::limits::{Limits, Places};
use super::transaction::Transaction;
use super::transport::{self, TransportError};
use super::view::SessionView;
use super::worker::{Task, Worker};
use crate::expr::TlsText;
use crate::log::notice;
use crate::model::{BindAddress, HttpProtocol, Server};
use crate::net::Stream;
use crate::proto::http::http2::PREFACE;
use crate::types::{BindId, Millis};

/// Why a connection is of no use.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("it does not speak HTTP/2 (use 'proto h2', or 'alpn h2' with TLS)")]
    NotHttp2,
    #[error("sending the preface: {0}")]
    Preface(#[source] io::Error),
}

/// Keeps this thread's share of all such connections open, until the tasks end.
pub(super) fn keep_open(worker: &Rc<Worker>, places: &Arc<Places>) -> Vec<Task> {
    let generation = worker.current();
    let model = generation.model();
    let mut tasks = Vec::new();
    let mut number = 0;
    for bind in &model.binds {
        let BindAddress::Reverse { connections, .. } = bind.address else {
            continue;
        };
        for _ in 0..connections {
            // All connections take turns with the threads.
            if number % worker.threads() == worker.number && !model.proxy(bind.proxy).disabled {
                let one = keep_one_open(Rc::clone(worker), bind.id, Arc::clone(places));
                tasks.push(Task::new(one));
            }
            number += 1;
        }
    }
    tasks
}

async fn keep_one_open(worker: Rc<Worker>, bind: BindId, places: Arc<Places>) {
    let mut told = false;
    loop {
        let pause = tokio::time::sleep(PAUSE);
        let generation = worker.current();
        let frontend = generation.model().bind(bind).proxy;
        let limits = Limits {
            generation: Rc::clone(&generation),
            frontend,
            bind,
            places: Arc::clone(&places),
        };
        let admitted = limits.admit().await;
        let connection = Connection::new(
            Rc::clone(&worker),
            Rc::clone(&generation),
            bind,
            Ends::default(),
            admitted,
        );
        match open(&connection).await {
            Ok(stream) => {
                told = false;
                let place = worker.place();
                let (ended, end) = oneshot::channel();
                worker.spawn(async move {
                    client::serve(&connection, &mut Some(stream)).await;
                    drop(connection);
                    drop(place);
                    // Nobody waits for it while the process is stopping.
                    let _ = ended.send(());
                });
                // A session that panicked has ended, too.
                let _ = end.await;
            }
            Err(error) if !told => {
                told = true;
                let name = &generation.proxy(frontend).name;
                notice::warning(format_args!(
                    "Proxy {name} cannot open a connection: {error}"
                ));
            }
            Err(_) => {}
        }
        pause.await;
    }
}

/// Opens one connection, as far as the preface.
async fn open(connection: &Connection) -> Result<Stream, OpenError> {
    let model = connection.generation.model();
    let server = match &connection.bind().address {
        BindAddress::Reverse {
            backend, server, ..
        } => model.server_named(backend, server),
        _ => None,
    };
    let server: &Server = server.ok_or(TransportError::NoAddress)?;
    let transaction = Transaction::first(connection);
    let timeouts = model.proxy(server.proxy).timeouts;
    let limit = timeouts.connect.map(Millis::duration);
    let view = SessionView::of(connection).with(&transaction);
    let made = transport::connect(connection, &transaction, server.id, limit, &view).await;
    let mut stream = made?;
    let agreed = stream
        .tls()
        .and_then(|tls| tls.text(TlsText::Alpn).map(|name| *name == b"h2"[..]));
    if !agreed.unwrap_or(server.proto == Some(HttpProtocol::Http2)) {
        return Err(OpenError::NotHttp2);
    }
    let sent = stream.write_all(PREFACE).await;
    sent.map_err(OpenError::Preface)?;
    // The other end will not send it: it is a server there.
    stream.unread(PREFACE.to_vec());
    let ends = transaction.back_ends.get();
    let ends = Ends {
        source: ends.map(|(_, theirs)| theirs),
        destination: ends.map(|(ours, _)| ours),
    };
    client::receive_opened(connection, ends, &stream);
    Ok(stream)
}

/// Shortest time between two openings of a connection.
const PAUSE: Duration = Duration::from_secs(1);
