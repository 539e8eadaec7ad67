//! Waiting lines of servers and backends.
