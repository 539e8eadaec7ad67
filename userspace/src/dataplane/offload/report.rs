//! What the compiler decided about every rule, as inert data.
//!
//! One [`Row`] per rule, in the order of the file: where it runs, and why. [`super::super::explain`] prints it; the
//! reasons are complete sentences' halves, made to follow "userspace, because …".

use std::fmt;

use serde::Serialize;

use crate::dataplane::plan::Counting;

/// What was decided about one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The proxy's name.
    pub proxy: String,
    /// `file:line`.
    pub place: String,
    /// The rule as written, with the rule set's name.
    pub rule: String,
    /// Where it runs.
    pub tier: Tier,
}

/// Where a rule runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In the kernel, with exactly the result it has in userspace.
    Kernel(Option<Note>),
    /// In userspace.
    Userspace(Reason),
}

impl Row {
    /// What the rule costs where it runs.
    pub fn costs(&self) -> &'static str {
        match &self.tier {
            Tier::Kernel(Some(Note::Prefixes { .. })) => "3 loads a packet at most",
            Tier::Kernel(Some(Note::Limit { .. } | Note::OnlyV4(_))) => "1 cache line a SYN",
            Tier::Kernel(Some(Note::Counted(_))) => "1 cache line a connection",
            Tier::Kernel(None) => "nothing",
            Tier::Userspace(_) if self.rule.starts_with("http-request") => "CPU time a request",
            Tier::Userspace(_) if self.rule.starts_with("http-") => "CPU time a response",
            Tier::Userspace(_) => "CPU time a connection",
        }
    }
}

/// What an operator should know about a rule that runs in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// How much is in the frontend's lists.
    Prefixes {
        /// IPv4 prefixes of all its lists.
        v4: usize,
        /// IPv6 prefixes.
        v6: usize,
    },
    /// What a limit counts.
    Limit {
        /// Connections.
        limit: u32,
        /// In so many milliseconds.
        period: u64,
        /// When an accepted connection is charged to its source.
        charged: Charged,
        /// Whether refused ones are charged too.
        counting: Counting,
    },
    /// A `track-sc` rule whose connections the kernel counts.
    Counted(Charged),
    /// A limit on IPv6 services of a table that holds IPv4 addresses only.
    OnlyV4(Box<Self>),
}

/// When a connection is charged to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// When this machine accepts it: a spoofed SYN never does.
    Accepted,
    /// When its handshake is seen to be complete in the kernel.
    Established,
    /// At the first packet of a flow (UDP has no handshake).
    FirstPacket,
}

