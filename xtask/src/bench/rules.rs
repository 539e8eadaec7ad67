//! `cargo xtask bench rules`: what rules and maps cost per request, beside Debian's haproxy with the same configuration.
//!
//! Both answer by themselves after the rules, with one thread on one core, and get the same requests, made by the same
//! script, from the other core. What counts is the processor time the scheduler gave a proxy, divided by the requests it
//! answered; rounds are interleaved and compared pairwise.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::figures::{self, Figure, Goal};
use super::http::load::{self, Sample};
use super::http::peer::{Kind, Peer};
use crate::build::{self, Profile};
use crate::programs::{self, HAPROXY, TASKSET, WRK};
use crate::workspace::Workspace;

/// What `cargo xtask bench rules` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Rounds; each measures both proxies once per row
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Seconds of load per sample
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Only the rows whose names contain one of these
    #[arg(long, value_name = "WORD,…", value_delimiter = ',')]
    rows: Vec<String>,
    /// The daemon to measure [default: ours, built in release mode]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Where the figures go [default: target/bench/rules.json, with the chart rules.svg beside it]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One configuration with its requests.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    work: Work,
}

/// What is looked at before the answer.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// So many `http-request deny` rules of four kinds, none of which applies.
    Denials(usize),
    /// So many `use_backend` rules by host name, the last of which applies.
    Hosts(usize),
    /// So many rules with a regular expression, none of which applies.
    Regexes(usize),
    /// A map of so many names, by the whole name.
    Names(usize),
    /// A map of so many prefixes of names.
    Prefixes(usize),
    /// A map of so many networks.
    Networks(usize),
}

const ROWS: &[Row] = &[
    Row {
        name: "no rule",
        work: Work::Denials(0),
    },
    Row {
        name: "10 rules",
        work: Work::Denials(10),
    },
    Row {
        name: "100 rules",
        work: Work::Denials(100),
    },
    Row {
        name: "1,000 rules",
        work: Work::Denials(1000),
    },
    Row {
        name: "100 regular expressions",
        work: Work::Regexes(100),
    },
    Row {
        name: "1,000 use_backend",
        work: Work::Hosts(1000),
    },
    Row {
        name: "map, 100k names",
        work: Work::Names(100_000),
    },
    Row {
        name: "map, 1M names",
        work: Work::Names(1_000_000),
    },
    Row {
        name: "map_beg, 100k prefixes",
        work: Work::Prefixes(100_000),
    },
    Row {
        name: "map_ip, 1M networks",
        work: Work::Networks(1_000_000),
    },
];

/// Measures every row and reports.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    programs::ensure(&[HAPROXY, WRK, TASKSET])?;
    let binary = match &options.binary {
        Some(binary) => {
            fs::canonicalize(binary).with_context(|| format!("there is no {}", binary.display()))?
        }
        None => build::daemon(workspace, Profile::Release)?,
    };
    let mut found = Vec::new();
    for row in ROWS {
        let words = &options.rows;
        if words.is_empty() || words.iter().any(|word| row.name.contains(word.as_str())) {
            found.push(measure(row, &binary, options)?);
        }
    }
    ensure!(!found.is_empty(), "no row is named like that");
    print!("{}", figures::table(&found));
    let json = options
        .json
        .clone()
        .unwrap_or_else(|| workspace.target().join("bench/rules.json"));
    let command = format!(
        "cargo xtask bench rules --rounds {} --seconds {}",
        options.rounds, options.seconds
    );
    let chart = json.with_extension("svg");
    figures::write_json(&json, &command, &found)?;
    figures::write_chart(&chart, &command, &found)?;
    println!("\nbench: {} and {}", json.display(), chart.display());
    Ok(())
}

/// All rounds of one row.
fn measure(row: &Row, binary: &Path, options: &Options) -> Result<Figure> {
    let directory = tempfile::Builder::new()
        .prefix("tidegate-bench-")
        .tempdir()?;
    let list = directory.path().join("map");
    fs::write(&list, row.work.list())?;
    let script = directory.path().join("requests.lua");
    fs::write(&script, row.work.script())?;
    let peers = [Kind::Tidegate, Kind::Haproxy]
        .into_iter()
        .map(|kind| {
            let config = |port| row.work.config(port, &list);
            Peer::serving(kind, binary, config, directory.path())
        })
        .collect::<Result<Vec<_>>>()?;
    let mut samples: [Vec<Sample>; 2] = Default::default();
    let time = Duration::from_secs(options.seconds);
    for round in 0..options.rounds as usize {
        // Whoever comes first in a round is the other one each time.
        for turn in 0..peers.len() {
            let index = (round + turn) % peers.len();
            let sample = load::scripted(&peers[index], &script, time)
                .with_context(|| format!("{}, {}", row.name, peers[index].kind().name()))?;
            samples[index].push(sample);
        }
    }
    let cost = |index: usize| -> Vec<f64> { samples[index].iter().map(Sample::cost).collect() };
    let latency = |index: usize| -> f64 {
        let values: Vec<f64> = samples[index].iter().map(|sample| sample.p99).collect();
        figures::median(&values).unwrap_or_default()
    };
    let figure = Figure::of(row.name, "µs/req", &cost(0), &cost(1), "haproxy")
        .context("no samples")?
        .with_goal(Some(Goal::AtMost(1.0)))
        .with_note(format!("p99 {:.2}/{:.2} ms", latency(0), latency(1)));
    println!("{}", figures::table(std::slice::from_ref(&figure)).trim());
    Ok(figure)
}

