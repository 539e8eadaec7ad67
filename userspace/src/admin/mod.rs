//! Runtime API, stats page, CSV.
