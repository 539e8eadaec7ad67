//! What a person sees: the live screen and the summary with its verdicts.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::network::SERVERS;
use super::traffic::{Stream, Tally, Traffic};
use super::watch::{Kernel, Line};

/// The live numbers: redrawn in place on a terminal, a line now and then elsewhere.
pub(super) struct Screen {
    terminal: bool,
    drawn: usize,
    last: BTreeMap<Stream, u64>,
    at: Instant,
}

impl Screen {
    /// A screen that has shown nothing yet.
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
            last: BTreeMap::new(),
            at: Instant::now(),
        }
    }

    /// How long to wait between two pictures.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(if self.terminal { 500 } else { 5000 })
    }

    /// Shows the state of things.
    pub(super) fn show(
        &mut self,
        headline: &str,
        traffic: &Traffic,
        kernel: &Kernel,
        statistics: &[Line],
    ) -> Result<()> {
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        self.at = Instant::now();
        let mut lines = vec![headline.to_owned(), String::new()];
        lines.push(format!(
            "  {:<30}{:>9}{:>9}{:>8}   answered by",
            "traffic", "per s", "ok", "failed"
        ));
        for stream in Stream::ALL {
            let tally = traffic.tally(stream);
            let before = self.last.insert(stream, tally.total()).unwrap_or(0);
            let rate = (tally.total().saturating_sub(before)) as f64 / seconds;
            lines.push(format!(
                "  {:<30}{rate:>9.0}{:>9}{:>8}   {}",
                stream.name(),
                tally.total(),
                tally.failed.len(),
                spread(&tally)
            ));
        }
        lines.push(String::new());
        lines.push(format!("  kernel   {}", drops(kernel)));
        lines.push(format!("  servers  {}", servers(statistics)));
        self.print(&lines)
    }

    fn print(&mut self, lines: &[String]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if self.terminal && self.drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
        self.drawn = lines.len();
        out.flush()?;
        Ok(())
    }
}

fn spread(tally: &Tally) -> String {
    let parts: Vec<String> = tally
        .served
        .iter()
        .map(|(server, count)| format!("{server} {count}"))
        .collect();
    parts.join("  ")
}

fn drops(kernel: &Kernel) -> String {
    let parts: Vec<String> = kernel
        .drops()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    if parts.is_empty() {
        "no drops".into()
    } else {
        format!("dropped: {}", parts.join(", "))
    }
}

/// How many servers are up, and which are not.
fn servers(statistics: &[Line]) -> String {
    let all = statistics.iter().filter(|line| line.text("type") == "2");
    let (up, others): (Vec<&Line>, Vec<&Line>) = all.partition(|line| line.text("status") == "UP");
    let told = others.iter().map(|line| {
        let (proxy, server) = (line.text("pxname"), line.text("svname"));
        format!("{proxy}/{server} {}", line.text("status"))
    });
    let told: Vec<String> = std::iter::once(format!("{} up", up.len()))
        .chain(told)
        .collect();
    told.join(", ")
}

/// The summary: one line per claim, each with the numbers that prove it.
#[derive(Default)]
pub(super) struct Summary {
    claims: Vec<(bool, String)>,
}

impl Summary {
    /// Adds a claim.
    pub(super) fn claim(&mut self, holds: bool, text: impl Into<String>) {
        self.claims.push((holds, text.into()));
    }

    /// Adds what every stream of honest clients must show: all servers answered, and no failure outside `excused`.
    pub(super) fn claim_served(
        &mut self,
        stream: Stream,
        tally: &Tally,
        excused: &[&(Instant, String)],
    ) {
        let unexcused: Vec<&(Instant, String)> = tally
            .failed
            .iter()
            .filter(|failure| !excused.contains(failure))
            .collect();
        let servers = if stream == Stream::Guarded {
            2
        } else {
            SERVERS
        };
        let holds = unexcused.is_empty() && tally.served.len() == servers;
        let mut text = format!(
            "{}: {} answers ({})",
            stream.name(),
            tally.total(),
            spread(tally)
        );
        if !excused.is_empty() {
            text += &format!(", {} in flight on the killed server", excused.len());
        }
        match unexcused.first() {
            None => text += ", none failed",
            Some((_, how)) => text += &format!(", {} FAILED, first: {how}", unexcused.len()),
        }
        self.claim(holds, text);
    }

    /// Prints it and tells whether every claim holds.
    pub(super) fn print(&self) -> bool {
        println!("\nsummary");
        for (holds, text) in &self.claims {
            println!("  {} {text}", if *holds { "ok  " } else { "FAIL" });
        }
        let failed = self.claims.iter().filter(|(holds, _)| !holds).count();
        println!("{} passed, {failed} failed", self.claims.len() - failed);
        failed == 0
    }
}
