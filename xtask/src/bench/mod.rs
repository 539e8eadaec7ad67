//! `cargo xtask bench`: how fast and how small, always beside somebody else in the same run.
//!
//! Each bench starts what it compares on this machine, takes turns between them in interleaved rounds, and prints the
//! median of the ratios beside its goal, with a JSON file and a chart for the record. Nothing here passes or fails on a
//! number: machines differ, and a miss is a finding, not an error.

mod figures;
pub(crate) mod flood;
mod http;
mod l4;
mod lists;
mod rules;
mod wire;

use anyhow::Result;
use clap::Subcommand;

use crate::workspace::Workspace;

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Bench {
    /// The HTTP tier beside Debian's haproxy and nginx: CPU per request, latency, memory per idle connection
    Http(http::Options),
    /// The rule engine beside Debian's haproxy: CPU per request of 10 to 1,000 rules and of maps with up to 1M entries
    Rules(rules::Options),
    /// The XDP program: nanoseconds per packet, beside the kernel's own map lookups
    L4(l4::Options),
    /// A million source prefixes: how long they take to load, and whether every verdict is right
    Lists(lists::Options),
    /// A well-behaved client beside floods of SYNs, beside Debian's haproxy
    Flood(flood::Options),
    /// The XDP program on wires: packets per second, beside bare XDP, the kernel's forwarding and nftables
    Wire(wire::Options),
}

/// Measures and reports.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Http(options) => http::run(workspace, options),
        Bench::Rules(options) => rules::run(workspace, options),
        Bench::L4(options) => l4::run(workspace, options),
        Bench::Lists(options) => lists::run(workspace, options),
        Bench::Flood(options) => flood::run(workspace, options),
        Bench::Wire(options) => wire::run(workspace, options),
    }
}
