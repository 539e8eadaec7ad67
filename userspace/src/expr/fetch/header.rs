//! Header fields and cookies of requests and responses (manual §7.3.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::{all_cookies, cookie, next_cookie};
use super::{
    Arg, Arguments, Cursor, Derivatives, Direction, Fetch, Fetched, Needs, Read, Sample,
    SampleType, View,
};
use crate::expr::args::ArgKind;
use crate::expr::sample::leading_int;
use crate::proto::http::{Head, items};

/// What is read of the fields of one message.
#[derive(Clone, Copy)]
pub(in crate::expr) enum Header {
    /// One element of a comma-separated value.
    Element,
    /// A whole value.
    Field,
    /// An element as an address.
    Ip,
    /// An element as a number.
    Number,
    ElementCount,
    FieldCount,
    Names,
    /// All fields as text.
    All,
    /// All fields in SPOE's binary form.
    AllBinary,
    Cookie,
    CookieNumber,
    CookieCount,
    CookieNames,
}

pub(super) const FETCHES: &[Fetch] = &[
    Fetch {
        derivatives: Derivatives::Strings("hdr"),
        ..request(
            "req.hdr",
            Header::Element,
            "A comma-separated value of a request header.",
        )
    },
    request(
        "req.fhdr",
        Header::Field,
        "The full value of a request header.",
    ),
    Fetch {
        aliases: &["hdr_ip"],
        ..request(
            "req.hdr_ip",
            Header::Ip,
            "A value of a request header as an address.",
        )
    },
    Fetch {
        aliases: &["hdr_val"],
        ..request(
            "req.hdr_val",
            Header::Number,
            "A value of a request header as a number.",
        )
    },
    Fetch {
        aliases: &["hdr_cnt"],
        ..request(
            "req.hdr_cnt",
            Header::ElementCount,
            "How many values a request header has.",
        )
    },
    request(
        "req.fhdr_cnt",
        Header::FieldCount,
        "How often a request header occurs.",
    ),
    request(
        "req.hdr_names",
        Header::Names,
        "The names of all request headers.",
    ),
    request(
        "req.hdrs",
        Header::All,
        "All request headers, with the empty line.",
    ),
    request(
        "req.hdrs_bin",
        Header::AllBinary,
        "All request headers in SPOE's binary form.",
    ),
    Fetch {
        aliases: &["cook"],
        derivatives: Derivatives::Strings("cook"),
        ..request("req.cook", Header::Cookie, "A cookie of the request.")
    },
    Fetch {
        aliases: &["cook_val"],
        ..request(
            "req.cook_val",
            Header::CookieNumber,
            "A cookie of the request as a number.",
        )
    },
    Fetch {
        aliases: &["cook_cnt"],
        ..request(
            "req.cook_cnt",
            Header::CookieCount,
            "How often a cookie occurs in the request.",
        )
    },
    request(
        "req.cook_names",
        Header::CookieNames,
        "The names of all cookies of the request.",
    ),
    Fetch {
        aliases: &["shdr"],
        derivatives: Derivatives::Strings("shdr"),
        ..response(
            "res.hdr",
            Header::Element,
            "A comma-separated value of a response header.",
        )
    },
    response(
        "res.fhdr",
        Header::Field,
        "The full value of a response header.",
    ),
    Fetch {
        aliases: &["shdr_ip"],
        ..response(
            "res.hdr_ip",
            Header::Ip,
            "A value of a response header as an address.",
        )
    },
    Fetch {
        aliases: &["shdr_val"],
        ..response(
            "res.hdr_val",
            Header::Number,
            "A value of a response header as a number.",
        )
    },
    Fetch {
        aliases: &["shdr_cnt"],
        ..response(
            "res.hdr_cnt",
            Header::ElementCount,
            "How many values a response header has.",
        )
    },
    response(
        "res.fhdr_cnt",
        Header::FieldCount,
        "How often a response header occurs.",
    ),
    response(
        "res.hdr_names",
        Header::Names,
        "The names of all response headers.",
    ),
    response(
        "res.hdrs",
        Header::All,
        "All response headers, with the empty line.",
    ),
    response(
        "res.hdrs_bin",
        Header::AllBinary,
        "All response headers in SPOE's binary form.",
    ),
    Fetch {
        aliases: &["scook", "set-cookie"],
        derivatives: Derivatives::Strings("scook"),
        ..response("res.cook", Header::Cookie, "A cookie the response sets.")
    },
    Fetch {
        aliases: &["scook_val"],
        ..response(
            "res.cook_val",
            Header::CookieNumber,
            "A cookie the response sets, as a number.",
        )
    },
    Fetch {
        aliases: &["scook_cnt"],
        ..response(
            "res.cook_cnt",
            Header::CookieCount,
            "How often the response sets a cookie.",
        )
    },
    response(
        "res.cook_names",
        Header::CookieNames,
        "The names of all cookies the response sets.",
    ),
];

