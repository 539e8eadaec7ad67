//! Connections that a server opened to us, and on which it then takes our requests (`attach-srv`, manual §4.4).
//!
//! The server begins HTTP/2 as a client does; from its first SETTINGS on the roles are exchanged. The thread that accepted
//! such a connection moves its frames; requests of all threads find it in [`Attached`], for there may be one only.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::io::ReadBuf;

use super::halves::Base;
use super::server::{CONNECTION_WINDOW, Carrier, builder};
use super::watch::{Traffic, Watched};

use crate::expr::Tls;
use crate::net::{Carried, Stream};
use crate::proto::http::Head;
use crate::proto::http::http1::Limits;
use crate::proto::http::http2::PREFACE;
use crate::session::connection::{Attachment, Connection};
use crate::session::http::front::Front;
use crate::state::ServerState;

/// The attached connections of all threads, by server.
#[derive(Default)]
pub(in crate::session) struct Attached(Mutex<FxHashMap<usize, Vec<Arc<Attachable>>>>);

/// One of them.
struct Attachable {
    send: SendRequest<Bytes>,
    name: Option<String>,
    tls: Option<Arc<dyn Tls>>,
    /// A second descriptor of the socket, for rules that ask for it.
    descriptor: Option<OwnedFd>,
    /// Our end and the server's.
    ends: Option<(SocketAddr, SocketAddr)>,
    /// Requests on it now, of at most `most`.
    running: AtomicU32,
    most: u32,
}

impl Attached {
    /// Finds room for a request that wants this name: on the connection with the fewest requests.
    pub(in crate::session::http) fn lend(
        &self,
        state: &ServerState,
        name: Option<&str>,
    ) -> Option<Rc<Carrier>> {
        let chosen = {
            let servers = self.0.lock();
            let fits = |one: &&Arc<Attachable>| {
                let running = one.running.load(Ordering::Relaxed);
                let allowed = one.send.current_max_send_streams();
                one.name.as_deref() == name && running < one.most && (running as usize) < allowed
            };
            let one = servers
                .get(&identity(state))?
                .iter()
                .filter(fits)
                .min_by_key(|one| one.running.load(Ordering::Relaxed))?;
            one.running.fetch_add(1, Ordering::Relaxed);
            Arc::clone(one)
        };
        let base = Base::new(Stream::carried(Box::new(Elsewhere(Arc::clone(&chosen)))));
        let send = chosen.send.clone();
        let ends = chosen.ends;
        Some(Carrier::lent(send, base, ends, Loan(chosen)))
    }
}

/// A request's place on an attached connection.
pub(super) struct Loan(Arc<Attachable>);

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attached connection's place in the list, given up with it.
struct Listed {
    attached: Arc<Attached>,
    state: Arc<ServerState>,
    this: Arc<Attachable>,
}

impl Listed {
    fn new(attached: &Arc<Attached>, state: Arc<ServerState>, this: Attachable) -> Self {
        let this = Arc::new(this);
        let mut servers = attached.0.lock();
        let others = servers.entry(identity(&state)).or_default();
        others.push(Arc::clone(&this));
        state.connections.idle_safe.enter();
        Self {
            attached: Arc::clone(attached),
            state,
            this,
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.state.connections.idle_safe.leave();
        let mut servers = self.attached.0.lock();
        if let Some(others) = servers.get_mut(&identity(&self.state)) {
            others.retain(|other| !Arc::ptr_eq(other, &self.this));
            if others.is_empty() {
                servers.remove(&identity(&self.state));
            }
        }
    }
}

/// Attaches a client's connection to a server, and moves its frames to its end.
pub(in crate::session::http) async fn attach(
    connection: &Connection,
    mut front: Front<'_>,
    attachment: &Attachment,
) {
    let timeouts = connection.frontend().timeouts;
    let limit = timeouts.http_request.or(timeouts.client);
    let deadline = limit.map(|limit| connection.accepted.after(limit.0));
    if !front.begins_http2(connection, deadline).await {
        return front.close().await;
    }
    front.input.consume(PREFACE.len());
    let cut = front.cut;
    let mut timer = std::mem::take(&mut front.timer);
    let stream = front.into_stream();
    let own = connection.own_ends();
    let ends = own.destination.zip(own.source);
    let (tls, descriptor) = (stream.tls(), stream.duplicate());
    let tune = &connection.generation.model().global.tune.h2;
    let traffic = Rc::new(Traffic::default());
    let watched = Watched::to_attached(Rc::new(Base::new(stream)), Rc::clone(&traffic));
    let begun = builder(tune, Limits::default()).handshake::<_, Bytes>(watched);
    let Ok((send, mut wire)) = begun.await else {
        return;
    };
    let mut new = Some(Attachable {
        send,
        name: attachment.name.clone(),
        tls,
        descriptor,
        ends,
        running: AtomicU32::new(0),
        most: tune.back.streams.unwrap_or(tune.streams),
    });
    let mut listed: Option<Listed> = None;
    std::future::poll_fn(|context| {
        if cut.get().is_some() {
            return Poll::Ready(());
        }
        // How it ended is told to every request on it.
        if std::pin::Pin::new(&mut wire).poll(context).is_ready() {
            return Poll::Ready(());
        }
        if connection.worker.is_stopping() {
            // It ends once no request holds it any more, of which nobody but its frames tells.
            (new, listed) = (None, None);
            return Poll::Pending;
        }
        if traffic.is_introduced() {
            if let Some(new) = new.take() {
                wire.set_target_window_size(CONNECTION_WINDOW);
                context.waker().wake_by_ref();
                let state = connection.generation.state();
                let state = state.server_handle(attachment.server);
                listed = Some(Listed::new(connection.worker.pool.attached(), state, new));
            }
            return Poll::Pending;
        }
        timer.poll(context, deadline)
    })
    .await;
}

/// A connection whose frames another thread moves: its streams are here, its bytes are not.
struct Elsewhere(Arc<Attachable>);

impl Carried for Elsewhere {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_abandoned(&mut self, _: &mut Context<'_>) -> Poll<io::Error> {
        Poll::Pending
    }

    fn ends_after(&mut self, _: u64) {}

    fn end_with(&mut self, _: &Head) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn take_trailers(&mut self) -> Option<Head> {
        None
    }

    fn tls(&self) -> Option<Arc<dyn Tls>> {
        self.0.tls.clone()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor.as_ref().map(OwnedFd::as_fd)
    }
}

/// A server keeps its state across configurations.
fn identity(state: &ServerState) -> usize {
    std::ptr::from_ref(state) as usize
}
