//! How the server of a new flow is chosen.

use serde::Serialize;

use super::Masks;

/// How the server of a new flow is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Maglev over both addresses and ports.
    Maglev,
    /// Maglev over the client's address alone.
    Source,
    /// Maglev over something else of the packet.
    Hash(Key),
    /// In turns, by weight. Weights may change while it runs.
    RoundRobin,
    /// In turns, by the weights of the file.
    #[serde(rename = "static-rr")]
    StaticRoundRobin,
    /// The one with the fewest flows in proportion to its weight.
    LeastConn,
    /// The least loaded of some at random.
    Random {
        /// How many are compared.
        draws: u8,
    },
}

/// What of a packet `balance hash` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// `src`, or the network of it that `ipmask` says.
    Source(Masks),
    /// `dst`, likewise.
    Destination(Masks),
    /// `src_port`.
    SourcePort,
    /// `dst_port`.
    DestinationPort,
}

impl Choice {
    /// Its name, as after `balance`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
            Self::Source => "source",
            Self::Hash(_) => "hash",
            Self::RoundRobin => "roundrobin",
            Self::StaticRoundRobin => "static-rr",
            Self::LeastConn => "leastconn",
            Self::Random { .. } => "random",
        }
    }

    /// Whether the packet alone tells its server, so that any balancer with the same servers chooses alike.
    pub const fn is_stateless(self) -> bool {
        matches!(self, Self::Maglev | Self::Source | Self::Hash(_))
    }

    /// Whether it compares how many flows servers have.
    pub const fn compares(self) -> bool {
        matches!(self, Self::LeastConn | Self::Random { .. })
    }

    /// Whether servers take turns.
    pub const fn takes_turns(self) -> bool {
        matches!(
            self,
            Self::RoundRobin | Self::StaticRoundRobin | Self::LeastConn
        )
    }
}
