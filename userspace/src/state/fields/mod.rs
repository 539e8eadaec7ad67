//! Every statistic, declared once (management.txt §9.1).
//!
//! A [`Field`] knows its CSV column, its Prometheus name, its tags and how to read its value from a [`Row`]; CSV, typed
//! and JSON output, the stats page and the exporter are renderings of [`FIELDS`]. Nothing is computed or kept here.

mod checks;
mod process;
mod read;
mod status;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use process::{INFO, InfoField, InfoRow};
pub use status::{backend_status, server_status};
pub use table::FIELDS;

use super::Running;
use super::counters::{Counter, Counters, Timing};
use crate::clock::{self, Moment};
use crate::model::{Bind, Proxy, Server};

/// One statistic.
pub struct Field {
    /// The CSV column.
    pub name: &'static str,
    /// The Prometheus name, without `haproxy_` and the kind of object.
    pub metric: &'static str,
    /// Which objects have it.
    pub objects: Objects,
    /// What kind of number it is.
    pub tags: Tags,
    /// What it tells.
    pub doc: &'static str,
    pub(super) source: Source,
}

impl Field {
    /// Its value for an object; [`Value::None`] where the object does not have it.
    pub fn value<'a>(&self, row: &Row<'a>) -> Value<'a> {
        if !self.objects.has(row.kind()) {
            return Value::None;
        }
        match self.source {
            Source::Count(counter) => Value::U64(row.counters().sum(counter)),
            Source::Average(timing) => Value::U32(clamp(row.counters().average(timing))),
            Source::Longest(timing) => Value::U32(clamp(row.counters().longest(timing))),
            Source::Read(read) => read(row),
        }
    }
}

/// Where a field's value comes from.
pub(super) enum Source {
    Count(Counter),
    Average(Timing),
    Longest(Timing),
    Read(for<'a> fn(&Row<'a>) -> Value<'a>),
}

/// A value as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The object has no such statistic, or none now: an empty CSV column.
    None,
    /// 32 bits, unsigned.
    U32(u32),
    /// 32 bits, signed.
    S32(i32),
    /// 64 bits, unsigned.
    U64(u64),
    /// Text.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The type's name in typed and JSON output.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::U32(_) => "u32",
            Self::S32(_) => "s32",
            Self::U64(_) => "u64",
            Self::Text(_) => "str",
        }
    }

    /// Whether there is none.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::U32(value) => value.fmt(formatter),
            Self::S32(value) => value.fmt(formatter),
            Self::U64(value) => value.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// The object a line of statistics is about.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// The frontend side of a proxy.
    Frontend(&'a Proxy),
    /// The backend side of a proxy.
    Backend(&'a Proxy),
    /// A server.
    Server(&'a Server),
    /// A listener.
    Listener(&'a Bind),
}

/// A kind of object; the numbers are those of the `type` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A frontend.
    Frontend = 0,
    /// A backend.
    Backend = 1,
    /// A server.
    Server = 2,
    /// A listener.
    Listener = 3,
}

impl Kind {
    /// The letter of typed output.
    pub const fn letter(self) -> char {
        match self {
            Self::Frontend => 'F',
            Self::Backend => 'B',
            Self::Server => 'S',
            Self::Listener => 'L',
        }
    }

    /// The word of JSON output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Frontend => "Frontend",
            Self::Backend => "Backend",
            Self::Server => "Server",
            Self::Listener => "Listener",
        }
    }
}

/// A set of kinds, as the manual marks them: `[LFBS]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects(u8);

impl Objects {
    /// The kinds of these letters of `LFBS`; other characters count for nothing.
    pub const fn of(letters: &str) -> Self {
        let letters = letters.as_bytes();
        let mut bits = 0;
        let mut index = 0;
        while index < letters.len() {
            bits |= match letters[index] {
                b'F' => 1 << Kind::Frontend as u8,
                b'B' => 1 << Kind::Backend as u8,
                b'S' => 1 << Kind::Server as u8,
                b'L' => 1 << Kind::Listener as u8,
                _ => 0,
            };
            index += 1;
        }
        Self(bits)
    }

