//! The rest of Layer 7: status, bodies, captures, authentication (manual §7.3.6).

use super::{
    Arg, Arguments, Data, Derivatives, Direction, Fetch, Fetched, Needs, Number, Read, Sample,
    SampleType, Text, View, flag, number, text,
};
use crate::expr::args::ArgKind;
use crate::expr::pattern::Match;
use crate::proto::http::{Head, uri};

pub(super) const FETCHES: &[Fetch] = &[
    // --- status and version ---
    Fetch {
        name: "status",
        needs: Needs::RESPONSE,
        doc: "The response's status.",
        read: Read::One(|view, _| {
            view.head(Direction::Response)
                .map(|head| Sample::Int(head.status().into()))
        }),
        ..Fetch::BASE
    },
    number(
        "txn.status",
        Needs::RESPONSE_MEMORY,
        Number::Status,
        "The transaction's status as it is logged.",
    ),
    number(
        "server_status",
        Needs::RESPONSE_MEMORY,
        Number::ServerStatus,
        "The status the server sent.",
    ),
    Fetch {
        name: "res.ver",
        aliases: &["resp_ver"],
        output: SampleType::Str,
        needs: Needs::RESPONSE,
        doc: "The response's HTTP version.",
        read: Read::One(|view, _| {
            view.head(Direction::Response)
                .map(|head| Sample::str(head.version().number()))
        }),
        ..Fetch::BASE
    },
    flag(
        "http_first_req",
        Needs::REQUEST_MEMORY,
        Number::FirstRequest,
        "Whether this is the connection's first request.",
    ),
    flag(
        "res.cache_hit",
        Needs::RESPONSE_MEMORY,
        Number::CacheHit,
        "Whether the response comes from a cache.",
    ),
    text(
        "res.cache_name",
        Needs::RESPONSE_MEMORY,
        Text::CacheName,
        "The cache the response comes from.",
    ),
    flag(
        "res.comp",
        Needs::RESPONSE_MEMORY,
        Number::Compressed,
        "Whether the response was compressed here.",
    ),
    text(
        "res.comp_algo",
        Needs::RESPONSE_MEMORY,
        Text::CompressionAlgorithm,
        "How the response was compressed here.",
    ),
    text(
        "unique-id",
        Needs::CLIENT,
        Text::UniqueId,
        "The request's unique id.",
    ),
    // --- bodies ---
    body(
        "req.body",
        SampleType::Bin,
        Direction::Request,
        BodyPart::Bytes,
        "The request's body as far as it is there.",
    ),
    body(
        "req.body_len",
        SampleType::Int,
        Direction::Request,
        BodyPart::Length,
        "How many bytes of the request's body are there.",
    ),
    body(
        "req.body_size",
        SampleType::Int,
        Direction::Request,
        BodyPart::Size,
        "The advertised size of the request's body.",
    ),
    body(
        "res.body",
        SampleType::Bin,
        Direction::Response,
        BodyPart::Bytes,
        "The response's body as far as it is there.",
    ),
    body(
        "res.body_len",
        SampleType::Int,
        Direction::Response,
        BodyPart::Length,
        "How many bytes of the response's body are there.",
    ),
    body(
        "res.body_size",
        SampleType::Int,
        Direction::Response,
        BodyPart::Size,
        "The advertised size of the response's body.",
    ),
    // --- captures ---
    capture(
        "capture.req.hdr",
        Needs::REQUEST_MEMORY,
        Direction::Request,
        "A captured request header.",
    ),
    capture(
        "capture.res.hdr",
        Needs::RESPONSE_MEMORY,
        Direction::Response,
        "A captured response header.",
    ),
    Fetch {
        name: "capture.req.method",
        output: SampleType::Str,
        needs: Needs::REQUEST_MEMORY,
        doc: "The method as it was received.",
        read: Read::One(|view, _| received(view, |line| line.splitn(2, is_space).next())),
        ..Fetch::BASE
    },
    Fetch {
        name: "capture.req.uri",
        output: SampleType::Str,
        needs: Needs::REQUEST_MEMORY,
        doc: "The target as it was received, from its first slash.",
        read: Read::One(|view, _| {
            received(view, |line| {
                let target = line.splitn(3, is_space).nth(1)?;
                uri::path_and_query(target)
            })
        }),
        ..Fetch::BASE
    },
    Fetch {
        name: "capture.req.ver",
        output: SampleType::Str,
        needs: Needs::REQUEST_MEMORY,
        doc: "The version as it was received: `HTTP/1.1`.",
        read: Read::One(|view, _| {
            received(view, |line| {
                line.splitn(3, is_space)
                    .nth(2)
                    .filter(|version| version.starts_with(b"HTTP/"))
            })
        }),
        ..Fetch::BASE
    },
    text(
        "capture.res.ver",
        Needs::RESPONSE_MEMORY,
        Text::ResponseVersion,
        "The response's version as it was received.",
    ),
    // --- authentication ---
    Fetch {
        name: "http_auth",
        args: Arguments::all(&[ArgKind::Userlist]),
        output: SampleType::Bool,
        needs: Needs::REQUEST,
        doc: "Whether user and password are in the userlist.",
        read: Read::One(|view, args| {
            view.head(Direction::Request)
                .map(|head| Sample::Bool(authenticated_user(view, head, args).is_some()))
        }),
        ..Fetch::BASE
    },
    Fetch {
        name: "http_auth_group",
        args: Arguments::all(&[ArgKind::Userlist]),
        output: SampleType::Str,
        needs: Needs::REQUEST,
        doc: "The user's name, where the password is right.",
        derivatives: Derivatives::List(&[("http_auth_group", Match::Group)]),
        read: Read::One(|view, args| {
            view.head(Direction::Request)
                .and_then(|head| authenticated_user(view, head, args).map(Sample::str).into())
        }),
        ..Fetch::BASE
    },
    auth(
        "http_auth_user",
        |head| basic(head).map(|(user, _)| Sample::str(user)),
        "The user's name.",
    ),
    auth(
        "http_auth_pass",
        |head| basic(head).map(|(_, password)| Sample::str(password)),
        "The user's password.",
    ),
    auth(
        "http_auth_type",
        |head| scheme(head.last(b"authorization")?).map(|(scheme, _)| Sample::str(scheme)),
        "The authentication scheme.",
    ),
    Fetch {
        name: "http_auth_bearer",
        args: Arguments::some(0, &[ArgKind::Text]),
        output: SampleType::Str,
        needs: Needs::REQUEST,
        doc: "The token of the Bearer scheme.",
        read: Read::One(bearer),
        ..Fetch::BASE
    },
];