impl Work {
    /// The configuration, for both the same text.
    fn config(self, port: u16, list: &Path) -> String {
        let mut text = format!(
            "global\n    maxconn 1000\n    nbthread 1\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n\
             frontend rules\n    bind 127.0.0.1:{port}\n"
        );
        let list = list.display();
        // Writing to a String cannot fail, here and below.
        match self {
            Self::Denials(count) => {
                for number in 0..count {
                    let _ = match number % 4 {
                        0 => writeln!(
                            text,
                            "    http-request deny if {{ path_beg /no/{number}/ }}"
                        ),
                        1 => writeln!(
                            text,
                            "    http-request deny if {{ req.hdr(x-key) -m str no{number} }}"
                        ),
                        2 => writeln!(
                            text,
                            "    http-request deny if {{ src 10.{}.{}.0/24 }}",
                            number >> 8,
                            number & 255
                        ),
                        _ => writeln!(text, "    http-request deny if {{ path_end .no{number} }}"),
                    };
                }
            }
            Self::Regexes(count) => {
                for number in 0..count {
                    let _ = writeln!(
                        text,
                        "    http-request deny if {{ path_reg ^/(no|never){number}/[a-z]+\\.php$ }}"
                    );
                }
            }
            Self::Hosts(count) => {
                for number in 0..count {
                    let _ = writeln!(
                        text,
                        "    use_backend b{number} if {{ req.hdr(host) -i app{number}.example.com }}"
                    );
                }
                for number in 0..count {
                    let _ = writeln!(text, "backend b{number}\n    {ANSWER}");
                }
            }
            Self::Names(_) => {
                let _ = writeln!(
                    text,
                    "    http-request set-var(txn.found) req.hdr(x-key),map({list},none)"
                );
            }
            Self::Prefixes(_) => {
                let _ = writeln!(
                    text,
                    "    http-request set-var(txn.found) req.hdr(x-key),map_beg({list},none)"
                );
            }
            Self::Networks(_) => {
                let _ = writeln!(
                    text,
                    "    http-request set-var(txn.found) req.hdr_ip(x-key),map_ip({list},none)"
                );
            }
        }
        if !matches!(self, Self::Hosts(_)) {
            let _ = writeln!(text, "    {ANSWER}");
        }
        text
    }

    /// The lines of the map.
    fn list(self) -> String {
        let mut text = String::new();
        match self {
            Self::Names(count) | Self::Prefixes(count) => {
                for number in 0..count {
                    let _ = writeln!(text, "host{number}.example.com backend{}", number % 100);
                }
            }
            Self::Networks(count) => {
                for number in 0..count {
                    let [_, a, b, c] = (number as u32 >> 2).to_be_bytes();
                    let last = (number & 3) * 64;
                    let _ = writeln!(text, "{}.{b}.{c}.{last}/26 pool{}", 16 + a, number % 100);
                }
            }
            Self::Denials(_) | Self::Regexes(_) | Self::Hosts(_) => {}
        }
        text
    }

    /// The script that makes the requests: another key each time where there is a map.
    fn script(self) -> String {
        let (key, count) = match self {
            Self::Denials(_) | Self::Regexes(_) => ("\"none\"".to_owned(), 1),
            Self::Hosts(count) => (format!("\"app{}.example.com\"", count.max(1) - 1), 1),
            Self::Names(count) => ("\"host\" .. at .. \".example.com\"".to_owned(), count),
            Self::Prefixes(count) => (
                "\"host\" .. at .. \".example.com/and/more\"".to_owned(),
                count,
            ),
            Self::Networks(count) => (
                "16 + math.floor(at / 262144) .. \".\" .. math.floor(at / 1024) % 256 .. \".\" .. \
                 math.floor(at / 4) % 256 .. \".\" .. (at % 4) * 64 + 7"
                    .to_owned(),
                count,
            ),
        };
        let field = match self {
            Self::Hosts(_) => "Host",
            _ => "X-Key",
        };
        format!(
            "local seed = 42\n\
             request = function()\n  \
               seed = (seed * 16807) % 2147483647\n  \
               local at = seed % {count}\n  \
               return wrk.format(nil, \"/index.html\", {{ [\"{field}\"] = {key} }})\n\
             end\n"
        )
    }
}

/// What both answer by themselves.
const ANSWER: &str = "http-request return status 200 content-type text/plain string ok";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_rules_its_list_and_its_requests() {
        for row in ROWS {
            let config = row.work.config(1, Path::new("/map"));
            assert!(config.contains(ANSWER), "{}", row.name);
            let lines = row.work.list().lines().count();
            match row.work {
                Work::Denials(count) | Work::Regexes(count) => {
                    assert_eq!(config.matches(" deny if ").count(), count);
                }
                Work::Hosts(count) => assert_eq!(config.matches("use_backend").count(), count),
                Work::Names(count) | Work::Prefixes(count) | Work::Networks(count) => {
                    assert_eq!(lines, count);
                }
            }
            assert!(row.work.script().starts_with("local seed"));
        }
    }
}
