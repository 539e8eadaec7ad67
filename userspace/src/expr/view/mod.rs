//! Everything a fetch can read, as one trait.
//!
//! A session, a check or a test implements [`View`]; every method has a default that answers "not here", so a view for a
//! `tcp-request connection` rule or a unit test implements three methods. Sets of similar values are one method with an enum,
//! so that a new fetch costs an enum variant, not a trait method. A view never blocks and does no IO; what it writes
//! (variables, captures, counters) it writes through interior mutability, because expressions have side effects
//! (`set-var`, `sc_inc_gpc0`) while they borrow the message.

mod tls;
mod values;

use std::net::SocketAddr;
use std::time::Duration;

use super::{Data, ProcessVariables, Sample, Scope, StickAnswer, StickOperation, Variables};
use crate::proto::http::Head;

pub use tls::{Certificate, Tls, TlsNumber, TlsText};
pub use values::{Number, Text};

/// What can be read at the moment an expression is evaluated.
///
/// Names given as `None` mean the current proxy, backend or table.
pub trait View {
    // --- connection ---

    /// An address of the client's or the server's connection; `None` for unix sockets and where there is no connection.
    fn address(&self, _which: Address) -> Option<SocketAddr> {
        None
    }

    /// A number about the process, the connection, the stream or the transaction. Booleans are 0 and 1.
    fn number(&self, _which: Number) -> Option<i64> {
        None
    }

    /// A string about the same.
    fn text(&self, _which: Text) -> Option<Data<'_>> {
        None
    }

    /// The value of a TLV of the PROXY header (`fc_pp_tlv`).
    fn proxy_tlv(&self, _kind: u8) -> Option<&[u8]> {
        None
    }

    /// TLS on the given side; `None` where that connection is clear.
    fn tls(&self, _side: Side) -> Option<&dyn Tls> {
        None
    }

    // --- messages ---

    /// The head of the request or response.
    fn head(&self, _direction: Direction) -> Fetched<&Head> {
        Fetched::Absent
    }

    /// The raw bytes received and not yet forwarded (Layer 6); not offered in HTTP mode.
    fn buffer(&self, _direction: Direction) -> Option<Buffer<'_>> {
        None
    }

    /// The body as far as it is buffered, decoded from its transfer coding.
    fn body(&self, _direction: Direction) -> Option<Body<'_>> {
        None
    }

    /// Whether samples that cannot be fetched yet may still arrive.
    fn inspection(&self) -> Inspection {
        Inspection::Over
    }

    // --- variables and captures ---

    /// The store of a scope; `None` where the scope does not exist here.
    fn variables(&self, _scope: Scope) -> Option<&dyn Variables> {
        None
    }

    /// How many capture slots the frontend declares.
    fn capture_slots(&self, _direction: Direction) -> usize {
        0
    }

    /// What was captured in a slot.
    fn capture(&self, _direction: Direction, _slot: usize) -> Option<Data<'_>> {
        None
    }

    /// Captures into a slot, cut to its length; `false` where the slot does not exist.
    fn set_capture(&self, _direction: Direction, _slot: usize, _value: &[u8]) -> bool {
        false
    }

    // --- tables ---

    /// Asks the entry tracked by stick counter `counter`, or the entry of the tracked key in another table.
    fn tracked(
        &self,
        _counter: u8,
        _table: Option<&str>,
        _operation: StickOperation,
    ) -> StickAnswer {
        StickAnswer::NotStored
    }

    /// The key tracked by stick counter `counter`.
    fn tracked_key(&self, _counter: u8) -> Option<Sample<'_>> {
        None
    }

    /// Asks the entry for `key` in a table.
    fn table(
        &self,
        _table: Option<&str>,
        _key: &Sample<'_>,
        _operation: StickOperation,
    ) -> StickAnswer {
        StickAnswer::NotStored
    }

    /// A number about a whole table.
    fn table_number(&self, _table: Option<&str>, _which: TableNumber) -> Option<i64> {
        None
    }

    // --- live numbers ---

    /// A number about a frontend.
    fn frontend_number(&self, _frontend: Option<&str>, _which: FrontendNumber) -> Option<i64> {
        None
    }

    /// A number about a backend.
    fn backend_number(&self, _backend: Option<&str>, _which: BackendNumber) -> Option<i64> {
        None
    }

    /// A number about a server.
    fn server_number(
        &self,
        _backend: Option<&str>,
        _server: &str,
        _which: ServerNumber,
    ) -> Option<i64> {
        None
    }

    // --- authentication ---

    /// Whether `user` is in the userlist and `password` is right; `None` where the userlist does not exist.
    fn authenticates(&self, _userlist: &str, _user: &[u8], _password: &[u8]) -> Option<bool> {
        None
    }

    /// Whether `user` belongs to `group` of the userlist.
    fn in_group(&self, _userlist: &str, _user: &[u8], _group: &[u8]) -> bool {
        false
    }

    // --- time and chance ---

    /// The calendar time, since 1970-01-01 00:00 UTC.
    fn wall(&self) -> Duration {
        crate::clock::wall()
    }

    /// 64 random bits, not for secrets.
    fn random(&self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(crate::clock::now_micros())
    }
}

