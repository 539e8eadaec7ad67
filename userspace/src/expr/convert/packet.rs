//! Parts of a captured packet: what `fc_saved_syn` shows (manual §7.3.1, `eth.*`, `ip.*`, `tcp.*`).
//!
//! Every converter takes the bytes of its own layer from the start; a header that is cut short yields nothing.

use std::net::IpAddr;

use super::{Arg, Arguments, Converter, Data, Output, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::{Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    part(
        "eth.data",
        "The frame behind its Ethernet header.",
        |frame| ethernet(frame).map(|header| (header, frame.len())),
    ),
    part(
        "eth.dst",
        "The destination address of an Ethernet frame.",
        |_| Some((0, 6)),
    ),
    part(
        "eth.hdr",
        "The Ethernet header with its VLAN tags.",
        |frame| ethernet(frame).map(|header| (0, header)),
    ),
    number("eth.proto", "The protocol of an Ethernet frame.", |frame| {
        short(frame, ethernet(frame)? - 2)
    }),
    part(
        "eth.src",
        "The source address of an Ethernet frame.",
        |_| Some((6, 12)),
    ),
    number("eth.vlan", "The last VLAN of an Ethernet frame.", |frame| {
        let tag = ethernet(frame)?.checked_sub(4).filter(|tag| *tag > 12)?;
        Some(short(frame, tag)? & 0xFFF)
    }),
    part("ip.data", "The packet behind its IP header.", |packet| {
        Some((Ip::of(packet)?.header, packet.len()))
    }),
    number(
        "ip.df",
        "1 where a packet must not be fragmented.",
        |packet| Some(Ip::of(packet)?.whole.into()),
    ),
    address("ip.dst", "The destination address of a packet.", |packet| {
        Ip::of(packet)?.destination(packet)
    }),
    Converter {
        name: "ip.fp",
        args: Arguments::some(0, &[ArgKind::Int]),
        doc: "A fingerprint of the sender's system, from its IP and TCP headers.",
        run: Run::Sample(|sample, args, _| {
            let more = args.first().and_then(Arg::int).unwrap_or(0);
            fingerprint(&data(sample)?, more).map(Sample::bin)
        }),
        ..PART
    },
    part("ip.hdr", "The IP header with its options.", |packet| {
        Some((0, Ip::of(packet)?.header))
    }),
    number(
        "ip.proto",
        "The transport protocol of a packet.",
        |packet| Some(Ip::of(packet)?.protocol.into()),
    ),
    address("ip.src", "The source address of a packet.", |packet| {
        Ip::of(packet)?.source(packet)
    }),
    number("ip.tos", "The type of service of a packet.", |packet| {
        Some(Ip::of(packet)?.service.into())
    }),
    number("ip.ttl", "The time to live of a packet.", |packet| {
        Some(Ip::of(packet)?.ttl.into())
    }),
    number("ip.ver", "The IP version of a packet.", |packet| {
        packet.first().map(|byte| i64::from(byte >> 4))
    }),
    number("tcp.dst", "The destination port of a segment.", |segment| {
        short(segment, 2)
    }),
    number("tcp.flags", "The flags of a segment.", |segment| {
        segment.get(13).copied().map(i64::from)
    }),
    number(
        "tcp.options.mss",
        "The maximum segment size a segment announces, 0 where it does not.",
        |segment| {
            let value = option(segment, MAXIMUM_SEGMENT_SIZE)?;
            Some(value.and_then(|value| short(value, 0)).unwrap_or(0))
        },
    ),
    number(
        "tcp.options.sack",
        "1 where a segment permits selective acknowledgements.",
        |segment| option(segment, SACK_PERMITTED).map(|value| value.is_some().into()),
    ),
    number(
        "tcp.options.tsopt",
        "1 where a segment has a timestamp.",
        |segment| option(segment, TIMESTAMP).map(|value| value.is_some().into()),
    ),
    number(
        "tcp.options.tsval",
        "The timestamp of a segment.",
        |segment| long(option(segment, TIMESTAMP)??, 0),
    ),
    number(
        "tcp.options.wscale",
        "The window scaling a segment announces, 0 where it does not.",
        |segment| {
            let value = option(segment, WINDOW_SCALE)?;
            Some(
                value
                    .and_then(|value| value.first())
                    .copied()
                    .unwrap_or(0)
                    .into(),
            )
        },
    ),
    number(
        "tcp.options.wsopt",
        "1 where a segment announces a window scaling.",
        |segment| option(segment, WINDOW_SCALE).map(|value| value.is_some().into()),
    ),
    Converter {
        name: "tcp.options_list",
        doc: "The kinds of a segment's options, in their order.",
        run: Run::Sample(|sample, _, _| Some(Sample::bin(kinds(&data(sample)?)?))),
        ..PART
    },
    number("tcp.seq", "The sequence number of a segment.", |segment| {
        long(segment, 4)
    }),
    number("tcp.src", "The source port of a segment.", |segment| {
        short(segment, 0)
    }),
    number("tcp.win", "The window a segment announces.", |segment| {
        short(segment, 14)
    }),
];

const PART: Converter = Converter {
    input: SampleType::Bin,
    output: Output::Type(SampleType::Bin),
    ..Converter::BASE
};

/// A range of the input's bytes.
const fn part(
    name: &'static str,
    doc: &'static str,
    range: fn(&[u8]) -> Option<(usize, usize)>,
) -> Converter {
    Converter {
        name,
        doc,
        run: Run::Part(range),
        ..PART
    }
}

const fn number(
    name: &'static str,
    doc: &'static str,
    read: fn(&[u8]) -> Option<i64>,
) -> Converter {
    Converter {
        name,
        doc,
        output: Output::Type(SampleType::Int),
        run: Run::Number(read),
        ..PART
    }
}

const fn address(
    name: &'static str,
    doc: &'static str,
    read: fn(&[u8]) -> Option<IpAddr>,
) -> Converter {
    Converter {
        name,
        doc,
        output: Output::Type(SampleType::Address),
        run: Run::Address(read),
        ..PART
    }
}

/// The range a [`Run::Part`] converter chose, where the input has it whole.
pub(super) fn cut(input: Data<'_>, range: (usize, usize)) -> Option<Sample<'_>> {
    let (start, end) = range;
    (end <= input.len()).then(|| Sample::Bin(input.slice(start, end)))
}

fn short(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..at + 2)?;
    Some(i64::from(bytes[0]) << 8 | i64::from(bytes[1]))
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    Some(short(bytes, at)? << 16 | short(bytes, at + 2)?)
}

/// The length of an Ethernet header with its VLAN tags.
fn ethernet(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    while matches!(short(frame, at)?, 0x8100 | 0x88A8) {
        at += 4;
    }
    Some(at + 2)
}

/// What the converters want of an IP header.
struct Ip {
    version: u8,
    /// Its length, with options and extensions.
    header: usize,
    /// Whether it has any.
    extended: bool,
    service: u8,
    ttl: u8,
    protocol: u8,
    /// It must not be fragmented.
    whole: bool,
}

impl Ip {
    fn of(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::of_version_4(packet),
            6 => Self::of_version_6(packet),
            _ => None,
        }
    }

    fn of_version_4(packet: &[u8]) -> Option<Self> {
        let header = usize::from(packet[0] & 15) * 4;
        if header < 20 || packet.len() < header {
            return None;
        }
        Some(Self {
            version: 4,
            header,
            extended: header > 20,
            service: packet[1],
            ttl: packet[8],
            protocol: packet[9],
            whole: packet[6] & 0x40 != 0,
        })
    }

    fn of_version_6(packet: &[u8]) -> Option<Self> {
        if packet.len() < 40 {
            return None;
        }
        let (mut header, mut protocol) = (40, packet[6]);
        // Hop-by-hop options, routing, fragment, authentication, destination options, mobility, host identity, shim.
        while matches!(protocol, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
            let length = match protocol {
                44 => 8,
                51 => usize::from(*packet.get(header + 1)?) * 4 + 8,
                _ => usize::from(*packet.get(header + 1)?) * 8 + 8,
            };
            protocol = *packet.get(header)?;
            header += length;
        }
        (header <= packet.len()).then_some(Self {
            version: 6,
            header,
            extended: header > 40,
            service: packet[0] << 4 | packet[1] >> 4,
            ttl: packet[7],
            protocol,
            whole: true,
        })
    }

    fn source(&self, packet: &[u8]) -> Option<IpAddr> {
        self.address(packet, 12, 8)
    }

    fn destination(&self, packet: &[u8]) -> Option<IpAddr> {
        self.address(packet, 16, 24)
    }

    fn address(&self, packet: &[u8], at_v4: usize, at_v6: usize) -> Option<IpAddr> {
        if self.version == 4 {
            let octets: [u8; 4] = packet.get(at_v4..at_v4 + 4)?.try_into().ok()?;
            return Some(octets.into());
        }
        let octets: [u8; 16] = packet.get(at_v6..at_v6 + 16)?.try_into().ok()?;
        Some(octets.into())
    }
}

