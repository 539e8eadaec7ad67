//! The life of one HTTP connection: requests in, rules, a server, responses out, a log line each.
//!
//! [`serve`] takes a client's connection after its handshakes and runs one [`stream::HttpStream`] per
//! request, one after the other, until either side has enough. Between requests a connection holds
//! no buffers. What expressions see, how servers are found and what is logged are this room's other
//! files'; messages on the wire are [`crate::proto::http`]'s.

mod answer;
pub mod applet;
mod body;
mod bulk;
mod cache;
mod captures;
mod carried;
mod compress;
mod cookie;
mod early;
mod edits;
mod errors;
mod exchange;
mod filter;
mod finish;
mod forward;
mod forwarded;
mod front;
mod h2;
mod headers;
mod input;
mod messages;
mod mirror;
mod normalize;
mod pages;
pub(super) mod pool;
mod relay;
mod response;
mod reuse;
mod rewrites;
mod route;
mod rules;
mod say;
mod stream;
mod tunnel;
mod writer;

use std::task::Poll;

use front::{Front, Idle};
pub(super) use h2::Attached;
pub use messages::HttpFacts;
use stream::{HttpStream, Next};

use super::connection::Connection;
use super::transaction::Transaction;
use crate::clock::{self, Moment};
use crate::expr::TlsText;
use crate::model::HttpProtocol;
use crate::net::Stream;
use crate::state::Counter;

/// Serves a client's connection in the version of HTTP it speaks, to its end. Takes the stream out of its place.
pub async fn serve(connection: &Connection, stream: &mut Option<Stream>) {
    let mut life = std::pin::pin!(life(connection, stream));
    let mut registered = false;
    std::future::poll_fn(|context| {
        // The waker never changes within a task: once registered, the flag alone says it, until it is used for the news that
        // the thread is stopping.
        if !registered
            || connection.worker.is_stopping()
            || connection.ticket.cut_reason().is_some()
        {
            registered = true;
            if let Poll::Ready(reason) = connection.ticket.poll_cut(context) {
                connection.cut.set(Some(reason));
            }
        }
        let _held = clock::hold();
        life.as_mut().poll(context)
    })
    .await;
}

async fn life(connection: &Connection, stream: &mut Option<Stream>) {
    let Some(stream) = stream.take() else {
        return;
    };
    let cut = &connection.cut;
    let mut front = Front::new(stream, cut);
    if let Some(attachment) = connection.attachment.get() {
        begin(connection, 2, Counter::Http2Sessions);
        return Box::pin(h2::attach(connection, front, attachment)).await;
    }
    if speaks_http2(connection, &mut front).await {
        begin(connection, 2, Counter::Http2Sessions);
        return Box::pin(h2::serve(connection, front.into_stream(), cut)).await;
    }
    begin(connection, 1, Counter::Http1Sessions);
    let mut start = connection.accepted;
    loop {
        let timeouts = connection.frontend().timeouts;
        let first = front.requests == 0;
        let limit = if first {
            None
        } else {
            timeouts.http_keep_alive
        };
        let limit = limit.or(timeouts.http_request).or(timeouts.client);
        let deadline = limit.map(|limit| start.after(limit.0));
        let idle = front.idle(connection, deadline).await;
        if idle != Idle::Readable && !first {
            return;
        }
        // Boxed, so that an idle connection does not carry the room a request needs.
        match Box::pin(request(connection, &mut front, start, deadline)).await {
            Next::Request if !connection.worker.is_stopping() => {}
            Next::Request | Next::Done => return Box::pin(front.finish()).await,
            Next::Close => return Box::pin(front.close()).await,
            Next::Abort => return,
            Next::Vanish => return front.vanish(),
        }
        start = clock::now();
    }
}

/// One request; `start` is the connection's beginning or the end of the response before.
async fn request(
    connection: &Connection,
    front: &mut Front<'_>,
    start: Moment,
    deadline: Option<Moment>,
) -> Next {
    let transaction = if front.requests == 0 {
        Transaction::first(connection)
    } else {
        Transaction::following(connection, start)
    };
    let mut stream = HttpStream::new(connection, &transaction, front);
    stream.run(deadline).await
}

/// Whether the connection is one of HTTP/2: because the listener says so, because it was agreed on
/// under TLS, or because the client begins that way.
async fn speaks_http2(connection: &Connection, front: &mut Front<'_>) -> bool {
    if let Some(imposed) = connection.bind().proto {
        return imposed == HttpProtocol::Http2;
    }
    let agreed = connection
        .tls
        .get()
        .and_then(|tls| tls.text(TlsText::Alpn).map(|name| *name == b"h2"[..]));
    if let Some(agreed) = agreed {
        return agreed;
    }
    let timeouts = connection.frontend().timeouts;
    let limit = timeouts.http_request.or(timeouts.client);
    let start = connection.accepted;
    let deadline = limit.map(|limit| start.after(limit.0));
    front.begins_http2(connection, deadline).await
}

fn begin(connection: &Connection, major: u8, sessions: Counter) {
    connection.http_major.set(major);
    let state = connection.generation.state();
    let frontend = &state.proxy(connection.frontend).frontend;
    frontend.counters.count(sessions);
}
