//! The Forwarded header (RFC 7239): checking it, and taking it and its nodes apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Arg, Arguments, Converter, Output, Run, data};
use crate::expr::args::ArgKind;
use crate::expr::{Sample, SampleType};
use crate::proto::http::uri::split_port;

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "rfc7239_is_valid",
        output: Output::Type(SampleType::Bool),
        doc: "Whether the string is an element of a Forwarded header.",
        run: Run::Sample(|sample, _, _| Some(Sample::Bool(parse(&data(sample)?).is_some()))),
        ..Converter::BASE
    },
    Converter {
        name: "rfc7239_field",
        args: Arguments::all(&[ArgKind::Text]),
        doc: "A field of an element of a Forwarded header.",
        run: Run::Sample(|sample, args, _| {
            let wanted = args.first().and_then(Arg::text)?;
            let fields = parse(&data(sample)?)?;
            let found = fields.into_iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| Sample::str(value))
        }),
        compile: Some(|args, _| match args.first().and_then(Arg::text) {
            Some("proto" | "host" | "for" | "by") => Ok(args),
            other => Err(format!(
                "unknown field '{}': expects 'proto', 'host', 'for' or 'by'",
                other.unwrap_or_default()
            )),
        }),
        ..Converter::BASE
    },
    Converter {
        name: "rfc7239_n2nn",
        output: Output::Type(SampleType::Any),
        doc: "The name of a node: an address, `unknown` or an identifier.",
        run: Run::Sample(|sample, _, _| node(&data(sample)?).map(|(name, _)| name)),
        ..Converter::BASE
    },
    Converter {
        name: "rfc7239_n2np",
        output: Output::Type(SampleType::Any),
        doc: "The port of a node: a number or an identifier.",
        run: Run::Sample(|sample, _, _| node(&data(sample)?).and_then(|(_, port)| port)),
        ..Converter::BASE
    },
    Converter {
        name: "rfc7239_nn",
        input: SampleType::Any,
        doc: "An address or identifier as the name of a node.",
        run: Run::Sample(|sample, _, _| {
            Some(Sample::str(match sample {
                Sample::Ip(IpAddr::V4(address)) => address.to_string().into_bytes(),
                Sample::Ip(IpAddr::V6(address)) => format!("[{address}]").into_bytes(),
                sample => match &*data(sample.cast(SampleType::Str)?)? {
                    b"" => b"unknown".to_vec(),
                    name => obfuscated(name)?,
                },
            }))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "rfc7239_np",
        input: SampleType::Any,
        doc: "A number or identifier as the port of a node.",
        run: Run::Sample(|sample, _, _| {
            Some(Sample::str(match sample {
                Sample::Int(port) => u16::try_from(port).ok()?.to_string().into_bytes(),
                sample => obfuscated(&data(sample.cast(SampleType::Str)?)?)?,
            }))
        }),
        ..Converter::BASE
    },
];

/// The fields of an element with their values, unquoted; `None` where it is malformed.
fn parse(element: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut rest = element;
    loop {
        let equals = memchr::memchr(b'=', rest)?;
        let name = std::str::from_utf8(&rest[..equals])
            .ok()?
            .to_ascii_lowercase();
        let (value, after) = value(&rest[equals + 1..])?;
        let valid = match name.as_str() {
            "proto" => matches!(&*value, b"http" | b"https"),
            "host" => is_host(&value),
            "for" | "by" => node(&value).is_some(),
            _ => false,
        };
        if !valid || fields.iter().any(|(known, _)| *known == name) {
            return None;
        }
        fields.push((name, value));
        match after {
            [] => return Some(fields),
            [b';', after @ ..] => rest = after,
            _ => return None,
        }
    }
}

/// A token or quoted string, and what follows it.
fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|byte| !is_token(*byte))
            .unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_vec(), &text[end..]));
    };
    let mut unquoted = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((unquoted, after)),
            [b'\\', byte, after @ ..] => {
                unquoted.push(*byte);
                rest = after;
            }
            [b'\\'] | [] => return None,
            [byte, after @ ..] => {
                unquoted.push(*byte);
                rest = after;
            }
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A host name or address, with or without a port.
fn is_host(text: &[u8]) -> bool {
    let (host, port) = split_port(text);
    let port_is_valid = port.is_none_or(|digits| port_number(digits).is_some());
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let host_is_valid = match host.strip_prefix(b"[") {
        Some(rest) => rest
            .strip_suffix(b"]")
            .and_then(parse_as::<Ipv6Addr>)
            .is_some(),
        None => !host.is_empty() && host.iter().all(name),
    };
    host_is_valid && port_is_valid
}

