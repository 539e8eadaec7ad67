//! One server's live state: whether it may take sessions, how much, and what it has done so far.
//!
//! Every task reads it without locks; [`crate::health`] and [`crate::admin`] write it through
//! [`super::State`], which also tells the kernel's rings. Two configurations in force at once (a reload) share one
//! `ServerState` when the server kept its name. It does not decide when a server goes up or down.

mod saved;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};

use super::check::CheckState;
use super::counters::{Counters, Gauge};
use super::freq::SecondRate;
use crate::clock::Moment;
use crate::model::{Server, ServerAddress};

/// How far a server is between down and up; the numbers are `srv_op_state` of `show servers state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operational {
    /// Down.
    Stopped = 0,
    /// Up, but throttled by `slowstart`.
    Starting = 1,
    /// Up.
    Running = 2,
    /// Up, but asks for no new sessions (a 404 under `disable-on-404`).
    Stopping = 3,
}

/// Why a server is out of service by administration: a set of bits (management.txt, `srv_admin_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admin(pub u8);

impl Admin {
    /// Put in maintenance explicitly.
    pub const FORCED_MAINT: Self = Self(0x01);
    /// In maintenance because the tracked server is.
    pub const INHERITED_MAINT: Self = Self(0x02);
    /// The configuration said `disabled`: for information, the server left that state when [`Self::FORCED_MAINT`] is gone.
    pub const CONFIG_MAINT: Self = Self(0x04);
    /// Put in drain explicitly.
    pub const FORCED_DRAIN: Self = Self(0x08);
    /// In drain because the tracked server is.
    pub const INHERITED_DRAIN: Self = Self(0x10);
    /// In maintenance because its name does not resolve.
    pub const RESOLUTION_MAINT: Self = Self(0x20);
    /// Its name was set at run time.
    pub const HOSTNAME_SET: Self = Self(0x40);
    /// Any kind of maintenance.
    pub const MAINT: Self = Self(0x01 | 0x02 | 0x20);
    /// Any kind of drain.
    pub const DRAIN: Self = Self(0x08 | 0x10);

    /// Whether any of these bits is set.
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }

    /// With these bits set.
    #[must_use]
    pub const fn with(self, bits: Self) -> Self {
        Self(self.0 | bits.0)
    }

    /// With these bits cleared.
    #[must_use]
    pub const fn without(self, bits: Self) -> Self {
        Self(self.0 & !bits.0)
    }
}

/// Effective weights are in this many parts of a weight unit, so that `slowstart` has steps even at weight 1.
pub const WEIGHT_SCALE: u32 = 16;

/// The live state of one server.
#[derive(Debug)]
pub struct ServerState {
    /// Its backend's name.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// Sessions (HTTP: requests) it serves now.
    pub current: Gauge,
    /// Sessions waiting for it.
    pub queue: Gauge,
    /// What it has done.
    pub counters: Counters,
    /// Sessions per second.
    pub rate: SecondRate,
    /// Connections in use or idle.
    pub connections: ServerConnections,
    /// Its health check.
    pub check: CheckState,
    /// Its agent.
    pub agent: CheckState,
    /// Consecutive errors seen by `observe`.
    pub observed_errors: AtomicU32,
    operational: AtomicU8,
    admin: AtomicU8,
    initial_weight: AtomicU16,
    user_weight: AtomicU16,
    effective_weight: AtomicU32,
    maxconn: AtomicU32,
    last_change: AtomicU64,
    last_session: AtomicU64,
    down_milliseconds: AtomicU64,
    removed: AtomicBool,
    address: RwLock<ServerAddress>,
    configured_address: Mutex<ServerAddress>,
}

/// Connections to one server, beyond the sessions on them.
#[derive(Debug, Default)]
pub struct ServerConnections {
    /// In use by a session.
    pub used: Gauge,
    /// Idle, may be reused by anyone (`safe`).
    pub idle_safe: Gauge,
    /// Idle, never reused before (`unsafe`).
    pub idle_unsafe: Gauge,
    /// All that exist or are being made, where `strict-maxconn` bounds them.
    pub bounded: Gauge,
}

