//! What a master and its worker say to each other, over a pair of sequenced-packet sockets.
//!
//! The worker says how its start went, with the lines it printed. The master hands down connections for the worker's
//! Runtime API, each with its rights. Either sees at once when the other is gone. Which message follows from what is the
//! business of [`super::master`] and [`super::worker`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::model::Level;
use crate::net::handover;

/// One end. Not a stream really: the runtime's type is used for waiting only.
#[derive(Debug)]
pub(super) struct Link(UnixStream);

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It serves; these lines were printed on the way.
    Ready(String),
    /// It cannot start, and these lines say why.
    Failed(String),
}

/// The rights of a connection the master hands down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) level: Level,
    pub(super) expert: bool,
    pub(super) experimental: bool,
}

impl Link {
    /// Must be called inside a runtime.
    pub(super) fn new(end: OwnedFd) -> io::Result<Self> {
        let end = std::os::unix::net::UnixStream::from(end);
        end.set_nonblocking(true)?;
        Ok(Self(UnixStream::from_std(end)?))
    }

    /// Says how the start went.
    pub(super) fn report(&self, report: &Report) -> io::Result<()> {
        report_on(&self.0, report)
    }

    /// The worker's report; `None` when it is gone.
    pub(super) async fn reported(&self) -> Option<Report> {
        let (text, _) = self.receive().await?;
        match text.split_once('\n') {
            Some(("ready", lines)) => Some(Report::Ready(lines.to_owned())),
            Some(("failed", lines)) => Some(Report::Failed(lines.to_owned())),
            _ => None,
        }
    }

    /// Hands a connection down.
    pub(super) fn hand_down(&self, connection: &OwnedFd, rights: Rights) -> io::Result<()> {
        let level = match rights.level {
            Level::User => "user",
            Level::Operator => "operator",
            Level::Admin => "admin",
        };
        let word = |on: bool, word: &'static str| if on { word } else { "" };
        let expert = word(rights.expert, " expert");
        let experimental = word(rights.experimental, " experimental");
        let text = format!("cli {level}{expert}{experimental}");
        handover::send_message(&self.0, text.as_bytes(), Some(connection.as_fd()))
    }

    /// A connection the master handed down; `None` when the master is gone.
    pub(super) async fn handed_down(&self) -> Option<(OwnedFd, Rights)> {
        loop {
            let (text, connection) = self.receive().await?;
            let words: Vec<&str> = text.split(' ').collect();
            let ("cli", Some(connection)) = (words[0], connection) else {
                continue;
            };
            let level = match words.get(1) {
                Some(&"admin") => Level::Admin,
                Some(&"operator") => Level::Operator,
                _ => Level::User,
            };
            let rights = Rights {
                level,
                expert: words.contains(&"expert"),
                experimental: words.contains(&"experimental"),
            };
            return Some((connection, rights));
        }
    }

    async fn receive(&self) -> Option<(String, Option<OwnedFd>)> {
        let mut buffer = vec![0; LONGEST];
        loop {
            self.0.readable().await.ok()?;
            let receive = || handover::receive_message(&self.0, &mut buffer);
            match self.0.try_io(Interest::READABLE, receive) {
                Ok((0, _)) => return None,
                Ok((length, connection)) => {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    return Some((text, connection));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }
}

/// Says how the start went, before there is a runtime.
pub(super) fn report_on(end: impl AsFd, report: &Report) -> io::Result<()> {
    let (word, lines) = match report {
        Report::Ready(lines) => ("ready", lines),
        Report::Failed(lines) => ("failed", lines),
    };
    let mut text = format!("{word}\n{lines}");
    let mut end_of_text = text.len().min(LONGEST);
    while !text.is_char_boundary(end_of_text) {
        end_of_text -= 1;
    }
    text.truncate(end_of_text);
    handover::send_message(end, text.as_bytes(), None)
}

/// Bytes of a message.
const LONGEST: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_sides_understand_each_other_and_see_the_end() {
        let (master, worker) = handover::message_pair().expect("a pair");
        let (master, worker) = (
            Link::new(master).expect("a link"),
            Link::new(worker).expect("a link"),
        );
        let report = Report::Ready("[NOTICE] text\n".to_owned());
        worker.report(&report).expect("room");
        assert_eq!(master.reported().await, Some(report));
        let rights = Rights {
            level: Level::Operator,
            expert: true,
            experimental: false,
        };
        let (ours, theirs) = handover::stream_pair().expect("a pair");
        master.hand_down(&theirs, rights).expect("room");
        assert_eq!(worker.handed_down().await.expect("one").1, rights);
        drop((ours, master));
        assert!(worker.handed_down().await.is_none());
    }
}
