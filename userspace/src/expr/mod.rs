//! The expression engine: samples, fetches, converters, ACLs and log formats (manual chapters 7 and 8.2.6).
//!
//! Words of the configuration come in through the `parse` functions and become [`Expression`], [`Acl`], [`Condition`] and
//! [`LogFormat`]: compiled once, shared by all threads, evaluated per connection or request against a [`View`]. It
//! deliberately knows neither sockets, tokio, spans of the configuration text nor the model: what a fetch can read is what
//! [`View`] offers, names of proxies and tables are checked by `lang` through [`Expression::references`].

mod acl;
mod args;
mod condition;
mod convert;
mod error;
mod expression;
mod fetch;
mod keywords;
pub mod logformat;
mod parsing;
mod pattern;
pub mod raw;
mod sample;
mod stage;
mod stick;
mod suggest;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
mod variables;
mod view;

pub use acl::{Acl, Outcome, Test};
pub use args::{Arg, ArgKind, Arguments};
pub use condition::{Condition, Operand, PREDEFINED_ACLS, Polarity};
pub use convert::TokenKeys;
pub use error::ParseError;
pub use expression::{Expression, Keyword, Reference, ReferenceKind};
pub use keywords::{KeywordKind, Listed, keywords};
pub use logformat::{LogFormat, Purpose};

/// Whether a text may stand for a node in a Forwarded field (RFC 7239 §6.3).
#[must_use]
pub fn is_obfuscated_node(text: &[u8]) -> bool {
    convert::is_obfuscated(text)
}

pub use parsing::{Acls, Files, NoAcls, NoFiles, Parsing};
pub use pattern::{
    Case, Draft, Entry, IntRange, ListKind, MapOutput, Match, Networks, PatternList, PatternSet,
    Patterns, compile_regex, parse_network, split_line,
};
pub use sample::{Data, Sample, SampleType};
pub use stage::{Needs, Stage};
pub use stick::{StickAnswer, StickData, StickKey, StickOperation, StickType};
pub use variables::{ProcessVariables, Scope, VariableMap, VariableName, Variables};
pub use view::{
    Address, BackendNumber, Body, Buffer, Certificate, Direction, Fetched, FrontendNumber,
    Inspection, NoView, Number, ProcessView, ServerNumber, Side, TableNumber, Text, Tls, TlsNumber,
    TlsText, View,
};

#[cfg(test)]
mod tests;
