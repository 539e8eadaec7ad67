//! Cumulative counters, averages and gauges, cheap to write from every thread.
//!
//! A [`Counters`] block belongs to one side of a proxy, one listener, one server or the process. Writers name what
//! happened ([`Counter`], [`Timing`]); readers get sums over all threads. What a counter is called in CSV or in Prometheus
//! is not known here: that is [`super::fields`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::shard::Writer;

/// What is counted. Not every owner uses every counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Connections accepted by a frontend or the process, before any rule.
    Connections,
    /// Sessions: accepted by layer 4 rules (frontend), assigned (backend, server).
    Sessions,
    /// Bytes received from clients.
    BytesIn,
    /// Bytes sent to clients.
    BytesOut,
    /// Requests refused by a rule.
    DeniedRequests,
    /// Responses refused by a rule.
    DeniedResponses,
    /// Connections refused by `tcp-request connection`.
    DeniedConnections,
    /// Sessions refused by `tcp-request session`.
    DeniedSessions,
    /// Invalid, aborted or timed out requests.
    RequestErrors,
    /// Connection attempts to servers that failed for good.
    ConnectErrors,
    /// Invalid or aborted responses.
    ResponseErrors,
    /// Connections to servers tried again.
    Retries,
    /// Requests sent to another server after a failure.
    Redispatches,
    /// Failed checks while up (server).
    FailedChecks,
    /// Transitions from up to down.
    WentDown,
    /// Times a server was chosen by load balancing.
    Selected,
    /// HTTP requests.
    Requests,
    /// HTTP responses with a 1xx status.
    Responses1xx,
    /// HTTP responses with a 2xx status.
    Responses2xx,
    /// HTTP responses with a 3xx status.
    Responses3xx,
    /// HTTP responses with a 4xx status.
    Responses4xx,
    /// HTTP responses with a 5xx status.
    Responses5xx,
    /// HTTP responses with another status.
    ResponsesOther,
    /// Transfers aborted by the client.
    ClientAborts,
    /// Transfers aborted by the server.
    ServerAborts,
    /// Bytes given to the compressor.
    CompressedIn,
    /// Bytes the compressor emitted.
    CompressedOut,
    /// Bytes that bypassed the compressor.
    CompressBypassed,
    /// Responses that were compressed.
    CompressedResponses,
    /// Requests answered here: monitor, stats, redirects, `return`.
    Intercepted,
    /// Header rewrites that failed.
    FailedRewrites,
    /// Internal errors.
    InternalErrors,
    /// Connection attempts to servers.
    ConnectAttempts,
    /// Server connections reused.
    Reuses,
    /// Lookups in the cache.
    CacheLookups,
    /// Cache lookups that hit.
    CacheHits,
    /// Early hints sent from the cache.
    CacheHintHits,
    /// Copies of requests that were answered (backend that got them).
    Mirrored,
    /// Copies of requests that were given up.
    MirrorDrops,
    /// Sessions that speak HTTP/1.
    Http1Sessions,
    /// Sessions that speak HTTP/2.
    Http2Sessions,
    /// Sessions that speak HTTP/3.
    Http3Sessions,
    /// Sessions that speak something else.
    OtherSessions,
    /// Requests received over HTTP/1.
    Http1Requests,
    /// Requests received over HTTP/2.
    Http2Requests,
    /// Requests received over HTTP/3.
    Http3Requests,
    /// Streams of something else.
    OtherRequests,
    /// Request bytes received.
    RequestBytesIn,
    /// Request bytes sent.
    RequestBytesOut,
    /// Response bytes received.
    ResponseBytesIn,
    /// Response bytes sent.
    ResponseBytesOut,
    /// TLS sessions established.
    TlsSessions,
    /// TLS sessions resumed.
    TlsResumptions,
    /// TLS handshakes that failed.
    TlsFailedHandshakes,
    /// Bytes moved by `splice(2)`.
    SplicedBytes,
    /// Log lines that could not be sent (process).
    DroppedLogs,
}

impl Counter {
    /// The response counter of an HTTP status.
    pub const fn response(status: u16) -> Self {
        match status / 100 {
            1 => Self::Responses1xx,
            2 => Self::Responses2xx,
            3 => Self::Responses3xx,
            4 => Self::Responses4xx,
            5 => Self::Responses5xx,
            _ => Self::ResponsesOther,
        }
    }

    const COUNT: usize = Self::DroppedLogs as usize + 1;
}

/// A time whose average over the last requests and whose maximum are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Timing {
    /// Waiting in a queue.
    Queue,
    /// Connecting to the server.
    Connect,
    /// Waiting for the response's head.
    Response,
    /// The whole request.
    Total,
}

