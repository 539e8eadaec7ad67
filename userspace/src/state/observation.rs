//! What live traffic shows about a server (manual §5.2 `observe`).

/// One thing seen while talking to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A connection was established.
    Connected,
    /// A connection failed.
    NotConnected,
    /// A valid response came: 100 to 499, 501 or 505.
    GoodResponse,
    /// A response with another status came.
    BadStatus,
    /// What came was not HTTP.
    BadHeaders,
    /// The response took too long.
    ResponseTimeout,
    /// The connection broke before the response was there.
    BrokenPipe,
}

impl Observation {
    /// The observation of a response's status.
    pub const fn of_status(status: u16) -> Self {
        match status {
            100..=499 | 501 | 505 => Self::GoodResponse,
            _ => Self::BadStatus,
        }
    }

    /// Whether it counts against the server.
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Connected | Self::GoodResponse)
    }

    /// The words of HAProxy's message about the last error.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connected => "L4 successful connection",
            Self::NotConnected => "L4 unsuccessful connection",
            Self::GoodResponse => "Correct http response",
            Self::BadStatus => "Wrong http response",
            Self::BadHeaders => "Invalid http response (headers)",
            Self::ResponseTimeout => "Http response timeout",
            Self::BrokenPipe => "Close from server while waiting for a response",
        }
    }

    /// Whether `observe layer7` (else `layer4`) looks at it.
    pub(super) const fn concerns(self, layer7: bool) -> bool {
        match self {
            Self::Connected => !layer7,
            Self::NotConnected => true,
            _ => layer7,
        }
    }
}
