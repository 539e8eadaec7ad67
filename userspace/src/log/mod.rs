//! Log lines on their way out: traffic to the targets of the `log` lines, daemon diagnostics to standard error.
//!
//! Sessions and health checks hand a finished message to their proxy's [`Logger`], which frames and sends it without ever
//! waiting; a line that cannot leave is dropped and counted (`DroppedLogs`). [`notice`] is for the person who runs the daemon.
//! What is logged, and in which words, is decided elsewhere.

mod farm;
pub mod notice;
mod open;
mod ring;
mod sink;
mod sys;
mod target;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use open::{Carried, Destination, OpenError};
pub use ring::Ring;
pub use target::Target;

use crate::model::{LogForward, Severity};
use crate::proto::syslog::Message;
use crate::types::ProxyId;

/// The loggers of one configuration.
#[derive(Debug)]
pub struct Logs {
    proxies: Vec<Logger>,
    global: Logger,
    rings: Vec<Arc<Ring>>,
    carried: Vec<Carried>,
}

impl Logs {
    /// The logger of a proxy of this configuration.
    pub fn proxy(&self, id: ProxyId) -> &Logger {
        &self.proxies[id.index()]
    }

    /// The logger of the `global` section.
    pub fn global(&self) -> &Logger {
        &self.global
    }

    /// The `ring` sections, in the order of the file.
    pub fn rings(&self) -> &[Arc<Ring>] {
        &self.rings
    }

    /// Every ring whose lines are to be carried to a server.
    pub fn carried(&self) -> &[Carried] {
        &self.carried
    }

    /// The targets of the `global` section and of every proxy, each once.
    pub fn everywhere(&self) -> Vec<&Arc<Target>> {
        let mut targets: Vec<&Arc<Target>> = Vec::new();
        let all = self
            .global
            .targets
            .iter()
            .chain(self.proxies.iter().flat_map(|l| &l.targets));
        for target in all {
            if !targets.iter().any(|known| Arc::ptr_eq(known, target)) {
                targets.push(target);
            }
        }
        targets
    }
}

/// One proxy's way to its targets.
#[derive(Debug)]
pub struct Logger {
    targets: Box<[Arc<Target>]>,
    tag: Arc<str>,
}

impl Logger {
    /// Whether any target takes lines of that severity; nothing needs to be rendered otherwise.
    pub fn wants(&self, severity: Severity) -> bool {
        self.targets.iter().any(|target| target.wants(severity))
    }

    /// Whether there is no target at all.
    pub fn is_silent(&self) -> bool {
        self.targets.is_empty()
    }

    /// Its targets, for those who make each of them a line of its own ([`Target::profile`]).
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().map(|target| &**target)
    }

    /// The tag of its lines, where a profile has no other.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Sends one message. `structured` is the RFC 5424 structured data, empty for none.
    pub fn send(&self, severity: Severity, message: &[u8], structured: &[u8]) {
        for target in &self.targets {
            target.send(severity, &self.tag, message, structured);
        }
    }

    /// Passes a received message on. `sender` is where it came from, when that is an IP address.
    pub fn relay(&self, message: &Message<'_>, sender: Option<IpAddr>, how: LogForward) {
        for target in &self.targets {
            target.relay(message, sender, how.host);
        }
    }
}

/// Waits, but no longer than `limit`, until lines for descriptors are written. For the end of the process.
pub fn flush(limit: Duration) {
    sink::flush(limit);
}

/// The text with everything that is not printable ASCII replaced by `#` and two hexadecimal digits (manual §8.6), for texts
/// that came from outside.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' => safe.push(char::from(byte)),
            _ => safe.push_str(&format!("#{byte:02X}")),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