impl ServerState {
    /// The state a server starts with, `writers` threads counting.
    pub(super) fn new(server: &Server, backend: &str, writers: usize, now: Moment) -> Self {
        let rise = server.check.as_ref().map_or(1, |check| {
            check
                .window
                .map_or(check.rise, |window| window.threshold.into())
        });
        let state = Self {
            backend: backend.to_owned(),
            name: server.name.clone(),
            current: Gauge::default(),
            queue: Gauge::default(),
            counters: Counters::new(writers),
            rate: SecondRate::new(writers),
            connections: ServerConnections::default(),
            check: CheckState::new(server.check.is_some(), false, rise),
            agent: CheckState::new(server.agent.is_some(), true, 1),
            observed_errors: AtomicU32::new(0),
            operational: AtomicU8::new(Operational::Running as u8),
            admin: AtomicU8::new(0),
            initial_weight: AtomicU16::new(server.weight.0),
            user_weight: AtomicU16::new(server.weight.0),
            effective_weight: AtomicU32::new(u32::from(server.weight.0) * WEIGHT_SCALE),
            maxconn: AtomicU32::new(server.maxconn.unwrap_or(0)),
            last_change: AtomicU64::new(now.0),
            last_session: AtomicU64::new(NEVER),
            down_milliseconds: AtomicU64::new(0),
            removed: AtomicBool::new(false),
            address: RwLock::new(server.address.clone()),
            configured_address: Mutex::new(server.address.clone()),
        };
        if server.disabled {
            state.set_admin(Admin::CONFIG_MAINT.with(Admin::FORCED_MAINT));
        }
        if matches!(server.address, ServerAddress::Unresolved { .. }) {
            state.set_admin(state.admin().with(Admin::RESOLUTION_MAINT));
        }
        if state.admin().has(Admin::MAINT) {
            state.set_operational(Operational::Stopped, now);
            state.check.set(CheckState::PAUSED, true);
            state.check.set_health(0);
        }
        if let Some(saved) = &server.saved {
            state.restore(server, saved, now);
        }
        state
    }

    /// The state of a server that is added at run time: out of service, and not checked, until an operator says otherwise.
    pub(super) fn added(server: &Server, backend: &str, writers: usize, now: Moment) -> Self {
        let state = Self::new(server, backend, writers, now);
        state.set_admin(state.admin().with(Admin::FORCED_MAINT));
        state.set_operational(Operational::Stopped, now);
        for check in [&state.check, &state.agent] {
            check.set(CheckState::ENABLED, false);
            check.set(CheckState::PAUSED, true);
        }
        state.check.set_health(0);
        state
    }

