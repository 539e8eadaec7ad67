//! HTTP/1 end to end: raw clients and origins on loopback, ports chosen by the kernel, worker threads of the product.

mod ends;
mod messages;
mod servers;
mod support;
