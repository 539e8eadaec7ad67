//! Layer 6: raw bytes of the buffers (manual §7.3.5).

use super::client_hello::{self, Hello};
use super::rdp;
use super::{
    Arg, Arguments, Buffer, Derivatives, Direction, Fetch, Fetched, Needs, Parsing, Read, ReadOne,
    Sample, SampleType, View,
};
use crate::expr::args::ArgKind;
use crate::expr::pattern::Match;

/// What is read of a buffer.
#[derive(Clone, Copy)]
pub(in crate::expr) enum Raw {
    Length,
    Payload,
    /// A block whose length stands in the buffer itself.
    LengthValue,
    HelloType,
}

pub(super) const FETCHES: &[Fetch] = &[
    Fetch {
        aliases: &["req_len"],
        unsettled: true,
        ..request(
            "req.len",
            SampleType::Int,
            Raw::Length,
            "How many bytes the request buffer has.",
        )
    },
    Fetch {
        unsettled: true,
        ..response(
            request(
                "res.len",
                SampleType::Int,
                Raw::Length,
                "How many bytes the response buffer has.",
            ),
            Raw::Length,
        )
    },
    Fetch {
        args: Arguments::all(&[ArgKind::Int, ArgKind::Int]),
        derivatives: Derivatives::List(&[("payload", Match::Bin), ("req.payload", Match::Bin)]),
        compile: Some(check_payload),
        unsettled: true,
        ..request(
            "req.payload",
            SampleType::Bin,
            Raw::Payload,
            "Bytes of the request buffer.",
        )
    },
    Fetch {
        args: Arguments::all(&[ArgKind::Int, ArgKind::Int]),
        derivatives: Derivatives::List(&[("res.payload", Match::Bin)]),
        compile: Some(check_payload),
        unsettled: true,
        ..response(
            request(
                "res.payload",
                SampleType::Bin,
                Raw::Payload,
                "Bytes of the response buffer.",
            ),
            Raw::Payload,
        )
    },
    Fetch {
        args: LENGTH_VALUE,
        derivatives: Derivatives::List(&[
            ("payload_lv", Match::Bin),
            ("req.payload_lv", Match::Bin),
        ]),
        compile: Some(check_length_value),
        ..request(
            "req.payload_lv",
            SampleType::Bin,
            Raw::LengthValue,
            "A block of the request buffer that tells its own length.",
        )
    },
    Fetch {
        args: LENGTH_VALUE,
        derivatives: Derivatives::List(&[("res.payload_lv", Match::Bin)]),
        compile: Some(check_length_value),
        ..response(
            request(
                "res.payload_lv",
                SampleType::Bin,
                Raw::LengthValue,
                "A block of the response buffer that tells its own length.",
            ),
            Raw::LengthValue,
        )
    },
    Fetch {
        aliases: &["req_ssl_hello_type"],
        ..request(
            "req.ssl_hello_type",
            SampleType::Int,
            Raw::HelloType,
            "The type of the TLS hello in the request buffer.",
        )
    },
    Fetch {
        aliases: &["rep_ssl_hello_type"],
        ..response(
            request(
                "res.ssl_hello_type",
                SampleType::Int,
                Raw::HelloType,
                "The type of the TLS hello in the response buffer.",
            ),
            Raw::HelloType,
        )
    },
    Fetch {
        aliases: &["req_proto_http"],
        output: SampleType::Bool,
        needs: Needs::REQUEST_BUFFER.or(Needs::REQUEST),
        name: "req.proto_http",
        doc: "Whether the request buffer holds an HTTP request.",
        read: Read::One(|view, _| match view.head(Direction::Request) {
            Fetched::Wait => Fetched::Wait,
            found => Fetched::Value(Sample::Bool(found.value().is_some())),
        }),
        ..Fetch::BASE
    },
    hello(
        "req.ssl_sni",
        &["req_ssl_sni"],
        SampleType::Str,
        |view, _| in_hello(view, |hello| hello.server_name().map(Sample::str)),
        "The server name in the TLS client hello.",
    ),
    Fetch {
        derivatives: Derivatives::List(&[
            ("req.ssl_ver", Match::Version),
            ("req_ssl_ver", Match::Version),
        ]),
        ..hello(
            "req.ssl_ver",
            &["req_ssl_ver"],
            SampleType::Int,
            hello_version,
            "The version in the TLS client hello.",
        )
    },
    hello(
        "req.ssl_alpn",
        &[],
        SampleType::Str,
        |view, _| {
            in_hello(view, |hello| {
                Some(Sample::str(protocols(
                    hello.extension(client_hello::ALPN)?,
                )?))
            })
        },
        "The protocols in the TLS client hello, joined by commas.",
    ),
    hello(
        "req.ssl_cipherlist",
        &[],
        SampleType::Bin,
        |view, _| in_hello(view, |hello| hello.ciphers().map(Sample::bin)),
        "The cipher suites in the TLS client hello.",
    ),
    hello(
        "req.ssl_ec_ext",
        &[],
        SampleType::Bool,
        |view, _| {
            in_hello(view, |hello| {
                Some(Sample::Bool(
                    hello.extension(client_hello::SUPPORTED_GROUPS).is_some(),
                ))
            })
        },
        "Whether the TLS client hello names supported curves.",
    ),
    hello(
        "req.ssl_supported_groups",
        &[],
        SampleType::Bin,
        |view, _| in_hello(view, |hello| listed(hello, client_hello::SUPPORTED_GROUPS)),
        "The groups in the TLS client hello.",
    ),
    hello(
        "req.ssl_sigalgs",
        &[],
        SampleType::Bin,
        |view, _| {
            in_hello(view, |hello| {
                listed(hello, client_hello::SIGNATURE_ALGORITHMS)
            })
        },
        "The signature algorithms in the TLS client hello.",
    ),
    hello(
        "req.ssl_keyshare_groups",
        &[],
        SampleType::Bin,
        |view, _| {
            in_hello(view, |hello| {
                key_shares(hello.extension(client_hello::KEY_SHARE)?).map(Sample::bin)
            })
        },
        "The groups of the key shares in the TLS client hello.",
    ),
    hello(
        "req.ssl_st_ext",
        &[],
        SampleType::Int,
        |view, _| {
            in_hello(view, |hello| {
                Some(Sample::Int(
                    match hello.extension(client_hello::SESSION_TICKET) {
                        None => 0,
                        Some([]) => 1,
                        Some(_) => 2,
                    },
                ))
            })
        },
        "Whether the TLS client hello has room for a session ticket (1), or has one (2).",
    ),
    Fetch {
        args: Arguments::some(0, &[ArgKind::Text]),
        ..hello(
            "req.rdp_cookie",
            &["rdp_cookie", "req_rdp_cookie"],
            SampleType::Str,
            |view, args| rdp::cookie(view, args).map(Sample::str),
            "A cookie of the RDP request.",
        )
    },
    Fetch {
        args: Arguments::some(0, &[ArgKind::Text]),
        ..hello(
            "req.rdp_cookie_cnt",
            &["rdp_cookie_cnt", "req_rdp_cookie_cnt"],
            SampleType::Int,
            |view, args| match rdp::cookie(view, args) {
                Fetched::Wait => Fetched::Wait,
                found => Fetched::Value(Sample::Int(found.value().is_some().into())),
            },
            "How many cookies of that name the RDP request has.",
        )
    },
];

