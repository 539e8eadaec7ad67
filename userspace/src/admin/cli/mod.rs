//! The Runtime API: commands on a socket (management.txt §9.3).
//!
//! A [`Session`] takes lines and gives answers; [`serve`] moves both over Unix and TCP sockets. Answers have HAProxy's
//! shapes, because tools parse them. Commands read and change [`crate::state`]; servers are changed through
//! [`crate::health::Life`] only.

mod capture;
mod commands;
mod registry;
mod serve;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

pub use registry::listed;
pub use serve::{Socket, attend, serve};
pub(crate) use words::payload_mark;

use self::commands::members::Condition;
use crate::clock::{self, Moment};
use crate::dataplane::Dataplane;
use crate::health::Life;
use crate::lang::Foundry;
use crate::log::{Logs, Ring};
use crate::model::{Level, Severity};
use crate::net::Bound;
use crate::state::{Running, ServerState};
use crate::tls::Contexts;

/// What commands work on: the configuration in force, and what the process adds to it.
#[derive(Debug)]
pub struct World {
    served: ArcSwap<Served>,
    /// The TLS contexts in force, once there are some.
    pub tls: ArcSwapOption<Contexts>,
    /// The kernel tier, where there is one.
    pub kernel: Option<Arc<Dataplane>>,
    /// The program's version, for `show info` and `show version`.
    pub version: &'static str,
    /// Where the sockets listen, with their levels, for `show cli sockets`.
    pub sockets: Vec<(String, Level)>,
    /// What a process that replaces this one may take over.
    pub heirloom: Option<Heirloom>,
    /// What servers are made with that are added.
    pub foundry: Option<Foundry>,
    /// Closes idle connections.
    pub closing_idle: Option<ClosingIdle>,
}

/// The listening sockets of the process, as they are at the moment of asking.
pub struct Heirloom(pub Box<dyn Fn() -> Vec<(String, Arc<Bound>)> + Send + Sync>);

impl fmt::Debug for Heirloom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Heirloom")
    }
}

/// Closes the idle connections to a server.
pub struct ClosingIdle(pub Box<dyn Fn(&ServerState) + Send + Sync>);

impl fmt::Debug for ClosingIdle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClosingIdle")
    }
}

#[derive(Debug)]
struct Served {
    running: Running,
    logs: Arc<Logs>,
}

impl World {
    /// The world of a configuration in force.
    pub fn new(
        running: Running,
        logs: Arc<Logs>,
        version: &'static str,
        sockets: Vec<(String, Level)>,
    ) -> Self {
        Self {
            served: ArcSwap::from_pointee(Served::new(running, logs)),
            tls: ArcSwapOption::empty(),
            kernel: None,
            version,
            sockets,
            heirloom: None,
            foundry: None,
            closing_idle: None,
        }
    }

    /// Goes on with another configuration (reload).
    pub fn replace(&self, running: Running, logs: Arc<Logs>) {
        self.served.store(Arc::new(Served::new(running, logs)));
    }
}

impl Served {
    fn new(running: Running, logs: Arc<Logs>) -> Self {
        Self { running, logs }
    }
}

/// How a connection behaves after a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is closed.
    #[default]
    OneLine,
    /// It waits for the next line.
    Interactive,
    /// The same, and shows a prompt.
    Prompt,
}

/// How the severity of a message is shown before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SeverityOutput {
    #[default]
    None,
    Number,
    Word,
}

/// One client of the Runtime API.
#[derive(Debug)]
pub struct Session {
    world: Arc<World>,
    level: Level,
    /// How it goes on after a line.
    pub mode: Mode,
    timed: bool,
    severities: SeverityOutput,
    /// How long it may be idle.
    pub timeout: Duration,
    /// `expert-mode`.
    pub expert: bool,
    /// `experimental-mode`.
    pub experimental: bool,
}

/// What a line was answered with.
#[derive(Debug, Default)]
pub struct Reply {
    /// The text to send.
    pub text: String,
    /// A pause before the rest of the line.
    pub pause: Option<Pause>,
    /// A ring whose new lines are shown until the client says something.
    pub follow: Option<Follow>,
    /// The client asked to be disconnected.
    pub quit: bool,
}

/// A pause in a line.
#[derive(Debug)]
pub struct Pause {
    /// How long.
    time: Duration,
    /// What ends it earlier.
    until: Option<Condition>,
    /// The commands that follow.
    rest: Vec<Vec<String>>,
}

/// A ring being watched.
#[derive(Debug)]
pub struct Follow {
    ring: Arc<Ring>,
    /// Lines that were shown, or passed over.
    seen: u64,
    /// What ends each line.
    delimiter: char,
}

impl Follow {
    /// What came since the last time.
    fn news(&mut self) -> String {
        let (lines, seen) = self.ring.look(self.seen);
        self.seen = seen;
        let mut text = String::new();
        for line in lines {
            text.push_str(&String::from_utf8_lossy(&line));
            text.push(self.delimiter);
        }
        text
    }

    /// Waits for something new.
    async fn wait(&self) {
        self.ring.wait_beyond(self.seen).await;
    }
}

impl Session {
    /// A client with the rights of its socket.
    pub fn new(world: Arc<World>, level: Level, timeout: Duration) -> Self {
        Self {
            world,
            level,
            mode: Mode::default(),
            timed: false,
            severities: SeverityOutput::default(),
            timeout,
            expert: false,
            experimental: false,
        }
    }

    /// Answers one line. `payload` is what followed a line ending in `<<`.
    pub fn line(&mut self, line: &str, payload: Option<&str>) -> Reply {
        self.run(words::commands(line), payload)
    }

