//! `server` lines (manual §5.2).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::{AgentCheck, Check, OnError, OnMarkedDown, OnMarkedUp, ProxyRecords, Resolution};
use crate::expr::Expression;
use crate::proto::syslog::Framing;
use crate::types::{Millis, ProxyId, ServerId, Weight};

/// One server of one backend.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its index in [`super::Model::servers`].
    pub id: ServerId,
    /// The backend it belongs to.
    pub proxy: ProxyId,
    /// Its name, unique in the backend.
    pub name: String,
    /// `id`: the number shown as `sid` and used by `hash-key id`; 1 upwards in order by default.
    pub number: u32,
    /// Where it is.
    pub address: ServerAddress,
    /// The host name it was resolved from, if it was one.
    pub hostname: Option<String>,
    /// `resolvers`: how the name is resolved while the process runs.
    pub resolution: Option<Arc<Resolution>>,
    /// `load-server-state-from-file`: the state an earlier process left it in.
    pub saved: Option<SavedState>,
    /// `weight`.
    pub weight: Weight,
    /// `backup`: takes traffic only when no other server can.
    pub backup: bool,
    /// `disabled`: starts in maintenance.
    pub disabled: bool,
    /// `maxconn`: simultaneous connections; `None` = no limit.
    pub maxconn: Option<u32>,
    /// `minconn`: where the dynamic limit starts.
    pub minconn: Option<u32>,
    /// `maxqueue`: waiting connections; `None` = no limit but the process's.
    pub maxqueue: Option<u32>,
    /// `cookie`: the value that names this server.
    pub cookie: Option<String>,
    /// `non-stick`: stick rules do not remember it.
    pub non_stick: bool,
    /// `slowstart`: how long the weight grows after the server comes up.
    pub slowstart: Option<Millis>,
    /// `check …`; `None` = not checked, always up.
    pub check: Option<Arc<Check>>,
    /// `agent-check …`.
    pub agent: Option<Arc<AgentCheck>>,
    /// `track [backend/]server`: follows another server's state.
    pub track: Option<ServerId>,
    /// `observe layer4|layer7` and what an error does.
    pub observe: Option<OnError>,
    /// `on-marked-down`.
    pub on_marked_down: Option<OnMarkedDown>,
    /// `on-marked-up`.
    pub on_marked_up: Option<OnMarkedUp>,
    /// `ssl …`: TLS to the server.
    pub tls: Option<Arc<ServerTls>>,
    /// `proto`: the version of HTTP spoken to it; `None` = what ALPN says, else HTTP/1.
    pub proto: Option<HttpProtocol>,
    /// `ws`: the same for WebSocket handshakes.
    pub websocket: WebSocket,
    /// `send-proxy`: a version 1 header; `send-proxy-v2`: a version 2 one.
    pub send_proxy: Option<u8>,
    /// `proxy-v2-options`, `set-proxy-v2-tlv-fmt`: what version 2 headers carry.
    pub proxy_records: ProxyRecords,
    /// `socks4`: the proxy through which it is reached.
    pub socks4: Option<SocketAddr>,
    /// `source`.
    pub source: Option<Source>,
    /// Options of the sockets connected to it.
    pub socket: ServerSocket,
    /// `pool-max-conn`: idle connections kept; `None` = no limit.
    pub pool_max: Option<u32>,
    /// `pool-low-conn`: idle connections kept beyond what was needed lately.
    pub pool_low: u32,
    /// `pool-purge-delay`: age at which idle connections are closed.
    pub pool_purge_delay: Millis,
    /// `pool-conn-name`: what connections to it are told apart by, in place of the name shown in TLS.
    pub pool_name: Option<Expression>,
    /// `max-reuse`: requests per connection.
    pub max_reuse: Option<u32>,
    /// `strict-maxconn`: `maxconn` bounds the connections to it, idle ones included.
    pub strict_maxconn: bool,
    /// `redir`: prefix of the redirect answered instead of forwarding a GET or HEAD.
    pub redirect_prefix: Option<String>,
    /// How it takes log messages, in backends of `mode log` and in rings.
    pub logging: LogTransport,
    /// Other parts of the configuration name it, or it follows a name: it cannot be removed.
    pub fixed: bool,
    /// It was added at run time.
    pub added: bool,
    /// The file and line it was written on, as `file:line`.
    pub place: String,
}

/// How a server takes log messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTransport {
    /// `udp@…`: a datagram each; otherwise a stream.
    pub datagrams: bool,
    /// `log-proto`: how messages are told apart on a stream.
    pub framing: Framing,
    /// `log-bufsize`: bytes of messages that may wait for it.
    pub buffer: Option<usize>,
}