const LENGTH_VALUE: Arguments = Arguments::some(2, &[ArgKind::Int, ArgKind::Int, ArgKind::Text]);

const fn request(name: &'static str, output: SampleType, raw: Raw, doc: &'static str) -> Fetch {
    Fetch {
        name,
        output,
        needs: Needs::REQUEST_BUFFER,
        doc,
        read: Read::Raw(Direction::Request, raw),
        ..Fetch::BASE
    }
}

const fn response(fetch: Fetch, raw: Raw) -> Fetch {
    Fetch {
        needs: Needs::RESPONSE_BUFFER,
        read: Read::Raw(Direction::Response, raw),
        ..fetch
    }
}

const fn hello(
    name: &'static str,
    aliases: &'static [&'static str],
    output: SampleType,
    read: ReadOne,
    doc: &'static str,
) -> Fetch {
    Fetch {
        name,
        aliases,
        output,
        needs: Needs::REQUEST_BUFFER,
        doc,
        read: Read::One(read),
        ..Fetch::BASE
    }
}

impl Raw {
    pub(super) fn read<'a>(
        self,
        direction: Direction,
        view: &'a dyn View,
        args: &'a [Arg],
    ) -> Fetched<Sample<'a>> {
        let Some(buffer) = view.buffer(direction) else {
            return Fetched::Absent;
        };
        let number = |at: usize| {
            args.get(at)
                .and_then(Arg::int)
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(0)
        };
        match self {
            Self::Length => Fetched::Value(Sample::Int(buffer.bytes.len() as i64)),
            Self::Payload => match (number(0), number(1)) {
                (from, 0) if from <= buffer.bytes.len() => {
                    Fetched::Value(Sample::bin(&buffer.bytes[from..]))
                }
                (from, length) => block(buffer, from, length),
            },
            Self::LengthValue => {
                let (from, width) = (number(0), number(1));
                let Some(length) = buffer.bytes.get(from..from + width) else {
                    return more(buffer);
                };
                let length = length
                    .iter()
                    .fold(0, |length: usize, byte| length << 8 | usize::from(*byte));
                let behind = from + width;
                let start = match args.get(2) {
                    Some(Arg::Text(text)) => text.parse().ok().and_then(|offset: isize| match text
                        .starts_with(['+', '-'])
                    {
                        true => behind.checked_add_signed(offset),
                        false => usize::try_from(offset).ok(),
                    }),
                    _ => Some(behind),
                };
                match start {
                    Some(start) if length > 0 => block(buffer, start, length),
                    _ => Fetched::Absent,
                }
            }
            Self::HelloType => settle(buffer, Hello::parse(buffer.bytes))
                .map(|hello| Sample::Int(hello.kind.into())),
        }
    }
}

