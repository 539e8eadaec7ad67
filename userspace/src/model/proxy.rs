//! A proxy: one `listen`, `frontend` or `backend` with everything its lines and its defaults said (manual §4).

use std::sync::Arc;

use super::{
    BandwidthFilter, BodyRate, Compression, Cookie, ErrorFile, Forwarded, ForwardedFor, HttpReuse,
    HttpRule, LogForward, LogSteps, LogTarget, Members, Mode, Redirect, Source, StatsPage,
    StickRule, TcpRule, TrailingClose,
};
use crate::expr::{Condition, Expression, LogFormat};
use crate::types::{BindId, Millis, ProxyId, ServerId, TableId};

/// One proxy. A field that only one side uses is empty on a proxy without that side.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its index in [`super::Model::proxies`].
    pub id: ProxyId,
    /// Its name.
    pub name: String,
    /// `id`: the number shown as `iid`.
    pub number: u32,
    /// Which sides it has.
    pub kind: ProxyKind,
    /// `mode`.
    pub mode: Mode,
    /// `disabled`: nothing listens, nothing is checked.
    pub disabled: bool,
    /// `description`.
    pub description: Option<String>,
    /// The file and line of its section, as `file:line`.
    pub place: String,
    /// All timeouts; those not set are `None`, which means no limit.
    pub timeouts: Timeouts,
    /// Where its sessions are logged; `log global` is already replaced by the global targets.
    pub logs: Vec<LogTarget>,
    /// `log-tag`.
    pub log_tag: Option<String>,
    /// `log-format`, `option httplog|tcplog` or the built-in format, compiled.
    pub log_format: Option<Arc<LogFormat>>,
    /// `error-log-format`.
    pub error_log_format: Option<Arc<LogFormat>>,
    /// `log-format-sd`: RFC 5424 structured data.
    pub log_format_sd: Option<Arc<LogFormat>>,
    /// `option dontlognull`: connections without a byte are not logged.
    pub dont_log_null: bool,
    /// `option dontlog-normal`: only errors, retries and redispatches are logged.
    pub dont_log_normal: bool,
    /// `option logasap`: the line is sent when the response's head comes.
    pub log_asap: bool,
    /// `option log-separate-errors`: failed sessions are logged at level err.
    pub log_separate_errors: bool,
    /// What a `log-forward` section does with messages.
    pub log_forward: LogForward,
    /// `log-steps`; `None` = one line, as `option logasap` says.
    pub log_steps: Option<LogSteps>,
    /// `unique-id-format`.
    pub unique_id_format: Option<Arc<LogFormat>>,
    /// `unique-id-header`.
    pub unique_id_header: Option<String>,
    /// `stick-table` of this proxy.
    pub table: Option<TableId>,
    /// `errorfile`, `errorloc`, `errorfiles`: the last line for a status wins, already applied.
    pub error_files: Vec<ErrorFile>,

    // Frontend side.
    /// `bind` addresses.
    pub binds: Vec<BindId>,
    /// `maxconn`: simultaneous client connections; `None` = the process's limit.
    pub maxconn: Option<u32>,
    /// `backlog`.
    pub backlog: Option<u32>,
    /// `rate-limit sessions`: new sessions per second.
    pub rate_limit_sessions: Option<u32>,
    /// `tcp-request connection`, defaults' rules first.
    pub tcp_request_connection: Vec<TcpRule>,
    /// `tcp-request session`.
    pub tcp_request_session: Vec<TcpRule>,
    /// `use_backend`, in order.
    pub use_backends: Vec<UseBackend>,
    /// `force-be-switch if|unless …`: who may be switched to backends that take no traffic.
    pub force_switching: Vec<Condition>,
    /// `default_backend`; a `listen` without one is its own backend.
    pub default_backend: Option<ProxyId>,
    /// `monitor-uri`.
    pub monitor_uri: Option<String>,
    /// `monitor fail if|unless …`.
    pub monitor_fail: Vec<Condition>,
    /// Slots of captures, in the order they were declared.
    pub captures: Vec<Capture>,
    /// `capture cookie NAME len N`: name (or prefix) and longest value in bytes.
    pub capture_cookie: Option<(String, usize)>,
    /// `option http-ignore-probes`.
    pub http_ignore_probes: bool,
    /// `option accept-unsafe-violations-in-http-request` (formerly `accept-invalid-http-request`).
    pub accept_invalid_request: bool,
    /// `option http-use-proxy-header`.
    pub use_proxy_header: bool,
    /// `option tcpka` or `clitcpka`.
    pub client_keepalive: bool,
    /// `option nolinger`, client side.
    pub client_nolinger: bool,
    /// `option contstats`: counters move while a session runs, not at its end only.
    pub contstats: bool,
    /// `option socket-stats`: every listener has statistics of its own.
    pub socket_stats: bool,

    // Both sides of a session.
    /// `tcp-request inspect-delay`.
    pub inspect_delay: Option<Millis>,
    /// `tcp-request content`.
    pub tcp_request_content: Vec<TcpRule>,
    /// `tcp-response inspect-delay`.
    pub response_inspect_delay: Option<Millis>,
    /// `tcp-response content`.
    pub tcp_response_content: Vec<TcpRule>,
    /// `http-request`.
    pub http_request: Vec<HttpRule>,
    /// `http-response`.
    pub http_response: Vec<HttpRule>,
    /// `http-after-response`.
    pub http_after_response: Vec<HttpRule>,
    /// `redirect` lines, each with its condition.
    pub redirects: Vec<(Redirect, Option<Condition>)>,
    /// What happens to connections after a response.
    pub trailing_close: TrailingClose,
    /// `option forwardfor`.
    pub forwarded_for: Option<ForwardedFor>,
    /// `option forwarded`.
    pub forwarded: Option<Forwarded>,
    /// `option originalto`.
    pub original_to: Option<ForwardedFor>,
    /// `option http-buffer-request`.
    pub buffer_request: bool,
    /// `min-request-body-rate`: how fast request bodies must come.
    pub min_body_rate: Option<BodyRate>,
    /// `compression …`.
    pub compression: Option<Arc<Compression>>,
    /// `stats …`: the page this proxy serves.
    pub stats: Option<Arc<StatsPage>>,

    // Backend side.
    /// `be-unpublished`: content switching passes it over until it is published.
    pub unpublished: bool,
    /// `server` lines, in order, and what was added and removed since.
    pub servers: Members,
    /// `balance`.
    pub balance: Balance,
    /// `retries`: connection attempts after the first; 3 by default.
    pub retries: u32,
    /// `retry-on`: also these failures; connection failures by default.
    pub retry_on: RetryOn,
    /// `option redispatch [N]`.
    pub redispatch: Redispatch,
    /// `fullconn`.
    pub fullconn: Option<u32>,
    /// `source`.
    pub source: Option<Source>,
    /// `cookie`.
    pub cookie: Option<Cookie>,
    /// `option persist`: a cookie may lead to a server that is down.
    pub persist: bool,
    /// `force-persist` and `ignore-persist`, in order; true = force.
    pub persist_rules: Vec<(bool, Condition)>,
    /// `stick …`, in order.
    pub stick_rules: Vec<StickRule>,
    /// `use-server`, in order.
    pub use_servers: Vec<UseServer>,
    /// `http-reuse`.
    pub http_reuse: HttpReuse,
    /// `http-send-name-header`.
    pub send_name_header: Option<String>,
    /// `option allbackups`.
    pub all_backups: bool,
    /// `option abortonclose`.
    pub abort_on_close: bool,
    /// `option prefer-last-server`.
    pub prefer_last_server: bool,
    /// `option srvtcpka` or `tcpka`.
    pub server_keepalive: bool,
    /// `option nolinger`, server side.
    pub server_nolinger: bool,
    /// `option accept-unsafe-violations-in-http-response`.
    pub accept_invalid_response: bool,
    /// `option h1-case-adjust-bogus-client`: field names are written as `h1-case-adjust` says.
    pub adjust_case_to_client: bool,
    /// `option h1-case-adjust-bogus-server`: the same towards servers.
    pub adjust_case_to_server: bool,
    /// `filter bwlim-in|bwlim-out`, in the order of the lines.
    pub bandwidth_filters: Vec<BandwidthFilter>,
    /// `option checkcache`: a cacheable response with a cookie is refused.
    pub check_cache: bool,
    /// `forward`: how an l4 backend's packets reach its servers.
    pub forward: Forward,
    /// `quic-server-id`: how connection ids name an l4 backend's servers.
    pub quic_server_ids: Option<QuicServerIds>,
    /// `xdp normalise`: whether the kernel refuses packets of this frontend that no working stack sends.
    pub normalise: bool,
    /// `set-tos`, `set-dscp`: what the kernel writes into the packets of an l4 frontend.
    pub marks: Marks,
}

