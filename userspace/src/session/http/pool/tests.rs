use std::io::{Read, Write};
use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::{Model, Proxy, ProxyKind, ServerAddress};
use crate::net::{Destination, Outgoing, connect};
use crate::state::Running;
use crate::types::{ProxyId, ServerId};

/// A server on loopback as the model and the state know it.
struct Bed {
    listener: TcpListener,
    running: Running,
    shelves: Shelves,
}

impl Bed {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut model = Model::default();
        let proxy = Proxy::new(ProxyId(0), "b", ProxyKind::Backend);
        proxy.servers.push(ServerId(0));
        model.proxies.push(proxy);
        let address = ServerAddress::Inet {
            address: listener.local_addr().unwrap(),
            port_offset: None,
        };
        let mut server = Server::new(ServerId(0), ProxyId(0), 1, "s".to_owned(), address);
        server.pool_low = 8;
        model.servers.push(server);
        Self {
            listener,
            running: Running::new(Arc::new(model), None),
            shelves: (0..2).map(|_| Shelf::default()).collect(),
        }
    }

    fn state(&self) -> Arc<ServerState> {
        self.running.state.server_handle(ServerId(0))
    }

    /// Thread `number` connects and lays the connection by.
    async fn lay_by(&self, number: usize) {
        let destination = Destination::Tcp(self.listener.local_addr().unwrap());
        let stream = connect(&destination, Outgoing::default(), None)
            .await
            .unwrap();
        let mut upstream = Upstream::new(stream, None, Key::default(), self.state(), None);
        upstream.requests = 1;
        let pool = Pool::new(number, Arc::clone(&self.shelves), Arc::default());
        let server = self.running.model.server(ServerId(0));
        pool.put(upstream, server, clock::now());
    }

    fn take(&self, number: usize, sharing: Sharing) -> Option<Upstream> {
        let pool = Pool::new(number, Arc::clone(&self.shelves), Arc::default());
        let (key, state) = (Key::default(), self.state());
        pool.take(&state, &key, HttpReuse::Always, FirstRequest::Yes, sharing)
    }

    fn idle(&self) -> u32 {
        let state = self.state();
        state.connections.idle_safe.current() + state.connections.idle_unsafe.current()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_thread_without_an_idle_connection_takes_another_threads_and_can_use_it() {
    let bed = Bed::new();
    let (first, second) = (runtime(), runtime());
    first.block_on(bed.lay_by(0));
    let (mut server, _) = bed.listener.accept().unwrap();
    assert_eq!(bed.idle(), 1);
    second.block_on(async {
        assert!(bed.take(1, Sharing::OwnThread).is_none());
        let mut upstream = bed.take(1, Sharing::AllThreads).expect("a connection");
        assert_eq!(bed.idle(), 0);
        upstream.stream.write_all(b"ping").await.unwrap();
        let mut four = [0; 4];
        server.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"ping");
        server.write_all(b"pong").unwrap();
        // Only a runtime that watches the socket wakes this up.
        upstream.stream.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"pong");
    });
}

#[test]
fn what_the_server_closed_or_spoke_on_is_not_taken_from_another_thread() {
    let bed = Bed::new();
    let (first, second) = (runtime(), runtime());
    for says in [&b""[..], b"too early"] {
        first.block_on(bed.lay_by(0));
        let (mut server, _) = bed.listener.accept().unwrap();
        server.write_all(says).unwrap();
        server.shutdown(std::net::Shutdown::Write).unwrap();
        let taken = second.block_on(async { bed.take(1, Sharing::AllThreads).is_some() });
        assert!(!taken, "{says:?}");
        assert_eq!(bed.idle(), 0, "it was dropped");
    }
}

#[test]
fn a_thread_prefers_its_own_connections() {
    let bed = Bed::new();
    let (first, second) = (runtime(), runtime());
    first.block_on(bed.lay_by(0));
    let (_one, other) = bed.listener.accept().unwrap();
    second.block_on(async {
        bed.lay_by(1).await;
        let (_two, own) = bed.listener.accept().unwrap();
        let taken = bed.take(1, Sharing::AllThreads).expect("a connection");
        assert_eq!(taken.stream.local_address(), Some(own));
        assert_ne!(own, other);
    });
}
