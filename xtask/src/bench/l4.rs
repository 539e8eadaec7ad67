//! `cargo xtask bench l4`: nanoseconds per packet of the XDP program, beside the map lookups others are made of.
//!
//! The samples come from the bench target `l4`, which runs the product's program on the product's tables in a namespace of
//! its own; here they are collected, compared and reported. Each comparison is of two rows of one round.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Deserialize;

use super::figures::{self, Comparison, Goal};
use crate::programs::{self, ETHTOOL, IP, TASKSET};
use crate::workspace::Workspace;
use crate::{ebpf, process};

/// What `cargo xtask bench l4` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Rounds; each measures every row once
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Where the figures go [default: target/bench/l4.json, with the chart l4.svg beside it]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures everything and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    programs::ensure(&[IP, ETHTOOL, TASKSET])?;
    ebpf::build(workspace)?;
    let object = ebpf::build_bench(workspace)?;
    let executable = build(workspace, "l4")?;
    let mut figures = Vec::new();
    for (prefixes, comparisons) in [
        (0, &FORWARDING[..]),
        (100_000, &LISTED_100K[..]),
        (1_000_000, &LISTED_1M[..]),
    ] {
        println!(
            "bench: {} rounds with {prefixes} listed prefixes",
            options.rounds
        );
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(&executable);
        command
            .arg("--object")
            .arg(&object)
            .args(["--rounds", &options.rounds.to_string()])
            .args(["--prefixes", &prefixes.to_string()]);
        let samples = Samples::read(&process::capture(&mut command)?)?;
        if let Some(program) = &samples.program {
            println!("bench: {program}");
        }
        for comparison in comparisons {
            figures.push(comparison.figure("ns", &samples.rows)?);
        }
    }
    print!("{}", figures::table(&figures));
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| workspace.target().join("bench/l4.json"));
    let chart = json.with_extension("svg");
    let command = format!("cargo xtask bench l4 --rounds {}", options.rounds);
    figures::write_json(&json, &command, &figures)?;
    figures::write_chart(&chart, &command, &figures)?;
    println!("\nbench: {} and {}", json.display(), chart.display());
    Ok(())
}

/// Builds a bench target. What it times runs in the kernel: the host's optimisation does not matter.
pub(super) fn build(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    build_as(workspace, name, "dev")
}

/// Builds a bench target with a profile.
pub(super) fn build_as(workspace: &Workspace, name: &str, profile: &str) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "tidegate",
        "--profile",
        profile,
        "--bench",
        name,
        "--message-format=json-render-diagnostics",
    ]);
    workspace.name_kernel_object(&mut cargo);
    let printed = process::capture(&mut cargo)?;
    printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .find(|artifact| artifact.target.name == name)
        .and_then(|artifact| artifact.executable)
        .with_context(|| format!("cargo built no bench target {name}"))
}

/// What cargo says of something it built.
#[derive(Deserialize)]
struct Artifact {
    target: ArtifactTarget,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
}

/// One line of the bench target.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Sample { row: String, ns: f64 },
    Program { program: Program },
}

/// What the kernel says of the program: instructions the verifier went through, bytes as the kernel keeps them and as the
/// processor runs them.
#[derive(Clone, Copy, Deserialize)]
struct Program {
    verified: Option<u32>,
    translated: Option<u32>,
    jitted: u32,
}

/// Nanoseconds by row, in the order of rounds.
struct Samples {
    rows: BTreeMap<String, Vec<f64>>,
    program: Option<Program>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(verified) = self.verified {
            write!(f, "the verifier went through {verified} instructions; ")?;
        }
        if let Some(translated) = self.translated {
            write!(f, "the program has {} of them, ", translated / INSTRUCTION)?;
        }
        write!(f, "{} bytes of machine code", self.jitted)
    }
}

impl Samples {
    fn read(text: &str) -> Result<Self> {
        let mut rows: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut found = None;
        for line in text.lines() {
            let line: Line = serde_json::from_str(line)
                .with_context(|| format!("the bench printed something else: {line}"))?;
            match line {
                Line::Sample { row, ns } => rows.entry(row).or_default().push(ns),
                Line::Program { program } => found = Some(program),
            }
        }
        ensure!(!rows.is_empty(), "the bench printed nothing");
        Ok(Self {
            rows,
            program: found,
        })
    }
}

const FORWARDING: [Comparison; 17] = [
    Comparison::new(
        "flow hit, hot, limiter on",
        "guarded hot",
        "lru hot",
        "LRU hit",
    )
    .goal(Goal::AtMost(1.5)),
    Comparison::new("flow hit, hot, IPIP", "ipip hot", "lru hot", "LRU hit"),
    Comparison::new("1k random flows", "ipip 1k", "lru 1k", "LRU hit"),
    Comparison::new("64k random flows", "ipip 64k", "lru 64k", "LRU hit"),
    Comparison::new("512k random flows", "ipip 512k", "lru 512k", "LRU hit")
        .goal(Goal::AtMost(0.50)),
    Comparison::new(
        "new flow, state written",
        "ipip new",
        "lru insert",
        "LRU insert",
    )
    .goal(Goal::AtMost(0.45)),
    Comparison::new("not our packet", "pass", "ipip hot", "IPIP hot").goal(Goal::AtMost(0.30)),
    Comparison::new("NAT, towards the server", "nat hot", "ipip hot", "IPIP hot")
        .goal(Goal::AtMost(1.3)),
    Comparison::new(
        "NAT, towards the client",
        "nat answer hot",
        "ipip hot",
        "IPIP hot",
    )
    .goal(Goal::AtMost(1.3)),
    Comparison::new("NAT, new flow", "nat new", "ipip new", "IPIP new"),
    Comparison::new("DNAT", "dnat hot", "ipip hot", "IPIP hot"),
    Comparison::new(
        "DNAT, towards the client",
        "dnat answer hot",
        "ipip hot",
        "IPIP hot",
    ),
    Comparison::new("DSR", "dsr hot", "ipip hot", "IPIP hot"),
    Comparison::new("GUE", "gue hot", "ipip hot", "IPIP hot"),
    Comparison::new("UDP", "udp hot", "ipip hot", "IPIP hot"),
    Comparison::new("IPv6", "ipv6 hot", "ipip hot", "IPIP hot"),
    Comparison::new(
        "rate verdict on a SYN",
        "guarded syn hot",
        "syn hot",
        "SYN hot",
    ),
];
const LISTED_100K: [Comparison; 2] = [
    Comparison::new(
        "flow hit, hot, list and limiter on",
        "listed hot",
        "lru hot",
        "LRU hit",
    )
    .goal(Goal::AtMost(1.5)),
    Comparison::new(
        "drop listed, 100k prefixes",
        "listed drop",
        "trie",
        "LPM trie",
    )
    .goal(Goal::AtMost(0.15)),
];
const LISTED_1M: [Comparison; 1] = [Comparison::new(
    "drop listed, 1M prefixes",
    "listed drop",
    "trie",
    "LPM trie",
)
.goal(Goal::AtMost(0.08))];
/// Bytes of an instruction as the kernel keeps it.
const INSTRUCTION: u32 = 8;
/// The core that measures.
const CORE: &str = "1";