/// Which sides a proxy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// `frontend`.
    Frontend,
    /// `backend`.
    Backend,
    /// `listen`: both.
    Listen,
}

impl ProxyKind {
    /// Whether clients connect to it.
    pub const fn has_frontend(self) -> bool {
        matches!(self, Self::Frontend | Self::Listen)
    }

    /// Whether it has servers.
    pub const fn has_backend(self) -> bool {
        matches!(self, Self::Backend | Self::Listen)
    }
}

/// A proxy's timeouts (manual §4.2 `timeout …`); `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Inactivity on the client side.
    pub client: Option<Millis>,
    /// Inactivity after the client closed its half.
    pub client_fin: Option<Millis>,
    /// The TLS handshake; `client` by default.
    pub client_handshake: Option<Millis>,
    /// A connection attempt.
    pub connect: Option<Millis>,
    /// Inactivity on the server side.
    pub server: Option<Millis>,
    /// Inactivity after the server closed its half.
    pub server_fin: Option<Millis>,
    /// Waiting in a queue; `connect` by default.
    pub queue: Option<Millis>,
    /// The whole request head; `client` by default.
    pub http_request: Option<Millis>,
    /// Waiting for the next request; `http_request` by default.
    pub http_keep_alive: Option<Millis>,
    /// Inactivity of an established tunnel, both sides.
    pub tunnel: Option<Millis>,
    /// How long a tarpit holds; `connect` by default.
    pub tarpit: Option<Millis>,
    /// Reading a check's answer; see [`super::Check::timeout`].
    pub check: Option<Millis>,
}

