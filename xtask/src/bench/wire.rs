//! `cargo xtask bench wire`: packets per second of the XDP program on veth devices, beside the least that XDP can do, the
//! kernel's own forwarding, and nftables with connection tracking.
//!
//! The samples come from the bench target `wire`, which has a client, a balancer and a server in namespaces of their own
//! for each of those. One core makes the packets and handles them, so a rate is that of both together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use super::figures::{self, Comparison, Goal};
use super::l4;
use crate::programs::{self, ETHTOOL, IP, NFT, TASKSET};
use crate::workspace::Workspace;
use crate::{ebpf, process};

/// What `cargo xtask bench wire` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Rounds; each measures every row once
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Where the figures go [default: target/bench/wire.json, with the chart wire.svg beside it]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures everything and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    programs::ensure(&[IP, ETHTOOL, NFT, TASKSET])?;
    ebpf::build(workspace)?;
    let object = ebpf::build_stream(workspace)?;
    let executable = l4::build(workspace, "wire")?;
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(&executable);
    command
        .arg("--object")
        .arg(&object)
        .args(["--rounds", &options.rounds.to_string()]);
    let rows = read(&process::capture(&mut command)?)?;
    let figures = COMPARISONS
        .iter()
        .map(|comparison| comparison.figure("kpps", &rows))
        .collect::<Result<Vec<_>>>()?;
    print!("{}", figures::table(&figures));
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| workspace.target().join("bench/wire.json"));
    let chart = json.with_extension("svg");
    let command = format!("cargo xtask bench wire --rounds {}", options.rounds);
    figures::write_json(&json, &command, &figures)?;
    figures::write_rate_chart(&chart, &command, &figures)?;
    println!("\nbench: {} and {}", json.display(), chart.display());
    Ok(())
}

/// One line of the bench target.
#[derive(Deserialize)]
struct Sample {
    row: String,
    /// Thousands of packets per second.
    kpps: f64,
}

fn read(text: &str) -> Result<BTreeMap<String, Vec<f64>>> {
    let mut rows: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in text.lines() {
        let sample: Sample = serde_json::from_str(line)
            .with_context(|| format!("the bench printed something else: {line}"))?;
        rows.entry(sample.row).or_default().push(sample.kpps);
    }
    Ok(rows)
}

/// The rate of one row beside that of another.
const fn comparison(name: &'static str, ours: &'static str, theirs: &'static str) -> Comparison {
    Comparison::new(name, ours, theirs, theirs)
}

const COMPARISONS: [Comparison; 11] = [
    comparison("bare XDP_DROP", "XDP_DROP", "XDP_TX"),
    comparison("IPIP, XDP_TX", "ipip", "XDP_TX").goal(Goal::AtLeast(0.80)),
    comparison("DSR, XDP_TX", "dsr", "XDP_TX").goal(Goal::AtLeast(0.80)),
    comparison("IPIP, XDP_TX, 64k flows", "ipip 64k", "XDP_TX"),
    comparison("DSR, XDP_TX, 64k flows", "dsr 64k", "XDP_TX"),
    comparison("DNAT, redirected", "dnat", "forwarding"),
    comparison("NAT, redirected", "nat", "forwarding"),
    comparison("DNAT, 64k flows", "dnat 64k", "forwarding 64k"),
    comparison("DNAT, 64k flows", "dnat 64k", "nftables 64k").goal(Goal::AtLeast(4.0)),
    comparison("NAT, 64k flows", "nat 64k", "nftables 64k"),
    comparison("IPIP, XDP_TX, 64k flows", "ipip 64k", "nftables 64k").goal(Goal::AtLeast(4.0)),
];
/// The core that measures.
const CORE: &str = "1";