    /// Whether it was removed at run time.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Relaxed)
    }

    /// Takes it out of service for ever.
    pub(super) fn set_removed(&self) {
        self.set_admin(self.admin().with(Admin::FORCED_MAINT));
        self.removed.store(true, Relaxed);
        self.check.wake();
        self.agent.wake();
    }

    /// Whether nobody uses it and nobody waits for it: it has no session, no request and no connection, idle ones included.
    pub fn is_idle(&self) -> bool {
        let ServerConnections {
            used,
            idle_safe,
            idle_unsafe,
            bounded,
        } = &self.connections;
        let users = [&self.current, &self.queue];
        let gauges = users
            .into_iter()
            .chain([used, idle_safe, idle_unsafe, bounded]);
        gauges.into_iter().all(|gauge| gauge.current() == 0)
    }

    /// Takes over what a new configuration changed, and keeps what was changed at run time otherwise.
    pub(super) fn reconfigure(&self, server: &Server) {
        if self.initial_weight.swap(server.weight.0, Relaxed) != server.weight.0 {
            self.user_weight.store(server.weight.0, Relaxed);
            self.effective_weight
                .store(u32::from(server.weight.0) * WEIGHT_SCALE, Relaxed);
        }
        self.maxconn.store(server.maxconn.unwrap_or(0), Relaxed);
        let mut configured = self.configured_address.lock();
        if *configured != server.address {
            *self.address.write() = server.address.clone();
            *configured = server.address.clone();
        }
        self.check
            .set(CheckState::CONFIGURED, server.check.is_some());
        self.check.set(CheckState::ENABLED, server.check.is_some());
        self.agent.set(
            CheckState::CONFIGURED | CheckState::ENABLED,
            server.agent.is_some(),
        );
        if server.check.is_none() && server.track.is_none() && !self.admin().has(Admin::MAINT) {
            self.operational.store(Operational::Running as u8, Relaxed);
        }
    }

    /// How far it is between down and up.
    pub fn operational(&self) -> Operational {
        match self.operational.load(Relaxed) {
            0 => Operational::Stopped,
            1 => Operational::Starting,
            3 => Operational::Stopping,
            _ => Operational::Running,
        }
    }

    /// Moves it between down and up, and keeps the time of the change and the time spent down.
    pub fn set_operational(&self, new: Operational, now: Moment) {
        let old = self.operational();
        self.operational.store(new as u8, Relaxed);
        let was_down = old == Operational::Stopped;
        let is_down = new == Operational::Stopped;
        if was_down != is_down || new == Operational::Stopping || old == Operational::Stopping {
            let since = self.last_change.swap(now.0, Relaxed);
            if was_down && !is_down {
                self.down_milliseconds
                    .fetch_add(now.since(Moment(since)), Relaxed);
            }
        }
    }

    /// Its administrative state.
    pub fn admin(&self) -> Admin {
        Admin(self.admin.load(Relaxed))
    }

    /// Replaces its administrative state.
    pub fn set_admin(&self, admin: Admin) {
        self.admin.store(admin.0, Relaxed);
    }

    /// Whether load balancing may give it new sessions: up, not asked to drain, and of some weight.
    pub fn is_usable(&self) -> bool {
        matches!(
            self.operational(),
            Operational::Running | Operational::Starting
        ) && !self.admin().has(Admin::MAINT.with(Admin::DRAIN))
            && self.effective_weight() > 0
    }

    /// Whether sessions that belong to it may still come: up or stopping, and not in maintenance.
    pub fn accepts_persistent(&self) -> bool {
        self.operational() != Operational::Stopped && !self.admin().has(Admin::MAINT)
    }

    /// The weight of its `server` line.
    pub fn initial_weight(&self) -> u16 {
        self.initial_weight.load(Relaxed)
    }

    /// The weight an operator or an agent set, 0 to 256.
    pub fn user_weight(&self) -> u16 {
        self.user_weight.load(Relaxed)
    }

    /// Sets the weight; [`Self::update_weight`] makes it effective.
    pub fn set_user_weight(&self, weight: u16) {
        self.user_weight.store(weight.min(256), Relaxed);
    }

    /// The weight that counts now, in parts of [`WEIGHT_SCALE`]; lower than the user's during `slowstart`.
    pub fn effective_weight(&self) -> u32 {
        self.effective_weight.load(Relaxed)
    }

    /// Computes the effective weight for `now`; true when it changed. `slowstart` is in milliseconds.
    pub fn update_weight(&self, slowstart: Option<u64>, now: Moment) -> bool {
        let full = u32::from(self.user_weight()) * WEIGHT_SCALE;
        let weight = match slowstart {
            Some(_) if self.operational() == Operational::Starting => {
                let percent = u32::from(self.throttle(slowstart, now).unwrap_or(100));
                (full * percent).div_ceil(100)
            }
            _ => full,
        };
        self.effective_weight.swap(weight, Relaxed) != weight
    }

    /// How much of its weight it gets during `slowstart`, 1 to 100; `None` outside.
    pub fn throttle(&self, slowstart: Option<u64>, now: Moment) -> Option<u8> {
        let whole = slowstart.filter(|time| *time > 0)?;
        if self.operational() != Operational::Starting {
            return None;
        }
        let elapsed = now.since(self.last_change());
        Some((elapsed * 100 / whole).clamp(1, 100) as u8)
    }

    /// The most sessions it may serve at once; `None` = no limit.
    pub fn maxconn(&self) -> Option<u32> {
        Some(self.maxconn.load(Relaxed)).filter(|limit| *limit > 0)
    }

    /// Changes the limit; 0 = none.
    pub fn set_maxconn(&self, limit: u32) {
        self.maxconn.store(limit, Relaxed);
    }

    /// Where it is now.
    pub fn address(&self) -> ServerAddress {
        self.address.read().clone()
    }

    /// Where the configuration put it.
    pub(super) fn configured_address(&self) -> Option<SocketAddr> {
        match &*self.configured_address.lock() {
            ServerAddress::Inet { address, .. } => Some(*address),
            _ => None,
        }
    }

    /// Its IP address and port, when it has one.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match &*self.address.read() {
            ServerAddress::Inet { address, .. } => Some(*address),
            _ => None,
        }
    }

    /// Moves it to another IP address or port; false when it is not an IP server.
    pub fn set_address(&self, ip: Option<IpAddr>, port: Option<u16>) -> bool {
        let mut current = self.address.write();
        match (&mut *current, ip) {
            (ServerAddress::Inet { address, .. }, ip) => {
                if let Some(ip) = ip {
                    address.set_ip(ip);
                }
                if let Some(port) = port {
                    address.set_port(port);
                }
                true
            }
            (ServerAddress::Unresolved { port: configured }, Some(ip)) => {
                let port = port.unwrap_or(*configured);
                *current = ServerAddress::Inet {
                    address: SocketAddr::new(ip, port),
                    port_offset: None,
                };
                true
            }
            _ => false,
        }
    }

    /// When it last went up or down.
    pub fn last_change(&self) -> Moment {
        Moment(self.last_change.load(Relaxed))
    }

    /// When it last got a session, in whole seconds of age at `now`; `None` = never.
    pub fn last_session_age(&self, now: Moment) -> Option<u64> {
        age_of(&self.last_session, now)
    }

    /// Remembers that it got a session.
    pub fn touch_session(&self, now: Moment) {
        touch(&self.last_session, now);
    }

    /// Milliseconds it was down so far.
    pub fn downtime(&self, now: Moment) -> u64 {
        let past = self.down_milliseconds.load(Relaxed);
        if self.operational() == Operational::Stopped {
            past + now.since(self.last_change())
        } else {
            past
        }
    }

    /// Forgets maxima (`clear counters`).
    pub fn clear_maxima(&self) {
        self.current.clear_highest();
        self.queue.clear_highest();
        self.rate.clear_highest();
        self.counters.clear_timings();
    }

    /// Forgets everything counted (`clear counters all`).
    pub fn clear(&self) {
        self.clear_maxima();
        self.counters.clear();
        self.down_milliseconds.store(0, Relaxed);
    }
}

/// Stores a moment with the resolution that is shown (a second), so that a busy line is written once a second.
pub(super) fn touch(cell: &AtomicU64, now: Moment) {
    let second = now.0 / 1000;
    if cell.load(Relaxed) != second {
        cell.store(second, Relaxed);
    }
}

/// The age in seconds of a moment stored by [`touch`].
pub(super) fn age_of(cell: &AtomicU64, now: Moment) -> Option<u64> {
    match cell.load(Relaxed) {
        NEVER => None,
        second => Some((now.0 / 1000).saturating_sub(second)),
    }
}

/// A moment that never was.
pub(super) const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
