//! What a check's report does to its server.

use super::announce::{self, Cause};
use super::automaton::{Change, Health, Limits};
use super::life::Life;
use crate::clock::Moment;
use crate::model::{Check, Severity};
use crate::state::{CheckReport, CheckResult, Counter, Operational, Running};
use crate::types::ServerId;

/// One server's check between two reports: its automaton and what it was last told.
#[derive(Debug)]
pub(super) struct Verdicts {
    limits: Limits,
    health: Health,
    log_all: bool,
    checked: bool,
    hurry: bool,
}

impl Verdicts {
    /// Goes on where the server's state stands.
    pub(super) fn new(check: &Check, counter: u32) -> Self {
        let limits = Limits::of(check);
        let unchecked = Health::unchecked(&limits);
        Self {
            limits,
            health: match counter == unchecked.counter() {
                true => unchecked,
                false => Health::at(counter, &limits),
            },
            log_all: check.log_all,
            checked: false,
            hurry: false,
        }
    }

    pub(super) const fn health(&self) -> Health {
        self.health
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether a check was concluded since the server was last taken in.
    pub(super) const fn is_checked(&self) -> bool {
        self.checked
    }

    /// Traffic gives reason to check again at `fastinter`.
    pub(super) const fn set_hurry(&mut self) {
        self.hurry = true;
    }

    /// Whether somebody gave reason to hurry since the last call.
    pub(super) const fn take_hurry(&mut self) -> bool {
        std::mem::replace(&mut self.hurry, false)
    }

    /// Takes a finished check's report: moves the automaton, tells what has to be told, changes the server's side.
    pub(super) fn conclude(
        &mut self,
        life: &Life<'_>,
        id: ServerId,
        report: CheckReport,
        now: Moment,
    ) {
        let state = life.running.state.server(id);
        self.take_over(state.check.health());
        let result = report.status.result();
        let passed = matches!(result, CheckResult::Passed | CheckResult::Conditional);
        if !passed && state.operational() != Operational::Stopped {
            state.counters.count(Counter::FailedChecks);
        }
        let before = self.health.counter();
        let change = self.health.record(passed, &self.limits);
        let counter = self.health.counter();
        let previous = state.check.report();
        state.check.set_health(counter);
        state.check.set_report(report.clone());
        self.checked = true;
        let news = previous.status != report.status || before != counter;
        let cause = if self.log_all && news {
            self.tell(life, id, &report);
            Cause::LoggedCheck
        } else {
            Cause::Check(report)
        };
        self.change_sides(life, id, change, result, &cause, now);
    }

    /// An `on-error` reaction: one failed check more, or one that weighs more.
    pub(super) fn fail(
        &mut self,
        life: &Life<'_>,
        id: ServerId,
        report: CheckReport,
        weaken: Weaken,
        now: Moment,
    ) {
        self.take_over(life.running.state.server(id).check.health());
        match weaken {
            Weaken::No => {}
            Weaken::OneMoreFailureKills => {
                // The failure recorded below is the one that leaves the server just up.
                self.health.weaken(&self.limits);
                self.checked = true;
                let state = life.running.state.server(id);
                state.check.set_health(self.health.counter());
                state.check.set_report(report);
                return;
            }
            Weaken::ThisFailureKills => self.health.weaken(&self.limits),
        }
        life.running
            .state
            .server(id)
            .check
            .set_health(self.health.counter());
        self.conclude(life, id, report, now);
    }

    /// The Runtime API may have moved the counter meanwhile.
    fn take_over(&mut self, counter: u32) {
        if counter != self.health.counter() {
            self.health = Health::at(counter, &self.limits);
        }
    }

    fn tell(&self, life: &Life<'_>, id: ServerId, report: &CheckReport) {
        let Running { model, .. } = life.running;
        let server = model.server(id);
        let name = format!("{}/{}", model.proxy(server.proxy).name, server.name);
        let progress = announce::progress(self.health.counter(), &self.limits);
        let line = announce::result("Health", &name, report, &progress);
        life.tell(server.proxy, Severity::Notice, &line);
    }

    fn change_sides(
        &self,
        life: &Life<'_>,
        id: ServerId,
        change: Option<Change>,
        result: CheckResult,
        cause: &Cause,
        now: Moment,
    ) {
        let operational = life.running.state.server(id).operational();
        let agent_allows = agent_allows(id, life.running);
        match (change, result) {
            (Some(Change::WentDown), _) => life.down(id, cause, now),
            (_, CheckResult::Conditional) if operational != Operational::Stopped => {
                life.stopping(id, cause, now);
            }
            (Some(Change::WentUp), _) if agent_allows => life.up(id, cause, now),
            (None, CheckResult::Passed)
                if operational == Operational::Stopping
                    || (operational == Operational::Stopped
                        && self.health.is_up(&self.limits)
                        && agent_allows) =>
            {
                life.up(id, cause, now);
            }
            _ => {}
        }
    }
}

/// How a reaction to observed errors weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weaken {
    /// `fail-check`: as one failed check.
    No,
    /// `sudden-death`.
    OneMoreFailureKills,
    /// `mark-down`.
    ThisFailureKills,
}

/// A server that its agent says is down does not come up by its checks.
fn agent_allows(id: ServerId, running: &Running) -> bool {
    running.model.server(id).agent.is_none() || running.state.server(id).agent.health() > 0
}
