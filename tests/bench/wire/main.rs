//! The measurements of `cargo xtask bench wire`, one JSON line per sample on stdout.
//!
//! Each contender has a client, a balancer and a server of its own; packets are made in the kernel at the client's device
//! and counted where they end. Rounds are interleaved. Comparing and judging is done by the command that starts this.
#![expect(
    clippy::print_stdout,
    reason = "the samples go to the command that started this"
)]

mod bed;
#[path = "../../support/netns.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod netns;
#[path = "../../support/pins.rs"]
mod pins;

use std::path::PathBuf;

use bed::{Bed, Contender, End};

fn main() {
    let arguments = Arguments::parse();
    if !netns::available() {
        std::process::exit(1);
    }
    let new = |contender| Bed::new(contender, &arguments.object);
    let mut dropping = new(Contender::Drop);
    let mut reflecting = new(Contender::Reflect);
    let mut ours = new(Contender::Ours);
    let mut kernel = new(Contender::Kernel);
    let mut nftables = new(Contender::Nftables);
    for round in 0..arguments.rounds {
        let tell = |row: &str, kpps: f64| {
            let line = serde_json::json!({ "row": row, "round": round, "kpps": kpps });
            println!("{line}");
        };
        tell("XDP_DROP", dropping.rate(End::Balancer, 81, 1, FAST));
        tell("XDP_TX", reflecting.rate(End::Client, 81, 1, FAST));
        for (row, end, port) in [
            ("dsr", End::Client, 81),
            ("ipip", End::Client, 82),
            ("dnat", End::Server, 83),
            ("nat", End::Server, 84),
        ] {
            tell(row, ours.rate(end, port, 1, FAST));
            tell(&format!("{row} 64k"), ours.rate(end, port, FLOWS, FAST));
        }
        tell("forwarding", kernel.rate(End::Server, 81, 1, SLOW));
        tell("forwarding 64k", kernel.rate(End::Server, 81, FLOWS, SLOW));
        tell("nftables 64k", nftables.rate(End::Server, 81, FLOWS, SLOW));
    }
}

/// What the command line says. The command that starts this is the only user, so a mistake ends it at once.
struct Arguments {
    rounds: u32,
    object: PathBuf,
}

impl Arguments {
    fn parse() -> Self {
        let mut this = Self {
            rounds: 1,
            object: PathBuf::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("every option has a value");
            match word.as_str() {
                "--rounds" => this.rounds = value().parse().expect("a number of rounds"),
                "--object" => this.object = value().into(),
                // What `cargo bench` adds of itself.
                "--bench" => {}
                other => panic!("unknown option {other}"),
            }
        }
        this
    }
}

const FLOWS: u32 = 65_536;
/// Packets of one sample, for about a second.
const FAST: u32 = 1_000_000;
const SLOW: u32 = 300_000;