    /// Whether a kind is in the set.
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// Origin, nature and scope of a value, as three letters (management.txt §9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags(pub &'static str);

impl Tags {
    /// The fourth letter: `P` for counters and rates, which outlive a reload, else `V`.
    pub fn persistence(self) -> char {
        match self.0.as_bytes() {
            [b'M', b'C' | b'R', ..] => 'P',
            _ => 'V',
        }
    }

    /// The words of JSON output: origin, nature, scope.
    pub fn words(self) -> [&'static str; 3] {
        let letter = |index: usize| self.0.as_bytes().get(index).copied().unwrap_or(b'?');
        let origin = match letter(0) {
            b'M' => "Metric",
            b'S' => "Status",
            b'K' => "Key",
            b'C' => "Config",
            _ => "Product",
        };
        let nature = match letter(1) {
            b'A' => "Age",
            b'a' => "Avg",
            b'C' => "Counter",
            b'D' => "Duration",
            b'G' => "Gauge",
            b'L' => "Limit",
            b'M' => "Max",
            b'N' => "Name",
            b'O' => "Output",
            b'R' => "Rate",
            b'm' => "Min",
            _ => "Time",
        };
        let scope = match letter(2) {
            b'C' => "Cluster",
            b'P' => "Process",
            _ => "Service",
        };
        [origin, nature, scope]
    }
}

/// One object of a running configuration at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The configuration.
    pub running: &'a Running,
    /// The object.
    pub object: Object<'a>,
    /// The moment its ages and rates are read at.
    pub now: Moment,
}

impl<'a> Row<'a> {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self.object {
            Object::Frontend(_) => Kind::Frontend,
            Object::Backend(_) => Kind::Backend,
            Object::Server(_) => Kind::Server,
            Object::Listener(_) => Kind::Listener,
        }
    }

    /// The proxy it is, or belongs to.
    pub fn proxy(&self) -> &'a Proxy {
        match self.object {
            Object::Frontend(proxy) | Object::Backend(proxy) => proxy,
            Object::Server(server) => self.running.model.proxy(server.proxy),
            Object::Listener(bind) => self.running.model.proxy(bind.proxy),
        }
    }

    /// The `sid` column: the number of a server or listener, 0 for the sides of a proxy.
    pub fn number(&self) -> u32 {
        match self.object {
            Object::Frontend(_) | Object::Backend(_) => 0,
            Object::Server(server) => server.number,
            Object::Listener(bind) => bind.number,
        }
    }

    fn counters(&self) -> &'a Counters {
        let state = &self.running.state;
        match self.object {
            Object::Frontend(proxy) => &state.proxy(proxy.id).frontend.counters,
            Object::Backend(proxy) => &state.proxy(proxy.id).backend.counters,
            Object::Server(server) => &state.server(server.id).counters,
            Object::Listener(bind) => &state.listener(bind.id).counters,
        }
    }
}

/// Every object of a configuration in the order of `show stat`: of each proxy the frontend, its listeners where they are
/// counted apart (`option socket-stats`), its servers, the backend.
pub fn rows(running: &Running) -> impl Iterator<Item = Row<'_>> {
    let now = clock::now();
    let model = &*running.model;
    model
        .proxies
        .iter()
        .filter(|proxy| !proxy.disabled)
        .flat_map(move |proxy| {
            let front = proxy.kind.has_frontend().then_some(Object::Frontend(proxy));
            let listeners = proxy.binds.iter().filter(|_| proxy.socket_stats);
            let listeners = listeners.map(|id| Object::Listener(model.bind(*id)));
            let servers = proxy
                .servers
                .iter()
                .map(|id| Object::Server(model.server(id)));
            let back = proxy.kind.has_backend().then_some(Object::Backend(proxy));
            front
                .into_iter()
                .chain(listeners)
                .chain(servers)
                .chain(back)
                .map(move |object| Row {
                    running,
                    object,
                    now,
                })
        })
}

fn clamp(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
