//! A corpus of malformed frames, one JSON object a line, against the real program.
//!
//! Every line has a name, the frame in hexadecimal and the verdicts that are acceptable; the corpus is read from where it
//! lies. The configuration is the one such corpora assume: a service at 192.0.2.80 and 2001:db8::80, port 80, over TCP.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use tidegate::dataplane::trial::{Fate, Kernel, Outcome};

use crate::configuration::load;
use crate::mutations::{LOOPBACK, place};

#[derive(Deserialize)]
struct Case {
    name: String,
    class: String,
    hex: String,
    accept: Vec<String>,
}

/// Runs all of it for each way of forwarding; true if every verdict is acceptable. A frame passes if it does everywhere.
pub(crate) fn run(path: &Path) -> Result<bool> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let cases: Vec<Case> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("a line of the corpus")?;
    let mut failed = BTreeSet::new();
    for method in METHODS {
        failed.extend(run_with(method, &cases)?);
    }
    println!(
        "{} passed, {} failed",
        cases.len() - failed.len(),
        failed.len()
    );
    Ok(failed.is_empty())
}

/// The names of the frames whose verdict is not acceptable.
fn run_with(method: &str, cases: &[Case]) -> Result<BTreeSet<String>> {
    let (compiled, running) = load(&format!(
        "listen web\n    mode l4\n    forward {method}\n    bind 192.0.2.80:80\n    bind [2001:db8::80]:80\n    \
         server s1 10.0.0.1:80\n    server t1 [2001:db8:2::1]:80\n"
    ));
    let mut kernel = Kernel::new(&compiled, &running, place())?;
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut short, mut failed) = (0, BTreeSet::new());
    for case in cases {
        let frame = bytes(&case.hex).with_context(|| format!("the frame of {}", case.name))?;
        // Every frame meets the tables as if it were the first one.
        kernel.forget();
        let before = kernel.drops()?;
        let outcome = if frame.len() < ETHERNET {
            // The kernel runs no program on what has no Ethernet header; the function decides alone.
            short += 1;
            kernel.twin()?.run(&frame, LOOPBACK)
        } else {
            kernel.run(&frame, LOOPBACK)?
        };
        let counted = kernel.drops()? != before;
        let verdict = verdict(&frame, &outcome, counted);
        *verdicts.entry(verdict).or_default() += 1;
        // Whose sender is told was dropped all the same.
        let word = if verdict == TOLD { "DROP" } else { verdict };
        if !case.accept.iter().any(|accepted| accepted == word) {
            failed.insert(case.name.clone());
            println!(
                "{method}: {} {}: {verdict}, accepted are {}",
                case.class,
                case.name,
                case.accept.join(", ")
            );
        }
    }
    let list: Vec<_> = verdicts
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    println!(
        "forward {method}: {} ({short} shorter than an Ethernet header, decided by the function)",
        list.join(", ")
    );
    Ok(failed)
}

/// The verdict in the corpus's words.
fn verdict(frame: &[u8], outcome: &Outcome, counted: bool) -> &'static str {
    match outcome.fate {
        Fate::Pass => "PASS",
        Fate::Drop => "DROP",
        // Counted and sent: the news that it was not forwarded.
        Fate::Transmit | Fate::Redirect if counted => TOLD,
        Fate::Transmit | Fate::Redirect if is_icmp(frame) => "FWDICMP",
        Fate::Transmit | Fate::Redirect => "FWD",
    }
}

fn is_icmp(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&1),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58),
        _ => false,
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digits: Vec<char> = hex.chars().collect();
    anyhow::ensure!(digits.len().is_multiple_of(2), "an odd number of digits");
    let byte = |pair: &[char]| Ok(u8::from_str_radix(&pair.iter().collect::<String>(), 16)?);
    digits.chunks(2).map(byte).collect()
}

/// Every way of forwarding that the program has.
const METHODS: [&str; 5] = ["nat", "dsr", "dnat", "ipip", "gue"];
/// Not forwarded, and an ICMP error says so to its sender.
const TOLD: &str = "DROP with an ICMP error";
const ETHERNET: usize = 14;
