//! Where dropped packets come from: counted in a sample of them that the process streams.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::proto::ends;
use crate::proto::pcapng::{self, Block};

/// The sources of the sample since they were asked for last.
pub(super) struct Sources {
    counts: HashMap<IpAddr, u64>,
    sampled: u64,
    stream: Stream,
    trouble: Option<String>,
}

enum Stream {
    Closed(std::path::PathBuf),
    Open(UnixStream, Vec<u8>),
    Ended,
}

impl Sources {
    /// Those of the process behind a socket.
    pub(super) fn of(socket: &Path) -> Self {
        Self {
            counts: HashMap::new(),
            sampled: 0,
            stream: Stream::Closed(socket.to_owned()),
            trouble: None,
        }
    }

    /// Collects for as long as it is waited for.
    pub(super) async fn collect(&mut self) {
        loop {
            if let Err(error) = self.step().await {
                self.trouble = Some(error.to_string());
                self.stream = Stream::Ended;
            }
        }
    }

    /// The most frequent sources with their shares of the sample, and why there are none. Begins anew.
    pub(super) fn take(&mut self, most: usize) -> (Vec<(IpAddr, f64)>, Option<String>) {
        let sampled = std::mem::take(&mut self.sampled);
        let mut counts: Vec<(IpAddr, u64)> = self.counts.drain().collect();
        counts.sort_by_key(|(source, count)| (std::cmp::Reverse(*count), *source));
        counts.truncate(most);
        let share = |(source, count)| (source, count as f64 / sampled as f64);
        (
            counts.into_iter().map(share).collect(),
            self.trouble.clone(),
        )
    }

    async fn step(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Ended => std::future::pending().await,
            Stream::Closed(path) => {
                let mut stream = UnixStream::connect(&*path).await?;
                stream
                    .write_all(b"capture drops sampled bytes 128\n")
                    .await?;
                self.stream = Stream::Open(stream, Vec::new());
                Ok(())
            }
            Stream::Open(stream, bytes) => {
                if stream.read_buf(bytes).await? == 0 {
                    let text = String::from_utf8_lossy(bytes).trim().to_owned();
                    let over = "the program was replaced".to_owned();
                    return Err(io::Error::other(if text.is_empty() { over } else { text }));
                }
                let mut at = 0;
                loop {
                    let rest = &bytes[at..];
                    if rest.len() >= 4 && at == 0 && rest[0].is_ascii_alphabetic() {
                        // A line of text; its end comes.
                        break;
                    }
                    let Some((block, length)) = pcapng::read(rest).map_err(io::Error::other)?
                    else {
                        break;
                    };
                    if let Block::Frame(frame) = block
                        && let Some((source, _)) = ends::addresses(frame.bytes)
                    {
                        self.sampled += 1;
                        if self.counts.len() < MOST || self.counts.contains_key(&source) {
                            *self.counts.entry(source).or_default() += 1;
                        }
                    }
                    at += length;
                }
                bytes.drain(..at);
                Ok(())
            }
        }
    }
}

/// Sources that are counted in one second.
const MOST: usize = 65_536;
