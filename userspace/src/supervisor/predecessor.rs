//! The process that is being replaced: its listening sockets, and what it remembers.
//!
//! The connection leads to its Runtime API, by the path of `-x` or from the master. First the sockets come over, under the
//! names of their addresses; then, when everything else of the start is done, the state of servers and stick tables. It
//! does not tell the old process to stop.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::listeners::Inherited;
use crate::net::handover;

/// A connection to the old process.
#[derive(Debug)]
pub(super) struct Predecessor(UnixStream);

impl Predecessor {
    /// Connects to the stats socket of the old process.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        Self::over(UnixStream::connect(path)?)
    }

    /// Uses a connection the master made.
    pub(super) fn given(connection: OwnedFd) -> io::Result<Self> {
        Self::over(connection.into())
    }

    fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Its listening sockets.
    pub(super) fn sockets(&mut self) -> io::Result<Inherited> {
        self.0.write_all(b"_getsocks\n")?;
        let mut sockets: HashMap<String, Vec<OwnedFd>> = HashMap::new();
        for (name, socket) in handover::receive_sockets(&self.0)? {
            sockets.entry(name).or_default().push(socket);
        }
        Ok(Inherited::new(sockets))
    }

    /// What it knows of servers and clients, as [`crate::state::State::remember`] takes it.
    pub(super) fn memory(mut self) -> io::Result<String> {
        self.0.write_all(b"\n")?;
        let mut text = String::new();
        (&self.0).take(MOST_MEMORY).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// A process that is alive answers at once; one that hangs must not keep the new one from starting.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of state taken over.
const MOST_MEMORY: u64 = 1 << 30;
