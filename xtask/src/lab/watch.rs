//! What the balancer says of itself: its statistics, read through the Runtime API.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::daemon::Daemon;

/// The kernel part's own report (`show xdp json`).
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Kernel {
    /// Where it is attached.
    pub(super) interfaces: Vec<Interface>,
    services: Vec<Service>,
    unknown_drops: Vec<Drops>,
}

impl Kernel {
    /// Packets dropped, by reason, all services together.
    pub(super) fn drops(&self) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        let all = self
            .services
            .iter()
            .flat_map(|service| &service.drops)
            .chain(&self.unknown_drops);
        for drop in all {
            *sums.entry(drop.reason.as_str()).or_default() += drop.packets;
        }
        sums
    }
}

/// One service of the report.
#[derive(Clone, Debug, Default, Deserialize)]
struct Service {
    drops: Vec<Drops>,
}

/// Packets dropped for one reason.
#[derive(Clone, Debug, Default, Deserialize)]
struct Drops {
    reason: String,
    packets: u64,
}

/// One interface with the program on it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// `native` or `generic`.
    pub(super) mode: String,
}

/// One line of `show stat`.
#[derive(Clone, Debug)]
pub(super) struct Line {
    fields: BTreeMap<String, String>,
}

impl Line {
    /// A text field, empty when the column is.
    pub(super) fn text(&self, column: &str) -> &str {
        self.fields.get(column).map_or("", String::as_str)
    }

    /// A numeric field, 0 when the column is empty.
    pub(super) fn number(&self, column: &str) -> u64 {
        self.text(column).parse().unwrap_or(0)
    }
}

/// Reads the kernel part's report.
pub(super) fn kernel(daemon: &Daemon) -> Result<Kernel> {
    let answer = daemon.ask("show xdp json")?;
    serde_json::from_str(&answer).with_context(|| format!("'show xdp json' answered: {answer}"))
}

/// Reads `show stat`.
pub(super) fn statistics(daemon: &Daemon) -> Result<Vec<Line>> {
    let answer = daemon.ask("show stat")?;
    let mut lines = answer.lines();
    let header = lines.next().context("'show stat' answered nothing")?;
    let names: Vec<&str> = header.trim_start_matches("# ").split(',').collect();
    let row = |line: &str| Line {
        fields: names
            .iter()
            .zip(line.split(','))
            .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
            .collect(),
    };
    Ok(lines.filter(|line| !line.is_empty()).map(row).collect())
}

/// Whether every backend says that its server `name` is up (or, with `up` false, down).
pub(super) fn everywhere(lines: &[Line], names: &[&str], up: bool) -> bool {
    let mut rows = lines
        .iter()
        .filter(|line| names.contains(&line.text("svname")))
        .peekable();
    rows.peek().is_some() && rows.all(|line| line.text("status").starts_with("UP") == up)
}