impl Timing {
    const COUNT: usize = Self::Total as usize + 1;
}

/// Counters and timings of one owner, one block per writing thread.
#[derive(Debug)]
pub struct Counters {
    lines: Box<[Line]>,
    writers: usize,
    baseline: Box<[AtomicU64]>,
    epoch: AtomicU64,
}

impl Counters {
    /// Counters written by `writers` threads (see [`super::shard`]).
    pub fn new(writers: usize) -> Self {
        let writers = writers.max(1);
        Self {
            lines: (0..writers * LINES_PER_WRITER)
                .map(|_| Line::default())
                .collect(),
            writers,
            baseline: (0..Counter::COUNT).map(|_| AtomicU64::new(0)).collect(),
            epoch: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `amount`.
    pub fn add(&self, counter: Counter, amount: u64) {
        let writer = Writer::current(self.writers);
        writer.update(self.cell(writer.index(), counter as usize), |v| {
            v.wrapping_add(amount)
        });
    }

    /// The sum over all threads since the start or since [`Self::clear`].
    pub fn sum(&self, counter: Counter) -> u64 {
        self.raw(counter)
            .wrapping_sub(self.baseline[counter as usize].load(Relaxed))
    }

    /// Records a time in milliseconds.
    pub fn time(&self, timing: Timing, milliseconds: u64) {
        let writer = Writer::current(self.writers);
        let index = writer.index();
        let epoch = self.epoch.load(Relaxed);
        if self.cell(index, EPOCH).load(Relaxed) != epoch {
            (TIMES..EPOCH).for_each(|slot| self.cell(index, slot).store(0, Relaxed));
            self.cell(index, EPOCH).store(epoch, Relaxed);
        }
        let slot = TIMES + timing as usize * SLOTS_PER_TIMING;
        let samples = self.cell(index, slot + 1).load(Relaxed);
        writer.update(self.cell(index, slot), |sum| {
            let leaving = if samples < TIMING_SAMPLES {
                0
            } else {
                sum / TIMING_SAMPLES
            };
            sum - leaving + milliseconds
        });
        if samples < TIMING_SAMPLES {
            writer.update(self.cell(index, slot + 1), |count| count + 1);
        }
        let highest = self.cell(index, slot + 2);
        if highest.load(Relaxed) < milliseconds {
            highest.fetch_max(milliseconds, Relaxed);
        }
    }

    /// The average of a time over about the last 1024 requests of each thread, in milliseconds.
    pub fn average(&self, timing: Timing) -> u64 {
        let slot = TIMES + timing as usize * SLOTS_PER_TIMING;
        let (sum, samples) = self
            .current_writers()
            .fold((0, 0), |(sum, samples), index| {
                (
                    sum + self.cell(index, slot).load(Relaxed),
                    samples + self.cell(index, slot + 1).load(Relaxed),
                )
            });
        u64::checked_div(sum, samples).unwrap_or(0)
    }

    /// The longest time seen, in milliseconds.
    pub fn longest(&self, timing: Timing) -> u64 {
        let slot = TIMES + timing as usize * SLOTS_PER_TIMING + 2;
        self.current_writers()
            .map(|index| self.cell(index, slot).load(Relaxed))
            .max()
            .unwrap_or_default()
    }

    /// Sets every counter back to zero, and the timings too (`clear counters all`).
    pub fn clear(&self) {
        for counter in 0..Counter::COUNT {
            self.baseline[counter].store(self.raw_at(counter), Relaxed);
        }
        self.clear_timings();
    }

    /// Forgets averages and longest times (`clear counters`).
    pub fn clear_timings(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }

    fn raw(&self, counter: Counter) -> u64 {
        self.raw_at(counter as usize)
    }

    fn raw_at(&self, slot: usize) -> u64 {
        (0..self.writers)
            .map(|index| self.cell(index, slot).load(Relaxed))
            .fold(0, u64::wrapping_add)
    }

    /// The writers whose timings are of the current epoch.
    fn current_writers(&self) -> impl Iterator<Item = usize> {
        let epoch = self.epoch.load(Relaxed);
        (0..self.writers).filter(move |index| self.cell(*index, EPOCH).load(Relaxed) == epoch)
    }

    fn cell(&self, writer: usize, slot: usize) -> &AtomicU64 {
        &self.lines[writer * LINES_PER_WRITER + slot / CELLS_PER_LINE].0[slot % CELLS_PER_LINE]
    }
}

/// A number that goes up and down, with the highest value it had. One number for the whole process.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Gauge {
    current: AtomicU32,
    highest: AtomicU32,
}

impl Gauge {
    /// One more; returns the new value.
    pub fn enter(&self) -> u32 {
        let now = self.current.fetch_add(1, Relaxed).wrapping_add(1);
        if self.highest.load(Relaxed) < now {
            self.highest.fetch_max(now, Relaxed);
        }
        now
    }

