//! Response heads and trailers, from and to HTTP/2.

use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Values, copy_fields, is_connection_specific};
use crate::proto::http::http1::{self, Exchange, Framing, Limits, Reason};
use crate::proto::http::{Head, Method, Version};

/// Makes a response for a client of a head; its body is delimited by `framing`. `None` when HTTP/2
/// cannot say it.
#[must_use]
pub fn encode_response(head: &Head, framing: Framing) -> Option<http::Response<()>> {
    // RFC 8441 §5: a granted switch of protocols is a success.
    let status = match head.status() {
        101 => 200,
        status => status,
    };
    let never_a_body = matches!(status, 100..200 | 204) || head.status() == 101;
    let mut response = fields_of(head, status, |name| {
        name != b"content-length" || framing == Framing::None && !never_a_body
    })?;
    if let Framing::Length(length) = framing {
        let fields = response.headers_mut();
        fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Some(response)
}

/// The same for an interim response.
#[must_use]
pub fn encode_interim(head: &Head) -> Option<http::Response<()>> {
    fields_of(head, head.status(), |name| name != b"content-length")
}

fn fields_of(
    head: &Head,
    status: u16,
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> Option<http::Response<()>> {
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    *response.headers_mut() = HeaderMap::with_capacity(head.len());
    let values = Values::of(head);
    for (name, value) in head.fields() {
        // TE is a request's; HTTP/2 endpoints refuse any but one value of it.
        if is_connection_specific(name) || name == b"te" || !wanted(name) {
            continue;
        }
        // What is no field here is none there: the rest of the response is still good.
        let (Ok(name), Some(value)) = (HeaderName::from_bytes(name), values.share(value)) else {
            continue;
        };
        response.headers_mut().append(name, value);
    }
    Some(response)
}

/// Makes trailers; those that HTTP/2 cannot say, or that belong to a connection, are left out.
#[must_use]
pub fn encode_trailers(trailers: &Head) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers.fields() {
        if is_connection_specific(name) || name == b"te" {
            continue;
        }
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields
}

/// Makes a head of trailers, without those that may not be sent as such; too many are left out.
#[must_use]
pub fn decode_trailers(fields: &HeaderMap, limits: &Limits) -> Head {
    let mut head = Head::default();
    copy_fields(fields, &mut head, limits, |name| {
        !http1::is_forbidden_trailer(name)
    });
    head
}

/// Makes a head of a server's response, interim or final.
pub fn decode_response(
    parts: &Parts,
    ended: bool,
    head: &mut Head,
    exchange: Exchange,
    limits: &Limits,
) -> Result<http1::Response, Reason> {
    let status = parts.status;
    // Granted where it was asked for; HTTP/1 says so with another status.
    let granted = exchange.upgrade && status.is_success();
    let code = if granted { 101 } else { status.as_u16() };
    let reason = StatusCode::from_u16(code)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    head.start_response(code, reason.as_bytes(), Version::Http2);
    let mut forbidden = false;
    let fits = copy_fields(&parts.headers, head, limits, |name| {
        forbidden |= is_connection_specific(name);
        true
    });
    if code == 101 && !granted {
        return Err(Reason::UnexpectedUpgrade);
    }
    if forbidden {
        return Err(Reason::FieldName);
    }
    if !fits {
        return Err(Reason::TooLarge);
    }
    let length = http1::settle_length(head)?;
    let tunnel = granted || exchange.method == Method::Connect && status.is_success();
    let framing = match code {
        _ if tunnel => Framing::UntilClose,
        100..200 | 204 | 304 => Framing::None,
        _ if exchange.method == Method::Head => Framing::None,
        _ if ended => match length {
            None | Some(0) => Framing::Length(0),
            Some(_) => return Err(Reason::ContentLength),
        },
        _ => length.map_or(Framing::UntilClose, Framing::Length),
    };
    Ok(http1::Response {
        consumed: 0,
        framing,
        keep_alive: true,
        tunnel,
    })
}