/// Why a rule runs in userspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no kernel tier.
    NoInterface,
    /// The proxy listens on nothing the kernel could look after.
    NoAddress,
    /// The rule set needs a connection, or bytes of it.
    Stage(&'static str),
    /// The action does something other than deciding about the connection.
    Action,
    /// The condition looks at something other than the client's address.
    Looks(String),
    /// The condition changes the client's address before it looks at it.
    Converts(String),
    /// The patterns are compared in a way other than as addresses.
    Match(String),
    /// An earlier rule that runs in userspace may decide first.
    After(String),
    /// An earlier rule has to see the connections this one would refuse.
    Tracked(String),
    /// A limit before it would refuse some of what it accepts.
    Limited(String),
    /// The counters are not kept per client address.
    Key(String),
    /// The table does not store what the rule asks for.
    NotStored(String),
    /// The table's entries come and go in a way the kernel does not know.
    Table(&'static str),
    /// The comparison is not "more than a number".
    Comparison(String),
    /// The frontend already has a limit in the kernel.
    SecondLimit(String),
    /// The source lists of all frontends overlap in too many ways.
    Classes,
    /// It answers with this status, which the kernel cannot.
    Answers(u16),
    /// The client's address may come from a PROXY header.
    Proxied(String),
    /// `monitor-uri` answers before the rules of requests.
    Monitor,
    /// It counts all clients together.
    Everybody,
    /// The kernel does not keep this counter.
    Counter(String),
    /// The counters are also used elsewhere, which refused connections must not escape.
    Shared(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface => formatter.write_str("there is no 'xdp interface' in 'global'"),
            Self::NoAddress => {
                formatter.write_str("the proxy has no TCP address in the kernel's reach")
            }
            Self::Stage(what) => write!(formatter, "it needs {what}"),
            Self::Action => formatter.write_str("its action does more than accept or refuse"),
            Self::Looks(what) => write!(
                formatter,
                "it looks at '{what}', not only at the client's address"
            ),
            Self::Converts(what) => {
                write!(formatter, "'{what}' is not the client's address as it is")
            }
            Self::Match(what) => write!(formatter, "'{what}' is not compared as an address"),
            Self::After(place) => write!(
                formatter,
                "the rule at {place} runs in userspace and may decide first"
            ),
            Self::Tracked(place) => {
                write!(
                    formatter,
                    "the rule at {place} has to count the connections this one refuses"
                )
            }
            Self::Limited(place) => write!(formatter, "the limit at {place} comes first"),
            Self::Key(key) => write!(
                formatter,
                "it counts per '{key}', the kernel per client address"
            ),
            Self::NotStored(table) => write!(
                formatter,
                "the table '{table}' does not store what it asks for"
            ),
            Self::Table(what) => write!(formatter, "its table {what}"),
            Self::Comparison(what) => write!(formatter, "'{what}' is not 'more than a number'"),
            Self::SecondLimit(place) => write!(
                formatter,
                "the kernel keeps one limit a frontend, that at {place}"
            ),
            Self::Classes => formatter
                .write_str("the source lists overlap in more ways than the kernel tells apart"),
            Self::Answers(status) => write!(
                formatter,
                "it answers with {status}, the kernel not at all ('silent-drop' and 'reject' need no answer, and with 'xdp \
                 deny drop' in 'global' neither does 'deny')"
            ),
            Self::Proxied(place) => write!(
                formatter,
                "the client's address may come from a PROXY header ({place})"
            ),
            Self::Monitor => formatter.write_str("'monitor-uri' answers before it"),
            Self::Everybody => formatter.write_str("it counts all clients together"),
            Self::Counter(what) => write!(
                formatter,
                "the kernel counts connections by time, not '{what}'"
            ),
            Self::Shared(place) => {
                write!(
                    formatter,
                    "the rule at {place} also uses the counters, of refused connections too"
                )
            }
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefixes { v4, v6 } => write!(formatter, "{v4} IPv4 and {v6} IPv6 prefixes"),
            Self::Limit {
                limit,
                period,
                charged,
                counting,
            } => {
                let refused = match counting {
                    Counting::All => "a refused one at its SYN",
                    Counting::Accepted => "a refused one never",
                };
                write!(
                    formatter,
                    "more than {limit} in {period} ms; {charged}, {refused}"
                )
            }
            Self::Counted(charged) => write!(formatter, "{charged}"),
            Self::OnlyV4(note) => write!(formatter, "{note}; the table holds IPv4 addresses only"),
        }
    }
}

impl fmt::Display for Charged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Accepted => "a connection counts when it is accepted",
            Self::Established => "a connection counts when its handshake is complete",
            Self::FirstPacket => "a flow counts at its first packet",
        })
    }
}

impl Serialize for Tier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut tier = serializer.serialize_struct("Tier", 2)?;
        match self {
            Self::Kernel(note) => {
                tier.serialize_field("runs_in", "kernel")?;
                tier.serialize_field("note", &note.as_ref().map(ToString::to_string))?;
            }
            Self::Userspace(reason) => {
                tier.serialize_field("runs_in", "userspace")?;
                tier.serialize_field("because", &reason.to_string())?;
            }
        }
        tier.end()
    }
}
