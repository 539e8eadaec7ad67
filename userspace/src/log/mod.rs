//! Log lines on their way out: traffic to the targets of the `log` lines, daemon diagnostics to standard error.
//!
//! Sessions and health checks hand a finished message to their proxy's [`Logger`], which frames and sends it without ever
//! waiting; a line that cannot leave is dropped and counted (`DroppedLogs`). [`notice`] is for the person who runs the daemon.
//! What is logged, and in which words, is decided elsewhere.

pub mod notice;
mod sink;
mod sys;
mod target;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use target::Target;

use crate::model::{LogTarget, Model, Severity};
use crate::state::State;
use crate::types::ProxyId;

/// The loggers of one configuration.
#[derive(Debug)]
pub struct Logs {
    proxies: Vec<Logger>,
    global: Logger,
}

/// A target that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot log to {target:?}: {source}")]
pub struct OpenError {
    target: LogTarget,
    source: io::Error,
}

impl Logs {
    /// Opens every target of a configuration. `program` is the default tag. To be called after the process got its final
    /// process id.
    ///
    /// # Errors
    /// A target's descriptor is not open.
    pub fn open(model: &Model, state: &State, program: &str) -> Result<Self, OpenError> {
        let tag: Arc<str> = model.global.log_tag.as_deref().unwrap_or(program).into();
        let host = host_name(model.global.log_send_hostname.as_deref());
        let profile = |target: &LogTarget| {
            let name = target.profile.as_deref()?;
            let mut profiles = model.log_profiles.iter();
            profiles.find(|profile| profile.name == name).cloned()
        };
        let open = |target: &LogTarget| {
            Target::open(target, profile(target), host.clone(), state)
                .map(Arc::new)
                .map_err(|source| OpenError {
                    target: target.clone(),
                    source,
                })
        };
        let shared = model
            .global
            .logs
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, _>>()?;
        let logger = |targets: &[LogTarget], tag: Arc<str>| {
            let targets = targets
                .iter()
                .map(|target| {
                    let global = model.global.logs.iter().position(|known| known == target);
                    global.map_or_else(|| open(target), |at| Ok(Arc::clone(&shared[at])))
                })
                .collect::<Result<_, _>>()?;
            Ok(Logger { targets, tag })
        };
        let proxies = model
            .proxies
            .iter()
            .map(|proxy| {
                let tag = proxy
                    .log_tag
                    .as_deref()
                    .map_or_else(|| Arc::clone(&tag), Arc::from);
                logger(&proxy.logs, tag)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            proxies,
            global: Logger {
                targets: shared.into(),
                tag,
            },
        })
    }

    /// The logger of a proxy of this configuration.
    pub fn proxy(&self, id: ProxyId) -> &Logger {
        &self.proxies[id.index()]
    }

    /// The logger of the `global` section.
    pub fn global(&self) -> &Logger {
        &self.global
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

/// What `log-send-hostname` asks to send: nothing, a given name, or (empty) the machine's.
fn host_name(setting: Option<&str>) -> Option<Arc<str>> {
    match setting {
        None => None,
        Some("") => {
            let name = rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned();
            Some(name.into())
        }
        Some(name) => Some(name.into()),
    }
}

#[cfg(test)]
mod tests;
