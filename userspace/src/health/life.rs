//! What happens when a server changes: its state, the servers that track it, its sessions, its backend, and the log lines.
//!
//! Checks, agents, the Runtime API and the stats page all go through [`Life`], so that every change has the same
//! consequences whoever asked for it. It decides no check's result.

use std::net::{IpAddr, SocketAddr};

use super::announce::{self, Cause, Left, Online};
use super::automaton::{Health, Limits};
use crate::clock::Moment;
use crate::log::{Logs, notice};
use crate::model::{Model, OnMarkedDown, OnMarkedUp, Server, Severity};
use crate::state::{
    Admin, CheckState, Counter, CutReason, Operational, Running, ServerState, State,
};
use crate::types::{ProxyId, ServerId};

/// The server life of one configuration in force.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    /// The configuration whose servers these are.
    pub(super) running: &'a Running,
    model: &'a Model,
    state: &'a State,
    logs: &'a Logs,
}

/// The administrative mode an operator or an agent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In service, as far as its checks say.
    Ready,
    /// No new sessions but persistent ones.
    Drain,
    /// Nothing at all, and no checks.
    Maintenance,
}

impl<'a> Life<'a> {
    /// The life of a running configuration's servers.
    pub fn new(running: &'a Running, logs: &'a Logs) -> Self {
        Self {
            running,
            model: &running.model,
            state: &running.state,
            logs,
        }
    }

    /// Takes a server down.
    pub fn down(&self, id: ServerId, cause: &Cause, now: Moment) {
        let (server, state) = self.both(id);
        if state.operational() == Operational::Stopped {
            return;
        }
        let severity = severity_of_loss(state);
        state.set_operational(Operational::Stopped, now);
        state.counters.count(Counter::WentDown);
        let backend_changed = self.state.server_changed(self.model, id, now);
        if server.on_marked_down == Some(OnMarkedDown::ShutdownSessions) {
            self.cut(id, CutReason::ServerDown);
        }
        self.tell(
            server.proxy,
            severity,
            &announce::down(&name(state), cause, self.left(id)),
        );
        self.tell_backend(server.proxy, backend_changed);
        for tracker in self.trackers(id) {
            self.down(tracker, &Cause::Tracked(name(state)), now);
        }
    }

    /// Brings a server up, unless it is in maintenance.
    pub fn up(&self, id: ServerId, cause: &Cause, now: Moment) {
        let (server, state) = self.both(id);
        let before = state.operational();
        if state.admin().has(Admin::MAINT)
            || matches!(before, Operational::Running | Operational::Starting)
        {
            return;
        }
        self.start(server, state, before == Operational::Stopped, now);
        self.state.server_changed(self.model, id, now);
        self.tell(
            server.proxy,
            Severity::Notice,
            &announce::up(&name(state), cause, self.online(id)),
        );
        self.cut_backups(server, state);
        for tracker in self.trackers(id) {
            self.up(tracker, &Cause::Tracked(name(state)), now);
        }
    }

    /// Lets a server that is up wind down: only persistent sessions from now on.
    pub fn stopping(&self, id: ServerId, cause: &Cause, now: Moment) {
        let (server, state) = self.both(id);
        if state.admin().has(Admin::MAINT) || state.operational() == Operational::Stopping {
            return;
        }
        state.set_operational(Operational::Stopping, now);
        let backend_changed = self.state.server_changed(self.model, id, now);
        self.tell(
            server.proxy,
            Severity::Notice,
            &announce::stopping(&name(state), cause, self.online(id)),
        );
        self.tell_backend(server.proxy, backend_changed);
        for tracker in self.trackers(id) {
            self.stopping(tracker, &Cause::Tracked(name(state)), now);
        }
    }

