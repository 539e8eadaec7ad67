//! `bind` lines: where a frontend listens and how (manual §5.1).

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::{HttpProtocol, Principal, Verify};
use crate::types::{BindId, Millis, ProxyId};

/// One listening address of one frontend.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Its index in [`super::Model::binds`].
    pub id: BindId,
    /// The frontend it belongs to.
    pub proxy: ProxyId,
    /// `name`, for stats and logs; by default `sock-N`.
    pub name: Option<String>,
    /// `id`: the number shown as `sid`.
    pub number: u32,
    /// Where it listens.
    pub address: BindAddress,
    /// Options of the socket.
    pub options: SocketOptions,
    /// `ssl …`: TLS is terminated here.
    pub tls: Option<BindTls>,
    /// `proto h2|h1`: the protocol is imposed instead of detected.
    pub proto: Option<HttpProtocol>,
    /// `accept-proxy`: a PROXY protocol header is required.
    pub accept_proxy: bool,
    /// `accept-netscaler-cip`: the number NetScaler's insertions begin with.
    pub netscaler: Option<u32>,
    /// `maxconn` of this listener.
    pub maxconn: Option<u32>,
    /// The file and line it was written on, as `file:line`, for `haproxy`-shaped messages.
    pub place: String,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// TCP. Port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// UDP (`udp@`), only with `mode l4`.
    Udp(SocketAddr),
    /// A range of ports as one service, only with `mode l4`; both ends included.
    PortRange {
        /// The first port's address.
        first: SocketAddr,
        /// The last port.
        last: u16,
        /// True for UDP.
        udp: bool,
    },
    /// Every address of a network, only with `mode l4`.
    Network {
        /// The network.
        network: IpNet,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
        /// True for UDP.
        udp: bool,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A Linux abstract socket (`abns@`): the name padded with zeros to the full length.
    Abstract(Vec<u8>),
    /// A Linux abstract socket (`abnsz@`): the name alone, not padded.
    AbstractUnpadded(Vec<u8>),
    /// `fd@N`: an inherited descriptor, already bound and listening.
    Inherited(i32),
    /// `rhttp@BACKEND/SERVER`: connections that are opened to a server, which then sends requests on them.
    Reverse {
        /// The backend's name.
        backend: String,
        /// The server's name.
        server: String,
        /// `nbconn`: how many at once.
        connections: u32,
    },
}

/// Which families an IPv6 wildcard socket takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// As the system is set.
    #[default]
    System,
    /// `v6only`.
    V6Only,
    /// `v4v6`.
    Both,
}

/// Options of a listening socket.
#[derive(Clone, Debug, Default)]
pub struct SocketOptions {
    /// `backlog`; by default the frontend's or maxconn.
    pub backlog: Option<u32>,
    /// `interface`: SO_BINDTODEVICE.
    pub interface: Option<String>,
    /// `defer-accept`: wait for data before accept.
    pub defer_accept: bool,
    /// `transparent`: IP_TRANSPARENT.
    pub transparent: bool,
    /// `v6only` or `v4v6`.
    pub family: AddressFamily,
    /// `tfo`: TCP fast open.
    pub fast_open: bool,
    /// `mptcp@`: clients may come by several paths.
    pub multipath: bool,
    /// `tcp-ut`: TCP_USER_TIMEOUT.
    pub user_timeout: Option<Millis>,
    /// `tcp-md5sig`: what segments are signed with (RFC 2385).
    pub md5: Option<String>,
    /// `cc`: TCP_CONGESTION.
    pub congestion: Option<String>,
    /// `mss`: TCP_MAXSEG.
    pub mss: Option<u16>,
    /// `mode` of a Unix socket.
    pub mode: Option<u32>,
    /// `user` or `uid` of a Unix socket.
    pub user: Option<Principal>,
    /// `group` or `gid` of a Unix socket.
    pub group: Option<Principal>,
}

/// TLS settings of a bind line.
#[derive(Clone, Debug)]
pub struct BindTls {
    /// `crt`: files or directories, in order; the first certificate is the default one.
    pub certificates: Vec<PathBuf>,
    /// `crt-list` files, in order.
    pub certificate_lists: Vec<PathBuf>,
    /// `ca-file`: who may sign client certificates.
    pub ca_file: Option<PathBuf>,
    /// `ca-verify-file`: who else may, without being named to clients.
    pub ca_verify_file: Option<PathBuf>,
    /// `crt-ignore-err`, `ca-ignore-err`: what may be wrong with a client's certificate.
    pub ignored_errors: IgnoredErrors,
    /// `crl-file`.
    pub crl_file: Option<PathBuf>,
    /// `verify`.
    pub verify: Verify,
    /// `alpn`, most preferred first; `None` = the default of the proxy's mode.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// `ssl-min-ver`, as `0x0303` for TLS 1.2.
    pub min_version: Option<u16>,
    /// `ssl-max-ver`.
    pub max_version: Option<u16>,
    /// `ciphers`: TLS 1.2 suites by OpenSSL name, already known to exist.
    pub ciphers: Option<Vec<String>>,
    /// `ciphersuites`: TLS 1.3 suites.
    pub ciphersuites: Option<Vec<String>>,
    /// `curves`, most preferred first.
    pub curves: Option<Vec<String>>,
    /// `prefer-client-ciphers`: the client's order of suites decides instead of ours.
    pub prefer_client_ciphers: bool,
    /// `strict-sni`: no certificate, no handshake.
    pub strict_sni: bool,
    /// `no-tls-tickets`.
    pub no_tickets: bool,
}

/// A set of OpenSSL's verification errors, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredErrors(pub u128);

impl IgnoredErrors {
    /// Whether an error is in the set.
    pub const fn has(self, number: u8) -> bool {
        number < 128 && self.0 & (1 << number) != 0
    }
}