const fn request(name: &'static str, header: Header, doc: &'static str) -> Fetch {
    Fetch {
        name,
        args: header.arguments(),
        output: header.output(),
        needs: Needs::REQUEST,
        doc,
        read: Read::Header(Direction::Request, header),
        ..Fetch::BASE
    }
}

const fn response(name: &'static str, header: Header, doc: &'static str) -> Fetch {
    Fetch {
        needs: Needs::RESPONSE,
        read: Read::Header(Direction::Response, header),
        ..request(name, header, doc)
    }
}

impl Header {
    const fn arguments(self) -> Arguments {
        match self {
            Self::Element | Self::Field | Self::Ip | Self::Number => {
                Arguments::some(0, &[ArgKind::Text, ArgKind::Int])
            }
            Self::All | Self::AllBinary => Arguments::NONE,
            _ => Arguments::some(0, &[ArgKind::Text]),
        }
    }

    const fn output(self) -> SampleType {
        match self {
            Self::Element
            | Self::Field
            | Self::Names
            | Self::All
            | Self::Cookie
            | Self::CookieNames => SampleType::Str,
            Self::Ip => SampleType::Address,
            Self::AllBinary => SampleType::Bin,
            _ => SampleType::Int,
        }
    }

    /// The value an expression takes: the occurrence asked for, else the last one.
    pub(super) fn one<'a>(
        self,
        direction: Direction,
        view: &'a dyn View,
        args: &'a [Arg],
    ) -> Fetched<Sample<'a>> {
        view.head(direction)
            .and_then(|head| self.of(head, direction, args).into())
    }

    fn of<'a>(self, head: &'a Head, direction: Direction, args: &'a [Arg]) -> Option<Sample<'a>> {
        let name = name_of(args);
        let occurrence = args.get(1).and_then(Arg::int).unwrap_or(-1);
        Some(match self {
            Self::Element => Sample::str(nth(elements(head, name), occurrence)?),
            Self::Field => Sample::str(nth(fields(head, name), occurrence)?),
            Self::Ip => Sample::Ip(parse_address(nth(elements(head, name), occurrence)?)?),
            Self::Number => {
                Sample::Int(leading_int(nth(elements(head, name), occurrence)?).unwrap_or(0))
            }
            Self::ElementCount => Sample::Int(elements(head, name).count() as i64),
            Self::FieldCount => Sample::Int(fields(head, name).count() as i64),
            Self::Names => Sample::str(join(head.fields().map(|(name, _)| name), args)),
            Self::All => {
                let mut text = Vec::new();
                head.write_fields(&mut text);
                text.extend_from_slice(b"\r\n");
                Sample::str(text)
            }
            Self::AllBinary => Sample::bin(binary(head)),
            Self::Cookie => Sample::str(cookie(head, direction, name)?),
            Self::CookieNumber => {
                Sample::Int(leading_int(cookie(head, direction, name)?).unwrap_or(0))
            }
            Self::CookieCount => Sample::Int(all_cookies(head, direction, name).count() as i64),
            Self::CookieNames => Sample::str(join(
                all_cookies(head, direction, b"").map(|cookie| cookie.name),
                args,
            )),
        })
    }

    /// The next value of a walk over all of them, where there can be several.
    pub(super) fn next<'a>(
        self,
        direction: Direction,
        view: &'a dyn View,
        args: &'a [Arg],
        cursor: &mut Cursor,
    ) -> Fetched<Sample<'a>> {
        let one_only = args
            .get(1)
            .is_some_and(|occurrence| occurrence.int() != Some(0));
        let head = match view.head(direction) {
            Fetched::Value(head) if !one_only => head,
            _ => {
                cursor.finished = true;
                return self.one(direction, view, args);
            }
        };
        let name = name_of(args);
        let found = match self {
            Self::Element => next_element(head, name, cursor).map(Sample::str),
            Self::Field => next_field(head, name, cursor).map(Sample::str),
            Self::Number => next_element(head, name, cursor)
                .map(|text| Sample::Int(leading_int(text).unwrap_or(0))),
            Self::Ip => loop {
                let Some(text) = next_element(head, name, cursor) else {
                    break None;
                };
                if let Some(address) = parse_address(text) {
                    break Some(Sample::Ip(address));
                }
            },
            Self::Cookie => next_cookie(head, direction, name, cursor).map(Sample::str),
            Self::CookieNumber => next_cookie(head, direction, name, cursor)
                .map(|text| Sample::Int(leading_int(text).unwrap_or(0))),
            _ => {
                cursor.finished = true;
                self.of(head, direction, args)
            }
        };
        found.into()
    }
}

