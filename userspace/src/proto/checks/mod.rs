//! The protocols of health checks that are not HTTP, as pure functions on bytes.
//!
//! [`crate::health`] moves the bytes and acts on what they mean.

pub mod agent;
