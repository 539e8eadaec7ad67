//! The expression engine: samples, fetches, converters, ACLs and log formats.

/// A fetch with its arguments and converters.
#[derive(Clone, Debug)]
pub struct Expression;

/// `if` or `unless` with an or-of-ands of ACLs.
#[derive(Clone, Debug)]
pub struct Condition;

/// A compiled `log-format` string.
#[derive(Clone, Debug)]
pub struct LogFormat;

/// What a stick-table entry stores, such as `conn_rate(10s)`.
#[derive(Clone, Debug)]
pub struct StickData;
