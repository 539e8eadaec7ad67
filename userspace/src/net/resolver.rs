//! Questions to name servers: all of them at once, the first valid answer counts (manual §5.3.2).
//!
//! A resolvers section and a name come in, an answer with the name of who gave it comes out, or how it failed. What the
//! addresses are for is the asker's business: [`crate::health`] gives them to servers, [`crate::session`] to variables.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::clock;
use crate::model::{NameServer, Resolvers};
use crate::proto::dns::{self, Answer, Failure, Kind};

/// Why there is no answer, as far as `hold` and the log tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The name does not exist.
    NoSuchName,
    /// The name servers refuse to answer.
    Refused,
    /// Nobody answered in time.
    Timeout,
    /// Anything else.
    Other,
}

impl Status {
    /// The words in the log.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoSuchName => "DNS NX status",
            Self::Refused => "DNS refused status",
            Self::Timeout => "DNS timeout status",
            Self::Other => "unspecified DNS error",
        }
    }
}

/// An answer, and which name server gave it.
pub struct Told<'a> {
    /// What it says.
    pub answer: Answer,
    /// Who said it.
    pub by: &'a NameServer,
}

/// Asks for a name's addresses of the preferred family, then of the other one.
///
/// # Errors
/// No name server gave a valid answer.
pub async fn addresses<'a>(
    resolvers: &'a Resolvers,
    name: &str,
    prefer_v6: bool,
) -> Result<Told<'a>, Status> {
    let kinds = if prefer_v6 {
        [Kind::Aaaa, Kind::A]
    } else {
        [Kind::A, Kind::Aaaa]
    };
    persistently(resolvers, name, &kinds).await
}

/// Asks for the servers of a service.
///
/// # Errors
/// No name server gave a valid answer.
pub async fn services<'a>(resolvers: &'a Resolvers, name: &str) -> Result<Told<'a>, Status> {
    persistently(resolvers, name, &[Kind::Srv]).await
}

/// One question after the other, `resolve_retries` times. A question nobody answered is not followed by its other family:
/// that would not be answered either.
async fn persistently<'a>(
    resolvers: &'a Resolvers,
    name: &str,
    kinds: &[Kind],
) -> Result<Told<'a>, Status> {
    let mut last = Status::Timeout;
    for _ in 0..resolvers.retries.max(1) {
        for kind in kinds {
            match everybody(resolvers, name, *kind).await {
                Ok(told) => return Ok(told),
                Err(status) => last = status,
            }
            if last == Status::Timeout {
                break;
            }
        }
    }
    Err(last)
}

/// The first valid answer of all name servers; else what the last one said.
async fn everybody<'a>(
    resolvers: &'a Resolvers,
    name: &str,
    kind: Kind,
) -> Result<Told<'a>, Status> {
    let mut asked: FuturesUnordered<_> = resolvers
        .nameservers
        .iter()
        .map(|server| async move { (server, one(resolvers, server, name, kind).await) })
        .collect();
    let mut last = Status::Timeout;
    while let Some((by, result)) = asked.next().await {
        match result {
            Ok(answer) => return Ok(Told { answer, by }),
            Err(status) => last = status,
        }
    }
    Err(last)
}

async fn one(
    resolvers: &Resolvers,
    server: &NameServer,
    name: &str,
    kind: Kind,
) -> Result<Answer, Status> {
    // Unpredictable, so that nobody off the path can answer for the name server; so is the port, which is the kernel's.
    let id = RandomState::new().hash_one(clock::now_micros()) as u16;
    let question = dns::question(id, name, kind, resolvers.payload_size).ok_or(Status::Other)?;
    let reading = |bytes: &[u8]| dns::answer(bytes, id, name, kind);
    let asking = async {
        if server.stream {
            over_stream(server.address, &question, reading).await
        } else {
            let size = usize::from(resolvers.payload_size);
            match over_datagrams(server.address, &question, size, reading).await? {
                // The whole of it fits into a stream (RFC 7766).
                Err(Failure::Truncated) => over_stream(server.address, &question, reading).await,
                result => Ok(result),
            }
        }
    };
    match timeout(resolvers.retry.duration(), asking).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(failure))) => Err(match failure {
            Failure::NoSuchName => Status::NoSuchName,
            Failure::Refused => Status::Refused,
            Failure::Stranger | Failure::Truncated | Failure::Other => Status::Other,
        }),
        // Nobody is there, which is as good as no answer.
        Ok(Err(_)) | Err(_) => Err(Status::Timeout),
    }
}

type Read = Result<Answer, Failure>;

async fn over_datagrams(
    server: SocketAddr,
    question: &[u8],
    size: usize,
    read: impl Fn(&[u8]) -> Read,
) -> io::Result<Read> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; size];
    // Strangers are waited out: the caller's timeout ends this.
    loop {
        let length = socket.recv(&mut buffer).await?;
        match read(&buffer[..length]) {
            Err(Failure::Stranger) => {}
            result => return Ok(result),
        }
    }
}

async fn over_stream(
    server: SocketAddr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Read,
) -> io::Result<Read> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(question).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    Ok(read(&buffer))
}
