//! The value an expression yields, and how one type becomes another.
//!
//! A [`Sample`] borrows from the message or the compiled expression where it can; only converters that really change bytes
//! allocate. [`Sample::cast`] is HAProxy's cast matrix (manual §7.1, §7.3): what a converter's input, a pattern or a
//! stick-table key asks for is cast automatically when the types allow it, and fails to match otherwise.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::Arc;

/// A typed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample<'a> {
    Bool(bool),
    Int(i64),
    Ip(IpAddr),
    Str(Data<'a>),
    Bin(Data<'a>),
    /// An HTTP method, as it was sent.
    Method(Data<'a>),
}

/// The types of samples, the abstract ones included that only signatures use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleType {
    /// Known only at run time (`var()`), or anything accepted.
    Any,
    Bool,
    Int,
    /// IPv4 or IPv6.
    Address,
    Ipv4,
    Ipv6,
    Str,
    Bin,
    Method,
}

impl SampleType {
    /// Whether a cast from this type to `target` exists at all; a given value may still fail to convert.
    #[must_use]
    pub fn casts_to(self, target: Self) -> bool {
        use SampleType::{Address, Any, Bin, Bool, Int, Ipv4, Ipv6, Method, Str};
        if self == target || self == Any || target == Any {
            return true;
        }
        match self {
            Bool => matches!(target, Int | Str | Bin),
            Int => matches!(target, Bool | Address | Ipv4 | Ipv6 | Str | Bin),
            Address | Ipv4 => matches!(target, Int | Address | Ipv4 | Ipv6 | Str | Bin),
            Ipv6 => matches!(target, Address | Ipv4 | Str | Bin),
            Str => true,
            Bin => matches!(target, Str | Method),
            Method => matches!(target, Str | Bin),
            Any => true,
        }
    }

    /// The word the manual uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "bool",
            Self::Int => "sint",
            Self::Address => "addr",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Str => "str",
            Self::Bin => "bin",
            Self::Method => "meth",
        }
    }
}

impl<'a> Sample<'a> {
    /// A string sample.
    pub fn str(data: impl Into<Data<'a>>) -> Self {
        Self::Str(data.into())
    }

    /// A binary sample.
    pub fn bin(data: impl Into<Data<'a>>) -> Self {
        Self::Bin(data.into())
    }

    #[must_use]
    pub fn kind(&self) -> SampleType {
        match self {
            Self::Bool(_) => SampleType::Bool,
            Self::Int(_) => SampleType::Int,
            Self::Ip(IpAddr::V4(_)) => SampleType::Ipv4,
            Self::Ip(IpAddr::V6(_)) => SampleType::Ipv6,
            Self::Str(_) => SampleType::Str,
            Self::Bin(_) => SampleType::Bin,
            Self::Method(_) => SampleType::Method,
        }
    }

    /// The same value in another type, or `None` where there is no such conversion or the value does not allow it.
    #[must_use]
    pub fn cast(self, target: SampleType) -> Option<Self> {
        match target {
            SampleType::Any => Some(self),
            SampleType::Bool => self.into_bool().map(Self::Bool),
            SampleType::Int => self.into_int().map(Self::Int),
            SampleType::Address => self.address().map(Self::Ip),
            SampleType::Ipv4 => self.ipv4().map(|address| Self::Ip(address.into())),
            SampleType::Ipv6 => self.ipv6().map(|address| Self::Ip(address.into())),
            SampleType::Str => self.into_str().map(Self::Str),
            SampleType::Bin => self.into_bin().map(Self::Bin),
            SampleType::Method => match self {
                Self::Method(name) | Self::Str(name) | Self::Bin(name) => Some(Self::Method(name)),
                _ => None,
            },
        }
    }