    /// Changes a server's administrative mode.
    pub fn set_mode(&self, id: ServerId, mode: Mode, now: Moment) {
        let forced = Admin::FORCED_MAINT.with(Admin::FORCED_DRAIN);
        let rest = self.state.server(id).admin().without(forced);
        let admin = match mode {
            Mode::Ready => rest,
            Mode::Drain => rest.with(Admin::FORCED_DRAIN),
            Mode::Maintenance => rest.with(Admin::FORCED_MAINT),
        };
        self.set_admin(id, admin, None, now);
    }

    /// Moves a server's health to one side, as `set server … health` does.
    pub fn force_health(&self, id: ServerId, side: Operational, cause: &Cause, now: Moment) {
        let (server, state) = self.both(id);
        if let Some(check) = &server.check {
            let limits = Limits::of(check);
            let mut health = Health::unchecked(&limits);
            health.force(side != Operational::Stopped, &limits);
            state.check.set_health(health.counter());
        }
        match side {
            Operational::Stopped => self.down(id, cause, now),
            Operational::Stopping => self.stopping(id, cause, now),
            Operational::Running | Operational::Starting => self.up(id, cause, now),
        }
    }

    /// Puts words into the mouth of a server's agent, as `set server … agent` does.
    pub fn force_agent(&self, id: ServerId, side: Operational, cause: &Cause, now: Moment) {
        let up = side != Operational::Stopped;
        self.state.server(id).agent.set_health(u32::from(up));
        match up {
            true => self.up(id, cause, now),
            false => self.down(id, cause, now),
        }
    }

    /// Enables or disables a server's health checks. A server that is not checked any more counts as up.
    pub fn set_checks(&self, id: ServerId, enabled: bool, cause: &Cause, now: Moment) {
        let (_, state) = self.both(id);
        state.check.set(CheckState::ENABLED, enabled);
        if enabled {
            state.check.wake();
        } else {
            self.force_health(id, Operational::Running, cause, now);
        }
    }

    /// Sets a server's weight, 0 to 256.
    pub fn set_weight(&self, id: ServerId, weight: u16, now: Moment) {
        let (server, state) = self.both(id);
        state.set_user_weight(weight);
        if state.update_weight(server.slowstart.map(|time| time.0), now) {
            self.state.server_changed(self.model, id, now);
        }
    }

    /// Tells that a server was moved to another address or port.
    pub fn address_changed(&self, id: ServerId, before: Option<SocketAddr>, by: &str, now: Moment) {
        let (server, state) = self.both(id);
        self.state.server_changed(self.model, id, now);
        let words = |address: Option<SocketAddr>| {
            address.map_or_else(|| "(none)".to_owned(), |address| address.to_string())
        };
        let (old, new) = (words(before), words(state.socket_address()));
        let line = format!(
            "{} changed its IP from {old} to {new} by {by}.",
            name(state)
        );
        self.tell(server.proxy, Severity::Notice, &line);
    }

    /// Moves a server to the address its name has, and ends the wait for one.
    pub fn resolved(&self, id: ServerId, ip: IpAddr, port: Option<u16>, by: &str, now: Moment) {
        let state = self.state.server(id);
        let before = state.socket_address();
        state.set_address(Some(ip), port);
        if state.socket_address() != before {
            self.address_changed(id, before, by, now);
        }
        let admin = state.admin().without(Admin::RESOLUTION_MAINT);
        self.set_admin(id, admin, Some(&Cause::Name("valid DNS answer")), now);
    }

    /// Takes a server out of service because its name has no address for it.
    pub fn unresolved(&self, id: ServerId, why: &'static str, now: Moment) {
        let admin = self.state.server(id).admin().with(Admin::RESOLUTION_MAINT);
        self.set_admin(id, admin, Some(&Cause::Name(why)), now);
    }

