//! Request methods.
//!
//! The known ones become an enum that rules and framing can match on; any other token is
//! [`Method::Other`] and its bytes stay in the head. Whether a byte string is a token at all is
//! the codec's check, not this file's.

use std::fmt;

/// A request method known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Options,
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Trace,
    Connect,
    /// Some other token; see [`super::Head::method_name`].
    Other,
}

impl Method {
    /// Recognises a method. Names are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn parse(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            b"HEAD" => Self::Head,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// The method's name; `None` for [`Method::Other`].
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Options => "OPTIONS",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other => return None,
        })
    }

    /// Whether repeating the request has the same effect as sending it once (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace
        )
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("OTHER"))
    }
}
