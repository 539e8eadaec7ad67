//! `cargo xtask bench flood`: a well-behaved client beside floods, with the guard on, with it off, and with Debian's haproxy.
//!
//! Everything happens in namespaces made for it ([`ground`]), which have the settings that every machine begins with. Each
//! balancer in turn serves an HTTP frontend that it terminates and a TCP service that it forwards, while two clients ask for
//! both: first in quiet, then beside SYNs with spoofed sources, from hping3 and from our own sender, then beside SYNs from a
//! network that the configuration lists. What came back is counted, what was sent (where the sender counts), and what the
//! balancer's device has taken of it.

mod balancer;
mod client;
mod ground;
pub(crate) mod source;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use self::balancer::{Balancer, Kind};
use self::client::{Tally, Target};
use self::ground::Ground;
use self::source::Flood;
use crate::workspace::Workspace;
use crate::{build, ebpf, process};

/// What `cargo xtask bench flood` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long each phase lasts, in seconds
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=120))]
    seconds: u64,
    /// Packets a second of the floods whose rate can be said, both targets together
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    rate: u64,
    /// Run all but the floods under real-time scheduling, where the machine is busy with other things
    #[arg(long)]
    realtime: bool,
    /// A built daemon; without it, one is built with optimisation
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Write the results to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One phase at one balancer.
#[derive(Clone, Debug, Serialize)]
struct Row {
    balancer: &'static str,
    flood: &'static str,
    /// Packets a second that the flood sent, where it counts.
    sent: Option<f64>,
    /// Packets a second that the balancer's device took.
    taken: f64,
    http: Tally,
    tcp: Tally,
}

/// Measures and prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if !process::is_root() {
        bail!("the bench makes network namespaces and loads XDP: run it as root");
    }
    for (program, package) in [
        ("ip", "iproute2"),
        ("ethtool", "ethtool"),
        ("hping3", "hping3"),
        ("haproxy", "haproxy"),
        ("taskset", "util-linux"),
    ] {
        if process::find(program).is_none() {
            bail!("'{program}' is missing: apt-get install {package}");
        }
    }
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize()?,
        None => build::daemon(workspace, build::Profile::Release)?,
    };
    let object = ebpf::build_stream(workspace)?;
    let phase = Duration::from_secs(options.seconds);
    let ground = Ground::new(&object, options.realtime)?;
    println!("the balancer's stack: {}", ground.settings()?);
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let mut balancer = Balancer::start(&ground, kind, &binary)?;
        for target in Target::ALL {
            client::until_served(&ground, target).with_context(|| balancer.told())?;
        }
        for flood in Flood::ALL {
            rows.push(measure(
                &ground,
                kind,
                flood,
                (&object, options.rate),
                phase,
            )?);
            balancer.check_alive()?;
            show(&rows[rows.len() - 1..], rows.len() == 1);
            // What the flood left in queues and tables is not the next phase's.
            for target in Target::ALL {
                client::until_served(&ground, target)?;
            }
        }
    }
    judge(&rows);
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn measure(
    ground: &Ground,
    kind: Kind,
    flood: Flood,
    (object, rate): (&Path, u64),
    phase: Duration,
) -> Result<Row> {
    let senders = flood.start(ground, object, rate, phase)?;
    let before = ground.taken()?;
    let [http, tcp] = client::ask_all(ground, phase);
    let a_second = |packets: u64| packets as f64 / phase.as_secs_f64();
    let taken = a_second(ground.taken()? - before);
    let sent = senders.end().map(a_second);
    Ok(Row {
        balancer: kind.name(),
        flood: flood.name(),
        sent,
        taken,
        http: http?,
        tcp: tcp?,
    })
}

fn show(rows: &[Row], with_head: bool) {
    if with_head {
        println!(
            "{:<20} {:<20} {:>9} {:>9}   {:>9} {:>8} {:>8}   {:>9} {:>8} {:>8}",
            "balancer",
            "flood",
            "sent/s",
            "taken/s",
            "HTTP ok",
            "p50 ms",
            "p99 ms",
            "TCP ok",
            "p50 ms",
            "p99 ms"
        );
    }
    for row in rows {
        println!(
            "{:<20} {:<20} {:>9} {:>9.0}   {:>8.2}% {:>8.2} {:>8.2}   {:>8.2}% {:>8.2} {:>8.2}",
            row.balancer,
            row.flood,
            row.sent
                .map_or_else(|| "-".to_owned(), |sent| format!("{sent:.0}")),
            row.taken,
            row.http.success() * 100.0,
            row.http.percentile(0.50),
            row.http.percentile(0.99),
            row.tcp.success() * 100.0,
            row.tcp.percentile(0.50),
            row.tcp.percentile(0.99),
        );
    }
}

/// Says how the guard did beside its goal: every request served, and the slowest of a hundred at most twice as slow.
fn judge(rows: &[Row]) {
    println!("\ngoal with the guard on: 100 % served, p99 at most 2.0 times that in quiet");
    let of = |kind: Kind, flood: Flood| {
        let mut rows = rows.iter();
        rows.find(|row| row.balancer == kind.name() && row.flood == flood.name())
    };
    for kind in Kind::ALL {
        let Some(quiet) = of(kind, Flood::None) else {
            continue;
        };
        for flood in [Flood::Hping, Flood::Spoofed, Flood::Listed] {
            let Some(row) = of(kind, flood) else { continue };
            for (what, tally, calm) in [
                ("HTTP", &row.http, &quiet.http),
                ("TCP", &row.tcp, &quiet.tcp),
            ] {
                let ratio = tally.percentile(0.99) / calm.percentile(0.99).max(f64::MIN_POSITIVE);
                let met = tally.success() >= 1.0 && ratio <= 2.0;
                println!(
                    "  {:<20} {:<20} {what:<5} {:>7.2}% served, p99 {ratio:>6.1} times quiet  {}",
                    row.balancer,
                    row.flood,
                    tally.success() * 100.0,
                    if met { "met" } else { "missed" }
                );
            }
        }
    }
}
