//! TCP sessions end to end: real sockets on loopback, ports chosen by the kernel, worker threads of the product.

mod headers;
mod inspection;
mod limits;
#[path = "../support/names.rs"]
mod name_server;
#[path = "../support/proxy.rs"]
mod proxy;
mod relay;
mod servers;
mod support;
