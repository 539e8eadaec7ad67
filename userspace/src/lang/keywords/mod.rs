//! The keywords of the language: one registry, one file per family.
//!
//! A statement and a draft of what its section becomes come in; the draft changes, or there is something to complain of.
//! Which keyword a statement has is found in [`registry`]; names that only exist once all sections are read are looked up
//! by [`super::resolve`].

pub(super) mod actions;
mod address;
pub(super) mod args;
mod balance;
pub(super) mod bandwidth;
mod basics;
pub(super) mod bind;
pub(super) mod cache;
pub(super) mod catalogue;
mod check;
mod compression;
pub(super) mod context;
mod cookie;
pub(super) mod crt_store;
pub(super) mod draft;
mod errors;
pub(super) mod expressions;
mod forwarded;
mod global;
mod healthcheck;
mod http2;
mod kernel;
pub(super) mod listing;
pub(super) mod log_forward;
mod log_profile;
mod logging;
mod options;
pub(super) mod peers;
mod process_limits;
pub(super) mod registry;
mod resolvers;
pub(super) mod ring;
pub(super) mod server;
pub(super) mod server_options;
pub(super) mod server_state;
mod stats;
mod stick;
mod switching;
mod timeouts;
pub(super) mod tls;
mod unsupported;
pub(super) mod userlist;
mod values;

use registry::Keyword;

/// The families of keywords.
const FAMILIES: &[&[Keyword]] = &[
    global::KEYWORDS,
    kernel::KEYWORDS,
    process_limits::KEYWORDS,
    values::KEYWORDS,
    http2::KEYWORDS,
    tls::KEYWORDS,
    logging::KEYWORDS,
    log_profile::KEYWORDS,
    ring::KEYWORDS,
    log_forward::KEYWORDS,
    basics::KEYWORDS,
    bind::KEYWORDS,
    server::KEYWORDS,
    timeouts::KEYWORDS,
    options::KEYWORDS,
    forwarded::KEYWORDS,
    balance::KEYWORDS,
    cookie::KEYWORDS,
    cache::KEYWORDS,
    compression::KEYWORDS,
    switching::KEYWORDS,
    actions::KEYWORDS,
    stick::KEYWORDS,
    check::KEYWORDS,
    healthcheck::KEYWORDS,
    peers::KEYWORDS,
    errors::KEYWORDS,
    stats::KEYWORDS,
    userlist::KEYWORDS,
    resolvers::KEYWORDS,
    crt_store::KEYWORDS,
    server_state::KEYWORDS,
];