    /// The same value as text; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn into_text(self) -> Option<String> {
        self.into_str()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    fn into_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            Self::Int(value) => Some(value != 0),
            Self::Str(text) => leading_int(&text).map(|value| value != 0),
            _ => None,
        }
    }

    fn into_int(self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(value.into()),
            Self::Int(value) => Some(value),
            Self::Ip(IpAddr::V4(address)) => Some(u32::from(address).into()),
            Self::Str(text) => leading_int(&text),
            Self::Ip(IpAddr::V6(_)) | Self::Bin(_) | Self::Method(_) => None,
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Int(_) => self.ipv4().map(IpAddr::V4),
            Self::Str(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    fn ipv4(&self) -> Option<Ipv4Addr> {
        match self.address_or_int()? {
            Numeric::Int(value) => Some(Ipv4Addr::from(value as u32)),
            Numeric::Ip(IpAddr::V4(address)) => Some(address),
            Numeric::Ip(IpAddr::V6(address)) => embedded_ipv4(address),
        }
    }

    fn ipv6(&self) -> Option<Ipv6Addr> {
        match self.address_or_int()? {
            Numeric::Int(value) => Some(Ipv4Addr::from(value as u32).to_ipv6_mapped()),
            Numeric::Ip(IpAddr::V4(address)) => Some(address.to_ipv6_mapped()),
            Numeric::Ip(IpAddr::V6(address)) => Some(address),
        }
    }

    fn address_or_int(&self) -> Option<Numeric> {
        match self {
            Self::Int(value) => Some(Numeric::Int(*value)),
            Self::Ip(address) => Some(Numeric::Ip(*address)),
            Self::Str(_) => self.address().map(Numeric::Ip),
            _ => None,
        }
    }

    fn into_str(self) -> Option<Data<'a>> {
        Some(match self {
            Self::Bool(value) => Data::Borrowed(if value { b"1" } else { b"0" }),
            Self::Int(value) => Data::Owned(value.to_string().into_bytes()),
            Self::Ip(address) => Data::Owned(address.to_string().into_bytes()),
            Self::Str(data) | Self::Method(data) => data,
            // A string ends at the first null byte (manual §7.1.3).
            Self::Bin(data) => match memchr::memchr(0, &data) {
                Some(end) => data.slice(0, end),
                None => data,
            },
        })
    }

    fn into_bin(self) -> Option<Data<'a>> {
        match self {
            Self::Bool(value) => Some(Data::Owned(i64::from(value).to_be_bytes().to_vec())),
            Self::Int(value) => Some(Data::Owned(value.to_be_bytes().to_vec())),
            Self::Ip(IpAddr::V4(address)) => Some(Data::Owned(address.octets().to_vec())),
            Self::Ip(IpAddr::V6(address)) => Some(Data::Owned(address.octets().to_vec())),
            Self::Str(data) | Self::Bin(data) | Self::Method(data) => Some(data),
        }
    }

    /// The same value borrowed for a shorter time.
    #[must_use]
    pub fn reborrow(&self) -> Sample<'_> {
        match self {
            Self::Bool(value) => Sample::Bool(*value),
            Self::Int(value) => Sample::Int(*value),
            Self::Ip(address) => Sample::Ip(*address),
            Self::Str(data) => Sample::Str(data.reborrow()),
            Self::Bin(data) => Sample::Bin(data.reborrow()),
            Self::Method(data) => Sample::Method(data.reborrow()),
        }
    }

    /// The same value, not borrowing from anything; byte runs become shared ones, cheap to clone.
    #[must_use]
    pub fn into_shared(self) -> Sample<'static> {
        match self {
            Self::Bool(value) => Sample::Bool(value),
            Self::Int(value) => Sample::Int(value),
            Self::Ip(address) => Sample::Ip(address),
            Self::Str(data) => Sample::Str(data.into_shared()),
            Self::Bin(data) => Sample::Bin(data.into_shared()),
            Self::Method(data) => Sample::Method(data.into_shared()),
        }
    }

    /// The value as text, as `%[…]` in a log format without flags shows it; binary data as upper-case hexadecimal digits
    /// is the log format's business.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Bool(true) => Cow::Borrowed(b"1"),
            Self::Bool(false) => Cow::Borrowed(b"0"),
            Self::Int(value) => Cow::Owned(value.to_string().into_bytes()),
            Self::Ip(address) => Cow::Owned(address.to_string().into_bytes()),
            Self::Str(data) | Self::Bin(data) | Self::Method(data) => Cow::Borrowed(data),
        }
    }
}

enum Numeric {
    Int(i64),
    Ip(IpAddr),
}

/// The IPv4 address inside `::ffff:a.b.c.d`, `2002:AABB:CCDD::` (6to4) or `::a.b.c.d` (manual §7.1.6).
#[must_use]
pub(crate) fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let tail = [octets[12], octets[13], octets[14], octets[15]];
    if octets[..2] == [0x20, 0x02] {
        return Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]));
    }
    let mapped = octets[..10] == [0; 10] && octets[10..12] == [0xff, 0xff];
    let compatible = octets[..12] == [0; 12];
    (mapped || compatible).then(|| tail.into())
}

/// The integer a string begins with: an optional sign and digits, 0 where there are none; `None` for an empty string.
/// Values out of range stop at the limits.
pub(crate) fn leading_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [] => return None,
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value: i64 = 0;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        value = match negative {
            true => value.saturating_mul(10).saturating_sub(digit),
            false => value.saturating_mul(10).saturating_add(digit),
        };
    }
    Some(value)
}

/// A run of bytes: borrowed, owned, or shared with others (variables).
#[derive(Clone, Debug)]
pub enum Data<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl<'a> Data<'a> {
    /// The bytes as a vector that may be changed in place.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Owned(bytes) => bytes,
            other => other.to_vec(),
        }
    }

    /// The same bytes, shared.
    #[must_use]
    pub fn into_shared(self) -> Data<'static> {
        match self {
            Self::Borrowed(bytes) => Data::Shared(Arc::from(bytes)),
            Self::Owned(bytes) => Data::Shared(Arc::from(bytes)),
            Self::Shared(bytes) => Data::Shared(bytes),
        }
    }

    /// The bytes from `start` to `end`; both are cut to the length.
    #[must_use]
    pub fn slice(self, start: usize, end: usize) -> Self {
        let end = end.min(self.len());
        let start = start.min(end);
        match self {
            Self::Borrowed(bytes) => Self::Borrowed(&bytes[start..end]),
            Self::Owned(mut bytes) => {
                bytes.truncate(end);
                bytes.drain(..start);
                Self::Owned(bytes)
            }
            Self::Shared(bytes) if start == 0 && end == bytes.len() => Self::Shared(bytes),
            Self::Shared(bytes) => Self::Owned(bytes[start..end].to_vec()),
        }
    }

    /// The same data borrowed for a shorter time.
    #[must_use]
    pub fn reborrow(&self) -> Data<'_> {
        Data::Borrowed(self)
    }
}

impl Deref for Data<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Data<'_> {}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a str> for Data<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl From<Vec<u8>> for Data<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<String> for Data<'_> {
    fn from(text: String) -> Self {
        Self::Owned(text.into_bytes())
    }
}
