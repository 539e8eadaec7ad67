//! The rows of the bench: which load on which port, and the ratio to reach beside haproxy.

use crate::bench::figures::Goal;

/// One kind of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Our processor time per request beside that of Debian's haproxy.
    pub(super) goal: Goal,
    pub(super) port: Port,
    pub(super) load: Load,
    /// What is asked for: a file of the origin.
    pub(super) path: &'static str,
}

/// The listeners every proxy has, as far as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    /// HTTP/1 in clear.
    Http,
    /// HTTP/1 over TLS.
    Tls,
    /// HTTP/2 in clear, with prior knowledge.
    Http2,
    /// Bytes.
    Tcp,
    /// HTTP/1 with gzip.
    Gzip,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// HTTP/1 on connections that are kept.
    KeepAlive,
    /// HTTP/1, a connection for each request.
    Close,
    /// HTTP/1 on kept connections by clients that take gzip.
    Gzip,
    /// HTTP/2, several streams on each connection.
    Http2,
}

const fn row(name: &'static str, goal: f64, port: Port, load: Load, path: &'static str) -> Row {
    Row {
        name,
        goal: Goal::AtMost(goal),
        port,
        load,
        path,
    }
}

pub(super) const ROWS: [Row; 10] = [
    row(
        "HTTP/1 small, keep-alive",
        0.90,
        Port::Http,
        Load::KeepAlive,
        "/small",
    ),
    row(
        "HTTP/1 small, no keep-alive",
        1.00,
        Port::Http,
        Load::Close,
        "/small",
    ),
    row("HTTP/1 64 KiB", 0.70, Port::Http, Load::KeepAlive, "/64k"),
    row("HTTP/1 1 MiB", 0.55, Port::Http, Load::KeepAlive, "/1m"),
    row(
        "TLS small, keep-alive",
        0.85,
        Port::Tls,
        Load::KeepAlive,
        "/small",
    ),
    row("TLS full handshake", 0.65, Port::Tls, Load::Close, "/small"),
    row("HTTP/2 front", 0.95, Port::Http2, Load::Http2, "/small"),
    row("TCP bulk, 1 MiB", 0.80, Port::Tcp, Load::KeepAlive, "/1m"),
    row("TCP small", 0.95, Port::Tcp, Load::KeepAlive, "/small"),
    row("gzip 64 KiB", 0.80, Port::Gzip, Load::Gzip, "/64k"),
];
