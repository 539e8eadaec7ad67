//! The measurements of `cargo xtask bench l4`, one JSON line per sample on stdout.
//!
//! A balancer in a namespace of its own gets the real program with the real tables, written by the daemon's own code from a
//! configuration; `BPF_PROG_TEST_RUN` then repeats packets through a wrapper that puts the frame back (`xdp-ebpf/src/bench.rs`).
//! What a row costs is its time less that of the wrapper with a program that does nothing. Comparing and judging is done
//! by the command that starts this.
#![expect(
    clippy::print_stdout,
    reason = "the samples go to the command that started this"
)]

mod bed;
#[path = "../../support/netns.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod netns;
mod packet;
#[path = "../../support/pins.rs"]
mod pins;
mod rows;

use std::path::PathBuf;

use bed::Bed;
use rows::{Group, samples};

fn main() {
    let arguments = Arguments::parse();
    if !netns::available() {
        std::process::exit(1);
    }
    let only = &arguments.row;
    let mut bed = Bed::new(arguments.prefixes, &arguments.object);
    let group = if arguments.prefixes == 0 {
        Group::Forwarding
    } else {
        Group::Lists
    };
    println!("{}", serde_json::json!({ "program": bed.program() }));
    for round in 0..arguments.rounds {
        for (row, nanoseconds) in samples(&mut bed, group, only.as_deref()) {
            println!(
                "{}",
                serde_json::json!({
                    "row": row,
                    "prefixes": arguments.prefixes,
                    "round": round,
                    "ns": nanoseconds,
                })
            );
        }
    }
}

/// What the command line says. The command that starts this is the only user, so a mistake ends it at once.
struct Arguments {
    rounds: u32,
    prefixes: u32,
    object: PathBuf,
    /// Only this row, for a profiler.
    row: Option<String>,
}

impl Arguments {
    fn parse() -> Self {
        let mut this = Self {
            rounds: 1,
            prefixes: 0,
            object: PathBuf::new(),
            row: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("every option has a value");
            match word.as_str() {
                "--rounds" => this.rounds = value().parse().expect("a number of rounds"),
                "--prefixes" => this.prefixes = value().parse().expect("a number of prefixes"),
                "--row" => this.row = Some(value()),
                "--object" => this.object = value().into(),
                // What `cargo bench` adds of itself.
                "--bench" => {}
                other => panic!("unknown option {other}"),
            }
        }
        this
    }
}
