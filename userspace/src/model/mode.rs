//! `mode`: what a proxy understands of its traffic (manual §4.2).

/// What a proxy understands of its traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Bytes.
    #[default]
    Tcp,
    /// HTTP.
    Http,
    /// Packets, forwarded inside the kernel (this project's extension).
    L4,
    /// Log messages, handed to the servers of a backend.
    Log,
    /// Log messages that a `log-forward` section receives.
    Syslog,
}

impl Mode {
    /// Whether connections of clients and servers are proxied, here or in the kernel: everything but log messages.
    pub const fn is_traffic(self) -> bool {
        matches!(self, Self::Tcp | Self::Http | Self::L4)
    }
}