/// `balance` with its arguments and `hash-type`.
#[derive(Clone, Debug)]
pub struct Balance {
    /// The algorithm.
    pub kind: BalanceKind,
    /// How hashes choose a server.
    pub hash_type: HashType,
    /// `hash-balance-factor`: percent of the average load a server may carry; 0 = no bound.
    pub balance_factor: u32,
    /// `hash-preserve-affinity`.
    pub affinity: Affinity,
}

/// What becomes of a session whose hash leads to a busy server (manual §4.2 `hash-preserve-affinity`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// It waits for it.
    #[default]
    Always,
    /// It goes on to another when the server has reached its `maxconn`.
    Maxconn,
    /// It goes on to another when the server's queue is full.
    Maxqueue,
}

/// The algorithm of `balance`.
#[derive(Clone, Debug)]
pub enum BalanceKind {
    /// `roundrobin`.
    RoundRobin,
    /// `static-rr`.
    StaticRoundRobin,
    /// `leastconn`.
    LeastConnections,
    /// `first`.
    First,
    /// `source`.
    Source,
    /// `uri [len N] [depth N] [whole] [path-only]`.
    Uri(UriHash),
    /// `url_param NAME [check_post [N]]`.
    UrlParameter {
        /// The parameter.
        name: String,
        /// Bytes of a POST body searched too.
        check_post: Option<usize>,
    },
    /// `hdr(NAME) [use_domain_only]`.
    Header {
        /// The field.
        name: String,
        /// Only the domain's main part.
        domain_only: bool,
    },
    /// `random(N)`.
    Random {
        /// Servers drawn; the least loaded of them wins.
        draws: u32,
    },
    /// `rdp-cookie(NAME)`.
    RdpCookie(String),
    /// `hash EXPR`.
    Hash(Expression),
    /// `log-hash CONVERTERS`, in `mode log` only: an expression whose fetch stands for the log line.
    LogHash(Expression),
    /// `sticky`, in `mode log` only: the first server for as long as it is up.
    Sticky,
    /// `maglev`: the default of `mode l4` backends, only there.
    Maglev,
}

