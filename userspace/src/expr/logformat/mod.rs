//! Log formats: text with aliases (`%ci`) and expressions (`%[src]`), for logs, headers, bodies and variables
//! (manual §8.2.6).
//!
//! A string is compiled to a list of items once; rendering appends to the caller's buffer. What escaping and which sign for
//! missing values apply depends on the [`Purpose`].

mod alias;
mod encode;
mod escape;
mod parse;
mod render;

use std::fmt;

use super::{Expression, Reference, View, raw};
pub use alias::Alias;
use encode::Encoding;

/// A compiled format.
#[derive(Clone)]
pub struct LogFormat {
    text: Box<str>,
    purpose: Purpose,
    items: Vec<Item>,
    /// What `%o` says of the line as a whole: encoded as one object, in bytes or in digits.
    object: Option<(Encoding, bool)>,
}

/// What a format is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `log-format` and its like: missing values are `-`, runs of spaces become one, control characters are escaped.
    Log,
    /// `log-format-sd`.
    StructuredData,
    /// `unique-id-format`: as for HTTP, but runs of spaces become one.
    UniqueId,
    /// `set-var-fmt`: missing values are empty, spaces stay, and no byte is changed.
    Variable,
    /// Header fields, bodies, redirects: missing values are empty, spaces stay, and what HTTP forbids in
    /// fields is percent-encoded.
    Http,
}

impl Purpose {
    /// Spaces are separators, of which one is enough (manual §8.2.6).
    fn merges_spaces(self) -> bool {
        matches!(self, Self::Log | Self::StructuredData | Self::UniqueId)
    }

    /// A missing value is shown as `-`.
    fn marks_absence(self) -> bool {
        matches!(self, Self::Log | Self::StructuredData)
    }
}

#[derive(Clone, Debug)]
enum Item {
    Literal(Box<[u8]>),
    /// A separator of a log line: one space, unless nothing stands before it.
    Space,
    Alias(Alias, Options),
    Expression(Expression, Options),
    /// An alias or expression with a name or type, or to be encoded.
    Named(Box<encode::Named>),
}

impl Item {
    /// The item itself, whatever it is called.
    fn plain(&self) -> &Self {
        match self {
            Self::Named(named) => &named.item,
            item => item,
        }
    }
}

/// The flags of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Options {
    /// `+Q`
    quoted: bool,
    /// `+X`
    hexadecimal: bool,
    /// `+E`
    escaped: bool,
    /// `+bin`, for the whole format only: bytes are not changed at all.
    binary: bool,
    /// `+json`, `+cbor`
    encoding: Option<Encoding>,
}

impl LogFormat {
    /// A format of plain text, nothing of it interpreted (`string` where `lf-string` would be a format).
    #[must_use]
    pub fn literal(text: &str, purpose: Purpose) -> Self {
        Self {
            text: text.into(),
            purpose,
            items: vec![Item::Literal(raw::bytes(text).into())],
            object: None,
        }
    }

    /// The format as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, where the format has nothing to evaluate.
    #[must_use]
    pub fn constant(&self) -> Option<&[u8]> {
        if self.object.is_some() {
            return None;
        }
        match &*self.items {
            [] => Some(b""),
            [Item::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The expressions in it, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.items.iter().filter_map(|item| match item.plain() {
            Item::Expression(expression, _) => Some(expression),
            _ => None,
        })
    }

    /// The aliases in it, in order.
    pub fn aliases(&self) -> impl Iterator<Item = Alias> {
        self.items.iter().filter_map(|item| match item.plain() {
            Item::Alias(alias, _) => Some(*alias),
            _ => None,
        })
    }

    /// The names the expressions mention.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.expressions().flat_map(Expression::references)
    }

    /// Appends the format's text for this view.
    pub fn render(&self, view: &dyn View, out: &mut Vec<u8>) {
        render::render(self, view, out);
    }
}

impl fmt::Debug for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LogFormat({:?})", self.text)
    }
}

/// The formats that options imply (manual §8.2.2–8.2.4); the first three are also the values of `HAPROXY_TCP_LOG_FMT`,
/// `HAPROXY_HTTP_LOG_FMT` and `HAPROXY_HTTPS_LOG_FMT`.
pub mod formats {
    /// `option tcplog`
    pub const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";

    /// `option httplog`
    pub const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc \
                            %sq/%bq %hr %hs %{+Q}r";

    /// `option httpslog`
    pub const HTTPS: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc \
                             %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/\
                             %[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";

    /// `option tcplog clf`
    pub const TCP_CLF: &str = "%{Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U \
                               %ts-- %ac %fc %bc %sc %rc %sq %bq \"\" \"\" ";

    /// `option httplog clf`
    pub const HTTP_CLF: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc \
                                %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
}

#[cfg(test)]
mod tests;
