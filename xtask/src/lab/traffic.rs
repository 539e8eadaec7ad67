//! The traffic of the lab: streams of requests, each from its own thread in the clients' namespace.
//!
//! A [`Stream`] says who asks for what and how often; its [`Tally`] counts what came back, with the time of every failure,
//! so that the summary can tell a failure that was to be expected from one that was not.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{self, HttpClient, Outcome};
use super::network::{self, ABUSER, BALANCER, BLACKLISTED, CLIENTS, L4_ADDRESS};

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    /// Requests on kept connections to `web.cfg`'s HTTP frontend.
    Http,
    /// The same over TLS.
    Https,
    /// One connection per request through the kernel.
    L4Tcp,
    /// One datagram from a new port through the kernel.
    L4Udp,
    /// A well-behaved client of the tutorial's guarded frontend.
    Guarded,
    /// A client of the same frontend that opens connections as fast as it can.
    Abuser,
    /// A blacklisted source, at the guarded frontend and at the l4 service.
    Blacklisted,
}

impl Stream {
    /// Every stream, in the order they are shown.
    pub(super) const ALL: [Self; 7] = [
        Self::Http,
        Self::Https,
        Self::L4Tcp,
        Self::L4Udp,
        Self::Guarded,
        Self::Abuser,
        Self::Blacklisted,
    ];

    /// What it is called on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP  :8000",
            Self::Https => "HTTPS :443",
            Self::L4Tcp => "l4 TCP :80",
            Self::L4Udp => "l4 UDP :7",
            Self::Guarded => "guarded :8080, polite client",
            Self::Abuser => "guarded :8080, abuser",
            Self::Blacklisted => "blacklisted source",
        }
    }

    /// Whether a request of it may ever fail.
    pub(super) const fn must_succeed(self) -> bool {
        !matches!(self, Self::Abuser | Self::Blacklisted)
    }

    const fn source(self) -> IpAddr {
        match self {
            Self::Http => CLIENTS[0],
            Self::Https => CLIENTS[1],
            Self::L4Tcp | Self::L4Udp => CLIENTS[2],
            Self::Guarded => CLIENTS[3],
            Self::Abuser => ABUSER,
            Self::Blacklisted => BLACKLISTED,
        }
    }

    /// Time between two requests.
    const fn pace(self) -> Duration {
        Duration::from_millis(match self {
            Self::Http | Self::Https => 5,
            // 40 connections a second: under the 500 in ten seconds of conf/l4.cfg.
            Self::L4Tcp | Self::L4Udp => 25,
            // 5 a second: half of the 100 in ten seconds of conf/tutorial.cfg.
            Self::Guarded => 200,
            Self::Abuser => 5,
            Self::Blacklisted => 50,
        })
    }
}

/// What came back of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Answers by server.
    pub(super) served: BTreeMap<String, u64>,
    /// Failures: when the request began, and how it failed.
    pub(super) failed: Vec<(Instant, String)>,
    /// Requests sent again because a kept connection had been closed.
    pub(super) resent: u64,
}

impl Tally {
    /// All answers.
    pub(super) fn total(&self) -> u64 {
        self.served.values().sum()
    }
}

/// All streams, running until stopped or dropped.
pub(super) struct Traffic {
    running: Arc<AtomicBool>,
    tallies: BTreeMap<Stream, Arc<Mutex<Tally>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// No stream at all.
    pub(super) fn idle() -> Self {
        Self {
            running: Arc::default(),
            tallies: BTreeMap::new(),
            threads: Vec::new(),
        }
    }

    /// Starts every stream in the clients' namespace.
    pub(super) fn start(namespace: &str, tls: &Arc<rustls::ClientConfig>) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let mut traffic = Self {
            running,
            tallies: BTreeMap::new(),
            threads: Vec::new(),
        };
        for stream in Stream::ALL {
            let tally = Arc::new(Mutex::new(Tally::default()));
            traffic.tallies.insert(stream, Arc::clone(&tally));
            let source = Source {
                stream,
                tls: Arc::clone(tls),
                plain: None,
                secure: None,
                turn: 0,
            };
            let (running, namespace) = (Arc::clone(&traffic.running), namespace.to_owned());
            traffic.threads.push(thread::spawn(move || {
                drive(source, &namespace, &running, &tally)
            }));
        }
        traffic
    }

    /// What came back of a stream so far.
    pub(super) fn tally(&self, stream: Stream) -> Tally {
        self.tallies
            .get(&stream)
            .map_or_else(Tally::default, |tally| lock(tally).clone())
    }

    /// Ends all streams and waits for their last requests.
    pub(super) fn stop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop();
    }
}

