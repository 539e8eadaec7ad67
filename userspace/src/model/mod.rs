//! The resolved configuration: plain data with public fields, ids instead of pointers, no behaviour but queries.
//!
//! [`crate::lang`] builds a [`Model`] from text; every other room reads it. Names are resolved, `defaults` merged, units
//! converted and expressions compiled. A model never changes once published, but for the servers that are
//! added and removed at run time ([`Members`]): everything else that changes is in [`crate::state`].

mod bandwidth;
mod bind;
mod cache;
mod certificates;
mod check;
mod compression;
mod defaults;
mod global;
mod http;
mod logging;
mod members;
mod message;
mod mode;
mod proxy;
mod proxy_records;
mod resolvers;
mod rules;
mod server;
mod status;
mod syslog;
mod table;

use std::sync::Arc;

pub use bandwidth::{BandwidthDirection, BandwidthFilter, BandwidthShare, BodyRate};
pub use bind::{AddressFamily, Bind, BindAddress, BindTls, IgnoredErrors, SocketOptions};
pub use cache::{CACHE_BLOCK, Cache, EarlyHints};
pub use certificates::StoredCertificate;
pub use check::{
    AgentCheck, Check, CheckConnect, CheckStep, CheckSteps, ErrorReaction, Expect, ExpectMatch,
    ExpectStatus, ExternalCheck, HeaderMatch, HttpSend, OnError, OnMarkedDown, OnMarkedUp, Window,
};
pub use compression::{Compression, CompressionAlgorithm, CompressionDirection, CompressionSide};
pub use global::{
    Capability, Deny, Global, Http2Side, Http2Tune, Level, ListedFlows, Principal, ProcessValue,
    Reject, StatsSocket, SynCookies, Tune, XdpGlobal, XdpInterface, XdpMode,
};
pub use http::{
    Cookie, CookieMode, ErrorFile, ErrorSource, Forwarded, ForwardedFor, ForwardedValue,
    HttpErrors, HttpReuse, StatsAdmin, StatsPage, TrailingClose, UriAuth,
};
pub use logging::{
    Facility, LogAddress, LogFormatKind, LogLine, LogProfile, LogSample, LogStep, LogSteps,
    LogTarget, Severity,
};
pub use members::{Members, MembersIter};
pub use message::{FieldChange, NamePart, Normalizer};
pub use mode::Mode;
pub use proxy::{
    Affinity, BackendTarget, Balance, BalanceKind, Capture, CaptureId, Forward, HashFunction,
    HashType, Marks, Proxy, ProxyKind, QuicServerIds, Redispatch, RetryOn, ServerTarget, Timeouts,
    UriHash, UseBackend, UseServer,
};
pub use proxy_records::ProxyRecords;
pub use resolvers::{Hold, NameServer, Resolution, Resolvers};
pub use rules::{
    CommonAction, GeneralCounter, HttpAction, HttpRule, NameMatch, NameResolution, Redirect,
    RedirectKind, Reply, ReplyBody, Service, StickRule, TcpAction, TcpRule, TimeoutKind, TrackSlot,
    VariableCondition,
};
pub use server::{
    HttpProtocol, LogTransport, MD5_PASSWORD_MAX, SavedState, Server, ServerAddress, ServerSocket,
    ServerTls, ShownSource, Source, Verify, WebSocket,
};
pub use status::{StatusClasses, StatusSet};
pub use syslog::{HostStrategy, LogForward, Ring};
pub use table::{Table, TableKeyType};

use crate::expr::Patterns;
use crate::types::{BindId, ProxyId, Roster, ServerId, TableId};

/// One whole configuration, checked and ready to run.
#[derive(Debug, Default)]
pub struct Model {
    /// The `global` section(s).
    pub global: Global,
    /// Every `listen`, `frontend` and `backend`, in the order of the file.
    pub proxies: Vec<Proxy>,
    /// Every bind address of every proxy; port ranges and address lists are already expanded.
    pub binds: Vec<Bind>,
    /// Every server of every proxy; templates are already expanded. Those added at run time are behind the others, and
    /// removed ones keep their place.
    pub servers: Roster<Server>,
    /// Every stick table.
    pub tables: Vec<Table>,
    /// `userlist` sections, by reference from rules.
    pub userlists: Vec<Arc<Userlist>>,
    /// `cache` sections.
    pub caches: Vec<Arc<Cache>>,
    /// `log-profile` sections.
    pub log_profiles: Vec<Arc<LogProfile>>,
    /// Certificates defined in `crt-store` sections.
    pub certificates: Vec<StoredCertificate>,
    /// `ring` sections.
    pub rings: Vec<Arc<Ring>>,
    /// `http-errors` sections, by reference from proxies and rules.
    pub http_errors: Vec<Arc<HttpErrors>>,
    /// Every ACL and map list, for the runtime API and the rules that change them.
    pub patterns: Patterns,
}

/// The users and groups of one `userlist` section (manual §12.2 in 3.x).
#[derive(Debug, Default)]
pub struct Userlist {
    /// The section's name.
    pub name: String,
    /// Its users.
    pub users: Vec<User>,
}

/// One user of a userlist.
#[derive(Debug)]
pub struct User {
    /// Login name.
    pub name: String,
    /// How the password is stored.
    pub password: Password,
    /// Every group the user is in, whether listed on the user's or on the group's line.
    pub groups: Vec<String>,
}

/// A stored password. It has no `Debug` that shows it.
pub enum Password {
    /// `insecure-password`: clear text.
    Clear(String),
    /// `password`: a `crypt(3)` hash.
    Crypt(String),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(..)")
    }
}

impl Model {
    /// The proxy of an id of this model.
    pub fn proxy(&self, id: ProxyId) -> &Proxy {
        &self.proxies[id.index()]
    }

    /// The bind of an id of this model.
    pub fn bind(&self, id: BindId) -> &Bind {
        &self.binds[id.index()]
    }

    /// The server of an id of this model.
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.index()]
    }

    /// The stick table of an id of this model.
    pub fn table(&self, id: TableId) -> &Table {
        &self.tables[id.index()]
    }

    /// The proxy with a backend side (`backend` or `listen`) of that name.
    pub fn backend_named(&self, name: &str) -> Option<&Proxy> {
        self.proxies
            .iter()
            .find(|proxy| proxy.kind.has_backend() && proxy.name == name)
    }

    /// The proxy with a frontend side (`frontend` or `listen`) of that name.
    pub fn frontend_named(&self, name: &str) -> Option<&Proxy> {
        self.proxies
            .iter()
            .find(|proxy| proxy.kind.has_frontend() && proxy.name == name)
    }

    /// The stick table of that name: its proxy's name, or `peers/name` style for tables of other sections.
    pub fn table_named(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The server `server` of the backend `backend`.
    pub fn server_named(&self, backend: &str, server: &str) -> Option<&Server> {
        let proxy = self.backend_named(backend)?;
        proxy
            .servers
            .iter()
            .map(|id| self.server(id))
            .find(|candidate| candidate.name == server)
    }
}
