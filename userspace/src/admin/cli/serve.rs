//! The sockets of the Runtime API: listening, reading lines within their limits, writing answers.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Follow, Mode, Reply, Session, World, capture, words};
use crate::clock;
use crate::log::notice;
use crate::model::{Level, Model, StatsSocket};
use crate::net::{BindError, Bound, Listener, Stream, handover};
use crate::types::Millis;

/// One bound socket of the Runtime API.
#[derive(Debug)]
pub struct Socket {
    bound: Bound,
    level: Level,
    /// `expose-fd listeners`.
    exposes: bool,
}

impl Socket {
    /// Binds a `stats socket`. To be called before privileges are given up.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn bind(socket: &StatsSocket) -> Result<Self, BindError> {
        let bound = Bound::new(&socket.address, &socket.options, BACKLOG, 1)?;
        Ok(Self {
            bound,
            level: socket.level,
            exposes: socket.expose_listeners,
        })
    }

    /// Its listener. Must be called inside the runtime that is to use it.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn listener(&self) -> io::Result<Listener> {
        self.bound.listener(0)
    }

    /// What its clients may do.
    pub const fn level(&self) -> Level {
        self.level
    }
}

/// Limits of the clients.
#[derive(Clone, Copy, Debug)]
struct Limits {
    idle: Duration,
    line: usize,
}

impl Limits {
    fn of(model: &Model) -> Self {
        let global = &model.global;
        Self {
            idle: global.stats_timeout.unwrap_or(DEFAULT_TIMEOUT).duration(),
            line: global.tune.bufsize,
        }
    }
}

/// Serves every socket until dropped. To be run on one thread, beside the workers.
pub async fn serve(sockets: Vec<Socket>, world: Arc<World>, model: Arc<Model>) {
    let global = &model.global;
    let limits = Limits::of(&model);
    let most = global
        .stats_maxconn
        .map_or(DEFAULT_MAXCONN, |most| most as usize)
        .max(1);
    let room = Arc::new(Semaphore::new(most));
    let listeners = sockets
        .into_iter()
        .map(|socket| listen(socket, Arc::clone(&world), Arc::clone(&room), limits));
    futures_util::future::join_all(listeners).await;
}