    /// Moves `slowstart` on. To be called several times a second while a server is starting.
    pub fn warm_up(&self, id: ServerId, now: Moment) {
        let (server, state) = self.both(id);
        let slowstart = server.slowstart.map_or(0, |time| time.0);
        if state.operational() != Operational::Starting {
            return;
        }
        if now.since(state.last_change()) >= slowstart {
            state.set_operational(Operational::Running, now);
        }
        if state.update_weight(Some(slowstart), now) {
            self.state.server_changed(self.model, id, now);
        }
    }

    /// Writes a line about a server to its backend's logs and to standard error.
    pub(super) fn tell(&self, proxy: ProxyId, severity: Severity, line: &str) {
        notice::warning(line);
        self.logs.proxy(proxy).send(severity, line.as_bytes(), b"");
    }

    fn set_admin(&self, id: ServerId, admin: Admin, via: Option<&Cause>, now: Moment) {
        let (_, state) = self.both(id);
        let before = state.admin();
        if admin == before {
            return;
        }
        match (before.has(Admin::MAINT), admin.has(Admin::MAINT)) {
            (false, true) => self.enter_maintenance(id, admin, via, now),
            (true, false) => self.leave_maintenance(id, admin, via, now),
            (true, true) => state.set_admin(admin),
            (false, false) => self.change_drain(id, admin, via, now),
        }
        for tracker in self.trackers(id) {
            let inherited = Admin::INHERITED_MAINT.with(Admin::INHERITED_DRAIN);
            let own = self.state.server(tracker).admin().without(inherited);
            let admin = if state.admin().has(Admin::MAINT) {
                own.with(Admin::INHERITED_MAINT)
            } else if state.admin().has(Admin::DRAIN) {
                own.with(Admin::INHERITED_DRAIN)
            } else {
                own
            };
            let via = Cause::Tracked(name(state));
            self.set_admin(tracker, admin, Some(&via), now);
        }
    }

    fn enter_maintenance(&self, id: ServerId, admin: Admin, via: Option<&Cause>, now: Moment) {
        let (server, state) = self.both(id);
        let severity = severity_of_loss(state);
        let was_down = state.operational() == Operational::Stopped;
        state.set_admin(admin);
        state.check.set(CheckState::PAUSED, true);
        state.agent.set(CheckState::PAUSED, true);
        state.set_operational(Operational::Stopped, now);
        let backend_changed = self.state.server_changed(self.model, id, now);
        if server.on_marked_down == Some(OnMarkedDown::ShutdownSessions) {
            self.cut(id, CutReason::ServerDown);
        }
        let cause = via.cloned().unwrap_or(Cause::LoggedCheck);
        let line = match was_down {
            true => format!(
                "Server {} was DOWN and now enters maintenance.",
                name(state)
            ),
            false => announce::maintenance(&name(state), &cause, self.left(id)),
        };
        self.tell(server.proxy, severity, &line);
        self.tell_backend(server.proxy, backend_changed);
    }

    fn leave_maintenance(&self, id: ServerId, admin: Admin, via: Option<&Cause>, now: Moment) {
        let (server, state) = self.both(id);
        state.set_admin(admin);
        for check in [&state.check, &state.agent] {
            check.set(CheckState::PAUSED, false);
            check.wake();
        }
        if let Some(check) = &server.check {
            state.check.set_health(Limits::of(check).needed());
        }
        let tracked = server.track.map(|id| self.state.server(id).operational());
        match tracked {
            Some(Operational::Stopped) => {}
            Some(Operational::Stopping) => state.set_operational(Operational::Stopping, now),
            _ => self.start(server, state, true, now),
        }
        self.state.server_changed(self.model, id, now);
        let up = state.operational() != Operational::Stopped;
        let drained = admin.has(Admin::DRAIN);
        let line = match via {
            Some(Cause::Name(_)) => format!(
                "Server {} administratively READY thanks to valid DNS answer.",
                name(state)
            ),
            _ => announce::left_maintenance(&name(state), up, drained, via.is_none()),
        };
        self.tell(server.proxy, Severity::Notice, &line);
    }