/// The options of a segment as pairs of kind and value; `None` where the header is cut short.
fn options(segment: &[u8]) -> Option<Options<'_>> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    segment.get(20..header).map(Options)
}

struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.0.split_first()?;
        match kind {
            0 => None,
            1 => {
                self.0 = rest;
                Some((kind, &[]))
            }
            _ => {
                let length = usize::from(*rest.first()?);
                let value = self.0.get(2..length)?;
                self.0 = &self.0[length..];
                Some((kind, value))
            }
        }
    }
}

/// The value of the first option of a kind; the outer `None` where the header is cut short.
fn option(segment: &[u8], kind: u8) -> Option<Option<&[u8]>> {
    let found = options(segment)?.find(|(known, _)| *known == kind);
    Some(found.map(|(_, value)| value))
}

fn kinds(segment: &[u8]) -> Option<Vec<u8>> {
    Some(options(segment)?.map(|(kind, _)| kind).collect())
}

fn fingerprint(packet: &[u8], more: i64) -> Option<Vec<u8>> {
    let ip = Ip::of(packet)?;
    if ip.protocol != TCP {
        return None;
    }
    let segment = &packet[ip.header..];
    let flags = *segment.get(13)?;
    let header = segment[12] >> 4;
    let bit = |set: bool, place: u8| u8::from(set) << place;
    let distance = match ip.ttl {
        0..=32 => 0,
        33..=64 => 1,
        65..=128 => 2,
        _ => 3,
    };
    let scale = option(segment, WINDOW_SCALE)?
        .and_then(|value| value.first())
        .map_or(0, |scale| scale.saturating_add(1).min(15));
    let size = option(segment, MAXIMUM_SEGMENT_SIZE)?.filter(|value| value.len() == 2);
    let present = kinds(segment)?.iter().fold(0, |seen, kind| match kind {
        2..=8 => seen | 1 << (kind - 2),
        9.. => seen | 0x80,
        _ => seen,
    });
    let mut print = vec![
        ip.service,
        bit(ip.version == 6, 7)
            | bit(ip.whole, 6)
            | distance << 4
            | bit(ip.extended, 3)
            | bit(segment.len() > usize::from(header) * 4, 2)
            | bit(flags & 0x80 != 0, 1)
            | bit(flags & 0x40 != 0, 0),
        header << 4 | scale,
    ];
    print.extend_from_slice(segment.get(14..16)?);
    print.extend_from_slice(size.unwrap_or(&[0, 0]));
    print.push(present);
    if more & 1 != 0 {
        print.push(ip.ttl);
    }
    if more & 2 != 0 {
        print.extend(kinds(segment)?);
    }
    if more & 4 != 0 {
        match ip.source(packet)? {
            IpAddr::V4(address) => print.extend(address.octets()),
            IpAddr::V6(address) => print.extend(address.octets()),
        }
    }
    Some(print)
}

