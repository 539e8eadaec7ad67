//! What is done with a packet, and why one is dropped.

use crate::service::ServiceIndex;

/// What is done with a packet. Edits have been made by the time a verdict is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// To the stack, as it came.
    Pass,
    /// Nowhere, and counted.
    Drop {
        /// Why.
        reason: DropReason,
        /// Whose packet it was; none if that could not be told (its header is broken before the ports).
        service: ServiceIndex,
    },
    /// Nowhere, and counted, but the frame has become the news of it for its sender: out of the interface it came in
    /// through.
    Reply {
        /// Why.
        reason: DropReason,
        /// Whose packet it was.
        service: ServiceIndex,
    },
    /// Out of the interface it came in through.
    Transmit,
    /// Out of the interface with this index in `devices`.
    Redirect(u8),
}

impl Verdict {
    /// As one word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        let (kind, detail, service) = match self {
            Self::Pass => (0, 0, ServiceIndex(0)),
            Self::Transmit => (1, 0, ServiceIndex(0)),
            Self::Redirect(interface) => (2, interface, ServiceIndex(0)),
            Self::Drop { reason, service } => (3, reason as u8, service),
            Self::Reply { reason, service } => (4, reason as u8, service),
        };
        kind | ((detail as u64) << 8) | ((service.0 as u64) << 16)
    }

    /// From what [`Self::word`] made.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let detail = (word >> 8) as u8;
        let service = ServiceIndex((word >> 16) as u16);
        match word & 0xff {
            1 => Self::Transmit,
            2 => Self::Redirect(detail),
            3 => Self::Drop {
                reason: DropReason::from_number(detail),
                service,
            },
            4 => Self::Reply {
                reason: DropReason::from_number(detail),
                service,
            },
            _ => Self::Pass,
        }
    }
}

/// Why a packet is dropped. The number is the counter's place and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DropReason {
    /// IP version, header length or total length contradict each other or the frame.
    BadIpHeader = 0,
    /// IPv6 extension headers: too many, out of order, beyond the packet, or with a source route.
    BadExtension = 1,
    /// TCP data offset below 5 or beyond the packet, or a port is 0.
    BadTcpHeader = 2,
    /// A combination of TCP flags that no stack sends.
    BadTcpFlags = 3,
    /// UDP length below 8 or beyond the packet.
    BadUdpLength = 4,
    /// The source can be nobody's address: unspecified, loopback, multicast, broadcast, mapped.
    MartianSource = 5,
    /// Source and destination address are the same.
    Land = 6,
    /// Time to live or hop limit is used up.
    HopLimit = 7,
    /// A source list refuses the client.
    SourceListed = 8,
    /// The client is over its connection rate.
    RateExceeded = 9,
    /// No server may take the flow.
    NoServer = 10,
    /// The server's hardware address is not known (yet).
    NoNextHop = 11,
    /// No source port is free.
    NoNatPort = 12,
    /// The packet belongs to no flow and cannot start one.
    UnknownFlow = 13,
    /// A SYN-ACK from a client.
    UnexpectedSynAck = 14,
    /// The tables name something that is not there; a defect of ours.
    Inconsistent = 15,
    /// The frame could not be rewritten (no room for a VLAN tag).
    Unwritable = 16,
    /// It does not fit on the way to its server; its sender is told where it can be.
    TooBig = 17,
    /// A fragment that ends where none may, reaches beyond the largest datagram, or begins within the TCP header.
    BadFragment = 18,
    /// A fragment whose first one did not come through here, or too long ago.
    UnknownFragment = 19,
    /// Every server that was asked has as many flows as `maxconn` allows.
    ServersFull = 20,
    /// An acknowledgement of a SYN cookie that was never sent.
    BadCookie = 21,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::BadIpHeader,
        Self::BadExtension,
        Self::BadTcpHeader,
        Self::BadTcpFlags,
        Self::BadUdpLength,
        Self::MartianSource,
        Self::Land,
        Self::HopLimit,
        Self::SourceListed,
        Self::RateExceeded,
        Self::NoServer,
        Self::NoNextHop,
        Self::NoNatPort,
        Self::UnknownFlow,
        Self::UnexpectedSynAck,
        Self::Inconsistent,
        Self::Unwritable,
        Self::TooBig,
        Self::BadFragment,
        Self::UnknownFragment,
        Self::ServersFull,
        Self::BadCookie,
    ];

    /// The reason with this number; one that there is none of would be a defect of ours.
    #[inline(always)]
    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::BadIpHeader,
            1 => Self::BadExtension,
            2 => Self::BadTcpHeader,
            3 => Self::BadTcpFlags,
            4 => Self::BadUdpLength,
            5 => Self::MartianSource,
            6 => Self::Land,
            7 => Self::HopLimit,
            8 => Self::SourceListed,
            9 => Self::RateExceeded,
            10 => Self::NoServer,
            11 => Self::NoNextHop,
            12 => Self::NoNatPort,
            13 => Self::UnknownFlow,
            14 => Self::UnexpectedSynAck,
            16 => Self::Unwritable,
            17 => Self::TooBig,
            18 => Self::BadFragment,
            19 => Self::UnknownFragment,
            20 => Self::ServersFull,
            21 => Self::BadCookie,
            _ => Self::Inconsistent,
        }
    }

    /// Its name in statistics and captures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadIpHeader => "bad-ip-header",
            Self::BadExtension => "bad-extension",
            Self::BadTcpHeader => "bad-tcp-header",
            Self::BadTcpFlags => "bad-tcp-flags",
            Self::BadUdpLength => "bad-udp-length",
            Self::MartianSource => "martian-source",
            Self::Land => "land",
            Self::HopLimit => "hop-limit",
            Self::SourceListed => "source-listed",
            Self::RateExceeded => "rate-exceeded",
            Self::NoServer => "no-server",
            Self::NoNextHop => "no-next-hop",
            Self::NoNatPort => "no-nat-port",
            Self::UnknownFlow => "unknown-flow",
            Self::UnexpectedSynAck => "unexpected-syn-ack",
            Self::Inconsistent => "inconsistent",
            Self::Unwritable => "unwritable",
            Self::TooBig => "too-big",
            Self::BadFragment => "bad-fragment",
            Self::UnknownFragment => "unknown-fragment",
            Self::ServersFull => "servers-full",
            Self::BadCookie => "bad-cookie",
        }
    }
}

/// Counters per service; more than there are reasons, so that a new one does not move the others.
pub const DROP_REASONS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_without_gaps_and_named_once() {
        for (number, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            assert_eq!(DropReason::from_number(number as u8), *reason);
            let same = DropReason::ALL.iter().filter(|r| r.name() == reason.name());
            assert_eq!(same.count(), 1);
        }
        assert!(DropReason::ALL.len() <= DROP_REASONS as usize);
    }

    #[test]
    fn every_verdict_survives_the_way_through_its_word() {
        let (reason, service) = (DropReason::BadCookie, ServiceIndex(0xfedc));
        for verdict in [
            Verdict::Pass,
            Verdict::Transmit,
            Verdict::Redirect(255),
            Verdict::Drop { reason, service },
            Verdict::Reply { reason, service },
        ] {
            assert_eq!(Verdict::from_word(verdict.word()), verdict);
        }
    }
}
