//! tidegate: a load balancer that runs `haproxy.cfg`, with its L4 data path inside the kernel.
//!
//! The rooms below are in the order of ARCHITECTURE.md: a room uses the rooms above it, never those below.

pub mod admin;
pub mod balance;
pub mod cli;
pub mod clock;
pub mod dataplane;
pub mod expr;
pub mod hash;
pub mod health;
pub mod lang;
pub mod log;
pub mod model;
pub mod net;
pub mod proto;
pub mod queue;
pub mod session;
pub mod state;
pub mod supervisor;
pub mod syslog;
pub mod tls;
pub mod types;
