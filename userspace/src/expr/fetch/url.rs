//! The request line: method, version, target and its parts, and the parameters in it (manual §7.3.6).

use std::net::IpAddr;

use super::{
    Address, Arg, Arguments, Cursor, Data, Derivatives, Direction, Fetch, Fetched, Needs, Parsing,
    Read, ReadOne, Sample, SampleType, Text, View,
};
use crate::expr::args::ArgKind;
use crate::expr::pattern::Match;
use crate::expr::sample::leading_int;
use crate::hash::{avalanche, sdbm_of};
use crate::proto::http::{Head, uri};

pub(super) const FETCHES: &[Fetch] = &[
    Fetch {
        name: "method",
        output: SampleType::Method,
        needs: Needs::REQUEST_MEMORY,
        doc: "The request's method.",
        derivatives: Derivatives::List(&[("method", Match::Method)]),
        read: Read::One(method),
        ..Fetch::BASE
    },
    Fetch {
        name: "req.ver",
        aliases: &["req_ver"],
        output: SampleType::Str,
        needs: Needs::REQUEST_MEMORY,
        doc: "The request's HTTP version.",
        read: Read::One(version),
        ..Fetch::BASE
    },
    part("path", "path", path, "The target's path."),
    part(
        "url",
        "url",
        |view, _| on_head(view, |head| Some(head.target())),
        "The target as it was sent.",
    ),
    Fetch {
        derivatives: Derivatives::None,
        ..part(
            "pathq",
            "",
            |view, _| on_head(view, |head| uri::path_and_query(head.target())),
            "The target's path with its query string.",
        )
    },
    Fetch {
        args: Arguments::some(0, &[ArgKind::Text]),
        derivatives: Derivatives::None,
        compile: Some(check_query),
        ..part("query", "", query, "The query string.")
    },
    part(
        "base",
        "base",
        |view, _| joined(view, uri::path),
        "Host and path together.",
    ),
    Fetch {
        derivatives: Derivatives::None,
        ..part(
            "baseq",
            "",
            |view, _| joined(view, uri::path_and_query),
            "Host, path and query string together.",
        )
    },
    hash(
        "base32",
        SampleType::Int,
        |view, _| hashed(view, uri::path),
        "A hash of `base`.",
    ),
    hash(
        "url32",
        SampleType::Int,
        |view, _| hashed(view, uri::path_and_query),
        "A hash of host, path and query string.",
    ),
    hash(
        "base32+src",
        SampleType::Bin,
        |view, _| with_source(view, uri::path),
        "A hash of `base`, then the client's address.",
    ),
    hash(
        "url32+src",
        SampleType::Bin,
        |view, _| with_source(view, uri::path_and_query),
        "A hash of host, path and query string, then the client's address.",
    ),
    hash(
        "url_ip",
        SampleType::Address,
        |view, _| on_target(view, |host, _| Sample::Ip(host)),
        "The address in the target, where the host is one.",
    ),
    hash(
        "url_port",
        SampleType::Int,
        |view, _| on_target(view, |_, port| Sample::Int(port.into())),
        "The port in the target, 80 by default.",
    ),
    Fetch {
        name: "urlp",
        aliases: &["url_param"],
        args: PARAMETER,
        output: SampleType::Str,
        needs: Needs::REQUEST,
        doc: "A parameter of the query string.",
        derivatives: Derivatives::Strings("urlp"),
        read: Read::Many(
            |view, args| first(view, args, text),
            |view, args, cursor| next(view, args, cursor, text),
        ),
        compile: Some(check_parameter),
        ..Fetch::BASE
    },
    Fetch {
        name: "urlp_val",
        args: PARAMETER,
        needs: Needs::REQUEST,
        doc: "A parameter of the query string as a number.",
        read: Read::Many(
            |view, args| first(view, args, value),
            |view, args, cursor| next(view, args, cursor, value),
        ),
        compile: Some(check_parameter),
        ..Fetch::BASE
    },
    Fetch {
        name: "req.body_param",
        args: Arguments::some(0, &[ArgKind::Text, ArgKind::Text]),
        output: SampleType::Str,
        needs: Needs::REQUEST_BODY,
        doc: "A parameter of a form in the body.",
        read: Read::Many(body_parameter, next_body_parameter),
        compile: Some(|args, _| match args.get(1).and_then(Arg::text) {
            None | Some("" | "i") => Ok(args),
            Some(other) => Err(format!("expects 'i', got '{other}'")),
        }),
        ..Fetch::BASE
    },
];

const PARAMETER: Arguments = Arguments::some(0, &[ArgKind::Text, ArgKind::Text, ArgKind::Text]);