/// The field name asked for; empty means all of them.
fn name_of(args: &[Arg]) -> &[u8] {
    args.first()
        .and_then(Arg::text)
        .unwrap_or_default()
        .as_bytes()
}

fn is_named(field: &[u8], name: &[u8]) -> bool {
    name.is_empty() || field.eq_ignore_ascii_case(name)
}

pub(super) fn fields<'a>(
    head: &'a Head,
    name: &'a [u8],
) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    head.fields()
        .filter(move |(field, _)| is_named(field, name))
        .map(|(_, value)| trimmed(value))
}

/// A field's value without the blanks around it, which a rule may have put there.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(|byte| !is_blank(byte)) else {
        return &[];
    };
    let end = value.iter().rposition(|byte| !is_blank(byte));
    &value[start..=end.unwrap_or(start)]
}

fn elements<'a>(head: &'a Head, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    fields(head, name).flat_map(items)
}

/// The n-th value, counted from 1, or from the end where negative; 0 is the last one too.
fn nth<'a>(values: impl Iterator<Item = &'a [u8]>, occurrence: i64) -> Option<&'a [u8]> {
    let Some(back) = usize::try_from(occurrence.saturating_neg()).ok() else {
        return values
            .into_iter()
            .nth(usize::try_from(occurrence - 1).ok()?);
    };
    if back <= 1 {
        return values.last();
    }
    // A ring of the last values seen; a message has few enough for this.
    let all: Vec<_> = values.collect();
    all.len().checked_sub(back).map(|at| all[at])
}

fn next_element<'a>(head: &'a Head, name: &[u8], cursor: &mut Cursor) -> Option<&'a [u8]> {
    let value = current_field(head, name, cursor)?;
    let mut rest = items(&value[cursor.offset.min(value.len())..]);
    let element = rest.next();
    match rest.rest() {
        Some(rest) => cursor.offset = value.len() - rest.len(),
        None => cursor.next_field(),
    }
    element
}

fn next_field<'a>(head: &'a Head, name: &[u8], cursor: &mut Cursor) -> Option<&'a [u8]> {
    let value = current_field(head, name, cursor)?;
    cursor.next_field();
    Some(value)
}

/// The value the cursor stands at, after moving it to a field of that name.
pub(super) fn current_field<'a>(
    head: &'a Head,
    name: &[u8],
    cursor: &mut Cursor,
) -> Option<&'a [u8]> {
    let (skipped, (_, value)) = head
        .fields()
        .skip(cursor.field)
        .enumerate()
        .find(|(_, (field, _))| is_named(field, name))?;
    if skipped > 0 {
        cursor.field += skipped;
        cursor.offset = 0;
    }
    Some(trimmed(value))
}

/// Names joined by the first character of the argument, a comma by default.
fn join<'a>(names: impl Iterator<Item = &'a [u8]>, args: &[Arg]) -> Vec<u8> {
    let delimiter = name_of(args).first().copied().unwrap_or(b',');
    let mut out = Vec::new();
    for (at, name) in names.enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        out.extend_from_slice(name);
    }
    out
}

/// RFC 7239's forms, and IPv4 with a port.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6);
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    port.parse::<u16>().ok()?;
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// Pairs of length-prefixed strings, ended by two empty ones.
fn binary(head: &Head) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in head.fields() {
        for text in [name, value] {
            write_varint(text.len() as u64, &mut out);
            out.extend_from_slice(text);
        }
    }
    out.extend_from_slice(&[0, 0]);
    out
}

/// SPOE's variable-length integers: one byte below 240, then four bits and groups of seven.
fn write_varint(value: u64, out: &mut Vec<u8>) {
    if value < 240 {
        out.push(value as u8);
        return;
    }
    out.push(value as u8 | 240);
    let mut rest = (value - 240) >> 4;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest = (rest - 128) >> 7;
    }
    out.push(rest as u8);
}
