//! One connection's life.
pub mod http;
