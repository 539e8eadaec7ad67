//! `resolvers` sections, and what a server line says about its name (manual §5.3).

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::types::Millis;

/// One `resolvers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolvers {
    /// Its name.
    pub name: String,
    /// `nameserver` lines, in order.
    pub nameservers: Vec<NameServer>,
    /// `accepted_payload_size`: the longest UDP answer, in bytes.
    pub payload_size: u16,
    /// `resolve_retries`: queries before giving up.
    pub retries: u32,
    /// `timeout resolve`: between two resolutions of a name.
    pub resolve: Millis,
    /// `timeout retry`: how long an answer is waited for.
    pub retry: Millis,
    /// `hold …`: for how long the last valid answer outweighs one of these.
    pub hold: Hold,
}

/// `hold` times by the status of the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The name does not exist.
    pub nx: Millis,
    /// The server refuses to answer.
    pub refused: Millis,
    /// Nobody answered.
    pub timeout: Millis,
    /// Any other failure.
    pub other: Millis,
    /// For how long an address stays in use after answers stopped to have it.
    pub obsolete: Millis,
}

/// One name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its name in logs.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// `tcp@`: asked over TCP instead of UDP.
    pub stream: bool,
}

/// How a server's name is resolved while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// `resolvers`: who is asked.
    pub resolvers: Arc<Resolvers>,
    /// The name; one that begins with `_` is asked for SRV records.
    pub name: String,
    /// `resolve-prefer`: true for IPv6, which is the default.
    pub prefer_v6: bool,
    /// `resolve-net`: addresses in these networks are taken first.
    pub networks: Vec<IpNet>,
    /// `resolve-opts allow-dup-ip`: two servers of a backend may get the same address.
    pub allow_duplicates: bool,
    /// `resolve-opts ignore-weight`: the weight of SRV records is not used.
    pub ignore_weight: bool,
}

impl Resolution {
    /// Whether the name stands for SRV records.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.name.starts_with('_')
    }
}

impl Resolvers {
    /// A section without any line (defaults of manual §5.3.2).
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let half_minute = Millis(30_000);
        Self {
            name: name.into(),
            nameservers: Vec::new(),
            payload_size: 512,
            retries: 3,
            resolve: Millis(1000),
            retry: Millis(1000),
            hold: Hold {
                nx: half_minute,
                refused: half_minute,
                timeout: half_minute,
                other: half_minute,
                obsolete: Millis(0),
            },
        }
    }
}