/// A version of HTTP that a line imposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpProtocol {
    /// `h1`.
    Http1,
    /// `h2`.
    Http2,
}

/// How WebSocket handshakes are sent to a server (manual §5.2 `ws`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSocket {
    /// `auto`: with HTTP/1 unless only HTTP/2 is allowed.
    #[default]
    Auto,
    /// `h1` or `h2`.
    Only(HttpProtocol),
}

/// What a file of server states says of one server (`show servers state`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// Down, starting, up, stopping: 0 to 3.
    pub operational: u8,
    /// Why it was out of service by administration, as bits.
    pub admin: u8,
    /// The weight set at run time.
    pub user_weight: u16,
    /// The weight configured then.
    pub initial_weight: u16,
    /// Seconds since it last went up or down.
    pub seconds: u64,
    /// The counter of its check.
    pub health: u32,
    /// Where its name led.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// TCP, or UDP in an l4 backend. Port 0 = the port the client came to, shifted by `port_offset`; the unspecified
    /// address = the address the client came to.
    Inet {
        /// Address and port.
        address: SocketAddr,
        /// `+N` or `-N` written as the port: added to the client's destination port.
        port_offset: Option<i32>,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A Linux abstract socket (`abns@`).
    Abstract(Vec<u8>),
    /// A Linux abstract socket (`abnsz@`).
    AbstractUnpadded(Vec<u8>),
    /// `rhttp@`: it is reached over the connections that `attach-srv` gave it.
    Reverse,
    /// The name did not resolve at start (`init-addr none`): in maintenance until an address is set.
    Unresolved {
        /// The port to use once there is an address.
        port: u16,
    },
}

/// TLS settings towards a server, or towards the peer of a check.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// `verify`: required by default.
    pub verify: Verify,
    /// `ca-file`; the special name `@system-ca` means the system's roots.
    pub ca_file: Option<PathBuf>,
    /// `crt`: the client certificate shown to the server.
    pub certificate: Option<PathBuf>,
    /// `sni`: evaluated per connection.
    pub sni: Option<Expression>,
    /// `check-sni`: the name sent by checks.
    pub check_sni: Option<String>,
    /// `no-sni-auto`: without `sni` no name is sent.
    pub no_sni_auto: bool,
    /// `verifyhost`: the name the certificate must carry.
    pub verify_host: Option<String>,
    /// `alpn`, most preferred first.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// `ssl-min-ver`.
    pub min_version: Option<u16>,
    /// `ssl-max-ver`.
    pub max_version: Option<u16>,
    /// `crl-file`: which server certificates are revoked.
    pub crl_file: Option<PathBuf>,
    /// `ciphers`: TLS 1.2 suites by OpenSSL name, already known to exist.
    pub ciphers: Option<Vec<String>>,
    /// `ciphersuites`: TLS 1.3 suites.
    pub ciphersuites: Option<Vec<String>>,
    /// `curves`, most preferred first.
    pub curves: Option<Vec<String>>,
}

/// Whether a peer's certificate is asked for and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Not asked for (bind), not checked (server).
    #[default]
    None,
    /// Asked for; checked when given.
    Optional,
    /// Needed and checked.
    Required,
}

/// `source`: the local end of connections to a server (manual §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Address, and port when fixed.
    pub address: Option<SocketAddr>,
    /// `interface`.
    pub interface: Option<String>,
    /// `usesrc`: the address that is shown instead, which need not be this machine's. Needs CAP_NET_ADMIN or CAP_NET_RAW.
    pub shown: Option<ShownSource>,
}

/// What a server sees as the source of its connections (manual §4.2 `source`, `usesrc`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownSource {
    /// `client`: the client's address and port.
    Client,
    /// `clientip`: the client's address.
    ClientIp,
    /// An address, with any port if that is 0.
    Address(SocketAddr),
    /// `hdr_ip(NAME[,OCCURRENCE])`: the address in a request's field; occurrences are counted from 1, or from the end with
    /// negative numbers.
    Header(Box<str>, i32),
}

/// Options of the sockets connected to a server. They mean nothing on Unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSocket {
    /// `tcp-ut`: TCP_USER_TIMEOUT.
    pub user_timeout: Option<Millis>,
    /// `tcp-md5sig`: what segments are signed with (RFC 2385).
    pub md5: Option<String>,
    /// `cc`: TCP_CONGESTION.
    pub congestion: Option<String>,
    /// `tfo`: TCP_FASTOPEN_CONNECT.
    pub fast_open: bool,
    /// `mptcp@`: MPTCP, as far as both ends know it.
    pub multipath: bool,
}

/// Longest `tcp-md5sig` password, in bytes (Linux: TCP_MD5SIG_MAXKEYLEN).
pub const MD5_PASSWORD_MAX: usize = 80;