/// Name and port of a node (RFC 7239 §6).
fn node<'a>(text: &[u8]) -> Option<(Sample<'a>, Option<Sample<'a>>)> {
    let (name, port) = split_port(text);
    let name = match name.strip_prefix(b"[") {
        Some(rest) => Sample::Ip(parse_as::<Ipv6Addr>(rest.strip_suffix(b"]")?)?.into()),
        None if name == b"unknown" || is_obfuscated(name) => Sample::str(name.to_vec()),
        None => Sample::Ip(parse_as::<Ipv4Addr>(name)?.into()),
    };
    let port = match port {
        None => None,
        Some(port) if is_obfuscated(port) => Some(Sample::str(port.to_vec())),
        Some(digits) => Some(Sample::Int(port_number(digits)?.into())),
    };
    Some((name, port))
}

fn port_number(digits: &[u8]) -> Option<u16> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| parse_as(digits)).flatten()
}

fn parse_as<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a text may be a node's identifier (RFC 7239 §6.3).
pub(in crate::expr) fn is_obfuscated(text: &[u8]) -> bool {
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    text.len() > 1 && text[0] == b'_' && text[1..].iter().all(valid)
}

/// An identifier with the underscore that marks it.
fn obfuscated(name: &[u8]) -> Option<Vec<u8>> {
    let marked = [b"_", name].concat();
    is_obfuscated(&marked).then_some(marked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::testing::{Literal, eval};

    #[test]
    fn elements_are_checked() {
        for (element, expected) in [
            (
                "for=\"unknown:132\";host=\"[::1]:65535\";by=\"_obfs:_port\";proto=https",
                true,
            ),
            ("for=\"127.0.0.1\";host=v.test", true),
            ("for=127.9.0.1", true),
            ("fore=\"unknown:132\"", false),
            ("proto=http;proto=http", false),
            ("\"", false),
            ("by=[::1]", false),
            ("by=\"[::1]\"", true),
            ("by=\"[::1]:\"", false),
            ("by=\"[::1]:3\"", true),
            ("by=\"[::1]:65536\"", false),
            ("proto=http;for=\"[::1]:_id\"", true),
            ("proto=custom", false),
            ("proto=http;", false),
            ("host=\"a\\\\", false),
            ("", false),
        ] {
            assert_eq!(parse(element.as_bytes()).is_some(), expected, "{element}");
        }
    }

    #[test]
    fn nodes_are_taken_apart_and_put_together() {
        let view = Literal::request(
            "GET / HTTP/1.1\r\nForwarded: proto=http;for=\"[::1]:_id\";by=\"1.2.3.4:80\"\r\n\r\n",
        );
        for (word, expected) in [
            ("req.hdr(forwarded),rfc7239_field(proto)", Some("http")),
            ("req.hdr(forwarded),rfc7239_field(host)", None),
            (
                "req.hdr(forwarded),rfc7239_field(for),rfc7239_n2nn",
                Some("::1"),
            ),
            (
                "req.hdr(forwarded),rfc7239_field(for),rfc7239_n2np",
                Some("_id"),
            ),
            (
                "req.hdr(forwarded),rfc7239_field(by),rfc7239_n2nn,ipmask(8)",
                Some("1.0.0.0"),
            ),
            (
                "req.hdr(forwarded),rfc7239_field(by),rfc7239_n2np,add(1)",
                Some("81"),
            ),
            ("ipv6(ab:cd::ff),rfc7239_nn", Some("[ab:cd::ff]")),
            ("str(test),rfc7239_nn", Some("_test")),
            ("str(),rfc7239_nn", Some("unknown")),
            ("str(a b),rfc7239_nn", None),
            ("int(12),rfc7239_np", Some("12")),
            ("str(test),rfc7239_np", Some("_test")),
            ("str(),rfc7239_np", None),
        ] {
            assert_eq!(eval(word, &view).as_deref(), expected, "{word}");
        }
    }
}
