//! Request heads, from and to HTTP/2.
//!
//! A request that came in frames becomes a [`Head`] that rules and the HTTP/1 encoder cannot tell
//! from one that came as text, after the checks of RFC 9113 §8.3 and those of HTTP/1; and a head
//! becomes a request for a server that speaks HTTP/2.

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderName, HeaderValue};

use super::{Values, copy_fields, is_connection_specific};
use crate::proto::http::http1::{self, Limits, Reason, Request};
use crate::proto::http::{Head, Method, Version, items, uri};

/// What a request to a server is about beside its head.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How its body is delimited.
    pub framing: http1::Framing,
    /// The protocol to switch to (RFC 8441), as the `Upgrade` field named it.
    pub protocol: Option<&'a [u8]>,
}

/// Makes a head of a request. `ended` is whether no body follows.
pub fn decode_request(
    parts: &Parts,
    ended: bool,
    head: &mut Head,
    limits: &Limits,
) -> Result<Request, Reason> {
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let connect = parts.method == http::Method::CONNECT && protocol.is_none();
    let authority = parts.uri.authority().map(Authority::as_str);
    let target = target(parts, connect).ok_or(Reason::Target)?;
    // RFC 8441 §4: what HTTP/1 asks for with a GET.
    let method = if protocol.is_some() {
        "GET"
    } else {
        parts.method.as_str()
    };
    head.start_request(method.as_bytes(), target.as_bytes(), Version::Http2);
    if let Some(authority) = authority {
        head.add(b"host", authority.as_bytes());
    }
    if target.len() > limits.head {
        return Err(Reason::TooLarge);
    }
    let mut forbidden = false;
    let mut crumbs = Vec::new();
    let fits = copy_fields(&parts.headers, head, limits, |name| {
        forbidden |= is_connection_specific(name);
        // The authority is what the client connected to; cookies are joined below.
        !(name == b"cookie" || name == b"host" && authority.is_some())
    });
    if forbidden {
        return Err(Reason::FieldName);
    }
    if !fits {
        return Err(Reason::TooLarge);
    }
    for crumb in parts.headers.get_all(http::header::COOKIE) {
        if !crumbs.is_empty() {
            crumbs.extend_from_slice(b"; ");
        }
        crumbs.extend_from_slice(crumb.as_bytes());
    }
    if !crumbs.is_empty() {
        head.add(b"cookie", &crumbs);
    }
    let only_trailers = |te: &[u8]| items(te).all(|item| item.eq_ignore_ascii_case(b"trailers"));
    if !head.values(b"te").all(only_trailers) {
        return Err(Reason::FieldValue);
    }
    if let Some(protocol) = protocol {
        let name = protocol.as_str().as_bytes();
        if name.is_empty() || !name.iter().all(|&byte| http1::is_token_byte(byte)) {
            return Err(Reason::FieldValue);
        }
        // HTTP/2 cannot be switched to from itself.
        if http1::is_http2(name) {
            return Err(Reason::FieldValue);
        }
        head.add(b"connection", b"upgrade");
        head.add(b"upgrade", name);
    }
    http1::settle_framed(head, ended || connect || protocol.is_some())
}

/// The target as a proxy's client would have written it; without an authority, the path alone.
fn target(parts: &Parts, connect: bool) -> Option<String> {
    let authority = parts.uri.authority().map(Authority::as_str);
    if connect {
        return authority.map(str::to_owned);
    }
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let scheme = parts.uri.scheme_str();
    Some(match (scheme, authority) {
        (Some(scheme), Some(authority)) if path != "*" => {
            format!("{scheme}://{authority}{path}")
        }
        _ => path.to_owned(),
    })
}

/// Makes a request for a server of a head; `None` when HTTP/2 cannot say it.
#[must_use]
pub fn encode_request(head: &Head, asked: Asked<'_>) -> Option<http::Request<()>> {
    let protocol = match asked.protocol {
        Some(name) => Some(h2::ext::Protocol::from(std::str::from_utf8(name).ok()?)),
        None => None,
    };
    let method = if protocol.is_some() {
        http::Method::CONNECT
    } else {
        http::Method::from_bytes(head.method_name()).ok()?
    };
    let uri = target_of(head, protocol.is_some())?;
    let relative = uri.authority().is_none();
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    // The crate lets only what came as HTTP/1 go without an authority.
    *request.version_mut() = if relative {
        http::Version::HTTP_11
    } else {
        http::Version::HTTP_2
    };
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(protocol);
    }
    let fields = request.headers_mut();
    let values = Values::of(head);
    for (name, value) in head.fields() {
        let dropped = is_connection_specific(name)
            || matches!(name, b"host" | b"content-length")
            || asked.protocol.is_some() && name == b"sec-websocket-key";
        if dropped {
            continue;
        }
        let value = match name {
            b"te" if items(value).any(|item| item.eq_ignore_ascii_case(b"trailers")) => {
                HeaderValue::from_static("trailers")
            }
            b"te" => continue,
            _ => values.share(value)?,
        };
        fields.append(HeaderName::from_bytes(name).ok()?, value);
    }
    if let http1::Framing::Length(length) = asked.framing {
        fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Some(request)
}

fn target_of(head: &Head, extended: bool) -> Option<Uri> {
    let target = head.target();
    let host = uri::authority(target)
        .map(|authority| authority.rsplit(|&byte| byte == b'@').next().unwrap_or(b""))
        .or_else(|| head.first(b"host"))
        .filter(|host| !host.is_empty());
    let mut parts = http::uri::Parts::default();
    if head.method() == Method::Connect && !extended {
        parts.authority = Some(Authority::try_from(target).ok()?);
        return Uri::from_parts(parts).ok();
    }
    let path = match uri::path_and_query(target) {
        Some(path) => path,
        None if target == b"*" => target,
        None => b"/",
    };
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    if let Some(host) = host {
        parts.authority = Some(Authority::try_from(host).ok()?);
        // Like HAProxy, unless the client said something else.
        parts.scheme = match uri::scheme(target) {
            Some(scheme) => Some(Scheme::try_from(scheme).ok()?),
            None => Some(Scheme::HTTPS),
        };
    }
    Uri::from_parts(parts).ok()
}
