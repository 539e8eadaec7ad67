//! The life of one HTTP/1 connection: requests in, rules, a server, responses out, a log line each.

mod errors;
mod input;
mod pages;
mod relay;
mod writer;
