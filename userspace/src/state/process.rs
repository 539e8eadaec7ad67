//! Numbers of the whole process: what `show info` reports beside the configuration.
//!
//! One [`ProcessState`] lives as long as the process; reloads share it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::counters::{Counters, Gauge};
use super::freq::SecondRate;
use crate::clock::{self, Moment};

/// Live numbers of the process.
#[derive(Debug)]
pub struct ProcessState {
    /// When it started, on the monotonic clock.
    pub started: Moment,
    /// When it started, as calendar time since 1970.
    pub started_wall: Duration,
    /// Client connections now.
    pub connections: Gauge,
    /// TLS connections now, both sides.
    pub tls_connections: Gauge,
    /// What happened: connections, requests, TLS sessions, bytes.
    pub counters: Counters,
    /// Client connections per second.
    pub connection_rate: SecondRate,
    /// Sessions per second.
    pub session_rate: SecondRate,
    /// TLS handshakes per second.
    pub tls_rate: SecondRate,
    /// TLS handshakes with clients that needed a new key, per second.
    pub tls_frontend_key_rate: SecondRate,
    /// TLS handshakes with servers that needed a new key, per second.
    pub tls_backend_key_rate: SecondRate,
    /// Bytes given to compressors per second.
    pub compression_in_rate: SecondRate,
    /// Bytes compressors emitted per second.
    pub compression_out_rate: SecondRate,
    /// Listening sockets open now.
    pub listeners: Gauge,
    /// Pipes for `splice(2)` in use.
    pub pipes_used: Gauge,
    /// Pipes for `splice(2)` kept for later.
    pub pipes_free: Gauge,
    limits: Limits,
    stopping: AtomicBool,
    kernel_memory: AtomicU64,
    /// What the kernel tier sees of SYNs.
    pub kernel_syns: KernelSyns,
}

/// What the kernel tier sees of SYNs, all services together; brought up to date twice a second.
#[derive(Debug, Default)]
pub struct KernelSyns {
    rate: AtomicU32,
    floods: AtomicU32,
    cookies: AtomicU64,
    accepted: AtomicU64,
}

impl KernelSyns {
    /// SYNs within the last second, those of connections included.
    pub fn rate(&self) -> u32 {
        self.rate.load(Relaxed)
    }

    /// Services under a flood.
    pub fn floods(&self) -> u32 {
        self.floods.load(Relaxed)
    }

    /// SYNs of all time that were answered from the driver with a cookie.
    pub fn cookies(&self) -> u64 {
        self.cookies.load(Relaxed)
    }

    /// Cookies of all time that came back.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Takes note of all of them, in that order.
    pub fn set(&self, rate: u32, floods: u32, cookies: u64, accepted: u64) {
        self.rate.store(rate, Relaxed);
        self.floods.store(floods, Relaxed);
        self.cookies.store(cookies, Relaxed);
        self.accepted.store(accepted, Relaxed);
    }
}

/// Limits an operator may change at run time; 0 = none.
#[derive(Debug)]
struct Limits {
    hard_maxconn: AtomicU32,
    maxconn: AtomicU32,
    connection_rate: AtomicU32,
    session_rate: AtomicU32,
    tls_rate: AtomicU32,
    compression_rate: AtomicU32,
}

impl ProcessState {
    pub(super) fn new(maxconn: u32, writers: usize) -> Self {
        Self {
            started: clock::now(),
            started_wall: clock::wall(),
            connections: Gauge::default(),
            tls_connections: Gauge::default(),
            counters: Counters::new(writers),
            connection_rate: SecondRate::new(writers),
            session_rate: SecondRate::new(writers),
            tls_rate: SecondRate::new(writers),
            tls_frontend_key_rate: SecondRate::new(writers),
            tls_backend_key_rate: SecondRate::new(writers),
            compression_in_rate: SecondRate::new(writers),
            compression_out_rate: SecondRate::new(writers),
            listeners: Gauge::default(),
            pipes_used: Gauge::default(),
            pipes_free: Gauge::default(),
            limits: Limits {
                hard_maxconn: AtomicU32::new(maxconn),
                maxconn: AtomicU32::new(maxconn),
                connection_rate: AtomicU32::new(0),
                session_rate: AtomicU32::new(0),
                tls_rate: AtomicU32::new(0),
                compression_rate: AtomicU32::new(0),
            },
            stopping: AtomicBool::new(false),
            kernel_memory: AtomicU64::new(0),
            kernel_syns: KernelSyns::default(),
        }
    }

