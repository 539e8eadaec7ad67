//! Well-behaved clients: one request a connection, one connection at a time, patient for a second.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use serde::Serialize;

use super::ground::{Ground, PROCESSES, WORLD};
use crate::lab::client::{HttpClient, Outcome, connect};
use crate::lab::network::enter;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The frontend that the balancer terminates.
    Http,
    /// The service that it forwards.
    Tcp,
}

impl Target {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Http, Self::Tcp];

    /// Where it is.
    pub(super) fn address(self) -> SocketAddr {
        let (last, port) = match self {
            Self::Http => (1, 8000),
            Self::Tcp => (80, 80),
        };
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)), port)
    }
}

/// What came back.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Tally {
    served: usize,
    failed: usize,
    /// Milliseconds of the served ones, in order of size.
    times: Vec<f64>,
}

impl Tally {
    /// The part of all requests that was served.
    pub(super) fn success(&self) -> f64 {
        self.served as f64 / (self.served + self.failed).max(1) as f64
    }

    /// The time that this part of the served requests did not exceed, in milliseconds.
    pub(super) fn percentile(&self, part: f64) -> f64 {
        let at = (self.times.len() as f64 * part).ceil() as usize;
        self.times
            .get(at.saturating_sub(1))
            .copied()
            .unwrap_or(f64::INFINITY)
    }
}

/// Asks for both targets for a while, at the same time.
pub(super) fn ask_all(ground: &Ground, time: Duration) -> [Result<Tally>; 2] {
    let namespace = ground.name("outside");
    let (told, thread) = mpsc::channel();
    let ask = |target: Target| {
        let (namespace, told) = (namespace.clone(), told.clone());
        thread::spawn(move || {
            enter(&namespace)?;
            stay_on(WORLD)?;
            let (begin, began) = mpsc::channel();
            told.send((gettid().as_raw_nonzero().get(), begin))?;
            began.recv()?;
            Ok(ask(target, time))
        })
    };
    let threads = Target::ALL.map(ask);
    drop(told);
    for (thread, begin) in thread {
        // Who cannot be hurried asks all the same.
        let _ = ground.hurry(thread, PROCESSES);
        let _ = begin.send(());
    }
    threads.map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
}

/// Keeps the calling thread on a core.
fn stay_on(core: &str) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core.parse()?);
    Ok(sched_setaffinity(None, &cores)?)
}

fn ask(target: Target, time: Duration) -> Tally {
    let mut tally = Tally::default();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let began = Instant::now();
        if request(target) {
            tally.served += 1;
            tally.times.push(began.elapsed().as_secs_f64() * 1000.0);
        } else {
            tally.failed += 1;
        }
        thread::sleep(PACE.saturating_sub(began.elapsed()));
    }
    tally.times.sort_by(f64::total_cmp);
    tally
}

fn request(target: Target) -> bool {
    let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10));
    let Ok(stream) = connect(source, target.address(), PATIENCE) else {
        return false;
    };
    let patient = stream.set_read_timeout(Some(PATIENCE)).is_ok();
    patient && matches!(HttpClient::new(stream).get("/", false), Outcome::Served(_))
}

/// Waits until a target answers.
pub(super) fn until_served(ground: &Ground, target: Target) -> Result<()> {
    let namespace = ground.name("outside");
    let waiting = thread::spawn(move || {
        enter(&namespace)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !request(target) {
            ensure!(Instant::now() < deadline, "{target:?} is not served");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    });
    waiting.join().map_err(|_| anyhow!("a client panicked"))?
}

/// How long a client waits for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two requests of one client.
const PACE: Duration = Duration::from_millis(5);
