//! Log messages on their way through: `ring` and `log-forward` sections (manual §12.5, §12.6).

use super::{LogFormatKind, Server};
use crate::types::Millis;

/// One `ring` section.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Its name.
    pub name: String,
    /// `description`; the name by default.
    pub description: String,
    /// `format`; `None` = what the `log` line says, else only the message.
    pub format: Option<LogFormatKind>,
    /// `maxlen`: longest message, header included; `None` = what the `log` line says.
    pub max_length: Option<usize>,
    /// `size`: bytes of messages kept.
    pub size: usize,
    /// `timeout connect`.
    pub connect: Option<Millis>,
    /// `timeout server`: how long a server may take no byte.
    pub server: Option<Millis>,
    /// The servers that all get a copy of every message. They are in no backend: their ids mean nothing.
    pub servers: Vec<Server>,
}

/// What a `log-forward` section does with messages, beside what every frontend has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogForward {
    /// `option dont-parse-log`: messages are passed on as they are.
    pub opaque: bool,
    /// `option assume-rfc6587-ntf`: lengths are not looked for on streams.
    pub lines_only: bool,
    /// `option host`.
    pub host: HostStrategy,
}

/// `option host`: whose name a message carries on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostStrategy {
    /// The address it came from.
    Replace,
    /// Its own; without one the address it came from.
    #[default]
    Fill,
    /// Its own or none.
    Keep,
    /// Its own and the address it came from, with a comma between.
    Append,
}
