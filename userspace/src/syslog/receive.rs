//! Receiving messages for `log-forward` sections.

use std::future::pending;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;

use crate::log::{Logger, Logs};
use crate::model::LogForward;
use crate::net::Stream;
use crate::proto::syslog::{Message, next_frame};
use crate::state::{Counter, Running};
use crate::types::{Millis, ProxyId};

/// A socket that receives datagrams for a section.
#[derive(Debug)]
pub struct Inlet {
    /// The section.
    pub section: ProxyId,
    /// The socket, which does not block.
    pub socket: UdpSocket,
}

/// Passes on what comes in through some sockets; does not end.
pub async fn receive(running: Running, logs: Arc<Logs>, inlets: Vec<Inlet>) {
    let receivers = inlets
        .into_iter()
        .map(|inlet| datagrams(inlet, &running, &logs));
    join_all(receivers).await;
    pending().await
}

async fn datagrams(inlet: Inlet, running: &Running, logs: &Logs) {
    // A runtime that cannot register one more socket could not have started.
    let Ok(socket) = tokio::net::UdpSocket::from_std(inlet.socket) else {
        return;
    };
    let logger = logs.proxy(inlet.section);
    let how = running.model.proxy(inlet.section).log_forward;
    let counters = &running.state.proxy(inlet.section).frontend.counters;
    let mut buffer = vec![0; MOST + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, sender)) => {
                counters.add(Counter::BytesIn, length as u64);
                let relay = Relay::new(logger, Some(sender.ip()), how);
                let message = &buffer[..length];
                relay.message(message.strip_suffix(b"\n").unwrap_or(message));
            }
            // An ICMP error about something sent, which nothing was, or a signal: the next one may be whole.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// The messages of one sender on their way to a section's logger.
pub struct Relay<'a> {
    logger: &'a Logger,
    sender: Option<IpAddr>,
    how: LogForward,
}

impl<'a> Relay<'a> {
    /// The messages of `sender`, if that is known.
    pub const fn new(logger: &'a Logger, sender: Option<IpAddr>, how: LogForward) -> Self {
        Self {
            logger,
            sender,
            how,
        }
    }

    /// Passes one message on.
    pub fn message(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let message = if self.how.opaque {
            Message::opaque(bytes)
        } else {
            Message::parse(bytes)
        };
        self.logger.relay(&message, self.sender, self.how);
    }

    /// Passes on the messages of a connection until it ends, is idle for too long, or makes no sense any more.
    pub async fn stream(&self, mut stream: Stream, idle: Option<Millis>) {
        let mut buffer = Vec::with_capacity(FIRST_READ);
        loop {
            let read = stream.read_buf(&mut buffer);
            let read = match idle {
                None => read.await,
                Some(idle) => tokio::time::timeout(idle.duration(), read)
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            };
            if !matches!(read, Ok(1..)) {
                return;
            }
            if self.messages(&mut buffer).is_none() {
                return;
            }
        }
    }

    /// Passes on the whole messages of a buffer and leaves the rest; `None` when what comes next is no message.
    fn messages(&self, buffer: &mut Vec<u8>) -> Option<()> {
        let mut done = 0;
        let lines_only = self.how.lines_only;
        while let Some((message, taken)) = next_frame(&buffer[done..], lines_only, MOST).ok()? {
            self.message(&buffer[done..][message]);
            done += taken;
        }
        buffer.drain(..done);
        Some(())
    }
}

/// The longest message taken.
const MOST: usize = 65_535;

const FIRST_READ: usize = 4096;
