//! Picks a server for a new session.
