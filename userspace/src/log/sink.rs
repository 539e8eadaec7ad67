//! Where bytes leave: datagram sockets written without waiting, and descriptors written by a thread of their own.
//!
//! A datagram that the kernel cannot take at once is dropped; so is a line for a descriptor whose writer is 1024 lines
//! behind. Every drop is told to the caller, who counts it. Nothing here knows formats.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::farm::Farm;
use super::ring::Ring;
use super::sys;
use crate::state::shard;

/// One way out.
#[derive(Debug)]
pub(super) enum Sink {
    /// Datagrams over UDP, a socket per thread.
    Udp {
        address: SocketAddr,
        sockets: UdpSockets,
    },
    /// Datagrams to a Unix socket, a socket per thread.
    Unix {
        path: PathBuf,
        sockets: Box<[OnceLock<Option<UnixDatagram>>]>,
    },
    /// Lines to a descriptor.
    Descriptor(SyncSender<Job>),
    /// Lines for a ring, without their line ends.
    Ring(Arc<Ring>),
    /// Lines for the servers of a backend.
    Farm(Arc<Farm>),
}

/// The line was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped;

impl Sink {
    /// Datagrams over UDP, for `writers` threads.
    pub(super) fn udp(address: SocketAddr, writers: usize) -> Self {
        Self::Udp {
            address,
            sockets: UdpSockets::new(writers),
        }
    }

    /// Datagrams to a Unix socket, for `writers` threads.
    pub(super) fn unix(path: PathBuf, writers: usize) -> Self {
        Self::Unix {
            path,
            sockets: cells(writers),
        }
    }

    /// Lines to an inherited descriptor.
    ///
    /// # Errors
    /// The descriptor is not open, or its thread cannot be started.
    pub(super) fn descriptor(number: i32) -> io::Result<Self> {
        writer_of(number).map(Self::Descriptor)
    }

    /// Sends one line, or drops it; never waits.
    pub(super) fn send(&self, line: &[u8]) -> Result<(), Dropped> {
        match self {
            Self::Udp { address, sockets } => sockets.send_to(line, *address),
            Self::Unix { path, sockets } => {
                let socket = mine(sockets).get_or_init(|| unix_socket().ok());
                let socket = socket.as_ref().ok_or(Dropped)?;
                socket.send_to(line, path).map(|_| ()).map_err(|_| Dropped)
            }
            Self::Descriptor(queue) => queue
                .try_send(Job::Line(line.to_vec()))
                .map_err(|_| Dropped),
            Self::Ring(ring) => ring.push(line.strip_suffix(b"\n").unwrap_or(line)),
            Self::Farm(farm) => farm.send(line),
        }
    }
}

/// Waits until the lines queued for descriptors are written, but no longer than `limit` in all.
pub(super) fn flush(limit: Duration) {
    let queues: Vec<_> = WRITERS
        .lock()
        .iter()
        .map(|(_, queue)| queue.clone())
        .collect();
    for queue in queues {
        let (done, wait) = sync_channel(1);
        if queue.try_send(Job::Flush(done)).is_ok() {
            match wait.recv_timeout(limit) {
                Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }
}

/// Work for a descriptor's thread.
#[derive(Debug)]
pub(super) enum Job {
    /// Bytes to write.
    Line(Vec<u8>),
    /// Everything before is written: say so.
    Flush(SyncSender<()>),
}

/// The queue of a descriptor's thread, which is started when needed and then stays. A number that was closed and opened
/// again for something else is another descriptor.
fn writer_of(number: i32) -> io::Result<SyncSender<Job>> {
    let file = std::fs::File::from(sys::duplicate(number)?);
    let metadata = file.metadata()?;
    let identity = (metadata.dev(), metadata.ino());
    let mut writers = WRITERS.lock();
    if let Some((_, queue)) = writers.iter().find(|(known, _)| *known == identity) {
        return Ok(queue.clone());
    }
    let (queue, jobs) = sync_channel(MOST_QUEUED);
    std::thread::Builder::new()
        .name(format!("log-fd-{number}"))
        .spawn(move || write_lines(file, &jobs))?;
    writers.push((identity, queue.clone()));
    Ok(queue)
}

fn write_lines(mut file: std::fs::File, jobs: &Receiver<Job>) {
    for job in jobs {
        match job {
            Job::Line(line) => {
                let _the_reader_is_gone = file.write_all(&line);
            }
            Job::Flush(done) => {
                let _nobody_waits_any_more = done.try_send(());
            }
        }
    }
}

/// UDP sockets, one per thread and family, opened when needed.
#[derive(Debug)]
pub(super) struct UdpSockets {
    v4: Box<[OnceLock<Option<UdpSocket>>]>,
    v6: Box<[OnceLock<Option<UdpSocket>>]>,
}

impl UdpSockets {
    /// Sockets for `writers` threads.
    pub(super) fn new(writers: usize) -> Self {
        Self {
            v4: cells(writers),
            v6: cells(writers),
        }
    }

    /// Sends one datagram, or drops it; never waits.
    pub(super) fn send_to(&self, line: &[u8], address: SocketAddr) -> Result<(), Dropped> {
        let sockets = match address {
            SocketAddr::V4(_) => &self.v4,
            SocketAddr::V6(_) => &self.v6,
        };
        let socket = mine(sockets).get_or_init(|| udp_socket(&address).ok());
        let socket = socket.as_ref().ok_or(Dropped)?;
        socket
            .send_to(line, address)
            .map(|_| ())
            .map_err(|_| Dropped)
    }
}

fn udp_socket(target: &SocketAddr) -> io::Result<UdpSocket> {
    let socket = match target {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn unix_socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn cells<T>(writers: usize) -> Box<[OnceLock<T>]> {
    (0..writers.max(1)).map(|_| OnceLock::new()).collect()
}

fn mine<T>(cells: &[OnceLock<T>]) -> &OnceLock<T> {
    &cells[shard::current() % cells.len()]
}

/// The descriptors that have a thread, for the whole process: lines of several targets stay whole and in order.
static WRITERS: Mutex<Vec<(Identity, SyncSender<Job>)>> = Mutex::new(Vec::new());

/// Device and inode of what a descriptor leads to.
type Identity = (u64, u64);

const MOST_QUEUED: usize = 1024;
