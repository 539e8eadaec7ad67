//! One sample: a generator sends requests for a while, and the proxy's processor time is read before and after.
//!
//! Generators are wrk and h2load; what they print is read here. A request that failed makes the sample an error: a proxy
//! that is fast at failing is not fast.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::peer::{LOAD_CORE, Peer};
use super::rows::{Load, Port, Row};
use crate::process;

/// What one turn of one proxy gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) struct Sample {
    requests: f64,
    bytes: f64,
    processor: Duration,
    /// Milliseconds.
    pub(in crate::bench) p50: f64,
    /// Milliseconds.
    pub(in crate::bench) p99: f64,
}

impl Sample {
    /// Microseconds of the proxy's processor time per request.
    pub(in crate::bench) fn cost(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.requests
    }

    /// Bytes a client got per request, heads included.
    pub(super) fn size(&self) -> f64 {
        self.bytes / self.requests
    }
}

/// Loads one proxy with one row.
pub(super) fn sample(row: &Row, peer: &Peer, time: Duration) -> Result<Sample> {
    let address = peer.address(row.port).context("it has no such listener")?;
    let scheme = match row.port {
        Port::Tls => "https",
        _ => "http",
    };
    let url = format!("{scheme}://{address}{}", row.path);
    let mut command = match row.load {
        Load::Http2 => h2load(&url, time),
        Load::KeepAlive => wrk(&url, time, &[]),
        Load::Close => wrk(&url, time, &["-H", "Connection: close"]),
        Load::Gzip => wrk(&url, time, &["-H", "Accept-Encoding: gzip"]),
    };
    let read = match row.load {
        Load::Http2 => read_h2load,
        _ => read_wrk,
    };
    measure(peer, &mut command, read)
}

/// Loads one proxy with requests that a script of wrk makes.
pub(in crate::bench) fn scripted(peer: &Peer, script: &Path, time: Duration) -> Result<Sample> {
    let address = peer.address(Port::Http).context("it has no listener")?;
    let script = script.to_str().context("a path that is no text")?;
    let mut command = wrk(&format!("http://{address}/"), time, &["-s", script]);
    measure(peer, &mut command, read_wrk)
}

fn measure(peer: &Peer, command: &mut Command, read: fn(&str) -> Result<Sample>) -> Result<Sample> {
    let before = peer.processor_time()?;
    let printed = process::capture(command)?;
    let processor = peer.processor_time()? - before;
    let mut sample = read(&printed).with_context(|| format!("unexpected output:\n{printed}"))?;
    sample.processor = processor;
    ensure!(sample.requests > 0.0, "nothing was answered:\n{printed}");
    Ok(sample)
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, program]);
    command
}

fn wrk(url: &str, time: Duration, extra: &[&str]) -> Command {
    let mut command = pinned("wrk");
    let seconds = format!("-d{}s", time.as_secs());
    command
        .args(["-t1", "-c32", "--latency", "--timeout", "10s", &seconds])
        .args(extra)
        .arg(url);
    command
}

fn h2load(url: &str, time: Duration) -> Command {
    let mut command = pinned("h2load");
    let seconds = time.as_secs().to_string();
    command.args([
        "-c16",
        "-m8",
        "-t1",
        "--warm-up-time=0",
        "-D",
        &seconds,
        url,
    ]);
    command
}

/// Reads what wrk prints; an error if any request failed.
fn read_wrk(text: &str) -> Result<Sample> {
    ensure!(!text.contains("Non-2xx"), "some answers were no successes");
    if let Some(errors) = line(text, "Socket errors:") {
        // Connections that our `Connection: close` made the proxy close are no errors; wrk does not count them as such.
        ensure!(
            errors.split(',').all(|part| part.trim().ends_with(" 0")),
            "socket errors: {errors}"
        );
    }
    let total = text
        .lines()
        .find(|line| line.contains(" requests in "))
        .context("no total")?;
    let mut words = total.split_whitespace();
    let requests = words.next().context("no requests")?.parse()?;
    let bytes = words.find_map(size).context("no bytes")?;
    Ok(Sample {
        requests,
        bytes,
        processor: Duration::ZERO,
        p50: line(text, "50%").and_then(milliseconds).context("no p50")?,
        p99: line(text, "99%").and_then(milliseconds).context("no p99")?,
    })
}