/// What of the URI is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UriHash {
    /// Only that many bytes.
    pub length: Option<usize>,
    /// Only that many directories.
    pub depth: Option<usize>,
    /// With the query string.
    pub whole: bool,
    /// Without scheme and authority.
    pub path_only: bool,
}

/// `hash-type METHOD FUNCTION MODIFIER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashType {
    /// `consistent` instead of `map-based`.
    pub consistent: bool,
    /// The function.
    pub function: HashFunction,
    /// `avalanche`.
    pub avalanche: bool,
}

/// The hash function of `hash-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    /// `sdbm`, the default.
    #[default]
    Sdbm,
    /// `djb2`.
    Djb2,
    /// `wt6`.
    Wt6,
    /// `crc32`.
    Crc32,
    /// `none`: the key is a number or its first bytes.
    None,
}

/// How many connection failures let a session change its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redispatch {
    /// Never.
    #[default]
    Off,
    /// `option redispatch` / `-1`: on the last retry.
    LastRetry,
    /// `option redispatch N`, N > 0: on every Nth retry.
    EveryNth(u32),
    /// `option redispatch -N`: on the Nth retry before the last.
    BeforeLast(u32),
}

/// `retry-on`: which failures are retried (manual §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// `conn-failure`; the default.
    pub connection_failure: bool,
    /// `empty-response`.
    pub empty_response: bool,
    /// `junk-response`.
    pub junk_response: bool,
    /// `response-timeout`.
    pub response_timeout: bool,
    /// Status codes.
    pub statuses: Vec<u16>,
}

/// One `use_backend` line.
#[derive(Clone, Debug)]
pub struct UseBackend {
    /// Where the session goes.
    pub target: BackendTarget,
    /// When; `None` = always.
    pub condition: Option<Condition>,
    /// The file and line it was written on, as `file:line`.
    pub place: String,
}

/// The backend of a `use_backend` line.
#[derive(Clone, Debug)]
pub enum BackendTarget {
    /// A name known at start.
    Fixed(ProxyId),
    /// A log-format whose value names the backend; an unknown name goes on with the next rule.
    Dynamic(LogFormat),
}

/// One `use-server` line.
#[derive(Clone, Debug)]
pub struct UseServer {
    /// Which server.
    pub target: ServerTarget,
    /// When; `None` = always.
    pub condition: Option<Condition>,
}

/// The server of a `use-server` line.
#[derive(Clone, Debug)]
pub enum ServerTarget {
    /// A name known at start.
    Fixed(ServerId),
    /// A log-format whose value names the server.
    Dynamic(LogFormat),
}

/// One slot of `capture request|response header`, `declare capture` or `http-request capture`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The header captured, or `None` for a slot that rules fill.
    pub header: Option<String>,
    /// True for a response slot.
    pub response: bool,
    /// Longest value kept, in bytes.
    pub length: usize,
}

/// A capture slot: its index among the request slots or the response slots of the frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureId(pub u16);

/// `forward`: how the kernel delivers packets of an l4 service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forward {
    /// Both addresses rewritten, both ways.
    #[default]
    Nat,
    /// The destination rewritten, the client's address kept; the servers' answers have to be routed back through here.
    Dnat,
    /// The packet is handed to the server's MAC address unchanged.
    Dsr,
    /// The packet travels unchanged inside another IP packet.
    Ipip,
    /// The packet travels unchanged inside a UDP datagram to this port.
    Gue {
        /// Where the servers take it.
        port: u16,
    },
}

/// `set-tos` and `set-dscp`: the type of service that packets of an l4 frontend are given; of each the upper six bits, the
/// code point, because the lower two belong to the ends of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// On their way to a server.
    pub server: Option<u8>,
    /// On their way back to a client.
    pub client: Option<u8>,
    /// Whether the way back was asked for by name: it may not come through here.
    pub client_named: bool,
}

/// `quic-server-id`: servers put their `id` into the connection ids they give out (draft-ietf-quic-load-balancers, the
/// plaintext algorithm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicServerIds {
    /// Bytes of an id, 1 to 8.
    pub length: u8,
    /// The bits that say which configuration made a connection id, 0 to 6.
    pub configuration: u8,
}
