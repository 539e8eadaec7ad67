//! The vocabulary of stick tables (manual §11.1): key types, data types, and the operations fetches ask for.
//!
//! Only types and key conversion; the live table is [`crate::state`]'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ParseError, Sample, SampleType};
use crate::types::Millis;

/// The type of a table's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickType {
    /// `ip` and `ipv4`.
    Ipv4,
    Ipv6,
    /// 32 bits.
    Integer,
    /// At most this many bytes; longer keys are cut.
    Str(usize),
    /// Exactly this many bytes; longer keys are cut, shorter ones padded with zeros.
    Bin(usize),
}

impl StickType {
    /// The length of `string` and `binary` keys without `len`.
    pub const DEFAULT_LENGTH: usize = 32;

    /// The type for the word after `type`; `length` is the number after `len`, if any.
    #[must_use]
    pub fn parse(word: &str, length: Option<usize>) -> Option<Self> {
        Some(match word {
            "ip" | "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "integer" => Self::Integer,
            "string" => Self::Str(length.unwrap_or(Self::DEFAULT_LENGTH)),
            "binary" => Self::Bin(length.unwrap_or(Self::DEFAULT_LENGTH)),
            _ => return None,
        })
    }

    /// The sample type a key is cast to.
    #[must_use]
    pub fn sample_type(self) -> SampleType {
        match self {
            Self::Ipv4 => SampleType::Ipv4,
            Self::Ipv6 => SampleType::Ipv6,
            Self::Integer => SampleType::Int,
            Self::Str(_) => SampleType::Str,
            Self::Bin(_) => SampleType::Bin,
        }
    }

    /// The word in `show table` and in error messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ip",
            Self::Ipv6 => "ipv6",
            Self::Integer => "integer",
            Self::Str(_) => "string",
            Self::Bin(_) => "binary",
        }
    }
}

/// A key, converted to its table's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StickKey {
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Integer(u32),
    /// String and binary keys, already cut or padded.
    Bytes(Box<[u8]>),
}

impl StickKey {
    /// The key `sample` gives in a table of type `kind`; `None` where it cannot be cast.
    ///
    /// An empty string is no key: such a sample stores and finds nothing.
    #[must_use]
    pub fn new(kind: StickType, sample: &Sample<'_>) -> Option<Self> {
        match (kind, sample) {
            (StickType::Ipv4, Sample::Ip(IpAddr::V4(address))) => {
                return Some(Self::Ipv4(*address));
            }
            (StickType::Ipv6, Sample::Ip(IpAddr::V6(address))) => {
                return Some(Self::Ipv6(*address));
            }
            _ => {}
        }
        Some(match (kind, sample.clone().cast(kind.sample_type())?) {
            (StickType::Ipv4, Sample::Ip(IpAddr::V4(address))) => Self::Ipv4(address),
            (StickType::Ipv6, Sample::Ip(IpAddr::V6(address))) => Self::Ipv6(address),
            (StickType::Integer, Sample::Int(value)) => Self::Integer(value as u32),
            (StickType::Str(length), Sample::Str(text)) => {
                let text = &text[..text.len().min(length)];
                let end = memchr::memchr(0, text).unwrap_or(text.len());
                if end == 0 {
                    return None;
                }
                Self::Bytes(text[..end].into())
            }
            (StickType::Bin(length), Sample::Bin(data)) => {
                if data.is_empty() {
                    return None;
                }
                let mut key = data.into_vec();
                key.resize(length, 0);
                Self::Bytes(key.into())
            }
            _ => return None,
        })
    }

    /// The key as a sample of its table's type (`sc_key`).
    #[must_use]
    pub fn sample(&self, kind: StickType) -> Sample<'_> {
        match self {
            Self::Ipv4(address) => Sample::Ip((*address).into()),
            Self::Ipv6(address) => Sample::Ip((*address).into()),
            Self::Integer(value) => Sample::Int((*value).into()),
            Self::Bytes(bytes) if matches!(kind, StickType::Bin(_)) => Sample::bin(&bytes[..]),
            Self::Bytes(bytes) => Sample::str(&bytes[..]),
        }
    }
}