/// Reads what h2load prints; it has no percentiles, so its mean and maximum stand for them.
fn read_h2load(text: &str) -> Result<Sample> {
    let requests = line(text, "requests:").context("no requests")?;
    let count = |what: &str| -> Option<f64> {
        let part = requests.split(',').find(|part| part.ends_with(what))?;
        part.split_whitespace().next()?.parse().ok()
    };
    for bad in ["failed", "errored", "timeout"] {
        ensure!(
            count(bad) == Some(0.0),
            "some requests were {bad}: {requests}"
        );
    }
    let traffic = line(text, "traffic:").context("no traffic")?;
    let bytes = traffic
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(bytes, _)| bytes.parse().ok())
        .context("no bytes")?;
    let times: Vec<&str> = line(text, "time for request:")
        .context("no times")?
        .split_whitespace()
        .collect();
    Ok(Sample {
        requests: count("succeeded").context("no successes")?,
        bytes,
        processor: Duration::ZERO,
        p50: times
            .get(2)
            .copied()
            .and_then(milliseconds)
            .context("no mean")?,
        p99: times
            .get(1)
            .copied()
            .and_then(milliseconds)
            .context("no maximum")?,
    })
}

/// What follows a label on its line.
fn line<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.trim_start().strip_prefix(label))
        .map(str::trim)
}

/// `1.50ms`, `820.00us`, `2.01s` as milliseconds.
fn milliseconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * factor);
        }
    }
    None
}

/// `12.5MB` as bytes.
fn size(text: &str) -> Option<f64> {
    for (unit, factor) in [
        ("KB", 1024.0),
        ("MB", 1024.0 * 1024.0),
        ("GB", 1024.0 * 1024.0 * 1024.0),
        ("B", 1.0),
    ] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * factor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  \
        Latency Distribution\n     50%  820.00us\n     75%    1.00ms\n     90%    1.50ms\n     99%    2.01s \n  \
        2000 requests in 2.00s, 1.00MB read\nRequests/sec:   1000.00\n";

    #[test]
    fn what_wrk_prints_is_read() {
        let sample = read_wrk(WRK).expect("complete");
        assert_eq!((sample.requests, sample.bytes), (2000.0, 1_048_576.0));
        assert!(
            (sample.p50 - 0.82).abs() < 1e-9 && (sample.p99 - 2010.0).abs() < 1e-9,
            "{sample:?}"
        );
    }

    #[test]
    fn failures_are_not_counted_as_speed() {
        read_wrk(&format!("{WRK}  Non-2xx or 3xx responses: 3\n")).expect_err("errors");
        read_wrk(&format!(
            "{WRK}  Socket errors: connect 0, read 4, write 0, timeout 0\n"
        ))
        .expect_err("errors");
        read_wrk(&format!(
            "{WRK}  Socket errors: connect 0, read 0, write 0, timeout 0\n"
        ))
        .expect("none");
    }

    #[test]
    fn what_h2load_prints_is_read() {
        let text = "finished in 2.00s, 50.00 req/s, 1.00KB/s\n\
            requests: 100 total, 100 started, 100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout\n\
            traffic: 2.00KB (2048) total, 1.00KB (1024) headers (space savings 90%), 1.00KB (1024) data\n\
            \x20                    min         max         mean         sd        +/- sd\n\
            time for request:      100us      3.00ms      1.50ms       10us    90.00%\n";
        let sample = read_h2load(text).expect("complete");
        assert_eq!((sample.requests, sample.bytes), (100.0, 2048.0));
        assert_eq!((sample.p50, sample.p99), (1.5, 3.0));
        read_h2load(&text.replace("0 failed", "1 failed")).expect_err("a failure");
    }
}