/// Bytes of the buffer, once they are all there.
fn block(buffer: Buffer<'_>, from: usize, length: usize) -> Fetched<Sample<'_>> {
    match from
        .checked_add(length)
        .and_then(|end| buffer.bytes.get(from..end))
    {
        Some(bytes) => Fetched::Value(Sample::bin(bytes)),
        None => more(buffer),
    }
}

/// What is not there may still come.
pub(super) fn more<T>(buffer: Buffer<'_>) -> Fetched<T> {
    if buffer.may_grow {
        Fetched::Wait
    } else {
        Fetched::Absent
    }
}

/// The same answer, where waiting makes sense only for a buffer that may grow.
fn settle<'a, T>(buffer: Buffer<'a>, answer: Fetched<T>) -> Fetched<T> {
    match answer {
        Fetched::Wait => more(buffer),
        answer => answer,
    }
}

fn check_payload(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args
        .iter()
        .filter_map(Arg::int)
        .all(|value| (0..=MAX_OFFSET).contains(&value))
    {
        true => Ok(args),
        false => Err("offset and length cannot be negative or beyond a buffer".into()),
    }
}

fn check_length_value(args: Vec<Arg>, parsing: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    if !matches!(args.get(1).and_then(Arg::int), Some(1..=4)) {
        return Err("the length field must have 1 to 4 bytes".into());
    }
    let relative = args
        .get(2)
        .and_then(Arg::text)
        .filter(|text| !text.is_empty());
    if relative.is_some_and(|text| text.parse::<i32>().is_err()) {
        return Err("the second offset must be a number, with a sign if it is relative".into());
    }
    check_payload(args, parsing)
}

const MAX_OFFSET: i64 = 1 << 30;

// --- TLS ---

fn in_hello<'a>(
    view: &'a dyn View,
    part: impl FnOnce(Hello<'a>) -> Option<Sample<'a>>,
) -> Fetched<Sample<'a>> {
    let Some(buffer) = view.buffer(Direction::Request) else {
        return Fetched::Absent;
    };
    settle(buffer, Hello::parse(buffer.bytes)).and_then(|hello| match hello.kind {
        1 => part(hello).into(),
        _ => Fetched::Absent,
    })
}

/// As major · 2¹⁶ + minor; SSLv2 hellos too.
fn hello_version<'a>(view: &'a dyn View, _: &'a [Arg]) -> Fetched<Sample<'a>> {
    let Some(buffer) = view.buffer(Direction::Request) else {
        return Fetched::Absent;
    };
    if let [first, _, rest @ ..] = buffer.bytes
        && first & 0x80 != 0
    {
        return match rest {
            [1, major, minor, ..] => Fetched::Value(version(*major, *minor)),
            [] | [1] | [1, _] => more(buffer),
            _ => Fetched::Absent,
        };
    }
    in_hello(view, |hello| {
        hello
            .version()
            .map(|bits| version((bits >> 8) as u8, bits as u8))
    })
}

fn version<'a>(major: u8, minor: u8) -> Sample<'a> {
    Sample::Int(i64::from(major) << 16 | i64::from(minor))
}

/// The list in an extension that is nothing but a list with its length.
fn listed(hello: Hello<'_>, extension: u16) -> Option<Sample<'_>> {
    let (list, _) = client_hello::split(hello.extension(extension)?, 2)?;
    Some(Sample::bin(list))
}

/// Protocol names joined by commas.
fn protocols(extension: &[u8]) -> Option<Vec<u8>> {
    let (mut list, _) = client_hello::split(extension, 2)?;
    let mut out = Vec::new();
    while !list.is_empty() {
        let (name, rest) = client_hello::split(list, 1)?;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(name);
        list = rest;
    }
    Some(out)
}

/// The group of each key share.
fn key_shares(extension: &[u8]) -> Option<Vec<u8>> {
    let (mut shares, _) = client_hello::split(extension, 2)?;
    let mut groups = Vec::new();
    while let Some((group, rest)) = shares.split_at_checked(2) {
        groups.extend_from_slice(group);
        (_, shares) = client_hello::split(rest, 2)?;
    }
    Some(groups)
}