/// One datum stored with an entry: an item of `store`, with its period or array length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StickData {
    ServerId,
    ServerKey,
    Gpt0,
    Gpt(u8),
    Gpc0,
    Gpc0Rate(Millis),
    Gpc1,
    Gpc1Rate(Millis),
    /// This many counters.
    Gpc(u8),
    GpcRate(u8, Millis),
    ConnCnt,
    ConnRate(Millis),
    ConnCur,
    SessCnt,
    SessRate(Millis),
    HttpReqCnt,
    HttpReqRate(Millis),
    HttpErrCnt,
    HttpErrRate(Millis),
    HttpFailCnt,
    HttpFailRate(Millis),
    BytesInCnt,
    BytesInRate(Millis),
    BytesOutCnt,
    BytesOutRate(Millis),
    GlitchCnt,
    GlitchRate(Millis),
}

impl StickData {
    /// Every data type's word, with its arguments as the manual shows them.
    pub const NAMES: [(&'static str, &'static str); 26] = [
        ("server_id", ""),
        ("gpt0", ""),
        ("gpt", "(<nb>)"),
        ("gpc0", ""),
        ("gpc0_rate", "(<period>)"),
        ("gpc1", ""),
        ("gpc1_rate", "(<period>)"),
        ("gpc", "(<nb>)"),
        ("gpc_rate", "(<nb>,<period>)"),
        ("conn_cnt", ""),
        ("conn_rate", "(<period>)"),
        ("conn_cur", ""),
        ("sess_cnt", ""),
        ("sess_rate", "(<period>)"),
        ("http_req_cnt", ""),
        ("http_req_rate", "(<period>)"),
        ("http_err_cnt", ""),
        ("http_err_rate", "(<period>)"),
        ("http_fail_cnt", ""),
        ("http_fail_rate", "(<period>)"),
        ("bytes_in_cnt", ""),
        ("bytes_in_rate", "(<period>)"),
        ("bytes_out_cnt", ""),
        ("bytes_out_rate", "(<period>)"),
        ("glitch_cnt", ""),
        ("glitch_rate", "(<period>)"),
    ];