fn drive(mut source: Source, namespace: &str, running: &AtomicBool, tally: &Mutex<Tally>) {
    if let Err(error) = network::enter(namespace) {
        lock(tally)
            .failed
            .push((Instant::now(), format!("{error:#}")));
        return;
    }
    while running.load(Ordering::Relaxed) {
        let began = Instant::now();
        let mut outcome = source.ask();
        if matches!(outcome, Outcome::Stale) {
            lock(tally).resent += 1;
            outcome = source.ask();
        }
        let mut tally = lock(tally);
        match outcome {
            Outcome::Served(server) => *tally.served.entry(server).or_default() += 1,
            Outcome::Stale => tally
                .failed
                .push((began, "closed twice without an answer".into())),
            Outcome::Failed(how) => tally.failed.push((began, how)),
        }
        drop(tally);
        thread::sleep(source.stream.pace().saturating_sub(began.elapsed()));
    }
}

type Secure = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

/// One stream's side of the wire.
struct Source {
    stream: Stream,
    tls: Arc<rustls::ClientConfig>,
    plain: Option<HttpClient<std::net::TcpStream>>,
    secure: Option<HttpClient<Secure>>,
    turn: u64,
}

impl Source {
    fn ask(&mut self) -> Outcome {
        self.turn += 1;
        match self.stream {
            Stream::Http => self.http(SocketAddr::new(BALANCER, 8000), 50),
            Stream::Https => self.https(),
            Stream::L4Tcp => self.http(SocketAddr::new(L4_ADDRESS, 80), 1),
            Stream::L4Udp => {
                let target = SocketAddr::new(L4_ADDRESS, 7);
                client::echo(
                    self.stream.source(),
                    target,
                    &format!("datagram {}", self.turn),
                )
            }
            Stream::Guarded => self.http(SocketAddr::new(BALANCER, 8080), 1),
            Stream::Abuser => self.knock(SocketAddr::new(BALANCER, 8080)),
            Stream::Blacklisted if self.turn.is_multiple_of(2) => {
                self.knock(SocketAddr::new(L4_ADDRESS, 80))
            }
            Stream::Blacklisted => self.knock(SocketAddr::new(BALANCER, 8080)),
        }
    }

    /// A request on a connection that is kept for `uses` requests.
    fn http(&mut self, target: SocketAddr, uses: u64) -> Outcome {
        let keep = !self.turn.is_multiple_of(uses);
        let mut connection = match self.plain.take() {
            Some(connection) => connection,
            None => match client::connect(self.stream.source(), target, CONNECT_LIMIT) {
                Ok(stream) => HttpClient::new(stream),
                Err(error) => return Outcome::Failed(format!("connect: {error:#}")),
            },
        };
        let outcome = connection.get("/", keep);
        self.plain = Some(connection).filter(|_| keep && matches!(outcome, Outcome::Served(_)));
        outcome
    }

    fn https(&mut self) -> Outcome {
        let keep = !self.turn.is_multiple_of(10);
        let mut connection = match self.secure.take() {
            Some(connection) => connection,
            None => {
                let target = SocketAddr::new(BALANCER, 443);
                let opened = client::connect(self.stream.source(), target, CONNECT_LIMIT)
                    .and_then(|stream| client::handshake(stream, &self.tls));
                match opened {
                    Ok(stream) => HttpClient::new(stream),
                    Err(error) => return Outcome::Failed(format!("connect: {error:#}")),
                }
            }
        };
        let outcome = connection.get("/", keep);
        self.secure = Some(connection).filter(|_| keep && matches!(outcome, Outcome::Served(_)));
        outcome
    }

    /// A request of somebody who may be refused: a short patience keeps the stream going.
    fn knock(&self, target: SocketAddr) -> Outcome {
        match client::connect(self.stream.source(), target, KNOCK_LIMIT) {
            Ok(stream) => HttpClient::new(stream).get("/", false),
            Err(error) => Outcome::Failed(format!("connect: {error:#}")),
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const KNOCK_LIMIT: Duration = Duration::from_millis(50);
