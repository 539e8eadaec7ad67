//! HTTP/2 end to end, with a client that speaks in frames.

mod abuse;
mod clauses;
mod frames;
mod fuzz;
mod messages;
mod reverse;
mod servers;