    /// One item of a `store` list, such as `gpc0` or `conn_rate(10s)`. `period` reads a time (manual §2.5).
    ///
    /// # Errors
    /// Where the word is no data type, or its arguments are missing, superfluous or out of range.
    pub fn parse(
        item: &str,
        period: &dyn Fn(&str) -> Result<Millis, String>,
    ) -> Result<Self, ParseError> {
        let (name, arguments) = match item.split_once('(') {
            None => (item, None),
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(inner) => (name, Some(inner)),
                None => {
                    return Err(ParseError::at(
                        0,
                        format!("missing ')' after the arguments of '{name}'"),
                    ));
                }
            },
        };
        if let Some(plain) = Self::plain(name) {
            return match arguments {
                None => Ok(plain),
                Some(_) => Err(ParseError::at(
                    0,
                    format!("unexpected argument for data type '{name}'"),
                )),
            };
        }
        if !Self::NAMES.iter().any(|(known, _)| *known == name) {
            return Err(ParseError::at(0, format!("unknown data type '{name}'")));
        }
        let Some(arguments) = arguments else {
            return Err(ParseError::at(
                0,
                format!("missing argument for data type '{name}'"),
            ));
        };
        let offset = name.len() + 1;
        let at_argument = |message: String| ParseError::at(0, message).shifted(offset);
        let rate = |text: &str| match period(text).map_err(&at_argument)? {
            Millis(0) => Err(at_argument(format!(
                "the period of '{name}' cannot be zero"
            ))),
            period => Ok(period),
        };
        let count = |text: &str| match text.parse::<u8>() {
            Ok(count @ 1..=100) => Ok(count),
            _ => Err(at_argument(format!(
                "'{name}' takes a number of elements from 1 to 100, not '{text}'"
            ))),
        };
        Ok(match name {
            "gpt" => Self::Gpt(count(arguments)?),
            "gpc" => Self::Gpc(count(arguments)?),
            "gpc_rate" => match arguments.split_once(',') {
                Some((elements, period)) => Self::GpcRate(count(elements)?, rate(period)?),
                None => {
                    return Err(at_argument(
                        "'gpc_rate' takes a number of elements and a period".into(),
                    ));
                }
            },
            "gpc0_rate" => Self::Gpc0Rate(rate(arguments)?),
            "gpc1_rate" => Self::Gpc1Rate(rate(arguments)?),
            "conn_rate" => Self::ConnRate(rate(arguments)?),
            "sess_rate" => Self::SessRate(rate(arguments)?),
            "http_req_rate" => Self::HttpReqRate(rate(arguments)?),
            "http_err_rate" => Self::HttpErrRate(rate(arguments)?),
            "http_fail_rate" => Self::HttpFailRate(rate(arguments)?),
            "bytes_in_rate" => Self::BytesInRate(rate(arguments)?),
            "bytes_out_rate" => Self::BytesOutRate(rate(arguments)?),
            _ => Self::GlitchRate(rate(arguments)?),
        })
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "server_id" => Self::ServerId,
            "server_key" => Self::ServerKey,
            "gpt0" => Self::Gpt0,
            "gpc0" => Self::Gpc0,
            "gpc1" => Self::Gpc1,
            "conn_cnt" => Self::ConnCnt,
            "conn_cur" => Self::ConnCur,
            "sess_cnt" => Self::SessCnt,
            "http_req_cnt" => Self::HttpReqCnt,
            "http_err_cnt" => Self::HttpErrCnt,
            "http_fail_cnt" => Self::HttpFailCnt,
            "bytes_in_cnt" => Self::BytesInCnt,
            "bytes_out_cnt" => Self::BytesOutCnt,
            "glitch_cnt" => Self::GlitchCnt,
            _ => return None,
        })
    }
}

/// What a fetch or converter reads from, or does to, one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StickOperation {
    /// 1 where the entry exists (`in_table`, `sc_tracked`).
    Exists,
    /// How many streams track the entry.
    Trackers,
    /// Milliseconds until the entry expires.
    Expire,
    /// Milliseconds since the entry was last updated.
    Idle,
    ServerId,
    ConnCnt,
    ConnCur,
    ConnRate,
    SessCnt,
    SessRate,
    HttpReqCnt,
    HttpReqRate,
    HttpErrCnt,
    HttpErrRate,
    HttpFailCnt,
    HttpFailRate,
    /// Bytes; the `kbytes` fetches divide.
    BytesIn,
    BytesInRate,
    BytesOut,
    BytesOutRate,
    GlitchCnt,
    GlitchRate,
    /// `gpc0`/`gpc1` where stored so, else element 0 or 1 of the `gpc` array.
    Gpc0,
    Gpc1,
    Gpc0Rate,
    Gpc1Rate,
    Gpt0,
    /// Element of the `gpc`, `gpc_rate`, `gpt` array only.
    Gpc(u8),
    GpcRate(u8),
    Gpt(u8),
    /// Adds one (to the rate too, if stored) and answers the new value; creates a missing entry.
    IncrementGpc0,
    IncrementGpc1,
    IncrementGpc(u8),
    /// Sets to zero and answers the former value; creates a missing entry.
    ClearGpc0,
    ClearGpc1,
    ClearGpc(u8),
    /// Counts one connection (`conn_cnt`, `conn_rate`) and answers the new count; creates a missing entry.
    UpdateConnCnt,
}

/// A table's answer to a [`StickOperation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickAnswer {
    Value(i64),
    /// The table is there, the key is not (or nothing is tracked).
    NoEntry,
    /// No such table or counter, the key does not fit the table, or the table does not store this datum.
    NotStored,
}