const fn part(
    name: &'static str,
    derived: &'static str,
    read: ReadOne,
    doc: &'static str,
) -> Fetch {
    Fetch {
        name,
        output: SampleType::Str,
        needs: Needs::REQUEST,
        doc,
        derivatives: Derivatives::Strings(derived),
        read: Read::One(read),
        ..Fetch::BASE
    }
}

const fn hash(name: &'static str, output: SampleType, read: ReadOne, doc: &'static str) -> Fetch {
    Fetch {
        name,
        output,
        needs: Needs::REQUEST,
        doc,
        read: Read::One(read),
        ..Fetch::BASE
    }
}

/// The method of the message at hand, else of the request as it was received.
fn method<'a>(view: &'a dyn View, _: &'a [Arg]) -> Fetched<Sample<'a>> {
    match view.head(Direction::Request) {
        Fetched::Absent => {
            received(view, |line| line.splitn(2, |byte| *byte == b' ').next()).map(Sample::Method)
        }
        found => found.map(|head| Sample::Method(head.method_name().into())),
    }
}

fn version<'a>(view: &'a dyn View, _: &'a [Arg]) -> Fetched<Sample<'a>> {
    match view.head(Direction::Request) {
        Fetched::Absent => received(view, |line| {
            line.rsplitn(2, |byte| *byte == b' ')
                .next()?
                .strip_prefix(b"HTTP/")
        })
        .map(Sample::Str),
        found => found.map(|head| Sample::str(head.version().number())),
    }
}

/// A part of the request line as it was received.
fn received<'a>(
    view: &'a dyn View,
    part: impl FnOnce(&[u8]) -> Option<&[u8]>,
) -> Fetched<Data<'a>> {
    let Some(line) = view.text(Text::RequestLine) else {
        return Fetched::Absent;
    };
    match line {
        Data::Borrowed(line) => part(line).map(Data::Borrowed).into(),
        line => part(&line).map(|part| Data::Owned(part.to_vec())).into(),
    }
}

fn on_head<'a>(
    view: &'a dyn View,
    part: impl FnOnce(&'a Head) -> Option<&'a [u8]>,
) -> Fetched<Sample<'a>> {
    view.head(Direction::Request)
        .and_then(|head| part(head).map(Sample::str).into())
}

fn path<'a>(view: &'a dyn View, _: &'a [Arg]) -> Fetched<Sample<'a>> {
    on_head(view, |head| uri::path(head.target()))
}

fn query<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let with_mark = args.first().and_then(Arg::text) == Some("with_qm");
    on_head(view, |head| {
        let whole = uri::path_and_query(head.target())?;
        let mark = memchr::memchr(b'?', whole)?;
        // The question mark is shown only before something.
        let from = if with_mark && mark + 1 < whole.len() {
            mark
        } else {
            mark + 1
        };
        Some(&whole[from..])
    })
}

fn check_query(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args.first().and_then(Arg::text) {
        None | Some("" | "with_qm") => Ok(args),
        Some(other) => Err(format!("unknown option '{other}'")),
    }
}

/// The first Host header, and a part of the target.
fn host_and(view: &dyn View, part: fn(&[u8]) -> Option<&[u8]>) -> Fetched<(&[u8], &[u8])> {
    view.head(Direction::Request).map(|head| {
        let host = head.first(b"host").unwrap_or_default();
        (host, part(head.target()).unwrap_or_default())
    })
}

fn joined<'a>(view: &'a dyn View, part: fn(&[u8]) -> Option<&[u8]>) -> Fetched<Sample<'a>> {
    host_and(view, part).map(|(host, rest)| match (host, rest) {
        (b"", only) | (only, b"") => Sample::str(only),
        (host, rest) => Sample::str([host, rest].concat()),
    })
}

fn hashed<'a>(view: &'a dyn View, part: fn(&[u8]) -> Option<&[u8]>) -> Fetched<Sample<'a>> {
    hash_of(view, part).map(|hash| Sample::Int(hash.into()))
}

fn hash_of(view: &dyn View, part: fn(&[u8]) -> Option<&[u8]>) -> Fetched<u32> {
    host_and(view, part).map(|(host, rest)| avalanche(sdbm_of(host.iter().chain(rest).copied())))
}

fn with_source<'a>(view: &'a dyn View, part: fn(&[u8]) -> Option<&[u8]>) -> Fetched<Sample<'a>> {
    let Some(source) = view.address(Address::Source) else {
        return Fetched::Absent;
    };
    hash_of(view, part).map(|hash| {
        let mut key = hash.to_be_bytes().to_vec();
        match source.ip().to_canonical() {
            IpAddr::V4(address) => key.extend(address.octets()),
            IpAddr::V6(address) => key.extend(address.octets()),
        }
        Sample::bin(key)
    })
}

