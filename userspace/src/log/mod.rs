//! Daemon diagnostics and traffic logs.
