//! How the server of a new flow is chosen: the word of a service that says so.
//!
//! Userspace may replace it at any time by one store; flows that have an entry keep their server whatever it says.

/// [`crate::service::Service::choice`] in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Who is next.
    pub policy: Policy,
    /// How many servers [`Policy::Random`] compares.
    pub draws: u8,
    /// What the position in the ring is computed from.
    pub field: Field,
    /// How many bits of an IPv4 address count there.
    pub v4: u8,
    /// How many bits of an IPv6 address.
    pub v6: u8,
    /// Whether flows are counted per server ([`crate::load::Load`]).
    pub counts: bool,
    /// The ring that holds whose turn it is ([`crate::ring::schedule`]); 0 is none.
    pub schedule: u16,
}

/// Who is next. Only a flow that will be remembered may be given a server that its hash does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// The server at the flow's place in the ring (`maglev`, `source`, `hash`): needs no memory.
    #[default]
    Hash = 0,
    /// The next in the schedule (`roundrobin`, `static-rr`).
    Turns = 1,
    /// The one with the fewest flows among the next ones in the schedule (`leastconn`).
    Least = 2,
    /// The one with the fewest flows among some at random (`random`).
    Random = 3,
}

/// What the position in the ring is computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// Addresses, ports and protocol.
    #[default]
    Tuple = 0,
    /// The client's address: all its flows meet one server.
    Source = 1,
    /// The address the client uses.
    Destination = 2,
    /// The client's port.
    SourcePort = 3,
    /// The port the client uses.
    DestinationPort = 4,
}

impl Choice {
    /// As the word in the record.
    pub const fn word(self) -> u64 {
        let [s, t] = self.schedule.to_ne_bytes();
        u64::from_ne_bytes([
            self.policy as u8,
            self.draws,
            self.field as u8,
            self.v4,
            self.v6,
            self.counts as u8,
            s,
            t,
        ])
    }

    /// From the word in the record.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [policy, draws, field, v4, v6, counts, s, t] = word.to_ne_bytes();
        Self {
            policy: match policy {
                1 => Policy::Turns,
                2 => Policy::Least,
                3 => Policy::Random,
                _ => Policy::Hash,
            },
            draws,
            field: match field {
                1 => Field::Source,
                2 => Field::Destination,
                3 => Field::SourcePort,
                4 => Field::DestinationPort,
                _ => Field::Tuple,
            },
            v4,
            v6,
            counts: counts != 0,
            schedule: u16::from_ne_bytes([s, t]),
        }
    }
}

/// How many servers a new flow looks at, at most.
pub const PROBES: u32 = 8;

/// How many of those it finds by its hash before it takes turns, where there is a schedule.
pub const HASHED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_survives_the_way_through_its_word() {
        for policy in [Policy::Hash, Policy::Turns, Policy::Least, Policy::Random] {
            for field in [
                Field::Tuple,
                Field::Source,
                Field::Destination,
                Field::SourcePort,
                Field::DestinationPort,
            ] {
                let choice = Choice {
                    policy,
                    draws: 3,
                    field,
                    v4: 24,
                    v6: 64,
                    counts: true,
                    schedule: 0xfedc,
                };
                assert_eq!(Choice::from_word(choice.word()), choice);
            }
        }
        assert_eq!(Choice::from_word(0), Choice::default());
    }
}