/// A view of nothing: constants, dates and the environment only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoView;

impl View for NoView {}

/// A view of the process's variables alone (`global` `set-var`, the CLI's `set var`).
#[derive(Clone, Copy)]
pub struct ProcessView<'a>(pub &'a ProcessVariables);

impl View for ProcessView<'_> {
    fn variables(&self, scope: Scope) -> Option<&dyn Variables> {
        (scope == Scope::Process).then_some(self.0 as &dyn Variables)
    }
}

/// A value that is there, may come, or will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched<T> {
    Value(T),
    /// Not enough data yet; more may arrive.
    Wait,
    Absent,
}

impl<T> Fetched<T> {
    /// The value, if it is there now.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Wait | Self::Absent => None,
        }
    }

    /// The same with the value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fetched<U> {
        match self {
            Self::Value(value) => Fetched::Value(change(value)),
            Self::Wait => Fetched::Wait,
            Self::Absent => Fetched::Absent,
        }
    }

    /// The value's own answer, where there is a value.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Fetched<U>) -> Fetched<U> {
        match self {
            Self::Value(value) => next(value),
            Self::Wait => Fetched::Wait,
            Self::Absent => Fetched::Absent,
        }
    }
}

impl<T> From<Option<T>> for Fetched<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

/// Whether content inspection goes on (`tcp-request inspect-delay`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// More bytes may come: an undecided condition waits.
    Open,
    /// The delay is over, the buffer is full or the sender is done: what is not there is absent.
    Over,
}

/// Request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Request,
    Response,
}

/// The connection to the client or to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Front,
    Back,
}

/// Bytes received and not yet forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Buffer<'a> {
    pub bytes: &'a [u8],
    /// Whether more may be appended; false once the sender closed or the buffer is full.
    pub may_grow: bool,
}

/// A message's body as far as it is buffered.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    /// The whole body's length as advertised, or what was received so far where it is unknown (`req.body_size`).
    pub size: u64,
    /// Whether `bytes` is the whole body.
    pub complete: bool,
}

/// An address of one of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `src`, `src_port`: the client's, as changed by `set-src`.
    Source,
    /// `dst`, `dst_port`: where the client connected to, as changed by `set-dst`.
    Destination,
    /// `fc_src`: the client connection's own, whatever a PROXY header says.
    FrontSource,
    FrontDestination,
    /// `bc_src`: ours towards the server.
    BackSource,
    /// `bc_dst`: the server's.
    BackDestination,
}

/// Numbers about a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableNumber {
    Used,
    Available,
}

/// Numbers about a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrontendNumber {
    /// 1: it exists (`fe_exists`).
    Exists,
    Connections,
    RequestRate,
    SessionRate,
}

/// Numbers about a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendNumber {
    Connections,
    /// -1 where a server has no `maxconn`.
    ConnectionsFree,
    /// -1 where a server has no `maxconn` or `maxqueue`.
    ConnectionSlots,
    SessionRate,
    /// `nbsrv`.
    UsableServers,
    /// All servers' queues included.
    Queue,
}

/// Numbers about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerNumber {
    Connections,
    /// -1 without `maxconn`.
    ConnectionsFree,
    IsUp,
    InitialWeight,
    UserWeight,
    Weight,
    Queue,
    SessionRate,
}