    /// One more, unless that would exceed `limit`.
    pub fn enter_below(&self, limit: u32) -> bool {
        let entered = self.current.fetch_update(Relaxed, Relaxed, |now| {
            (now < limit).then_some(now.wrapping_add(1))
        });
        let Ok(before) = entered else { return false };
        self.highest.fetch_max(before.wrapping_add(1), Relaxed);
        true
    }

    /// One less.
    pub fn leave(&self) {
        let before = self.current.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "left more often than entered");
    }

    /// The value now.
    pub fn current(&self) -> u32 {
        self.current.load(Relaxed)
    }

    /// The highest value so far, or since [`Self::clear_highest`].
    pub fn highest(&self) -> u32 {
        self.highest.load(Relaxed)
    }

    /// Sets the value outright, for numbers that are measured elsewhere (the kernel).
    pub fn set(&self, value: u32) {
        self.current.store(value, Relaxed);
        self.highest.fetch_max(value, Relaxed);
    }

    /// Forgets the highest value but for the current one (`clear counters`).
    pub fn clear_highest(&self) {
        self.highest.store(self.current(), Relaxed);
    }
}

/// One cache line of cells.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; CELLS_PER_LINE]);

/// HAProxy averages over this many requests (manual: `qtime`).
const TIMING_SAMPLES: u64 = 1024;
const CELLS_PER_LINE: usize = 8;
/// A timing takes a sliding sum, its number of samples and the longest value.
const SLOTS_PER_TIMING: usize = 3;
const TIMES: usize = Counter::COUNT;
const EPOCH: usize = TIMES + Timing::COUNT * SLOTS_PER_TIMING;
const LINES_PER_WRITER: usize = (EPOCH + 1).div_ceil(CELLS_PER_LINE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::shard;

    #[test]
    fn every_thread_counts_and_the_sum_is_exact() {
        let counters = Counters::new(5);
        std::thread::scope(|scope| {
            for index in [0, 0, 1, 2, 3, 4] {
                let counters = &counters;
                scope.spawn(move || {
                    shard::enter(index);
                    for _ in 0..10_000 {
                        counters.count(Counter::Requests);
                    }
                });
            }
        });
        assert_eq!(counters.sum(Counter::Requests), 60_000);
        assert_eq!(counters.sum(Counter::Sessions), 0);
    }

    #[test]
    fn a_thread_beyond_the_blocks_still_counts() {
        let counters = Counters::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                shard::enter(9);
                counters.add(Counter::BytesIn, 3);
            });
        });
        assert_eq!(counters.sum(Counter::BytesIn), 3);
    }

    #[test]
    fn clearing_starts_again_from_zero() {
        let counters = Counters::new(1);
        counters.add(Counter::BytesOut, 7);
        counters.time(Timing::Total, 90);
        counters.clear();
        assert_eq!(counters.sum(Counter::BytesOut), 0);
        assert_eq!(
            (
                counters.average(Timing::Total),
                counters.longest(Timing::Total)
            ),
            (0, 0)
        );
        counters.count(Counter::BytesOut);
        counters.time(Timing::Total, 8);
        assert_eq!(counters.sum(Counter::BytesOut), 1);
        assert_eq!(
            (
                counters.average(Timing::Total),
                counters.longest(Timing::Total)
            ),
            (8, 8)
        );
    }

    #[test]
    fn averages_follow_the_last_requests() {
        let counters = Counters::new(1);
        for _ in 0..1024 {
            counters.time(Timing::Queue, 10);
        }
        assert_eq!(counters.average(Timing::Queue), 10);
        for _ in 0..10_000 {
            counters.time(Timing::Queue, 30);
        }
        assert!((29..=30).contains(&counters.average(Timing::Queue)));
        assert_eq!(counters.average(Timing::Connect), 0);
    }

    #[test]
    fn a_gauge_remembers_its_peak_and_keeps_its_limit() {
        let gauge = Gauge::default();
        assert!(gauge.enter_below(2));
        assert_eq!(gauge.enter(), 2);
        assert!(!gauge.enter_below(2));
        gauge.leave();
        assert_eq!((gauge.current(), gauge.highest()), (1, 2));
        gauge.clear_highest();
        assert_eq!(gauge.highest(), 1);
    }
}