/// What is read of a body.
#[derive(Clone, Copy)]
pub(in crate::expr) enum BodyPart {
    Bytes,
    Length,
    Size,
}

impl BodyPart {
    pub(super) fn read<'a>(self, direction: Direction, view: &'a dyn View) -> Option<Sample<'a>> {
        let body = view.body(direction)?;
        Some(match self {
            Self::Bytes => Sample::bin(body.bytes),
            Self::Length => Sample::Int(body.bytes.len() as i64),
            Self::Size => Sample::Int(i64::try_from(body.size).unwrap_or(i64::MAX)),
        })
    }
}

const fn body(
    name: &'static str,
    output: SampleType,
    direction: Direction,
    part: BodyPart,
    doc: &'static str,
) -> Fetch {
    Fetch {
        name,
        output,
        needs: match direction {
            Direction::Request => Needs::REQUEST_BODY,
            Direction::Response => Needs::RESPONSE_BODY,
        },
        doc,
        unsettled: true,
        read: Read::Body(direction, part),
        ..Fetch::BASE
    }
}

const fn capture(
    name: &'static str,
    needs: Needs,
    direction: Direction,
    doc: &'static str,
) -> Fetch {
    Fetch {
        name,
        args: Arguments::all(&[ArgKind::Int]),
        output: SampleType::Str,
        needs,
        doc,
        read: Read::Capture(direction),
        compile: Some(|args, _| match args.first().and_then(Arg::int) {
            Some(0..) => Ok(args),
            _ => Err("the index of a capture cannot be negative".into()),
        }),
        ..Fetch::BASE
    }
}

const fn auth(
    name: &'static str,
    read: fn(&Head) -> Option<Sample<'_>>,
    doc: &'static str,
) -> Fetch {
    Fetch {
        name,
        output: SampleType::Str,
        needs: Needs::REQUEST,
        doc,
        read: Read::Request(read),
        ..Fetch::BASE
    }
}

fn is_space(byte: &u8) -> bool {
    *byte == b' '
}

/// A part of the request line as it was received.
pub(super) fn received<'a>(
    view: &'a dyn View,
    part: impl FnOnce(&[u8]) -> Option<&[u8]>,
) -> Fetched<Sample<'a>> {
    match view.text(Text::RequestLine) {
        None => Fetched::Absent,
        Some(Data::Borrowed(line)) => part(line).map(Sample::str).into(),
        Some(line) => part(&line).map(|part| Sample::str(part.to_vec())).into(),
    }
}

/// The scheme of an Authorization value, and what follows it.
fn scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(is_space)?;
    let rest = value[end..].trim_ascii_start();
    Some((&value[..end], rest))
}

/// User and password of the Basic scheme (RFC 7617).
fn basic(head: &Head) -> Option<(Vec<u8>, Vec<u8>)> {
    use base64::Engine;
    let (scheme, token) = scheme(head.last(b"authorization")?)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut decoded = base64::engine::general_purpose::STANDARD
        .decode(token.trim_ascii())
        .ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    let password = decoded.split_off(colon + 1);
    decoded.truncate(colon);
    Some((decoded, password))
}

fn authenticated_user(view: &dyn View, head: &Head, args: &[Arg]) -> Option<Vec<u8>> {
    let userlist = args.first().and_then(Arg::text)?;
    let (user, password) = basic(head)?;
    (view.authenticates(userlist, &user, &password) == Some(true)).then_some(user)
}

fn bearer<'a>(view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
    let field = args
        .first()
        .and_then(Arg::text)
        .filter(|field| !field.is_empty())
        .unwrap_or("authorization");
    view.head(Direction::Request).and_then(|head| {
        let found = head.last(field.as_bytes()).and_then(scheme);
        found
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer"))
            .map(|(_, token)| Sample::str(token))
            .into()
    })
}
