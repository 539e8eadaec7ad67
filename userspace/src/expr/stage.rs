//! When a sample exists: what a fetch needs and what each kind of rule can offer (manual §7.3.2–§7.3.6).

/// A set of sources, one bit each: what a fetch reads, or what is there at some [`Stage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u16);

impl Needs {
    /// Nothing of the traffic: internal states, constants, tables, dates.
    pub const INTERNAL: Self = Self(1);
    /// The client's connection: addresses, ports, tracked counters.
    pub const CLIENT: Self = Self(1 << 1);
    /// The client's session: TLS.
    pub const CLIENT_SESSION: Self = Self(1 << 2);
    /// Raw bytes of the request.
    pub const REQUEST_BUFFER: Self = Self(1 << 3);
    /// The request's head, gone once the request is forwarded.
    pub const REQUEST: Self = Self(1 << 4);
    /// What is remembered of the request until the log: method, captures.
    pub const REQUEST_MEMORY: Self = Self(1 << 5);
    /// The request's body, as far as it is buffered.
    pub const REQUEST_BODY: Self = Self(1 << 6);
    /// The connection to the server.
    pub const SERVER: Self = Self(1 << 7);
    /// The session with the server: TLS.
    pub const SERVER_SESSION: Self = Self(1 << 8);
    /// Raw bytes of the response.
    pub const RESPONSE_BUFFER: Self = Self(1 << 9);
    /// The response's head.
    pub const RESPONSE: Self = Self(1 << 10);
    /// What is remembered of the response until the log: status, captures.
    pub const RESPONSE_MEMORY: Self = Self(1 << 11);
    /// The response's body, as far as it is buffered.
    pub const RESPONSE_BODY: Self = Self(1 << 12);
    /// The end of the transaction: final counters and timers.
    pub const END: Self = Self(1 << 13);

    /// The backend, known once one was chosen: what either side's later stages have.
    pub const BACKEND: Self = Self::REQUEST_MEMORY.or(Self::SERVER);

    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets share a source.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The sources in words, for diagnostics: HAProxy's descriptions, the first that applies.
    #[must_use]
    pub fn describe(self) -> &'static str {
        const NAMES: [&str; 14] = [
            "internal state",
            "client address",
            "client-side session information",
            "request buffer contents",
            "HTTP request headers",
            "HTTP request",
            "HTTP request body",
            "server address",
            "server-side session information",
            "response buffer contents",
            "HTTP response headers",
            "HTTP response",
            "HTTP response body",
            "final transaction data",
        ];
        NAMES
            .get(self.0.trailing_zeros() as usize)
            .copied()
            .unwrap_or("nothing")
    }
}

/// Where in a connection's life a rule, ACL or format is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// While the configuration is read: `global` `set-var`, server and bind settings.
    Configuration,
    /// `tcp-request connection`.
    Connection,
    /// `tcp-request session`.
    Session,
    /// `tcp-request content`, `use_backend` and `stick` rules in TCP mode.
    RequestContent,
    /// `http-request`, `use_backend` in HTTP mode, `balance hash`, `use-server`, headers to add, `unique-id-format`.
    Request,
    /// The connection to the server: its `sni`, `source`, `pool-conn-name`.
    Connect,
    /// `tcp-response content`.
    ResponseContent,
    /// `http-response`, `http-after-response`, `stick store-response`.
    Response,
    /// `log-format` and what else is evaluated when the transaction ends.
    Log,
    /// `http-check`, `tcp-check`.
    Check,
}

impl Stage {
    /// The kind of rule in words, for diagnostics.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Connection => "tcp-request connection rule",
            Self::Session => "tcp-request session rule",
            Self::RequestContent => "tcp-request content rule",
            Self::Request => "http-request header rule",
            Self::Connect => "server connection setting",
            Self::ResponseContent => "tcp-response content rule",
            Self::Response => "http-response header rule",
            Self::Log => "log statement",
            Self::Check => "health check",
        }
    }

    /// The sources that are there at this stage.
    #[must_use]
    pub const fn offers(self) -> Needs {
        let base = Needs::INTERNAL;
        let client = base.or(Needs::CLIENT);
        let session = client.or(Needs::CLIENT_SESSION);
        let memory = session.or(Needs::REQUEST_MEMORY);
        let servers = memory.or(Needs::SERVER).or(Needs::SERVER_SESSION);
        match self {
            Self::Configuration => base,
            Self::Connection => client,
            Self::Session => session,
            Self::RequestContent | Self::Request => memory
                .or(Needs::REQUEST_BUFFER)
                .or(Needs::REQUEST)
                .or(Needs::REQUEST_BODY),
            Self::Connect => memory
                .or(Needs::REQUEST_BUFFER)
                .or(Needs::REQUEST)
                .or(Needs::REQUEST_BODY)
                .or(Needs::SERVER),
            Self::ResponseContent | Self::Response | Self::Check => servers
                .or(Needs::RESPONSE_BUFFER)
                .or(Needs::RESPONSE)
                .or(Needs::RESPONSE_MEMORY)
                .or(Needs::RESPONSE_BODY),
            Self::Log => servers.or(Needs::RESPONSE_MEMORY).or(Needs::END),
        }
    }
}
