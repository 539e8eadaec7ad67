//! The expression engine: samples, fetches, converters, ACLs and log formats.