const TCP: u8 = 6;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMP: u8 = 8;

#[cfg(test)]
mod tests {
    use crate::expr::testing::{Literal, eval};

    /// A SYN of port 40000 to 443 with MSS 1460, SACK, a timestamp and window scaling 7, in a frame with one VLAN.
    const FRAME: &str = "02000000000102000000000281000064080045000040123440004006000001020304050607089c4001bb1122334400000000b0c2faf000000000020405b40402080a0000000a000000000103030700000000";

    fn check(cases: &[(&str, Option<&str>)]) {
        for (converters, expected) in cases {
            let word = format!("bin({FRAME}),{converters}");
            let value = eval(&word, &Literal::default());
            assert_eq!(value.as_deref(), *expected, "{converters}");
        }
    }

    #[test]
    fn a_captured_frame_is_taken_apart() {
        check(&[
            ("eth.dst,hex", Some("020000000001")),
            ("eth.src,hex", Some("020000000002")),
            ("eth.vlan", Some("100")),
            ("eth.proto", Some("2048")),
            ("eth.hdr,hex", Some("020000000001020000000002810000640800")),
            ("eth.data,ip.ver", Some("4")),
            ("eth.data,ip.src", Some("1.2.3.4")),
            ("eth.data,ip.dst", Some("5.6.7.8")),
            ("eth.data,ip.df", Some("1")),
            ("eth.data,ip.ttl", Some("64")),
            ("eth.data,ip.tos", Some("0")),
            ("eth.data,ip.proto", Some("6")),
            ("eth.data,ip.data,tcp.src", Some("40000")),
            ("eth.data,ip.data,tcp.dst", Some("443")),
            ("eth.data,ip.data,tcp.seq", Some("287454020")),
            ("eth.data,ip.data,tcp.flags", Some("194")),
            ("eth.data,ip.data,tcp.win", Some("64240")),
            ("eth.data,ip.data,tcp.options.mss", Some("1460")),
            ("eth.data,ip.data,tcp.options.sack", Some("1")),
            ("eth.data,ip.data,tcp.options.tsopt", Some("1")),
            ("eth.data,ip.data,tcp.options.tsval", Some("10")),
            ("eth.data,ip.data,tcp.options.wsopt", Some("1")),
            ("eth.data,ip.data,tcp.options.wscale", Some("7")),
            ("eth.data,ip.data,tcp.options_list,hex", Some("0204080103")),
            ("eth.data,ip.fp,hex", Some("0053B8FAF005B447")),
            (
                "eth.data,ip.fp(7),hex",
                Some("0053B8FAF005B44740020408010301020304"),
            ),
        ]);
    }

    #[test]
    fn a_packet_that_is_cut_short_yields_nothing() {
        for length in 0..78 {
            let word = format!("bin({}),eth.data,ip.fp", &FRAME[..length * 2]);
            assert_eq!(eval(&word, &Literal::default()), None, "{length}");
        }
    }
}