    /// The most client connections at once.
    pub fn maxconn(&self) -> u32 {
        self.limits.maxconn.load(Relaxed)
    }

    /// The limit of the configuration, or what the descriptors allow.
    pub fn hard_maxconn(&self) -> u32 {
        self.limits.hard_maxconn.load(Relaxed)
    }

    /// Changes the limit within the configured one; 0 restores it. False when out of range.
    pub fn set_maxconn(&self, limit: u32) -> bool {
        let hard = self.hard_maxconn();
        let limit = if limit == 0 { hard } else { limit };
        if limit > hard {
            return false;
        }
        self.limits.maxconn.store(limit, Relaxed);
        true
    }

    /// Takes the limit of a new configuration.
    pub(super) fn reset_maxconn(&self, limit: u32) {
        self.limits.hard_maxconn.store(limit, Relaxed);
        self.limits.maxconn.store(limit, Relaxed);
    }

    /// The limit of one of the process's rates, in events per second; `None` = no limit.
    pub fn rate_limit(&self, rate: ProcessRate) -> Option<u32> {
        Some(self.limit_cell(rate).load(Relaxed)).filter(|limit| *limit > 0)
    }

    /// Changes the limit of a rate; 0 = none.
    pub fn set_rate_limit(&self, rate: ProcessRate, limit: u32) {
        self.limit_cell(rate).store(limit, Relaxed);
    }

    /// Bytes of memory that the kernel tier's tables lock; 0 without one.
    pub fn kernel_memory(&self) -> u64 {
        self.kernel_memory.load(Relaxed)
    }

    /// Takes note of them.
    pub fn set_kernel_memory(&self, bytes: u64) {
        self.kernel_memory.store(bytes, Relaxed);
    }

    /// Whether the process is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Marks the process as on its way out.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Forgets maxima (`clear counters`).
    pub fn clear_maxima(&self) {
        for rate in self.rates() {
            rate.clear_highest();
        }
    }

    /// Reads every rate, which keeps their highest values exact.
    pub(super) fn read_rates(&self, now: Moment) {
        for rate in self.rates() {
            rate.read(now);
        }
    }

    fn rates(&self) -> [&SecondRate; 7] {
        [
            &self.connection_rate,
            &self.session_rate,
            &self.tls_rate,
            &self.tls_frontend_key_rate,
            &self.tls_backend_key_rate,
            &self.compression_in_rate,
            &self.compression_out_rate,
        ]
    }

    fn limit_cell(&self, rate: ProcessRate) -> &AtomicU32 {
        match rate {
            ProcessRate::Connections => &self.limits.connection_rate,
            ProcessRate::Sessions => &self.limits.session_rate,
            ProcessRate::TlsSessions => &self.limits.tls_rate,
            ProcessRate::Compression => &self.limits.compression_rate,
        }
    }
}

/// A rate of the whole process that may be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessRate {
    /// `maxconnrate`, `set rate-limit connections global`.
    Connections,
    /// `maxsessrate`, `set rate-limit sessions global`.
    Sessions,
    /// `maxsslrate`, `set rate-limit ssl-sessions global`.
    TlsSessions,
    /// `maxcomprate`, `set rate-limit http-compression global`: bytes given to compressors.
    Compression,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_limit_moves_only_below_the_configured_one() {
        let process = ProcessState::new(100, 1);
        assert!(process.set_maxconn(10));
        assert_eq!(process.maxconn(), 10);
        assert!(!process.set_maxconn(101));
        assert!(process.set_maxconn(0));
        assert_eq!(process.maxconn(), 100);
    }
}