    /// Answers commands that are already cut into words.
    pub fn run(&mut self, commands: Vec<Vec<String>>, payload: Option<&str>) -> Reply {
        let mut reply = Reply::default();
        let mut commands = commands.into_iter();
        while let Some(command) = commands.next() {
            let (mark, text) = match self.command(&command, payload) {
                Answer::Quit => {
                    reply.quit = true;
                    return reply;
                }
                Answer::Pause(time, until) => {
                    if until.is_none() {
                        reply.text.push_str(&self.end_of_answer());
                    }
                    let rest = commands.collect();
                    reply.pause = Some(Pause { time, until, rest });
                    return reply;
                }
                Answer::Follow(text, follow) => {
                    reply.text.push_str(&text);
                    reply.follow = Some(follow);
                    return reply;
                }
                Answer::Done => (String::new(), String::new()),
                Answer::Output(text) => (String::new(), text),
                Answer::Message(severity, text) => (self.mark(severity), text),
            };
            reply.text.push_str(&self.answer(&mark, &text));
        }
        reply
    }

    fn answer(&self, mark: &str, text: &str) -> String {
        let line = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        format!("{mark}{text}{line}{}", self.end_of_answer())
    }

    /// Lets a pause pass, and goes on with the commands behind it. A condition is looked at again and again: what it is
    /// about has no single moment at which it changes.
    pub async fn resume(&mut self, pause: Pause, payload: Option<&str>) -> Reply {
        let Pause { time, until, rest } = pause;
        let Some(condition) = until else {
            tokio::time::sleep(time).await;
            return self.run(rest, payload);
        };
        let waiting = async {
            loop {
                match condition.holds(&self.world) {
                    Ok(false) => tokio::time::sleep(LOOK).await,
                    Ok(true) => return Ok(()),
                    Err(reason) => return Err(reason),
                }
            }
        };
        let (severity, text) = match tokio::time::timeout(time, waiting).await {
            Ok(Ok(())) => (Severity::Info, "Done.".to_owned()),
            Ok(Err(reason)) => (Severity::Err, reason),
            Err(_) => (Severity::Err, "Wait delay expired.".to_owned()),
        };
        let mut text = self.answer(&self.mark(severity), &text);
        let mut reply = self.run(rest, payload);
        text.push_str(&reply.text);
        reply.text = text;
        reply
    }

    /// What ends every answer: an empty line, and the prompt where there is one.
    pub fn end_of_answer(&self) -> String {
        if self.mode != Mode::Prompt {
            return "\n".to_owned();
        }
        if !self.timed {
            return "\n> ".to_owned();
        }
        let started = self.world.served.load().running.state.process.started;
        let uptime = clock::now().since(started) / 1000;
        let (days, hours) = (uptime / 86_400, uptime / 3600 % 24);
        format!(
            "\n[{days}:{hours:02}:{:02}:{:02}]> ",
            uptime / 60 % 60,
            uptime % 60
        )
    }

    fn command(&mut self, words: &[String], payload: Option<&str>) -> Answer {
        let Some(command) = registry::find(words) else {
            return Answer::Message(Severity::Info, registry::unknown(words, self.level));
        };
        if command.level > self.level {
            return Answer::error("Permission denied");
        }
        let world = Arc::clone(&self.world);
        let served = world.served.load_full();
        let mut call = Call {
            world: &world,
            served: &served,
            session: self,
            words: &words[command.words.len()..],
            payload,
            now: clock::now(),
        };
        (command.run)(&mut call)
    }

    fn mark(&self, severity: Severity) -> String {
        match self.severities {
            SeverityOutput::None => String::new(),
            SeverityOutput::Number => format!("[{}]: ", severity as u8),
            SeverityOutput::Word => format!("[{}]: ", severity_word(severity)),
        }
    }
}

/// One command being run.
struct Call<'a> {
    world: &'a World,
    served: &'a Served,
    session: &'a mut Session,
    words: &'a [String],
    payload: Option<&'a str>,
    now: Moment,
}

impl<'a> Call<'a> {
    /// The argument at a place, `""` where there is none.
    fn word(&self, at: usize) -> &'a str {
        self.words.get(at).map_or("", String::as_str)
    }

    fn running(&self) -> &'a Running {
        &self.served.running
    }

    fn life(&self) -> Life<'a> {
        Life::new(&self.served.running, &self.served.logs)
    }
}

/// What a command answers.
#[derive(Debug)]
enum Answer {
    /// It is done; there is nothing to say.
    Done,
    /// Data.
    Output(String),
    /// A message with a severity.
    Message(Severity, String),
    /// The rest of the line comes after a pause, or once a condition holds.
    Pause(Duration, Option<Condition>),
    /// Data, and more of it as it comes.
    Follow(String, Follow),
    /// The connection is to be closed.
    Quit,
}

impl Answer {
    fn error(text: impl Into<String>) -> Self {
        Self::Message(Severity::Err, text.into())
    }

    fn info(text: impl Into<String>) -> Self {
        Self::Message(Severity::Info, text.into())
    }

    /// The answer of a command that either is done or says why not.
    fn of(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(reason) => Self::error(reason),
        }
    }
}

const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Emerg => "emerg",
        Severity::Alert => "alert",
        Severity::Crit => "crit",
        Severity::Err => "err",
        Severity::Warning => "warning",
        Severity::Notice => "notice",
        Severity::Info => "info",
        Severity::Debug => "debug",
    }
}

/// How often a condition is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
