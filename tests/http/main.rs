//! HTTP end to end: raw clients and origins on loopback, ports chosen by the kernel, worker threads of the product.

mod answers;
mod bandwidth;
mod cache;
mod compression;
mod ends;
mod http2;
mod messages;
mod mirror;
#[path = "../support/names.rs"]
mod name_server;
mod names;
#[path = "../support/proxy.rs"]
mod proxy;
mod rules;
mod servers;
mod support;