async fn listen(socket: Socket, world: Arc<World>, room: Arc<Semaphore>, limits: Limits) {
    let listener = match socket.listener() {
        Ok(listener) => listener,
        Err(error) => {
            notice::alert(format_args!("cannot listen for the Runtime API: {error}"));
            return;
        }
    };
    let mut clients = tokio::task::JoinSet::new();
    loop {
        // A client too many waits in the backlog.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(incoming) => {
                let session = Session::new(Arc::clone(&world), socket.level, limits.idle);
                let exposes = socket.exposes && incoming.peer.is_none();
                clients.spawn_local(async move {
                    let _how_it_ended = client(incoming.stream, session, limits, exposes).await;
                    drop(place);
                });
            }
            Err(error) => {
                notice::warning(format_args!("accepting a Runtime API client: {error}"));
                sleep(AFTER_ERROR).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

/// Serves one connection that did not come through a socket of the configuration: the master's.
pub async fn attend(connection: OwnedFd, session: Session, model: Arc<Model>) -> io::Result<()> {
    let stream = std::os::unix::net::UnixStream::from(connection);
    stream.set_nonblocking(true)?;
    let stream = Stream::unix(tokio::net::UnixStream::from_std(stream)?);
    client(stream, session, Limits::of(&model), true).await
}

/// One client, which may be the process that is to replace this one.
async fn client(
    mut stream: Stream,
    session: Session,
    limits: Limits,
    exposes: bool,
) -> io::Result<()> {
    let (world, level) = (Arc::clone(&session.world), session.level);
    let allowed = exposes && level == Level::Admin;
    match converse(&mut stream, session, limits).await? {
        Ended::Served => Ok(()),
        Ended::Succession if allowed => hand_over(&mut stream, &world).await,
        Ended::Succession => stream.write_all(b"Permission denied\n\n").await,
        Ended::Capture(words) => capture::answer(&mut stream, &world, level, &words).await,
    }
}

/// Gives the listening sockets away, and what is known of servers and clients when the other side is ready for it.
async fn hand_over(stream: &mut Stream, world: &World) -> io::Result<()> {
    let bound = world
        .heirloom
        .as_ref()
        .map_or_else(Vec::new, |heirloom| (heirloom.0)());
    let sockets: Vec<_> = bound
        .iter()
        .flat_map(|(name, bound)| {
            let sockets = bound.sockets().iter();
            sockets.map(move |socket| (name.clone(), socket.as_fd()))
        })
        .collect();
    let descriptor = stream.descriptor().ok_or(io::ErrorKind::Unsupported)?;
    handover::send_sockets(descriptor, &sockets)?;
    drop(sockets);
    let asked = timeout(SUCCESSION, stream.read_u8()).await;
    if !matches!(asked, Ok(Ok(_))) {
        return Ok(());
    }
    let state = Arc::clone(&world.served.load().running.state);
    let text = state.recall(clock::now());
    timeout(SUCCESSION, stream.write_all(text.as_bytes()))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    /// Everything asked was answered.
    Served,
    /// The client wants to take the process's place (`_getsocks`).
    Succession,
    /// The client wants to see packets.
    Capture(Vec<String>),
}

/// One client from its first line to its last.
async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut session: Session,
    limits: Limits,
) -> io::Result<Ended> {
    let mut input = Input {
        bytes: Vec::new(),
        limits,
    };
    loop {
        let Some(line) = input.line(stream, session.timeout, limits.line).await? else {
            return Ok(Ended::Served);
        };
        if line.trim_end() == "_getsocks" {
            return Ok(Ended::Succession);
        }
        if session.mode == Mode::OneLine
            && input.bytes.is_empty()
            && let Some(words) = capture::asked(&line)
        {
            return Ok(Ended::Capture(words));
        }
        let (command, payload) = match words::payload_mark(&line) {
            None => (line.as_str(), None),
            Some((command, mark)) => {
                let payload = input.payload(stream, session.timeout, mark).await?;
                let Some(payload) = payload else {
                    return Ok(Ended::Served);
                };
                (command, Some(payload))
            }
        };
        let mut reply = session.line(command, payload.as_deref());
        loop {
            send(stream, &reply, session.timeout).await?;
            if let Some(follow) = reply.follow.take() {
                watch(stream, follow, &mut input).await?;
                reply.text = session.end_of_answer();
                continue;
            }
            if reply.quit {
                return Ok(Ended::Served);
            }
            let Some(pause) = reply.pause.take() else {
                break;
            };
            reply = session.resume(pause, payload.as_deref()).await;
        }
        if session.mode == Mode::OneLine && input.bytes.is_empty() {
            stream.shutdown().await?;
            return Ok(Ended::Served);
        }
    }
}

/// Shows what comes into a ring until the client says or closes something; what it says is thrown away.
async fn watch(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut follow: Follow,
    input: &mut Input,
) -> io::Result<()> {
    input.bytes.clear();
    loop {
        tokio::select! {
            () = follow.wait() => {
                stream.write_all(follow.news().as_bytes()).await?;
                stream.flush().await?;
            }
            read = stream.read_buf(&mut input.bytes) => {
                read?;
                input.bytes.clear();
                return Ok(());
            }
        }
    }
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    reply: &Reply,
    limit: Duration,
) -> io::Result<()> {
    let write = async {
        stream.write_all(reply.text.as_bytes()).await?;
        stream.flush().await
    };
    timeout(limit, write)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// What a client sent and was not yet looked at.
struct Input {
    bytes: Vec<u8>,
    limits: Limits,
}

impl Input {
    /// The next line without its end; `None` at the end of the input, when the client is idle for too long, or when the
    /// line exceeds `most` bytes.
    async fn line(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        idle: Duration,
        most: usize,
    ) -> io::Result<Option<String>> {
        let mut looked_at = 0;
        loop {
            let end = memchr::memchr(b'\n', &self.bytes[looked_at..]);
            if let Some(end) = end.map(|end| looked_at + end) {
                let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
                line.pop();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            looked_at = self.bytes.len();
            if looked_at >= most {
                return Ok(None);
            }
            match timeout(idle, stream.read_buf(&mut self.bytes)).await {
                Ok(Ok(0)) | Err(_) => return Ok(None),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// The lines up to the one that is the mark; `None` as [`Self::line`].
    async fn payload(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        idle: Duration,
        mark: &str,
    ) -> io::Result<Option<String>> {
        let mut payload = String::new();
        loop {
            let room = MOST_PAYLOAD.saturating_sub(payload.len()).max(1);
            let Some(line) = self.line(stream, idle, room.max(self.limits.line)).await? else {
                return Ok(None);
            };
            if line.trim_end_matches('\r') == mark {
                return Ok(Some(payload));
            }
            if payload.len() + line.len() >= MOST_PAYLOAD {
                return Ok(None);
            }
            payload.push_str(&line);
            payload.push('\n');
        }
    }
}

/// `stats timeout` and `stats maxconn` where the configuration is silent (manual §3.1).
const DEFAULT_TIMEOUT: Millis = Millis(10_000);
const DEFAULT_MAXCONN: usize = 10;
const BACKLOG: u32 = 10;
/// Bytes of a payload (`tune.cli.max-payload-size`).
const MOST_PAYLOAD: usize = 131_072;
/// How long the process that takes over may think about it.
const SUCCESSION: Duration = Duration::from_secs(60);
const AFTER_ERROR: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::cli::tests::world;

    async fn talk(input: &[u8]) -> String {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        let limits = Limits {
            idle: Duration::from_secs(5),
            line: 200,
        };
        let session = Session::new(world(), Level::Admin, limits.idle);
        client.write_all(input).await.expect("room");
        let mut answer = Vec::new();
        client.shutdown().await.expect("open");
        let server = async move { converse(&mut server, session, limits).await };
        let (_, read) = tokio::join!(server, client.read_to_end(&mut answer));
        read.expect("the end");
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test]
    async fn one_line_is_answered_and_the_connection_closed() {
        assert_eq!(talk(b"show version\n").await, "1.2.3\n\n");
        assert_eq!(
            talk(b"show version;show cli level\n").await,
            "1.2.3\n\nadmin\n\n"
        );
        assert_eq!(
            talk(b"show version; quit; show version\n").await,
            "1.2.3\n\n"
        );
        assert_eq!(
            talk(b"\nshow version\nshow cli level\n").await,
            "1.2.3\n\nadmin\n\n"
        );
    }

    #[tokio::test]
    async fn a_line_that_is_not_ended_or_too_long_is_not_obeyed() {
        assert_eq!(talk(b"show version").await, "");
        assert_eq!(talk(&[b'x'; 5000]).await, "");
    }

    #[tokio::test]
    async fn a_prompt_keeps_the_connection() {
        let answer = talk(b"prompt\nshow version\nshow version;show cli level\nquit\n").await;
        assert_eq!(answer, "\n> 1.2.3\n\n> 1.2.3\n\n> admin\n\n> ");
        assert_eq!(
            talk(b"prompt i\nshow version\nquit\nshow version\n").await,
            "\n1.2.3\n\n"
        );
    }

    #[tokio::test]
    async fn a_pause_comes_between_two_commands_of_a_line() {
        let before = tokio::time::Instant::now();
        assert_eq!(
            talk(b"show version;wait 30;show version\n").await,
            "1.2.3\n\n\n1.2.3\n\n"
        );
        assert!(before.elapsed() >= Duration::from_millis(30));
    }

    #[tokio::test]
    async fn an_idle_client_is_sent_away() {
        let (mut client, mut server) = tokio::io::duplex(1024);
        let limits = Limits {
            idle: Duration::from_millis(30),
            line: 200,
        };
        let session = Session::new(world(), Level::Admin, limits.idle);
        client.write_all(b"prompt\n").await.expect("room");
        let mut answer = Vec::new();
        let (ended, read) = tokio::join!(
            async move { converse(&mut server, session, limits).await },
            client.read_to_end(&mut answer)
        );
        assert!(ended.is_ok() && read.is_ok());
        assert_eq!(answer, b"\n> ");
    }
}
