//! The aliases of log formats: short names for what logs are made of (manual §8.2.6, the table).

use crate::expr::{Address, Direction, Number, Text};

/// One alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    pub name: &'static str,
    pub(super) value: Value,
}

/// Where an alias's value comes from and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Address(Address),
    Port(Address),
    /// A string; what an absent one means.
    Text(Text, Absent),
    /// A number; what an absent one means.
    Number(Number, &'static str),
    /// A number that gets a `+` where the line is written before the end (`option logasap`).
    Total(Number),
    /// A date in one of the log's forms.
    Date(Number, DateForm),
    FrontendAndTransport,
    Hostname,
    LogCounter,
    Pid,
    Retries,
    Request(RequestPart),
    /// Captured headers, `{a|b}`.
    Captures(Direction),
    /// Captured headers, one string each.
    CaptureList(Direction),
    Cipher,
    TlsVersion,
    Termination,
    TerminationWithCookies,
    RequestCounter,
}

/// What stands for a missing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// `-` in logs, nothing elsewhere.
    Dash,
    Word(&'static str),
}

/// How a date is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateForm {
    /// `22/Nov/2026:11:15:24.601`, local.
    LocalMillis,
    /// `22/Nov/2026:11:15:24 +0000`, UTC.
    Utc,
    /// The same, local.
    Local,
    /// Seconds since 1970.
    Epoch,
    /// The milliseconds alone.
    Millis,
}

/// A part of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestPart {
    Line,
    Method,
    /// Without the query string.
    UriPath,
    /// Without scheme and host either.
    Path,
    /// With its question mark.
    Query,
    Uri,
    Version,
}

impl Alias {
    /// The alias of that name.
    pub(super) fn find(name: &str) -> Option<Self> {
        ALIASES.iter().find(|alias| alias.name == name).copied()
    }

    /// Whether its value is a number.
    pub(super) fn is_number(self) -> bool {
        matches!(
            self.value,
            Value::Port(_)
                | Value::Number(..)
                | Value::Total(_)
                | Value::Date(_, DateForm::Epoch | DateForm::Millis)
                | Value::LogCounter
                | Value::RequestCounter
                | Value::Pid
                | Value::Retries
        )
    }

    /// Every alias's name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALIASES.iter().map(|alias| alias.name)
    }
}

const fn alias(name: &'static str, value: Value) -> Alias {
    Alias { name, value }
}

const fn number(name: &'static str, which: Number, absent: &'static str) -> Alias {
    alias(name, Value::Number(which, absent))
}

const ALIASES: &[Alias] = &[
    alias("T", Value::Date(Number::AcceptDate, DateForm::Utc)),
    alias("Tl", Value::Date(Number::AcceptDate, DateForm::Local)),
    alias("Ts", Value::Date(Number::AcceptDate, DateForm::Epoch)),
    alias("t", Value::Date(Number::AcceptDate, DateForm::LocalMillis)),
    alias("ms", Value::Date(Number::AcceptDate, DateForm::Millis)),
    alias(
        "tr",
        Value::Date(Number::RequestDate, DateForm::LocalMillis),
    ),
    alias("trg", Value::Date(Number::RequestDate, DateForm::Utc)),
    alias("trl", Value::Date(Number::RequestDate, DateForm::Local)),
    alias("Ta", Value::Total(Number::TimerActive)),
    number("Tc", Number::TimerConnect, "-1"),
    number("Td", Number::TimerData, "-1"),
    number("Th", Number::TimerHandshake, "-1"),
    number("Ti", Number::TimerIdle, "-1"),
    number("Tq", Number::TimerTq, "-1"),
    number("TR", Number::TimerRequest, "-1"),
    number("Tr", Number::TimerResponse, "-1"),
    alias("Tt", Value::Total(Number::TimerTotal)),
    alias("Tu", Value::Total(Number::TimerUser)),
    number("Tw", Number::TimerQueue, "-1"),
    alias("B", Value::Total(Number::ResponseBytesIn)),
    alias("CC", Value::Text(Text::CapturedRequestCookie, Absent::Dash)),
    alias(
        "CS",
        Value::Text(Text::CapturedResponseCookie, Absent::Dash),
    ),
    alias("H", Value::Hostname),
    alias("HM", Value::Request(RequestPart::Method)),
    alias("HP", Value::Request(RequestPart::UriPath)),
    alias("HPO", Value::Request(RequestPart::Path)),
    alias("HQ", Value::Request(RequestPart::Query)),
    alias("HU", Value::Request(RequestPart::Uri)),
    alias("HV", Value::Request(RequestPart::Version)),
    alias("ID", Value::Text(Text::UniqueId, Absent::Dash)),
    number("ST", Number::Status, "-1"),
    number("U", Number::RequestBytesIn, "0"),
    number("ac", Number::ActiveConnections, "0"),
    alias("b", Value::Text(Text::BackendName, Absent::Dash)),
    number("bc", Number::BackendConnections, "0"),
    alias("bi", Value::Address(Address::BackSource)),
    alias("bp", Value::Port(Address::BackSource)),
    number("bq", Number::BackendQueueAhead, "0"),
    alias("ci", Value::Address(Address::Source)),
    alias("cp", Value::Port(Address::Source)),
    alias("f", Value::Text(Text::FrontendName, Absent::Dash)),
    number("fc", Number::FrontendConnections, "0"),
    alias("fi", Value::Address(Address::Destination)),
    alias("fp", Value::Port(Address::Destination)),
    alias("ft", Value::FrontendAndTransport),
    alias("lc", Value::LogCounter),
    alias("hr", Value::Captures(Direction::Request)),
    alias("hrl", Value::CaptureList(Direction::Request)),
    alias("hs", Value::Captures(Direction::Response)),
    alias("hsl", Value::CaptureList(Direction::Response)),
    alias("OG", Value::Text(Text::LogOrigin, Absent::Word("unspec"))),
    alias("pid", Value::Pid),
    alias("r", Value::Request(RequestPart::Line)),
    alias("rc", Value::Retries),
    alias("rt", Value::RequestCounter),
    alias("s", Value::Text(Text::ServerName, Absent::Word("<NOSRV>"))),
    number("sc", Number::ServerConnections, "0"),
    alias("si", Value::Address(Address::BackDestination)),
    alias("sp", Value::Port(Address::BackDestination)),
    number("sq", Number::ServerQueueAhead, "0"),
    alias("sslc", Value::Cipher),
    alias("sslv", Value::TlsVersion),
    alias("ts", Value::Termination),
    alias("tsc", Value::TerminationWithCookies),
];
