//! The protocols of health checks that are not HTTP, without a wire.
//!
//! A [`Dialogue`] says what to send, asks for more bytes, and ends in a [`Verdict`] with HAProxy's words; [`agent`] understands
//! what an agent says. [`crate::health`] moves the bytes and acts on what they mean. Nothing here reads a clock.

pub mod agent;
mod ldap;
mod mysql;
mod pgsql;
mod redis;
mod smtp;
#[cfg(test)]
mod tests;

pub use mysql::MysqlClient;

/// A protocol a server can be checked with (manual §4.2 `option smtpchk` and its kin).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `option smtpchk`: the whole hello command, without its line end.
    Smtp {
        /// `HELO localhost`, for instance.
        hello: String,
    },
    /// `option pgsql-check user NAME`.
    Pgsql {
        /// The user of the startup message.
        user: String,
    },
    /// `option ldap-check`.
    Ldap,
    /// `option redis-check`.
    Redis,
    /// `option mysql-check [user NAME [pre-41|post-41|post-80]]`.
    Mysql {
        /// Who logs in; `None` = only the server's greeting is read.
        user: Option<(String, MysqlClient)>,
    },
}

/// What a dialogue does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes go out; what was received so far is done with.
    Send(Vec<u8>),
    /// More bytes are needed.
    Receive,
    /// It is over.
    Done(Verdict),
    /// It is over once these bytes are sent, whatever comes back.
    Leave(Vec<u8>, Verdict),
}

/// What came of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server is fine.
    Passed {
        /// The protocol's code.
        code: u16,
        /// For people.
        text: String,
    },
    /// The server speaks the protocol and says no.
    Refused {
        /// The protocol's code.
        code: u16,
        /// For people.
        text: String,
    },
    /// What came is not the protocol.
    Invalid {
        /// For people.
        text: String,
    },
}

/// One dialogue with one server.
#[derive(Debug)]
pub struct Dialogue<'a> {
    protocol: &'a Protocol,
    stage: u8,
}

impl<'a> Dialogue<'a> {
    /// A dialogue that has not begun.
    pub const fn new(protocol: &'a Protocol) -> Self {
        Self { protocol, stage: 0 }
    }

    /// Goes on. `received` is everything that came since the last [`Step::Send`]; `closed`: nothing more will.
    pub fn step(&mut self, received: &[u8], closed: bool) -> Step {
        let step = match self.protocol {
            Protocol::Smtp { hello } => smtp::step(self.stage, hello, received, closed),
            Protocol::Pgsql { user } => pgsql::step(self.stage, user, received),
            Protocol::Ldap => ldap::step(self.stage, received),
            Protocol::Redis => redis::step(self.stage, received, closed),
            Protocol::Mysql { user } => mysql::step(self.stage, user.as_ref(), received),
        };
        match step {
            Step::Send(bytes) => {
                self.stage += 1;
                Step::Send(bytes)
            }
            Step::Receive if closed => Step::Done(Verdict::Invalid {
                text: first_line(received),
            }),
            other => other,
        }
    }
}

/// The first line for people, without its end.
fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}