/// The host of a target in absolute form, where it is an address, and its port.
fn on_target<'a>(
    view: &'a dyn View,
    make: impl FnOnce(IpAddr, u16) -> Sample<'a>,
) -> Fetched<Sample<'a>> {
    view.head(Direction::Request).and_then(|head| {
        let parsed = uri::authority(head.target()).and_then(|authority| {
            let (host, port) = uri::split_port(authority);
            let host = std::str::from_utf8(host).ok()?;
            let host = host
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(host);
            let port = match port {
                None | Some(b"") => 80,
                Some(port) => std::str::from_utf8(port).ok()?.parse().ok()?,
            };
            Some((host.parse().ok()?, port))
        });
        parsed.map(|(host, port)| make(host, port)).into()
    })
}

// --- parameters ---

/// Which parameter is wanted.
struct Wanted<'a> {
    name: &'a [u8],
    /// What the parameters begin behind and may be separated by, besides `&` and `;`.
    delimiter: u8,
    ignore_case: bool,
}

impl<'a> Wanted<'a> {
    fn of(args: &'a [Arg]) -> Self {
        let text = |at: usize| args.get(at).and_then(Arg::text).unwrap_or_default();
        Self {
            name: text(0).as_bytes(),
            delimiter: text(1).bytes().next().unwrap_or(b'?'),
            ignore_case: text(2) == "i",
        }
    }

    /// The value of the first wanted parameter at or after `from`, and where the search goes on after it.
    fn find<'q>(&self, query: &'q [u8], from: usize) -> Option<(&'q [u8], usize)> {
        let mut start = from;
        while start <= query.len() {
            let rest = &query[start..];
            let ends = |byte: &u8| matches!(byte, b'&' | b';') || *byte == self.delimiter;
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            let parameter = &rest[..length];
            start += length + 1;
            let Some(equals) = memchr::memchr(b'=', parameter) else {
                continue;
            };
            let (name, value) = (&parameter[..equals], &parameter[equals + 1..]);
            let same = match self.ignore_case {
                true => name.eq_ignore_ascii_case(self.name),
                false => name == self.name,
            };
            if self.name.is_empty() || same {
                return Some((value, start));
            }
        }
        None
    }
}

fn check_parameter(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    if args
        .get(1)
        .and_then(Arg::text)
        .is_some_and(|delimiter| delimiter.len() > 1)
    {
        return Err("the delimiter must be a single character".into());
    }
    match args.get(2).and_then(Arg::text) {
        None | Some("" | "i") => Ok(args),
        Some(other) => Err(format!("expects 'i', got '{other}'")),
    }
}

/// What stands behind the delimiter in the target.
fn parameters<'a>(view: &'a dyn View, wanted: &Wanted<'_>) -> Fetched<&'a [u8]> {
    view.head(Direction::Request).and_then(|head| {
        let target = uri::path_and_query(head.target()).unwrap_or_else(|| head.target());
        memchr::memchr(wanted.delimiter, target)
            .map(|at| &target[at + 1..])
            .into()
    })
}

fn first<'a>(
    view: &'a dyn View,
    args: &'a [Arg],
    make: fn(&'a [u8]) -> Sample<'a>,
) -> Fetched<Sample<'a>> {
    let wanted = Wanted::of(args);
    parameters(view, &wanted)
        .and_then(|query| wanted.find(query, 0).map(|(value, _)| make(value)).into())
}

fn next<'a>(
    view: &'a dyn View,
    args: &'a [Arg],
    cursor: &mut Cursor,
    make: fn(&'a [u8]) -> Sample<'a>,
) -> Fetched<Sample<'a>> {
    let wanted = Wanted::of(args);
    parameters(view, &wanted).and_then(|query| match wanted.find(query, cursor.offset) {
        Some((value, after)) => {
            cursor.offset = after;
            Fetched::Value(make(value))
        }
        None => Fetched::Absent,
    })
}

fn text(value: &[u8]) -> Sample<'_> {
    Sample::str(value)
}

fn value(value: &[u8]) -> Sample<'_> {
    Sample::Int(leading_int(value).unwrap_or(0))
}

fn body_parameter<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    next_body_parameter(view, args, &mut Cursor::default())
}

fn next_body_parameter<'a>(
    view: &'a dyn View,
    args: &'a [Arg],
    cursor: &mut Cursor,
) -> Fetched<Sample<'a>> {
    let Some(body) = view.body(Direction::Request) else {
        return Fetched::Absent;
    };
    let wanted = Wanted {
        delimiter: b'&',
        ignore_case: args.get(1).and_then(Arg::text) == Some("i"),
        ..Wanted::of(&args[..args.len().min(1)])
    };
    match wanted.find(body.bytes, cursor.offset) {
        Some((value, after)) => {
            cursor.offset = after;
            Fetched::Value(Sample::str(value))
        }
        None => Fetched::Absent,
    }
}