    fn change_drain(&self, id: ServerId, admin: Admin, via: Option<&Cause>, now: Moment) {
        let (server, state) = self.both(id);
        let (was, is) = (state.admin().has(Admin::DRAIN), admin.has(Admin::DRAIN));
        state.set_admin(admin);
        if was == is {
            return;
        }
        let backend_changed = self.state.server_changed(self.model, id, now);
        let line = if is {
            let cause = via.cloned().unwrap_or(Cause::LoggedCheck);
            announce::drain(&name(state), &cause, self.online(id))
        } else {
            announce::left_drain(&name(state), state.operational() != Operational::Stopped)
        };
        self.tell(server.proxy, Severity::Notice, &line);
        self.tell_backend(server.proxy, backend_changed);
    }

    /// Up again: through `slowstart` if it was down.
    fn start(&self, server: &Server, state: &ServerState, was_down: bool, now: Moment) {
        let slowstart = server.slowstart.filter(|time| was_down && time.0 > 0);
        let operational = match slowstart {
            Some(_) => Operational::Starting,
            None => Operational::Running,
        };
        state.set_operational(operational, now);
        state.update_weight(slowstart.map(|time| time.0), now);
    }

    /// Cuts the sessions of backup servers when an active server came back and asks for it.
    fn cut_backups(&self, server: &Server, state: &ServerState) {
        let asked = server.on_marked_up == Some(OnMarkedUp::ShutdownBackupSessions);
        if !asked || server.backup || state.effective_weight() == 0 {
            return;
        }
        for id in &self.model.proxy(server.proxy).servers {
            if self.model.server(id).backup {
                self.cut(id, CutReason::ServerUp);
            }
        }
    }

    fn cut(&self, id: ServerId, reason: CutReason) {
        self.state
            .sessions
            .cut_server(self.state.generation, id, reason);
    }

    fn tell_backend(&self, proxy: ProxyId, changed: bool) {
        if !changed || self.state.proxy(proxy).backend.is_up() {
            return;
        }
        let name = &self.model.proxy(proxy).name;
        notice::alert(format_args!("backend '{name}' has no server available!"));
        let line = announce::no_server(name);
        self.logs
            .proxy(proxy)
            .send(Severity::Emerg, line.as_bytes(), b"");
    }

    /// The servers that follow another, the last one first, as HAProxy tells of them.
    fn trackers(&self, id: ServerId) -> impl Iterator<Item = ServerId> + use<> {
        let follows = |server: &&Server| {
            server.track == Some(id) && !self.state.server(server.id).is_removed()
        };
        let servers = self.model.servers.iter().filter(follows);
        let ids: Vec<_> = servers.map(|server| server.id).collect();
        ids.into_iter().rev()
    }

    fn left(&self, id: ServerId) -> Left {
        let (server, state) = self.both(id);
        Left {
            usable: self.state.usable_servers(self.model, server.proxy),
            sessions: state.current.current(),
            requeued: state.queue.current(),
        }
    }

    fn online(&self, id: ServerId) -> Online {
        let (server, state) = self.both(id);
        Online {
            usable: self.state.usable_servers(self.model, server.proxy),
            requeued: 0,
            queued: state.queue.current() + self.state.proxy(server.proxy).backend.queue.current(),
        }
    }

    fn both(&self, id: ServerId) -> (&'a Server, &'a ServerState) {
        (self.model.server(id), self.state.server(id))
    }
}

/// Losing a server that took traffic is an alert; one that was leaving anyway, a notice.
fn severity_of_loss(state: &ServerState) -> Severity {
    let serving = matches!(
        state.operational(),
        Operational::Running | Operational::Starting
    );
    match serving && !state.admin().has(Admin::DRAIN) {
        true => Severity::Alert,
        false => Severity::Notice,
    }
}

/// `backend/server`.
fn name(state: &ServerState) -> String {
    format!("{}/{}", state.backend, state.name)
}

#[cfg(test)]
mod tests;
