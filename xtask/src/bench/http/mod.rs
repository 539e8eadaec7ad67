//! `cargo xtask bench http`: what a request, a handshake and an idle connection cost, beside Debian's haproxy and nginx.
//!
//! All proxies run the same configuration with one thread on one core; the load generators and the origin have the other.
//! What counts is the processor time the scheduler gave a proxy, divided by the requests it answered; rounds are
//! interleaved and compared pairwise. Traffic stays on loopback, and everything started here ends here.

mod configs;
mod idle;
pub(super) mod load;
pub(super) mod peer;
mod rows;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::load::Sample;
use self::peer::{Kind, Peer};
use self::rows::{Port, ROWS, Row};
use super::figures::{self, Figure};
use crate::build::{self, Profile};
use crate::programs::{self, H2LOAD, HAPROXY, NGINX, TASKSET, WRK};
use crate::workspace::Workspace;

/// What `cargo xtask bench http` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Rounds; each measures every proxy once per row
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Seconds of load per sample
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Only the rows whose names contain one of these
    #[arg(long, value_name = "WORD,…", value_delimiter = ',')]
    rows: Vec<String>,
    /// Idle connections to hold for the memory rows (0 leaves them out)
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(0..=6000))]
    idle: u32,
    /// The daemon to measure [default: ours, built in release mode]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Where the figures go [default: target/bench/http.json, with the chart http.svg beside it]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures every row and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    programs::ensure(&[HAPROXY, NGINX, WRK, H2LOAD, TASKSET])?;
    let binary = match &options.binary {
        Some(binary) => std::fs::canonicalize(binary)
            .with_context(|| format!("there is no {}", binary.display()))?,
        None => build::daemon(workspace, Profile::Release)?,
    };
    let directory = tempfile::Builder::new()
        .prefix("tidegate-bench-")
        .tempdir()?;
    let origin = Peer::origin(directory.path())?;
    let rows: Vec<&Row> = ROWS
        .iter()
        .filter(|row| wanted(row.name, &options.rows))
        .collect();
    let start = |ports: &[Port]| -> Result<Vec<Peer>> {
        [Kind::Tidegate, Kind::Haproxy, Kind::Nginx]
            .into_iter()
            .map(|kind| Peer::start(kind, &binary, ports, &origin, directory.path()))
            .collect()
    };
    let mut figures = Vec::new();
    if !rows.is_empty() {
        let mut ports: Vec<Port> = rows.iter().map(|row| row.port).collect();
        ports.sort_unstable();
        ports.dedup();
        let peers = start(&ports)?;
        for row in rows {
            figures.extend(measure(row, &peers, options)?);
        }
    }
    if options.idle > 0 && wanted(idle::NAME, &options.rows) {
        figures.extend(idle::measure(start, options.idle)?);
    }
    ensure!(!figures.is_empty(), "no row is named like that");
    report(workspace, options, &figures)
}

/// All rounds of one row: a figure beside haproxy, and one beside nginx where it can do the same.
fn measure(row: &Row, peers: &[Peer], options: &Options) -> Result<Vec<Figure>> {
    let able: Vec<&Peer> = peers
        .iter()
        .filter(|peer| peer.address(row.port).is_some())
        .collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); able.len()];
    let time = Duration::from_secs(options.seconds);
    for round in 0..options.rounds as usize {
        // Whoever comes first in a round is another one each time.
        for turn in 0..able.len() {
            let index = (round + turn) % able.len();
            let sample = load::sample(row, able[index], time)
                .with_context(|| format!("{}, {}", row.name, able[index].kind().name()))?;
            samples[index].push(sample);
        }
    }
    let cost = |index: usize| -> Vec<f64> { samples[index].iter().map(Sample::cost).collect() };
    let latency = |index: usize, read: fn(&Sample) -> f64| -> f64 {
        let values: Vec<f64> = samples[index].iter().map(read).collect();
        figures::median(&values).unwrap_or_default()
    };
    let mut figures = Vec::new();
    for (index, peer) in able.iter().enumerate().skip(1) {
        let goal = (peer.kind() == Kind::Haproxy).then_some(row.goal);
        let figure = Figure::of(
            row.name,
            "µs/req",
            &cost(0),
            &cost(index),
            peer.kind().name(),
        )
        .context("no samples")?
        .with_goal(goal)
        .with_note(format!(
            "p50 {:.2}/{:.2} ms, p99 {:.2}/{:.2} ms, {:.0}/{:.0} bytes each",
            latency(0, |sample| sample.p50),
            latency(index, |sample| sample.p50),
            latency(0, |sample| sample.p99),
            latency(index, |sample| sample.p99),
            latency(0, Sample::size),
            latency(index, Sample::size),
        ));
        println!("{}", figures::table(std::slice::from_ref(&figure)).trim());
        figures.push(figure);
    }
    Ok(figures)
}

fn report(workspace: &Workspace, options: &Options, figures: &[Figure]) -> Result<()> {
    print!("{}", figures::table(figures));
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| workspace.target().join("bench/http.json"));
    let chart = json.with_extension("svg");
    let command = format!(
        "cargo xtask bench http --rounds {} --seconds {}",
        options.rounds, options.seconds
    );
    figures::write_json(&json, &command, figures)?;
    figures::write_chart(&chart, &command, figures)?;
    println!("\nbench: {} and {}", json.display(), chart.display());
    Ok(())
}

fn wanted(name: &str, words: &[String]) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}
