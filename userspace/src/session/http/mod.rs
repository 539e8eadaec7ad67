//! The life of one HTTP/1 connection: requests in, rules, a server, responses out, a log line each.

mod answer;
mod edits;
mod errors;
mod exchange;
mod input;
mod pages;
mod persistence;
mod relay;
mod writer;
