//! The expression engine: samples, fetches, converters, ACLs and log formats (manual chapters 7 and 8.2.6).
//!
//! Words of the configuration come in through the `parse` functions and become [`Expression`], [`Acl`], [`Condition`] and
//! [`LogFormat`]: compiled once, shared by all threads, evaluated per connection or request against a [`View`]. It
//! deliberately knows neither sockets, tokio, spans of the configuration text nor the model: what a fetch can read is what
//! [`View`] offers, names of proxies and tables are checked by `lang` through [`Expression::references`].

mod error;
mod sample;
mod stage;
mod stick;
mod variables;
mod view;

pub use error::ParseError;
pub use sample::{Data, Sample, SampleType};
pub use stage::{Needs, Stage};
pub use stick::{StickAnswer, StickData, StickKey, StickOperation, StickType};
pub use variables::{ProcessVariables, Scope, VariableMap, VariableName, Variables};
pub use view::{
    Address, BackendNumber, Body, Buffer, Certificate, Direction, Fetched, FrontendNumber,
    Inspection, NoView, Number, ServerNumber, Side, TableNumber, Text, Tls, TlsNumber, TlsText,
    View,
};

/// A fetch with its arguments and converters.
#[derive(Clone, Debug)]
pub struct Expression;

/// `if` or `unless` with an or-of-ands of ACLs.
#[derive(Clone, Debug)]
pub struct Condition;

/// A compiled `log-format` string.
#[derive(Clone, Debug)]
pub struct LogFormat;
